"""The same events on SQLite and on PostgreSQL: what is asked, shown and kept is the same."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, read, running, system
from tests.e2e.test_copy import bring_again
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_files import files, picture

KEPT = {
    "messages": "SELECT role, text, files, addressed, summons, turn_id IS NULL, deleted_at IS NULL, "
    "edit_ts <> '', reason, bot FROM message ORDER BY ts",
    "turns": "SELECT t.seq, t.state, t.stop_reason, t.error, t.deaths FROM conversation c "
    "JOIN turn t ON t.conversation_id = c.id ORDER BY c.thread_ts, t.seq",
    "threads": "SELECT direct, muted, pending_at IS NULL, lease_owner IS NULL FROM conversation "
    "ORDER BY thread_ts",
    "parts": "SELECT p.kind, p.part FROM reply_part p ORDER BY p.ts",
    "calls": "SELECT purpose, state, estimated, input, cache_read, cache_write, output, micro_usd FROM call "
    "ORDER BY id",
    "files": "SELECT format, reason, size, sha256 FROM attachment ORDER BY sha256",
}
"""What is kept, without ids and times."""


@dataclass
class Story:
    """What came of a play; ids and times are left out, for they differ."""

    asked: list[Any] = field(default_factory=list)
    shown: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, list[Any]] = field(default_factory=dict)


async def play(folder: Path, **settings: str) -> Story:
    """Play the scenes one after the other in a Bobbin between servers of its own."""
    await asyncio.to_thread(folder.mkdir)
    async with running(folder, SLACK_PACING="off", **settings) as bobbin:
        scene = Scene(bobbin)
        scene.slack._sockets._ack_seconds = (
            120  # what came again for want of an ack would only slow both down
        )
        scene.slack.deliver_twice()
        for part in (
            a_talk_of_two,
            a_changed_question,
            what_waits,
            a_late_call,
            quiet_ones,
            a_direct_message,
        ):
            await part(scene)
            await scene.heard(scene.ann)
        scene.slack.deliver_twice(on=False)
        events = {each.data["event_id"]: each.data for each in scene.slack.log if each.kind == "delivery"}
        await bring_again(scene, list(events.values()))
        await scene.heard(scene.ann)
        await at_rest(bobbin)
        return await _story(bobbin, scene)


async def _story(bobbin: Bobbin, scene: Scene) -> Story:
    story = Story()
    for asked in scene.requests:
        roles = [message["role"] for message in asked.body["messages"]]
        story.asked.append((roles, read(asked), files(asked), system(asked), asked.ended))
    for channel in scene.slack.workspace.channels.values():
        story.shown[channel.name or channel.kind] = _seen(scene.slack, channel.id)
    for user in (scene.ann, scene.ben):
        story.notes[user] = [note["text"] for note in scene.slack.ephemerals(user)]
    for name, sql in KEPT.items():
        rows = await bobbin.rows(sql)
        story.kept[name] = [tuple(_portless(value) for value in row) for row in rows]
    return story


def _portless(value: Any) -> Any:
    """The address of a file has a port, which differs."""
    return re.sub(r"(127\.0\.0\.1):\d+", r"\1", value) if isinstance(value, str) else value


def _seen(slack: Slack, channel: str) -> list[Any]:
    """What a person sees there: of each message whose it is, its thread, its text, what stands below.

    A short answer is streamed or posted in one, by when its last word came: both show the same.
    """
    messages = slack.messages(channel)
    places = {message["ts"]: place for place, message in enumerate(messages)}
    return [
        (
            message.get("user", message.get("bot_id")) == slack.bot_user_id,
            places.get(message.get("thread_ts", "")),
            shown(message),
            [block["type"] for block in message.get("blocks") or [] if block["type"] != "markdown"],
        )
        for message in messages
    ]


# ---------------------------------------------------------------- the scenes


async def a_talk_of_two(scene: Scene) -> None:
    """With files, an edit and a deletion of what was answered, and a question after each."""
    thread = await scene.mention(
        "What's 1+1?", files=[("plan.txt", b"The plan is a barracuda."), ("a.png", picture())]
    )
    await scene.answered(thread)
    mine = await scene.mention("And 3 more added to that?", by=scene.ben, thread=thread)
    await scene.answered(thread, 2)
    secret = await scene.mention("say exactly: swordfish 🐟", thread=thread)
    await scene.answered(thread, 3)
    await scene.slack.edit(scene.ben, scene.channel, mine, f"{scene.me} And 4 more added to that?")
    await scene.slack.delete(scene.ann, scene.channel, secret)
    await scene.acked()
    await scene.mention("What have we said, *exactly*, <@" + scene.ben + "> & all?", thread=thread)
    await scene.answered(thread, 4)


async def a_changed_question(scene: Scene) -> None:
    """Changed before its first word, and one that goes."""
    for change in ("edit", "delete"):
        thread = await scene.mention("wait 60")
        await scene.bedrock.wait_for(lambda it: it.open == 1)
        if change == "edit":
            text = f"{scene.me} say exactly: the new question"
            await scene.slack.edit(scene.ann, scene.channel, thread, text)
            await scene.answered(thread)
        else:
            await scene.slack.delete(scene.ann, scene.channel, thread)
            await scene.bedrock.wait_for(lambda it: it.open == 0)


async def what_waits(scene: Scene) -> None:
    """Said while an answer is written: one more turn for all, without what was deleted, as it was edited."""
    scene.bedrock.hold()
    thread = await scene.mention("say exactly: first")
    await scene.bedrock.wait_for(lambda it: it.open == 1)
    await scene.mention("one", by=scene.ben, thread=thread)
    changed = await scene.mention("two", thread=thread)
    gone = await scene.mention("three", by=scene.ben, thread=thread)
    await scene.slack.edit(scene.ann, scene.channel, changed, f"{scene.me} two and a half")
    await scene.slack.delete(scene.ben, scene.channel, gone)
    await scene.acked()
    scene.bedrock.release()
    await scene.answered(thread, 2)


async def a_late_call(scene: Scene) -> None:
    """Called into a thread that is older: what was said before is read."""
    thread = await scene.say("Shall we move the launch?")
    for number in range(3):
        await scene.say(f"thought {number}", by=scene.ben, thread=thread)
    await scene.mention("what do you think?", thread=thread)
    await scene.answered(thread)


async def quiet_ones(scene: Scene) -> None:
    """Thanks, talk to others, a muted thread; a stop; and an error with its second try."""
    thread = await scene.joined()
    await scene.say("thanks!", thread=thread)
    await scene.say(f"<@{scene.ben}> lunch?", thread=thread)
    await scene.say("mute", thread=thread)
    await scene.heard(scene.ann)
    await scene.say("is anybody there?", by=scene.ben, thread=thread)
    await scene.heard(scene.ann)
    stopped = await scene.mention("wait 60")
    await scene.bedrock.wait_for(lambda it: it.open == 1)
    await scene.say("stop", thread=stopped)
    await scene.bedrock.wait_for(lambda it: it.open == 0)
    failed = await scene.mention("fail refused")
    await scene.answered(failed)


async def a_direct_message(scene: Scene) -> None:
    """Two threads in a DM at the same time."""
    dm = scene.slack.dm(scene.ben)
    first = await scene.slack.say(scene.ben, dm, "What's 2+2?")
    await scene.bobbin.answered(dm, first)
    second = await scene.slack.say(scene.ben, dm, "say exactly: the second")
    await scene.bobbin.answered(dm, second)
    await scene.slack.say(scene.ben, dm, "And 3 more added to that?", thread=first)
    await scene.bobbin.answered(dm, first, 2)


async def test_the_same_events_come_to_the_same_on_both_databases(
    tmp_path: Path, emptied: Callable[[], str]
) -> None:
    ours, theirs = await asyncio.gather(
        play(tmp_path / "sqlite"), play(tmp_path / "postgres", DATABASE_URL=emptied())
    )
    assert len(ours.asked) > 12
    assert theirs.asked == ours.asked
    assert theirs.shown == ours.shown
    assert [*theirs.notes.values()] == [*ours.notes.values()]
    for name, rows in ours.kept.items():
        assert theirs.kept[name] == rows, name
