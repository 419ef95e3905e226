"""Crash points: SIGKILL exactly before and after each transaction, Slack call, ack and model call.

A play is run once to list the points it passes; then once for each of them, to die there; and once for each
pair: to die there, and while it recovers from that at each point which the recovery passes. Each time on a
database of its own, in a file or on a server.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.sandbox.slack import Slack
from tests.chaos.forked import ForkedBobbin
from tests.chaos.history import violations
from tests.chaos.stage import all_quiet, stage
from tests.e2e.conftest import shown
from tests.postgres import Server

Point = tuple[str, int]

_NEW = "What is it now?"
_FIRST = len("Call 1")
"""So many letters tell one answer of this model from another."""
_ALIKE = 2
"""Of points of one name the first so many are tried: the third piece of a text is like the second."""


@dataclass
class Run:
    """What became of one play: the kills asked for, how many happened, what was wrong, what was passed."""

    kills: tuple[Point, ...]
    happened: int = 0
    wrong: list[str] = field(default_factory=list)
    passed: list[Point] = field(default_factory=list)
    """The points of the last process."""


async def one_question(bobbin: ForkedBobbin) -> int:
    """Ann asks once in a channel; one turn."""
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.add_channel("general", members=(ann,))
    await bobbin.slack.say(ann, channel, f"{bobbin.me} What is the plan?")
    return 1


async def two_people(bobbin: ForkedBobbin) -> int:
    """Ben asks in the middle of a thread of Ann's, and Ann goes on while he is being answered; two turns."""
    ann, ben = bobbin.slack.add_person("Ann Lee"), bobbin.slack.add_person("Ben Ode")
    channel = bobbin.slack.add_channel("general", members=(ann, ben))
    thread = await bobbin.slack.say(ann, channel, "The plan has three parts.")
    await bobbin.slack.say(ben, channel, f"{bobbin.me} Which is the first?", thread=thread)
    await bobbin.bedrock.wait_for(lambda bedrock: bool(bedrock.requests), 30)
    await bobbin.slack.say(ann, channel, f"{bobbin.me} And the second?", thread=thread)
    return 2


async def changed_meanwhile(bobbin: ForkedBobbin) -> int:
    """Ann asks, and changes her question once the model was asked; one turn."""
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.add_channel("general", members=(ann,))
    thread = await bobbin.slack.say(ann, channel, f"{bobbin.me} What is the plan?")
    await bobbin.bedrock.wait_for(lambda bedrock: bool(bedrock.requests), 30)
    await bobbin.slack.edit(ann, channel, thread, f"{bobbin.me} {_NEW}")
    return 1


async def answered_again(bobbin: ForkedBobbin) -> int:
    """Ann asks, changes her answered question, and has it answered again; one turn."""
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.add_channel("general", members=(ann,))
    thread = await bobbin.slack.say(ann, channel, f"{bobbin.me} What is the plan?")
    before = await bobbin.slack.wait_for(lambda: _answer(bobbin.slack, channel, thread), 30)
    await bobbin.slack.edit(ann, channel, thread, f"{bobbin.me} {_NEW}")
    while _answer(bobbin.slack, channel, thread)[:_FIRST] == before[:_FIRST]:
        if bobbin.slack.connected:
            ts = bobbin.slack.thread(channel, thread)[1]["ts"]
            await bobbin.slack.shortcut(ann, "answer_again", channel, ts)
        await asyncio.sleep(0.3)  # as a person does who saw nothing happen
    return 1


def _answer(slack: Slack, channel: str, thread: str) -> str:
    """What stands there, once it is whole."""
    return "".join(
        shown(m) for m in slack.thread(channel, thread)[1:] if m.get("streaming_state") != "in_progress"
    )


Play = Callable[[ForkedBobbin], Awaitable[int]]
PLAYS: tuple[Play, ...] = (one_question, two_people, changed_meanwhile, answered_again)


async def run(folder: Path, play: Play, kills: Iterable[Point] = (), server: Server | None = None) -> Run:
    """Play, dying at these points, one in each process; then let it come to rest, and check."""
    result = Run(tuple(kills))
    async with stage(folder, server, SLACK_PACING="off") as bobbin:
        bobbin.bedrock.pace = 0.05
        played: asyncio.Task[int] | None = None
        for kill in (*result.kills, None):
            bobbin.kill_at = kill
            end = asyncio.ensure_future((await bobbin.begin()).wait())
            played = played or asyncio.ensure_future(_play(bobbin, play))
            quiet = asyncio.ensure_future(_quiet(bobbin, played))
            ends: list[asyncio.Future[Any]] = [quiet, end]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if kill is not None and not end.done():  # the last point comes after all is quiet
                await asyncio.wait([end], timeout=0.5)
            if not end.done() or kill is None:
                await quiet
                break
            result.happened += 1
            quiet.cancel()
        result.wrong = await violations(bobbin)
        last = bobbin.passed()[-1][1]
        passed = [(name, nth) for _, pid, name, nth, _ in bobbin.passed() if pid == last]
        result.passed = [point for point in passed if point[1] <= _ALIKE]
    return result


async def _play(bobbin: ForkedBobbin, play: Play) -> int:
    return await play(bobbin)


async def _quiet(bobbin: ForkedBobbin, played: "asyncio.Task[int]") -> None:
    await all_quiet(bobbin, await asyncio.shield(played))


async def singles(
    folder: Path, play: Play, server: Server | None = None, *, every: int = 1, at_once: int = 6
) -> list[Run]:
    """Die once at each point of the play, or only at every so many-th."""
    whole = await run(folder / "whole", play, server=server)
    points: list[tuple[Point, ...]] = [(point,) for point in whole.passed[::every]]
    return [whole, *await _all(folder, play, points, server, at_once)]


async def pairs(folder: Path, play: Play, server: Server | None = None, *, at_once: int = 6) -> list[Run]:
    """Die at each point of the play, and then at each point of the recovery from that."""
    firsts = await singles(folder / "singles", play, server, at_once=at_once)
    twice = [(*first.kills, second) for first in firsts[1:] if first.happened for second in first.passed]
    return [*firsts, *await _all(folder, play, twice, server, at_once)]


async def _all(
    folder: Path, play: Play, every: list[tuple[Point, ...]], server: Server | None, at_once: int
) -> list[Run]:
    slots = asyncio.Semaphore(at_once)

    async def one(number: int, kills: tuple[Point, ...]) -> Run:
        # How often an answer is flushed and an event comes is not the same each time: one more try.
        async with slots:
            result = await run(folder / str(number), play, kills, server)
            if result.happened < len(kills) and not result.wrong:
                result = await run(folder / f"{number}-again", play, kills, server)
            return result

    return await asyncio.gather(*(one(number, kills) for number, kills in enumerate(every)))
