"""Crash points: SIGKILL exactly before and after each transaction, Slack call, ack and model call.

A play is run once to list the points it passes; then once for each of them, to die there; and once for each
pair: to die there, and while it recovers from that at each point which the recovery passes.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.forked import ForkedBobbin
from tests.chaos.history import violations
from tests.chaos.plays import Play
from tests.chaos.stage import all_quiet, stage
from tests.e2e.conftest import by_requests
from tests.postgres import Server

Point = tuple[str, int]

_ALIKE = 2
"""Of points of one name so many are tried, and the last: the third piece of a text is like the second."""


@dataclass
class Run:
    """What became of one play: the kills asked for, how many happened, what was wrong, what was passed."""

    kills: tuple[Point, ...]
    happened: int = 0
    wrong: list[str] = field(default_factory=list)
    passed: list[Point] = field(default_factory=list)
    """The points of the last process."""


async def run(folder: Path, play: Play, kills: Iterable[Point] = (), server: Server | None = None) -> Run:
    """Play, dying at these points, one in each process; then let it come to rest, and check."""
    result = Run(tuple(kills))
    async with stage(folder, server, SLACK_PACING="off") as bobbin:
        bobbin.bedrock.pace = 0.2  # longer than from append to append: the points hang on no machine's speed
        if play.by_requests:
            bobbin.settings |= by_requests(bobbin.slack)
        played: asyncio.Task[int] | None = None
        for kill in (*result.kills, None):
            bobbin.kill_at = kill
            process = await bobbin.begin()
            end = asyncio.ensure_future(process.wait())
            played = played or asyncio.ensure_future(_play(bobbin, play))
            quiet = asyncio.ensure_future(_quiet(bobbin, played))
            ends: list[asyncio.Future[Any]] = [quiet, end]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if kill is not None and not end.done():  # the last point comes after all is quiet
                await asyncio.wait([end], timeout=2)
            if not end.done():
                await quiet
                break
            quiet.cancel()
            if end.result() != -signal.SIGKILL:
                last_words = (bobbin.folder / "bobbin.log").read_text().splitlines()[-1:]
                result.wrong.append(f"the process ended by itself: {end.result()}, {last_words}")
                played.cancel()
                return result  # its database may have no tables yet
            result.happened += 1
        result.wrong += await violations(bobbin)
        passed = [(name, nth) for _, pid, name, nth, _ in bobbin.passed() if pid == process.pid]
        every = Counter(name for name, _ in passed)
        result.passed = [(name, nth) for name, nth in passed if nth <= _ALIKE or nth == every[name]]
    return result


async def _play(bobbin: ForkedBobbin, play: Play) -> int:
    if play.by_requests:
        await bobbin.slack.requests.verify(bobbin.request_url)
    return await play.act(bobbin)


async def _quiet(bobbin: ForkedBobbin, played: "asyncio.Task[int]") -> None:
    await all_quiet(bobbin, await asyncio.shield(played))


def reached(runs: Sequence[Run]) -> float:
    """How large a share of them died at all the points that they were asked to die at."""
    return sum(run.happened == len(run.kills) for run in runs) / len(runs)


async def singles(
    folder: Path,
    play: Play,
    server: Server | None = None,
    *,
    every: int = 1,
    seed: int = 0,
    names: Collection[str] = (),
    at_once: int = 3,
) -> list[Run]:
    """Die once at each point of the play; or only at every so many-th, or at those of these names.

    The seed says with which of them it begins.
    """
    whole = await run(folder / "whole", play, server=server)
    points = [point for point in whole.passed if not names or point[0] in names]
    return [
        whole,
        *await _all(folder, play, [(point,) for point in points[seed % every :: every]], server, at_once),
    ]


async def pairs(
    folder: Path, play: Play, server: Server | None = None, *, every: int = 1, seed: int = 0, at_once: int = 3
) -> list[Run]:
    """Die at each point of the play and at each point of the recovery from that, or at every so many-th.

    `every` squared seeds try all of them.
    """
    firsts = await singles(folder / "singles", play, server, every=every, seed=seed, at_once=at_once)
    twice = [
        (*first.kills, second)
        for number, first in enumerate(firsts[1:])
        if first.happened
        for second in first.passed[(seed // every + number) % every :: every]
    ]
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
