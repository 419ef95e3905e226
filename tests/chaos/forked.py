"""Bobbin as a process that starts in a fraction of a second, dies at a point, and notes its commits."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.scripted import Messages, Scripted
from bot.sandbox.slack import Slack
from tests.e2e.conftest import ROOT, Bobbin


class Launcher:
    """A process of `tests.chaos.launcher`, from which Bobbins are forked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._started: asyncio.Queue[int] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._reading = asyncio.ensure_future(self._read())
        self._one = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Start it; end it with what it forked."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: TID251
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.launcher",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment, cwd=ROOT,
        )  # fmt: skip
        launcher = cls(process)
        try:
            yield launcher
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            await launcher._reading

    async def start(self, order: dict[str, Any]) -> "Fork":
        """Start one Bobbin."""
        assert self._process.stdin is not None
        async with self._one:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            pid = await self._started.get()
        return Fork(pid, self._ended[pid])

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "exit" in told:
                self._ended[told["pid"]].set_result(told["exit"])
            else:
                self._ended[told["pid"]] = asyncio.get_running_loop().create_future()
                self._started.put_nowait(told["pid"])


@dataclass
class Fork:
    """What `asyncio.subprocess.Process` is to a subprocess."""

    pid: int
    ended: asyncio.Future[int]

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.ended.result() if self.ended.done() else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self.ended.done():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self.ended)


class ForkedBobbin(Bobbin):
    """A Bobbin under the hooks.

    For the next start: `kill_at` is the point at which it dies, `mutant` the variant it is, `steal` for how
    many seconds it loses its first reply to another owner, `census` whether it counts what it holds.
    """

    def __init__(
        self, launcher: Launcher, slack: Slack, bedrock: Bedrock, folder: Path, **settings: str
    ) -> None:
        super().__init__(slack, bedrock, folder, **settings)
        self.points = folder / "points.tsv"
        self.kill_at: tuple[str, int] | None = None
        self.mutant = ""
        self.steal = 0.0
        self.census = False
        self.counts = folder / "census"
        self._launcher = launcher

    async def launch(self) -> Fork:
        """Start the process; wait for nothing."""
        fork = await self._launcher.start(
            {
                "environment": self.environment(),
                "cwd": str(self.folder),
                "log": str(self.folder / "bobbin.log"),
                "points": str(self.points),
                "kill_at": self.kill_at,
                "mutant": self.mutant,
                "steal": self.steal,
                "census": str(self.counts) if self.census else None,
            }
        )
        self.process = fork  # type: ignore[assignment]
        return fork

    async def start(self) -> Self:
        """Start the process and wait until its socket is open; an early end is an error."""
        before = len([entry for entry in self.slack.log if entry.name == "opened"])
        fork = await self.launch()

        def opened() -> bool:
            return len([entry for entry in self.slack.log if entry.name == "opened"]) > before

        waiting = asyncio.ensure_future(self.slack.wait_for(opened, 30))
        await asyncio.wait([fork.ended, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            raise AssertionError((self.folder / "bobbin.log").read_text()[-4000:])
        waiting.result()
        return self

    def passed(self) -> list[tuple[float, int, str, int, str]]:
        """The points that were passed: time, process, name, how many-th of its process, key."""
        if not self.points.exists():
            return []
        lines = (line.split("\t") for line in self.points.read_text().splitlines())
        return [(float(at), int(pid), name, int(nth), key) for at, pid, name, nth, key in lines]


@dataclass
class Counted(Scripted):
    """Each call gets a text of its own, so that a stale overwrite shows. `sentences`: how long it is."""

    sentences: int = 6
    calls: int = field(default=0)

    def answer(self, messages: Messages, system: str) -> str:
        """Return a text that no other call gets."""
        self.calls += 1
        return " ".join(f"Call {self.calls} says {number}." for number in range(self.sentences))
