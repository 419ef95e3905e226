"""The soak: thousands of turns in one process with faults on, and whether it grows.

The resident size and the descriptors are as the kernel tells them; tasks and blocks of memory as the process
itself counts them when nothing is being answered. Blocks tell a leak: what stays is a block at least.
The resident size tells what the allocator once needed at the most, and follows the highest tide so far: it
is told and not judged. A line is laid through each by least squares, without the first fifth, in which
caches fill; the others may rise along it by no more than `_MAY_GROW`.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.forked import ForkedBobbin
from tests.chaos.history import violations
from tests.chaos.stage import all_quiet, over, stage
from tests.postgres import Server

_AT_ONCE = 20
_SAMPLE_EVERY = 200
_SAMPLES = 5
"""At least, however few the turns."""
_WARM = 0.2
_MAY_GROW = {"tasks": (5, 0.0), "descriptors": (20, 0.0), "blocks": (1500, 0.25)}
"""In all, whatever the turns, and for each of them. One thing kept for each turn is a block at least."""
_FAULTS = ("reset_after", "http", "ratelimited", "message_not_in_streaming_state")
_METHODS = ("chat.appendStream", "chat.stopStream", "assistant.threads.setStatus")
_FAULTY = 0.1
_PAGE_KIB = 4


@dataclass
class Sample:
    """After so many turns: KiB in memory, open descriptors, tasks, blocks of memory that are in use.

    `slowest`: the seconds in which 99 of 100 turns since the last sample came to their end.
    """

    turns: int
    rss: int
    descriptors: int
    tasks: int
    blocks: int
    slowest: float


@dataclass
class Soaked:
    """The samples, in order, and what was not as promised."""

    samples: list[Sample] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def slope(self, name: str) -> float:
        """How much one thing grows in 1,000 turns."""
        kept = self._warm
        xs = [sample.turns / 1000 for sample in kept]
        ys = [float(getattr(sample, name)) for sample in kept]
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((each - x) ** 2 for each in xs)
        return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread if spread else 0.0

    def leaks(self) -> list[str]:
        """What grows with the turns."""
        turns = self._warm[-1].turns - self._warm[0].turns
        grown = {name: self.slope(name) * turns / 1000 for name in _MAY_GROW}
        return [
            f"{grown[name]:.0f} more {name} after {turns} turns"
            for name, (in_all, each) in _MAY_GROW.items()
            if grown[name] > in_all + each * turns
        ]

    @property
    def _warm(self) -> list[Sample]:
        return self.samples[int(len(self.samples) * _WARM) :]

    def lines(self) -> list[str]:
        """For people."""
        last = self.samples[-1]
        return [
            *(
                f"{s.turns:6d} turns  {s.rss / 1024:7.1f} MiB  {s.descriptors:4d} fds  {s.tasks:4d} tasks"
                f"  {s.blocks:7d} blocks  99 of 100 within {s.slowest:5.2f} s"
                for s in self.samples
            ),
            f"after {last.turns} turns; in 1,000 turns {self.slope('rss'):+.0f} KiB,",
            f"{self.slope('descriptors'):+.2f} descriptors, {self.slope('tasks'):+.2f} tasks,",
            f"{self.slope('blocks'):+.0f} blocks of {last.blocks}",
            f"violations: {len(self.wrong)}",
            *self.wrong[:20],
        ]


async def soak(folder: Path, server: Server | None = None, *, turns: int, seed: int) -> Soaked:
    """Ask so many questions of one process, some at once, with a fault in every tenth."""
    chance = random.Random(seed)
    soaked = Soaked()
    async with stage(folder / "soak", server, SLACK_PACING="off", LOG_LEVEL="WARNING") as bobbin:
        slack = bobbin.slack
        people = [slack.add_person(f"Person {number}") for number in range(10)]
        channels = [slack.add_channel(f"channel-{number}", members=people) for number in range(5)]
        bobbin.census = True
        await bobbin.start()
        assert bobbin.process is not None
        done = 0
        every = min(_SAMPLE_EVERY, max(1, turns // _SAMPLES // _AT_ONCE) * _AT_ONCE)
        while done < turns:
            for _ in range(_AT_ONCE):
                if chance.random() < _FAULTY:
                    slack.faults.add(chance.choice(_METHODS), chance.choice(_FAULTS))
                words = f"{bobbin.me} question {done}?"
                await slack.say(chance.choice(people), chance.choice(channels), words)
                done += 1
            await over(bobbin, done)
            if done % every == 0:
                await all_quiet(bobbin, done)
                soaked.samples.append(await _sample(bobbin, done, every))
        await all_quiet(bobbin, done)
        soaked.wrong = await violations(bobbin) + soaked.leaks()
    return soaked


async def _sample(bobbin: ForkedBobbin, turns: int, new: int) -> Sample:
    assert bobbin.process is not None
    now = time.time()
    while not bobbin.counts.exists() or bobbin.counts.stat().st_mtime <= now:  # noqa: ASYNC110  a file
        await asyncio.sleep(0.1)
    tasks, blocks = map(int, bobbin.counts.read_text().split())
    process = Path("/proc") / str(bobbin.process.pid)
    pages = int((process / "statm").read_text().split()[1])
    descriptors = len(list((process / "fd").iterdir()))
    took = await bobbin.rows(
        f"SELECT finished_at - started_at FROM turn WHERE seq > 0 ORDER BY id DESC LIMIT {new}"
    )
    slowest = sorted(milliseconds for (milliseconds,) in took)[len(took) * 99 // 100] / 1000
    return Sample(turns, pages * _PAGE_KIB, descriptors, tasks, blocks, slowest)
