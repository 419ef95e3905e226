"""What was said while Slack could not deliver it, for longer than it tries, is answered once."""

import asyncio
import sys
from collections.abc import Callable

import aiosqlite
import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, words

Make = Callable[..., Bobbin]

READ = "read again what was said while nothing came in"
SHORT_GAPS = """
import sys
import bot.app
import bot.recovery
from bot.__main__ import main

bot.recovery.GAP_SECONDS = 1.0
bot.app.HEARD_SECONDS = 0.2
sys.exit(main())
"""


async def put_back(bobbin: Bobbin, seconds: int = 600) -> None:
    """Make it so that the Bobbin that was stopped has been down for so long already."""
    async with aiosqlite.connect(bobbin.folder / "bobbin.db", timeout=60) as database:
        changed = await database.execute("UPDATE heard SET heard_at = heard_at - ?", (seconds * 1000,))
        assert changed.rowcount == 1
        await database.commit()


async def down(bobbin: Bobbin, seconds: int = 600) -> None:
    """Stop it, for so long; what is said from now on is held back."""
    assert await bobbin.stop() == 0
    await put_back(bobbin, seconds)
    bobbin.slack.hold()


async def caught_up(bobbin: Bobbin) -> None:
    """Wait until a gap was read."""
    async with asyncio.timeout(60):
        while not any(line["event"] == READ for line in bobbin.log):  # noqa: ASYNC110  a file tells nobody
            await asyncio.sleep(0.02)


async def test_everything_missed_is_answered_once(bobbin: Bobbin, slack: Slack, bedrock: Bedrock) -> None:
    scene = Scene(bobbin)
    direct = slack.dm(scene.ann)
    thread = await scene.joined()
    in_direct = await slack.say(scene.ann, direct, "say exactly: before")
    await bobbin.answered(direct, in_direct)

    await down(bobbin)
    alone = await slack.say(scene.ann, direct, "say exactly: a new one")
    await slack.say(scene.ann, direct, "say exactly: one more", thread=in_direct)
    await scene.say("the first half,", thread=thread)
    await scene.say("say exactly: both halves", by=scene.ann, thread=thread)
    mention = await scene.mention("say exactly: a mention")
    await scene.say("nobody mentions it")
    slack.lose()
    before = len(bedrock.requests)
    await bobbin.start()

    assert await bobbin.answered(direct, alone) == ["a new one"]
    assert await bobbin.answered(direct, in_direct, 2) == ["before", "one more"]
    assert (await scene.answered(thread, 2))[1] == "both halves"
    assert await scene.answered(mention) == ["a mention"]
    await caught_up(bobbin)
    await scene.heard()
    asked = [words(request) for request in bedrock.requests[before:]]
    assert sum("the first half," in said for said in asked) == 1
    halves = next(said for said in asked if "the first half," in said)
    assert halves[-2:] == ["the first half,", "say exactly: both halves"]
    assert len(asked) == 5  # with the witness
    assert await bobbin.rows("SELECT missed_since FROM heard") == [(None,)]


async def test_what_followed_a_missed_mention_in_its_thread_is_in_the_answer(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    await scene.joined()
    await down(bobbin)
    mention = await scene.mention("one question:")
    await scene.say("say exactly: all of it", thread=mention)
    slack.lose()
    await bobbin.start()
    await slack.wait_for(lambda: "all of it" in [m["text"] for m in scene.answers(mention)])


@pytest.mark.parametrize("late", [True, False], ids=["after it was answered", "while it is read again"])
async def test_a_late_delivery_of_what_was_read_again_changes_nothing(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, *, late: bool
) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    await down(bobbin)
    mention = await scene.mention("say exactly: a mention")
    await scene.say("say exactly: a reply", thread=thread)
    await bobbin.start()
    if late:
        await caught_up(bobbin)
        await scene.answered(mention)
        await scene.answered(thread, 2)
    slack.release()
    assert await scene.answered(mention) == ["a mention"]
    assert (await scene.answered(thread, 2))[1:] == ["a reply"]
    await caught_up(bobbin)
    await scene.heard()
    assert len(scene.requests) == 3
    assert len(scene.answers(mention)) == 1
    assert len(scene.answers(thread)) == 2


async def test_a_crash_while_it_is_read_leaves_it_for_the_next_start(bobbin: Bobbin, slack: Slack) -> None:
    scene = Scene(bobbin)
    await scene.joined()
    await down(bobbin)
    mention = await scene.mention("say exactly: a mention")
    slack.lose()
    slack.faults.add("conversations.history", "hang", seconds=30)
    await bobbin.start()
    await slack.wait_for(lambda: slack.calls("conversations.history"))
    await bobbin.kill()
    await bobbin.start()
    assert await scene.answered(mention) == ["a mention"]


async def test_a_short_break_is_left_to_slacks_redelivery(bobbin: Bobbin, slack: Slack) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    await down(bobbin, 120)  # what the start takes comes on top
    await scene.say("say exactly: again", thread=thread)
    await bobbin.start()
    slack.release()
    await scene.answered(thread, 2)
    await scene.heard()
    assert not slack.calls("conversations.history")


async def test_an_outage_of_the_socket_alone_is_a_gap_too(make: Make, slack: Slack) -> None:
    bobbin = make()
    bobbin.command = [sys.executable, "-c", SHORT_GAPS]
    await bobbin.start()
    scene = Scene(bobbin)
    thread = await scene.joined()
    slack.hold()
    slack.faults.add("apps.connections.open", "http", status=503, times=2)  # three seconds at least
    await slack.disconnect(None)
    await scene.say("say exactly: deaf", thread=thread)
    slack.lose()
    assert (await scene.answered(thread, 2))[1] == "deaf"


async def test_an_edit_in_the_gap_is_followed(bobbin: Bobbin, slack: Slack) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined("a first form")
    reply = await scene.say("Thanks!", thread=thread)
    await scene.acked()
    await down(bobbin)
    await slack.edit(scene.ann, scene.channel, reply, "Many thanks!")
    slack.lose()
    await bobbin.start()
    await caught_up(bobbin)
    assert ("Many thanks!",) in await bobbin.rows("SELECT text FROM message WHERE role = 'user'")


async def test_who_may_not_ask_is_told_once(make: Make, slack: Slack) -> None:
    ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Roe")
    bobbin = await make(ALLOWED_USERS=ann).start()
    channel = slack.add_channel("general", members=(ann, ben))
    thread = await slack.say(ann, channel, f"{bobbin.me} hello")
    await bobbin.answered(channel, thread)
    await down(bobbin)
    refused = await slack.say(ben, channel, f"{bobbin.me} and me?")
    await bobbin.start()
    await slack.wait_for(lambda: slack.ephemerals(ben))
    slack.release()
    await caught_up(bobbin)
    assert len(slack.ephemerals(ben)) == 1
    assert not bobbin.answers(channel, refused)
