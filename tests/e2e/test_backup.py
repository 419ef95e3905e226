"""Backups of a running Bobbin, and what happens after one is restored: through the processes."""

import json
from collections.abc import Callable
from typing import Any

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.books import change
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, read, words
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_forgetting import found, gone

Make = Callable[..., Bobbin]


async def deliver_again(scene: Scene, *messages: str) -> None:
    """Deliver what people said once more, by events that no inbox knows."""
    for ts in messages:
        event = {
            **scene.slack.message(scene.channel, ts),
            "channel": scene.channel,
            "channel_type": "channel",
        }
        scene.slack.deliver_raw(event, scene.slack.workspace.channels[scene.channel])
        await scene.acked()


async def go_on(scene: Scene, thread: str, *words: str) -> list[str]:
    """Ask for each word in a thread that has one answer already, and wait for it; the questions."""
    asked = []
    for count, word in enumerate(words, start=2):
        asked.append(await scene.mention(f"say exactly: {word}", thread=thread))
        await scene.answered(thread, count)
    return asked


def writes(slack: Slack) -> list[str]:
    """The calls so far that made, changed or deleted a message."""
    kinds = ("chat.startStream", "chat.postMessage", "chat.update", "chat.delete", "chat.appendStream")
    return [entry.name for entry in slack.calls() if entry.name in kinds]


async def test_after_a_restore_nothing_is_answered_twice_and_no_answer_is_touched(
    bobbin: Bobbin, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    slack = scene.slack
    old = await scene.joined("say exactly: one")
    bedrock.hold()
    running = await scene.mention("say exactly: begun before the backup")  # open in the backup
    await bedrock.wait_for(lambda it: it.open == 1)
    doomed = await scene.mention("say exactly: swordfish", by=scene.ben)
    await scene.acked()

    code, said, _ = await bobbin.run("backup", "backup.db")
    assert (code, "holds 3 threads" in said) == (0, True), said
    assert (bobbin.folder / "backup.db").stat().st_mode & 0o777 == 0o600
    bedrock.release()
    await scene.answered(running)
    await scene.answered(doomed)
    # All of this is in Slack alone once the backup is restored.
    later = await go_on(scene, old, "two", "three")
    new = await scene.mention("say exactly: new")
    await scene.answered(new)
    more = await scene.say("say exactly: newer", thread=new)
    await scene.answered(new, 2)
    await slack.shortcut(scene.ben, "forget_this_thread", scene.channel, doomed)
    modal = await slack.wait_for(lambda: slack.modal(scene.ben))
    await slack.submit(scene.ben, modal["id"])

    assert await bobbin.stop() == 0
    code, said, errors = await bobbin.run("restore", "backup.db", "--yes")
    assert code == 0, errors
    assert "Erased again in it: 1 things" in said
    (bobbin.folder / "backup.db").unlink()
    assert found(bobbin, ["swordfish"]) == []  # it was forgotten after the backup

    asked, written = len(bedrock.requests), len(writes(slack))
    await scene.mention("say exactly: at last", thread=new)  # while no Bobbin ran
    standing = slack.messages(scene.channel)
    await bobbin.start()
    await deliver_again(scene, new, more, *later, running, doomed, old)
    assert await scene.answered(new, 3) == ["new", "newer", "at last"]
    await at_rest(bobbin)
    now = {each["ts"]: shown(each) for each in slack.messages(scene.channel)}
    for message in standing:
        assert now.pop(message["ts"]) == shown(message)
    assert list(now.values()) == ["at last"]
    assert len(bedrock.requests) == asked + 1
    assert len(writes(slack)) == written + 1

    # What was answered meanwhile is part of the talk again.
    await scene.mention("And now?", thread=old)
    await scene.answered(old, 4)
    own = [said for who, said in read(scene.requests[-1]) if not who]
    assert own[0] == "one"
    assert {"two", "three"} <= set("\n".join(own).split())
    assert words(scene.requests[-1])[-1] == "And now?"


async def test_what_is_answered_again_after_a_restore_leaves_what_was_answered_since(
    bobbin: Bobbin, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined("say exactly: one")
    assert (await bobbin.run("backup", "backup.db"))[0] == 0
    await go_on(scene, thread, "two")
    assert await bobbin.stop() == 0
    assert (await bobbin.run("restore", "backup.db", "--yes"))[0] == 0
    await change(bobbin, "DELETE FROM heard")  # as where it was too long ago to be read again
    await bobbin.start()
    assert [shown(each) for each in scene.answers(thread)] == ["one", "two"]
    asked = len(bedrock.requests)
    await scene.slack.shortcut(scene.ann, "answer_again", scene.channel, scene.answers(thread)[0]["ts"])
    await bedrock.wait_for(lambda _: len(bedrock.requests) > asked)
    await at_rest(bobbin)
    assert [shown(each) for each in scene.answers(thread)] == ["one", "two"]


async def test_an_answer_that_was_half_written_at_the_backup_is_finished_in_its_message(
    bobbin: Bobbin, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    bedrock.pace = 0.1
    text = "Four score and seven years ago. " * 12
    thread = await scene.mention(f"say exactly: {text}")
    await scene.slack.wait_for(lambda: scene.slack.calls("chat.appendStream"))
    bedrock.pace = 60  # what the backup and the kill take is none of its words
    assert (await bobbin.run("backup", "backup.db"))[0] == 0
    await bobbin.kill()
    assert (await bobbin.run("restore", "backup.db", "--yes"))[0] == 0
    bedrock.pace = 0
    await bobbin.start()
    await scene.slack.wait_for(
        lambda: [shown(each).strip() for each in scene.answers(thread)] == [text.strip()]
    )


async def test_an_operator_exports_and_erases_beside_a_running_bobbin_and_without_one(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.mention("say exactly: swordfish", files=[("marlin.txt", b"a barracuda")])
    await scene.answered(thread)
    reply = await scene.mention("What is 1+1?", by=scene.ben, thread=thread)
    await scene.answered(thread, 2)
    other = await scene.joined("say exactly: halibut")

    digits = reply.replace(".", "")
    link = f"https://acme.slack.com/archives/{scene.channel}/p{digits}?thread_ts={thread}&cid={scene.channel}"
    code, said, _ = await bobbin.run("export", "--thread", link)
    assert code == 0
    assert said.startswith(f"# Thread {scene.channel}/{thread}\n\n**Ann Lee**, 20")
    assert "Files: marlin.txt\n\n**Bobbin**, 20" in said
    code, said, _ = await bobbin.run("export", "--thread", f"{scene.channel}/{reply}", "--json")
    told: dict[str, Any] = json.loads(said)
    assert [(each["role"], each["name"]) for each in told["messages"]] == [
        ("user", "Ann Lee"), ("assistant", "Bobbin"), ("user", "Ben Roe"), ("assistant", "Bobbin"),
    ]  # fmt: skip
    assert (await bobbin.run("export", "--thread", "C1/1000000000.000000"))[0] == 1
    assert (await bobbin.run("erase", "--user", "U1", "--thread", link))[0] == 1

    code, said, _ = await bobbin.run("erase", "--thread", link)
    assert "Would erase 2 messages, 2 answers, 1 files, 1 threads. Add --yes" in said
    assert found(bobbin, ["swordfish"]) == ["swordfish"]
    code, said, errors = await bobbin.run("erase", "--thread", link, "--yes")  # the running one does it
    assert (code, said) == (0, "Erased 2 messages, 2 answers, 1 files, 1 threads.\n"), errors
    await gone(bobbin, ["swordfish", "marlin", "barracuda"])
    assert found(bobbin, ["halibut"]) == ["halibut"]
    assert list((bobbin.folder / "bobbin.db.orders").iterdir()) == []

    assert await bobbin.stop() == 0
    code, said, errors = await bobbin.run("erase", "--user", scene.ann, "--yes")
    assert (code, said.startswith("Erased 1 messages, 1 names")) == (0, True), said + errors
    code, said, _ = await bobbin.run("erase", "--team", scene.slack.team_id, "--yes")
    assert said == "Erased 1 answers, 1 names, 1 threads.\n"
    assert found(bobbin, ["halibut", "Ann Lee", "Ben Roe"]) == []
    assert await bobbin.run("migrate") == (
        0, "Nothing to migrate: the database has this Bobbin's schema.\n", "",
    )  # fmt: skip
    assert other


async def test_what_cannot_be_restored_is_refused_and_the_database_stays_as_it_is(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    await scene.joined("say exactly: swordfish")
    assert (await bobbin.run("backup", "backup.db"))[0] == 0
    code, _, errors = await bobbin.run("backup", "backup.db")
    assert (code, "it exists already" in errors) == (1, True)
    await change(bobbin, "UPDATE message SET text = 'marlin'")
    code, _, errors = await bobbin.run("restore", "backup.db", "--yes")
    assert (code, "another Bobbin is using it" in errors) == (1, True)
    assert await bobbin.stop() == 0
    code, _, errors = await bobbin.run("restore", "backup.db")
    assert (code, "Add --yes" in errors) == (1, True)
    whole = (bobbin.folder / "backup.db").read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"no database", "empty": b""}.items():
        (bobbin.folder / name).write_bytes(content)
        code, _, errors = await bobbin.run("restore", name, "--yes")
        assert code in (1, 78), name
        assert errors
    assert (await bobbin.run("restore", "nowhere", "--yes"))[0] == 1
    assert await bobbin.rows("SELECT DISTINCT text FROM message") == [("marlin",)]
    assert not list(bobbin.folder.glob("*.restoring*"))
    (bobbin.folder / "bobbin.db").write_bytes(b"damaged")
    code, said, _ = await bobbin.run("restore", "backup.db", "--yes")
    assert (code, "could not be read" in said) == (0, True)
    assert found(bobbin, ["swordfish"]) == ["swordfish"]
