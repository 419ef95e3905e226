"""Many answers that stream at once: throughput, CPU and memory, beside the floor."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.figures import Promise, Section, ms, percentile, ratio, table
from tests.bench.process import MIB
from tests.bench.stage import BOBBIN, FLOOR, Stage, stage

ROUNDS = {200: 2, 1000: 2, 2000: 1}
EVENTS, PACE = 10, 0.3
_MANY = 1000


@dataclass(frozen=True)
class Run:
    """One run: answers a second, CPU seconds and Slack calls a turn, bytes at the most, p50 of the whole."""

    throughput: float
    cpu: float
    calls: float
    before: int
    peak: int
    whole: float


async def measure(place: Path) -> Section:
    """200, 1,000 and 2,000 at once, of 3 seconds each."""
    rows, promises = [], []
    for count, rounds in ROUNDS.items():
        runs: dict[str, list[Run]] = {BOBBIN: [], FLOOR: []}
        async with AsyncExitStack() as stack:
            stages = [await stack.enter_async_context(stage(name, place)) for name in runs]
            for one in stages:
                await one.ask(20)
                one.bedrock.events, one.bedrock.pace, one.bedrock.delay = EVENTS, PACE, 0.2
            for _ in range(rounds):
                for one in stages:
                    runs[one.name].append(await _run(one, count))
        rows += [_row(name, count, each) for name, each in runs.items()]
        faster = ratio(*([run.throughput for run in runs[name]] for name in runs))
        cheaper = ratio(*([run.cpu for run in runs[name]] for name in runs))
        rows.append(["ratio", f"{count:,}", faster, cheaper, "", "", "", "", ""])
        if count == _MANY:
            peak = max(run.peak for run in runs[BOBBIN]) / MIB
            promises = [
                Promise("1,000 answers at once, memory", "≤ 250 MiB", f"{peak:.0f} MiB", peak <= 250),
                Promise("1,000 at once, throughput", "≥ 0.7 × floor", f"{faster}", faster.middle >= 0.7),
            ]
    head = ["bot", "at once", "answers/s", "CPU ms/turn", "CPU ms/delta", "Slack calls/turn"]
    head += ["MiB at most", "KiB/answer", "whole answer p50 ms"]
    return Section("Load", f"{_TEXT}\n\n{table(head, rows)}", promises)


_TEXT = f"""All questions come in one moment; each answer streams for {EVENTS * PACE:g} s in {EVENTS}
deltas. Every answer is compared with what the model said. Memory is what is resident; an answer's share is
what the first run adds, over the number of answers. `SLACK_PACING=off`: this Slack has no limits. The
servers share the machine's two cores with the bot, hence bound the throughput of both."""


async def _run(one: Stage, count: int) -> Run:
    before = one.usage()
    peak = [before.rss]
    watching = asyncio.create_task(_watch(one, peak))
    walks = await one.ask(count, 200)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    used = one.usage().cpu - before.cpu
    seconds = max(walk.closed for walk in walks) - min(walk.sent for walk in walks)
    whole = percentile([walk.closed - walk.sent for walk in walks], 50)
    calls = sum(walk.calls for walk in walks) / count
    one.clear()
    return Run(count / seconds, used / count, calls, before.rss, peak[0], whole)


async def _watch(one: Stage, peak: list[int]) -> None:
    while True:
        await asyncio.sleep(0.05)
        peak[0] = max(peak[0], one.usage().rss)


def _row(name: str, count: int, runs: list[Run]) -> list[object]:
    first = runs[0]
    cpu = median(run.cpu for run in runs)
    return [
        name,
        f"{count:,}",
        f"{median(run.throughput for run in runs):.0f}",
        ms(cpu),
        ms(cpu / EVENTS),
        f"{median(run.calls for run in runs):.1f}",
        f"{max(run.peak for run in runs) / MIB:.0f}",
        f"{(first.peak - first.before) / 1024 / count:.0f}",
        ms(median(run.whole for run in runs)),
    ]
