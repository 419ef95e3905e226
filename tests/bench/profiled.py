"""Where the time of a turn goes: Bobbin's CPU, sampled, by what it was spent on."""

import json
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Section, ms, table
from tests.bench.stage import BOBBIN, stage

IN_A_ROW, AT_ONCE = 100, 1_000
_ON = {
    "asking Bedrock: botocore, aiobotocore": ("botocore", "aiobotocore", "aioboto3", "jmespath", "dateutil"),
    "calling Slack: slack_sdk": ("slack_sdk",),
    "what Slack sends: Bolt": ("slack_bolt",),
    "HTTP and sockets beneath both: aiohttp": ("aiohttp", "yarl", "multidict", "async_timeout", "aiosignal"),
    "logging": ("structlog", "logging", "bot.telemetry"),
    "the store, on the main thread": ("storage", "aiosqlite"),
    "Bobbin: Slack's side": ("bot.slack",),
    "Bobbin: its own": ("bot",),
}
_IDLE = ("selectors:select",)
_ELSEWHERE = "SQLite's thread"
_LOOP = "the event loop itself"
Samples = Sequence[tuple[int, Sequence[str]]]


async def measure(place: Path) -> Section:
    """Of turns one after the other, and of a thousand at once."""
    row, single, each = await _profile(place, "row", at_once=1)
    crowd, many, of_many = await _profile(place, "crowd", at_once=AT_ONCE)
    shares = [
        [what, f"{single[what]:.0%}", ms(single[what] * each), f"{many[what]:.0%}", ms(many[what] * of_many)]
        for what in sorted(single | many, key=lambda what: -many[what])
    ]
    head = ["CPU spent on", "one at a time", "ms/turn", "1,000 at once", "ms/turn"]
    own = table(["innermost, 1,000 at once", "share"], _hottest(crowd))
    alone = table(["innermost, one at a time", "share"], _hottest(row))
    text = f"{_TEXT}\n\n{table(head, shares)}\n\n{alone}\n\n{own}"
    return Section("Where the time goes", text)


_TEXT = f"""Samples of the process's CPU time, every two milliseconds of it: {IN_A_ROW} turns one after the
other, and {AT_ONCE:,} at once, of 8 deltas. A sample belongs to the nearest caller that has a name in this
table, so that the standard library counts for whoever called it."""


async def _profile(place: Path, name: str, *, at_once: int) -> tuple[Samples, Counter[str], float]:
    file = place / f"{name}.json"
    command = [sys.executable, "-m", "tests.bench.sampled", str(file)]
    async with stage(BOBBIN, place, command=command) as one:
        await one.ask(20)
        one.bedrock.delay = 0.05
        assert one.bot.process is not None
        one.bot.process.send_signal(signal.SIGUSR1)
        before, count = one.usage().cpu, 0
        while count < max(IN_A_ROW, at_once):
            count += len(await one.ask(at_once))
        cpu = (one.usage().cpu - before) / count
        await one.bot.stop()
    samples: Samples = json.loads(file.read_text("utf-8"))
    total = sum(number for number, _ in samples)
    found: Counter[str] = Counter()
    for number, stack in samples:
        found[_on(stack)] += number
    return samples, Counter({what: number / total for what, number in found.items()}), cpu


def _on(stack: Sequence[str]) -> str:
    """What a sample was spent on."""
    if stack[0].endswith(_IDLE):
        return _ELSEWHERE
    for frame in stack:
        module = frame.partition(":")[0]
        for what, names in _ON.items():
            if module.startswith(tuple(f"{name}." for name in names)) or module in names:
                return what
    return _LOOP


def _hottest(samples: Samples, count: int = 12) -> list[list[object]]:
    """The functions that most samples were in, the waiting left out."""
    total, found = 0, Counter[str]()
    for number, stack in samples:
        total += number
        if not stack[0].endswith(_IDLE):
            found[stack[0]] += number
    return [[f"`{name}`", f"{number / total:.1%}"] for name, number in found.most_common(count)]
