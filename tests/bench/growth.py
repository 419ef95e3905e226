"""What the store's work costs as its database grows, from a thousand messages to a million."""

import asyncio
import random
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from bot.ports import Caps, Store
from storage import open_store
from tests.bench import filled
from tests.bench.figures import Promise, Section, ms, table
from tests.bench.plot import curves
from tests.bench.request import build
from tests.bench.stage import BOBBIN, Stage, stage

LEVELS = (1_000, 10_000, 100_000, 1_000_000)
TIMES = 200
OPEN = 1_000
_CAPS = Caps(10**9, 10**12)
_LIMIT = 1.5
_READY_SECONDS = 30
_START_SECONDS = 1.5
T = TypeVar("T")
Times = dict[str, list[float]]


async def measure(place: Path) -> Section:
    """Turns in databases of four sizes, one in each in turn; then a start of the largest with open turns."""
    now = int(time.time()) - 24 * 3600
    small = place / "small.db"
    await filled.play(small, now)
    paths = {level: place / f"{level}.db" for level in LEVELS}
    for level, path in paths.items():
        await filled.multiply(small, path, level // filled.MESSAGES)
    sizes = {level: path.stat().st_size / level for level, path in paths.items()}
    times: dict[int, Times] = {level: {} for level in LEVELS}
    async with AsyncExitStack() as stack:
        stores = {
            level: await stack.enter_async_context(open_store(f"sqlite:///{path}"))
            for level, path in paths.items()
        }
        for store in stores.values():
            await store.sweep()  # as a running Bobbin has done
        for number in range(-10, TIMES):
            for level, store in stores.items():
                found = await _turn(store, random.Random(number).randrange(filled.THREADS) + now, number)
                for what, seconds in found.items() if number >= 0 else ():
                    times[level].setdefault(what, []).append(seconds)
        for level, store in stores.items():
            times[level] |= await _recovery(store, now)
    starts = [("an empty one", await _start(place)), *[
        (f"{level:,} messages, {OPEN:,} open turns", await _start(place, paths[level]))
        for level in (LEVELS[0], LEVELS[-1])
    ]]  # fmt: skip
    return _section(times, sizes, starts)


async def _turn(store: Store, began: int, number: int) -> dict[str, float]:
    """A turn in an old thread, step by step."""
    key, at = filled.thread(began), time.time()
    found: dict[str, float] = {}
    _, found["ingest"] = await _timed(filled.said(store, key, f"{at:.6f}"))
    [turn], found["claim"] = await _timed(store.claim("bench", 1))
    _, found["request"] = await _timed(build(store, turn))
    _, found["book the call"] = await _timed(store.begin_call(filled.call(turn), _CAPS))
    _, found["record and finish"] = await _timed(
        filled.finish(store, turn, f"{at + 0.000001 * number + 1:.6f}")
    )
    return found


async def _recovery(store: Store, now: int) -> Times:
    """Many turns are open, and their process has died."""
    for number in range(OPEN):
        began = now + filled.THREADS + number  # a new thread
        await filled.said(store, filled.thread(began), f"{began}.000100")
    while await store.claim("bench", 100):
        pass
    _, recovery = await _timed(store.recover(0))
    _, sweep = await _timed(store.sweep())
    return {f"recovery of {OPEN:,} turns": [recovery], "sweep": [sweep]}


async def _timed(work: Awaitable[T]) -> tuple[T, float]:
    began = time.perf_counter()
    return await work, time.perf_counter() - began


async def _start(place: Path, database: Path | None = None) -> float:
    """Seconds from the start of Bobbin's process to its readiness; the median of three."""
    told: list[float] = []
    for _ in range(3):
        settings: dict[str, Any] = {"DATABASE_URL": f"sqlite:///{database}"} if database else {}
        async with stage(BOBBIN, place, RECOVERY_SETTLE_SECONDS="60", **settings) as one:
            async with asyncio.timeout(_READY_SECONDS):
                while not (ready := _ready(one)):  # noqa: ASYNC110  a file
                    await asyncio.sleep(0.02)
            told += ready
            await one.bot.stop()
    return median(told)


def _ready(one: Stage) -> list[float]:
    ready = [line["timestamp"] for line in one.bot.log if line["event"] == "ready"]
    return [datetime.fromisoformat(at).timestamp() - one.began for at in ready]


def _section(times: dict[int, Times], sizes: dict[int, float], starts: list[tuple[str, float]]) -> Section:
    first, last = times[LEVELS[0]], times[LEVELS[-1]]
    rows: list[list[object]] = []
    promises = []
    for what in first:
        grown = median(last[what]) / median(first[what])
        rows.append([what, *(ms(median(times[level][what])) for level in LEVELS), f"{grown:.2f}"])
        if what in ("ingest", "claim"):
            name = f"{what} at 1,000,000 messages"
            promises.append(Promise(name, f"≤ {_LIMIT} × at 1,000", f"{grown:.2f}", grown <= _LIMIT))
    for what, seconds in starts:
        held = seconds <= _START_SECONDS
        promises.append(Promise(f"start with {what}", f"≤ {_START_SECONDS} s", f"{seconds:.2f} s", held))
    rows.append(["bytes on disk a message", *(f"{sizes[level]:,.0f}" for level in LEVELS), ""])
    head = ["ms, median", *(f"{level:,}" for level in LEVELS), "last / first"]
    ready = table(["start with", "ready after s"], [[what, f"{seconds:.2f}"] for what, seconds in starts])
    drawn = {
        what: [(level, 1000 * median(times[level][what])) for level in LEVELS]
        for what in first
        if len(first[what]) > 1
    }
    picture = curves(drawn, "A step of a turn as the database grows", ("messages", "ms"))
    shown = "![A step of a turn, by messages in the database](growth.svg)"
    text = [_TEXT, shown, table(head, rows), ready]
    return Section("Growth", "\n\n".join(text), promises, {"growth.svg": picture})


_TEXT = f"""Databases whose rows the store itself wrote, copied back into the past: 1,000,000 messages in
50,000 threads are a year's. Each turn goes into an old thread of 20 messages; the databases take turns, the
medians are of {TIMES}. The call is booked under a budget of a month. Recovery is what a start does in the
database for {OPEN:,} turns whose process has died."""
