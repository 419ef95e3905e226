"""Health that tells the truth: what is wrong, and whether a restart would mend it."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene
from tests.e2e.test_process import becomes, get, logged
from tests.ports import free_port

Make = Callable[..., Bobbin]

HOOKED = """
import asyncio, sys
from pathlib import Path
import bot.app, bot.health, bot.slack.socket
from bot.dispatch import Dispatcher
from bot.recovery import Recovery
from bot.__main__ import main

bot.slack.socket.PING_SECONDS, bot.slack.socket.PINGS_UNANSWERED = 0.3, 40
bot.health.TICK_SECONDS, bot.app._PATIENCE = 0.1, 8

fill, scrub = Dispatcher._fill, Recovery.scrub

async def filled(self):
    if Path("die").exists():
        raise ZeroDivisionError("their words")
    await fill(self)

async def scrubbed(self):
    while Path("stick").exists():
        await asyncio.sleep(0.1)
    await scrub(self)

Dispatcher._fill, Recovery.scrub = filled, scrubbed
bot.app.SCRUB_SECONDS = bot.app._SHARE_SECONDS = 0.3
sys.exit(main())
"""
"""The dispatcher dies while there is a file `die`; a chore sticks while there is `stick`."""

HOLDER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def watched(make: Make) -> tuple[Bobbin, int]:
    """A running Bobbin with hooks, and the port of its health."""
    health = free_port()
    bobbin = make(PORT=str(health), HOST="127.0.0.1", SLACK_PACING="off", DRAIN_SECONDS="60")
    bobbin.command = [sys.executable, "-c", HOOKED]
    await bobbin.start()
    await becomes(health, "/readyz", 200)
    return bobbin, health


async def test_a_stuck_loop_and_a_deaf_socket_are_told_and_pass_again(
    watched: tuple[Bobbin, int], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin, health = watched
    (bobbin.folder / "stick").touch()
    said = await becomes(health, "/healthz", 503)
    assert said["checks"]["scrub"] is False
    assert said["checks"]["dispatch"] is True
    assert "it has been stuck for" in said["reasons"]["scrub"]
    (bobbin.folder / "stick").unlink()
    assert "reasons" not in await becomes(health, "/healthz", 200)

    slack.half_open()
    await becomes(health, "/readyz", 503, checks={"database": True, "slack": False})
    assert (await get(health, "/healthz"))[0] == 200
    await becomes(health, "/readyz", 200)  # it has taken another

    bedrock.faults.add("unavailable", times=None)  # Bedrock out of reach: no reason to restart or to wait
    scene = Scene(bobbin)
    await scene.mention("hello")
    await bedrock.wait_for(lambda it: len(it.requests) >= 1)
    assert (await get(health, "/healthz"))[0] == 200
    await becomes(health, "/readyz", 200)  # with such short pings, not where the machine has just stood still


async def test_a_dead_loop_is_told_and_ends_the_process_after_its_answers(
    watched: tuple[Bobbin, int], bedrock: Bedrock
) -> None:
    bobbin, health = watched
    assert bobbin.process is not None
    scene = Scene(bobbin)
    bedrock.hold()
    thread = await scene.mention("say exactly: to the end")
    await bedrock.wait_for(lambda it: it.open == 1)
    (bobbin.folder / "die").touch()
    said = await becomes(health, "/healthz", 503)
    assert said["reasons"] == {"dispatch": "it has ended (ZeroDivisionError)"}
    bedrock.release()
    assert await scene.answered(thread) == ["to the end"]
    assert await asyncio.wait_for(bobbin.process.wait(), 60) == 1
    log = (bobbin.folder / "bobbin.log").read_text()
    [line] = [line for line in bobbin.log if line["level"] == "critical"]
    assert (line["event"], line["loop"]) == ("a loop has ended: a fault of Bobbin", "dispatch")
    assert "ZeroDivisionError" in line["exception"]
    assert "their words" not in log
    assert "the loop dispatch has ended" in log


async def test_a_database_locked_by_a_frozen_program_is_not_ready_says_why_and_is_no_reason_to_restart(
    watched: tuple[Bobbin, int], tmp_path: Path
) -> None:
    bobbin, health = watched
    script = tmp_path / "holder.py"
    script.write_text(HOLDER)
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(bobbin.folder / "bobbin.db"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGSTOP)
        await becomes(health, "/readyz", 503, checks={"database": False, "slack": True})
        answers = await asyncio.gather(*(get(health, "/readyz") for _ in range(20)))
        assert {status for status, _ in answers} == {503}
        assert (await get(health, "/healthz"))[0] == 200
        await logged(bobbin, "the database cannot be written")
    finally:
        holder.kill()
        await holder.wait()
    await becomes(health, "/readyz", 200)
    assert await Scene(bobbin).joined()
    lines = [line for line in bobbin.log if line["event"] == "the database cannot be written"]
    assert all("another program has it locked" in line["error"] for line in lines)
