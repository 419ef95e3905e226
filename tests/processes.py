"""Processes of the code under test: forks of one that has everything imported (`tests.launcher`)."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class Launcher:
    """The process that forks: one for all that this process starts, in whichever event loop.

    What was forked reaches it too, at the `path` where it listens.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    async def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        output: Path,
        errors: Path,
    ) -> "Fork":
        """Start `python ARGUMENTS`; what it says is appended to these files."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        order = {"arguments": [*arguments], "environment": {**environment}, "cwd": str(cwd)}
        order |= {"output": str(output), "errors": str(errors)}
        writer.write(json.dumps(order).encode() + b"\n")
        return Fork(int((await _told(reader))["pid"]), reader, writer)


@cache
def _shared() -> tuple[Launcher, "subprocess.Popen[bytes]", tempfile.TemporaryDirectory[str]]:
    folder = tempfile.TemporaryDirectory(prefix="bobbin-launcher-")
    launcher = Launcher(f"{folder.name}/socket")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: TID251
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(launcher.path)
        listening.listen(128)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.launcher", str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            cwd=ROOT,
            pass_fds=[listening.fileno()],
        )
    return launcher, process, folder


def launcher() -> Launcher:
    """Return the launcher, started when it is first asked for."""
    return _shared()[0]


def end_launcher() -> None:
    """End it, if there is one, with what it forked."""
    if _shared.cache_info().currsize:
        _, process, folder = _shared()
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        folder.cleanup()
        _shared.cache_clear()


class Fork:
    """What `asyncio.subprocess.Process` is to a subprocess."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.ended: asyncio.Future[int] = asyncio.ensure_future(_exit(reader, writer))

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.ended.result() if self.ended.done() else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self.ended)


async def _exit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    try:
        return int((await _told(reader))["exit"])
    finally:
        writer.close()


async def _told(reader: asyncio.StreamReader) -> dict[str, Any]:
    line = await reader.readline()
    if not line:
        raise AssertionError("the launcher has ended")
    return dict(json.loads(line))
