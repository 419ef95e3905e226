"""What people want forgotten goes: through the process, from every table, file and log."""

import asyncio
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.books import change, spend
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, read, words
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_window import summaries, turn

Make = Callable[..., Bobbin]


def found(bobbin: Bobbin, secrets: Sequence[str]) -> list[str]:
    """Which of these words stand in the bytes of any file of Bobbin's: database, -wal, log, backups.

    Read by another process: closing a database file here would let go of SQLite's locks.
    """
    files = [str(file) for file in bobbin.folder.rglob("*") if file.is_file()]
    everything = subprocess.run(["cat", *files], capture_output=True, check=True).stdout
    return [secret for secret in secrets if secret.encode() in everything]


async def gone(bobbin: Bobbin, secrets: Sequence[str]) -> None:
    """Wait until none of them is left; 10 seconds are promised, of a machine that keeps up."""
    async with asyncio.timeout(60):
        while found(bobbin, secrets):  # noqa: ASYNC110  a disk tells nobody
            await asyncio.sleep(0.2)


def says(view: dict[str, Any]) -> str:
    """What a modal says."""
    return "\n".join(str(block.get("text", {}).get("text", "")) for block in view["blocks"])


async def confirmed(scene: Scene, user: str, title: str) -> str:
    """Send the modal that asks; the receipt that it shows then."""
    modal = await scene.slack.wait_for(lambda: scene.slack.modal(user))
    assert modal["title"]["text"] == title
    answer = await scene.slack.submit(user, modal["id"])
    assert answer["response_action"] == "update"
    return says(scene.slack.modal(user))


async def test_a_thread_is_forgotten_for_good_by_who_started_it(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    secrets = ["swordfish", "marlin", "halibut", "barracuda"]
    thread = await scene.mention("say exactly: swordfish", files=[("halibut.txt", b"a barracuda")])
    await scene.answered(thread)
    await scene.mention("marlin", by=scene.ben, thread=thread)
    await scene.answered(thread, 2)
    await scene.slack.shortcut(scene.ben, "catch_me_up", scene.channel, thread)
    dm = scene.slack.dm(scene.ben)
    opening = await scene.slack.wait_for(lambda: scene.slack.messages(dm))
    await bobbin.answered(dm, opening[0]["ts"], 2)
    assert found(bobbin, secrets) == secrets

    await scene.slack.shortcut(scene.ben, "forget_this_thread", scene.channel, thread)
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ben))
    (note,) = scene.slack.ephemerals(scene.ben)
    assert note["text"].startswith("Only who started this thread, or an admin")
    await scene.slack.shortcut(scene.ann, "forget_this_thread", scene.channel, thread)
    assert found(bobbin, ["swordfish"])  # it asks first
    told = await confirmed(scene, scene.ann, "Forget this thread?")
    assert told.startswith("*Erased:* 5 messages, 5 answers of mine, 2 files.")
    await gone(bobbin, secrets)
    (line,) = [line for line in bobbin.log if line["event"] == "forgotten"]
    assert (line["what"], line["said"], line["answered"]) == ("thread", 5, 5)
    standing = scene.slack.thread(scene.channel, thread)

    # The second event of the same mention, and a redelivery after the inbox was cleared.
    root = scene.slack.message(scene.channel, thread)
    for kind in ("message", "app_mention"):
        event = {**root, "type": kind, "channel": scene.channel, "channel_type": "channel"}
        scene.slack.deliver_raw(event, scene.slack.workspace.channels[scene.channel])
    await scene.heard(scene.ben)
    assert len(scene.requests) == 3
    assert scene.slack.thread(scene.channel, thread) == standing
    assert (await bobbin.run("backup", "after.db"))[0] == 0
    assert found(bobbin, secrets) == []

    await scene.mention("What is known?", thread=thread)
    await scene.answered(thread, 3)
    assert words(scene.requests[-1]) == ["What is known?"]
    assert found(bobbin, secrets) == []


async def test_an_answer_that_is_being_written_ends_with_its_forgotten_thread(
    bobbin: Bobbin, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    scene.slack.workspace.people[scene.ben].admin = True
    bedrock.pace = 0.1
    thread = await scene.mention("say exactly: " + "the swordfish swims. " * 40)
    await scene.slack.wait_for(lambda: scene.slack.calls("chat.appendStream"))
    bedrock.pace = 60  # it does not come to its end by itself
    await scene.say("and marlin", thread=thread)
    await scene.acked()
    await scene.slack.shortcut(scene.ben, "forget_this_thread", scene.channel, thread)  # an admin may
    assert "*Erased:* 2 messages" in await confirmed(scene, scene.ben, "Forget this thread?")
    await scene.slack.wait_for(
        lambda: [each for each in scene.answers(thread) if "told to forget" in str(each.get("blocks"))]
    )
    (half,) = scene.answers(thread)
    assert half["streaming_state"] != "in_progress"
    await scene.slack.wait_for(lambda: scene.slack.status(scene.channel, thread).status == "active")
    await bedrock.wait_for(lambda it: it.open == 0)
    bedrock.pace = 0
    await scene.heard(scene.ben)
    assert len(scene.answers(thread)) == 1
    await gone(bobbin, ["swordfish", "marlin"])
    assert await bobbin.rows("SELECT count(*) FROM turn WHERE state = 'open'") == [(0,)]


async def test_a_persons_data_is_erased_from_home_by_command_and_by_word(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    slack = scene.slack
    await spend(bobbin, scene.ann, 0.25, days_ago=3)
    thread = await scene.mention("I love swordfish. What is 1+1?")
    await scene.answered(thread)
    await scene.mention("And 3 more?", by=scene.ben, thread=thread)
    await scene.answered(thread, 2)
    dm = slack.dm(scene.ann)
    private = await slack.say(scene.ann, dm, "say exactly: marlin")
    await bobbin.answered(dm, private)
    await at_rest(bobbin)

    await slack.open_home(scene.ann)
    home = await slack.wait_for(lambda: slack.home(scene.ann))
    await slack.press_view(scene.ann, home["id"], "erase_my_data")
    told = await confirmed(scene, scene.ann, "Erase my data?")
    assert told.startswith("*Erased:* 2 messages, 1 answer of mine, 1 name.")
    await gone(bobbin, ["swordfish", "marlin", "Ann Lee"])
    assert found(bobbin, ["And 3 more"]) == ["And 3 more"]
    await slack.wait_for(lambda: "*0* of your messages" in says(slack.home(scene.ann)))
    kept = await bobbin.rows("SELECT micro_usd FROM call WHERE user_id = '' AND micro_usd = 250000")
    assert kept == [(250000,)]

    # What a thread holds now is read without them, and what they write from now on is read.
    await scene.mention("And now?", thread=thread)
    await scene.answered(thread, 3)
    assert words(scene.requests[-1]) == ["And 3 more?", "And now?"]
    assert read(scene.requests[-1])[0][0] == ""  # the answer to them stays

    await slack.command(scene.ben, scene.channel, "/bobbin forget me")
    assert "*Erased:* 1 message," in await confirmed(scene, scene.ben, "Erase my data?")
    await slack.dismiss(scene.ben, slack.modal(scene.ben)["id"])
    await scene.mention("forget", by=scene.ben, thread=thread)
    (note,) = await slack.wait_for(lambda: slack.ephemerals(scene.ben))
    await slack.press(scene.ben, scene.channel, note["ts"], "forget_this_thread")
    await slack.wait_for(lambda: len(slack.ephemerals(scene.ben)) == 2)
    assert slack.ephemerals(scene.ben)[-1]["text"].startswith("Only who started this thread")
    await slack.press(scene.ben, scene.channel, note["ts"], "erase_my_data")
    # Whether he is an admin was looked up just now, and so was his name.
    assert (await confirmed(scene, scene.ben, "Erase my data?")).startswith("*Erased:* 1 name.")
    await scene.mention("forget!", thread=thread)
    (note,) = await slack.wait_for(lambda: slack.ephemerals(scene.ann))
    await slack.press(scene.ann, scene.channel, note["ts"], "forget_this_thread")
    assert "*Erased:* 1 message, 3 answers" in await confirmed(scene, scene.ann, "Forget this thread?")


async def test_a_workspace_that_uninstalls_bobbin_is_forgotten(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.mention("swordfish")
    await scene.answered(thread)
    await scene.slack.command(scene.ann, scene.channel, "/bobbin usage")
    revoked = {"type": "tokens_revoked", "tokens": {"bot": [scene.slack.bot_user_id]}}
    scene.slack.deliver_raw(revoked)  # for new ones: Slack still knows Bobbin
    await scene.acked()
    scene.slack.deliver_raw({"type": "tokens_revoked", "tokens": {"oauth": [scene.ann]}})
    await scene.acked()
    assert found(bobbin, ["swordfish"]) == ["swordfish"]
    scene.slack.faults.add("auth.test", "token_revoked")
    scene.slack.deliver_raw(revoked)
    await gone(bobbin, ["swordfish", "Ann Lee"])
    await scene.mention("marlin", thread=thread)
    await scene.answered(thread, 2)
    scene.slack.deliver_raw({"type": "app_uninstalled"})
    await gone(bobbin, ["marlin", "Ann Lee"])
    assert await bobbin.rows("SELECT DISTINCT user_id, channel_id FROM call") == [("", "")]


async def test_what_is_silent_for_longer_than_the_retention_is_erased_and_read_again_when_called(
    make: Make, slack: Slack
) -> None:
    bobbin = await make(RETENTION_DAYS="30").start()
    scene = Scene(bobbin)
    old, young = await scene.joined("swordfish"), await scene.joined("marlin")
    await slack.open_home(scene.ann)
    home = await slack.wait_for(lambda: slack.home(scene.ann))
    assert "or nobody has written in their thread for 30 days" in says(home)
    await bobbin.stop()
    ago = "UPDATE conversation SET last_ts = '1000000000.000000', created_at = 0 WHERE thread_ts = ?"
    await change(bobbin, ago, old)
    await bobbin.start()
    await gone(bobbin, ["swordfish"])
    assert found(bobbin, ["marlin"]) == ["marlin"]
    await scene.mention("And?", thread=old)
    await scene.answered(old, 2)
    assert words(scene.requests[-1]) == ["swordfish", "And?"]
    assert [shown(message) for message in scene.answers(young)] != []


@pytest.mark.parametrize("how", ["thread", "person", "operator", "deletion"])
async def test_words_that_stand_in_a_summary_alone_go_too(make: Make, how: str) -> None:
    bobbin = await make(CONTEXT_WINDOW_TOKENS="4000").start()
    scene = Scene(bobbin)
    thread, count = await scene.joined("Remember that the vault opens for swordfish. Say exactly: noted"), 1
    while not summaries(scene.requests):
        count += 1
        await turn(scene, thread, f"Turn {count}: {'so it goes on ' * 70}", count)
    assert "swordfish" in str(await bobbin.rows("SELECT text FROM summary"))
    assert not any("swordfish" in said for said in words(scene.requests[-1]))
    assert "swordfish" in str(scene.requests[-1].body)  # in the summary

    match how:
        case "thread":
            await scene.slack.shortcut(scene.ann, "forget_this_thread", scene.channel, thread)
            assert "1 summary" in await confirmed(scene, scene.ann, "Forget this thread?")
        case "person":
            await scene.slack.command(scene.ann, scene.channel, "/bobbin forget me")
            await confirmed(scene, scene.ann, "Erase my data?")
        case "operator":
            code, told, errors = await bobbin.run("erase", "--user", scene.ann, "--yes")
            assert code == 0, errors
            assert "1 summaries" in told
        case "deletion":
            await scene.slack.delete(scene.ann, scene.channel, thread)
    await gone(bobbin, ["swordfish"])
    assert await bobbin.rows("SELECT text FROM summary WHERE text IS NOT NULL") == []
    await scene.mention("And now?", thread=thread)
    await scene.answered(thread, count + 1)
    assert "swordfish" not in str(scene.requests[-1].body)
    assert (await bobbin.run("backup", "after.db"))[0] == 0
    assert found(bobbin, ["swordfish"]) == []
