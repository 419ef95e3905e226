"""Bobbin as a process between the sandbox's Slack and Bedrock, over real HTTP and WebSocket."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import aiosqlite
import psycopg
import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.ports import free_port
from tests.processes import ROOT, Fork, launcher

_PATIENCE = {"RECOVERY_SETTLE_SECONDS": "3", "LEASE_SECONDS": "12", "DRAIN_SECONDS": "6"}
"""A machine that stands still for a second or two is no dead process, and no call of Slack's that was lost:
a call may take a third of the lease, and no longer than the settle time."""


class Bobbin:
    """One Bobbin: a process that can be started, stopped, killed and started again on the same file.

    `command` is what stands for `python -m bot`. It is run in a fork of a process that has everything
    imported, or where `forked` is false as it stands.
    """

    def __init__(self, slack: Slack, bedrock: Bedrock, folder: Path, **settings: str) -> None:
        self.slack = slack
        self.bedrock = bedrock
        self.folder = folder
        self.settings = settings
        self.command = [sys.executable, "-m", "bot"]
        self.forked = True
        self.process: asyncio.subprocess.Process | Fork | None = None
        (folder / "bobbin.log").touch()

    @property
    def on_a_server(self) -> bool:
        """Whether its database is PostgreSQL, which other processes may share."""
        return self.settings.get("DATABASE_URL", "").startswith("postgres")

    @property
    def me(self) -> str:
        """The mention of Bobbin."""
        return f"<@{self.slack.bot_user_id}>"

    @property
    def request_url(self) -> str:
        """Where Slack sends requests; empty in Socket Mode."""
        port = self.settings.get("PORT")
        return f"http://127.0.0.1:{port}/slack/events" if self.settings.get("SLACK_APP_TOKEN") == "" else ""

    @property
    def log(self) -> list[dict[str, Any]]:
        """What Bobbin logged so far; not the line that is written just now."""
        lines = (self.folder / "bobbin.log").read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def environment(self) -> dict[str, str]:
        """Everything that Bobbin is told: only names of the settings table, and AWS's own."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251
        return inherited | {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.bedrock.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIASANDBOX",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_EC2_METADATA_DISABLED": "true",
            "DATABASE_URL": f"sqlite:///{self.folder / 'bobbin.db'}",
            **_PATIENCE,
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "DEBUG",
            "PYTHONPATH": str(ROOT),
            **self.settings,
        }

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process | Fork:
        """Start the process, with a command other than `serve` where arguments say so; wait for nothing."""
        self.process = await self._run(arguments, self.folder / "bobbin.log", self.folder / "bobbin.log")
        return self.process

    async def start(self) -> Self:
        """Start the process and wait until events can reach it; an early end is an error."""
        before = self._opened()
        process = await self.begin()
        ended = asyncio.ensure_future(process.wait())
        if self.request_url:
            opened = asyncio.ensure_future(self.slack.requests.verify(self.request_url, 60))
        else:
            opened = asyncio.ensure_future(self.slack.wait_for(lambda: self._opened() > before))
        await asyncio.wait([ended, opened], return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            opened.cancel()
            raise AssertionError((self.folder / "bobbin.log").read_text()[-4000:])
        ended.cancel()
        opened.result()
        return self

    async def ran(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        """Run a command until it ends by itself: its exit code, what it printed, and its errors."""
        output, errors = self.folder / "output", self.folder / "errors"
        for file in (output, errors):
            file.write_bytes(b"")
        process = await self._run(arguments, output, errors, **settings)
        try:
            code = await asyncio.wait_for(process.wait(), 100)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return code, output.read_text(), errors.read_text()

    async def _run(
        self, arguments: Sequence[str], output: Path, errors: Path, **settings: str
    ) -> asyncio.subprocess.Process | Fork:
        command, environment = [*self.command, *arguments], self.environment() | settings
        if self.forked:
            return await launcher().start(
                command[1:], environment=environment, cwd=self.folder, output=output, errors=errors
            )
        with output.open("ab") as out, errors.open("ab") as err:
            return await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, env=environment, stdout=out, stderr=err
            )

    def _opened(self) -> int:
        return sum(entry.name == "opened" for entry in self.slack.log)

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        left = self.slack.connected - 1 if self.on_a_server else 0
        self.process.kill()
        await self.process.wait()
        if not self.request_url:
            await self.slack.wait_for(lambda: self.slack.connected <= left)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop; its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 40)

    async def run(self, *words: str) -> tuple[int, str, str]:
        """Run another command with its settings: the exit code, what it printed, and its errors."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *words,
            cwd=self.folder,
            env=self.environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(), 100)
        return process.returncode or 0, out.decode(), errors.decode()

    async def close(self) -> None:
        """End it, however it stands."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    # ------------------------------------------------------------ seeing

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query finds in its database."""
        if self.on_a_server:
            # In a thread, which ends what it has begun though whoever asked gives up meanwhile.
            return await asyncio.to_thread(_rows, self.settings["DATABASE_URL"], sql)
        async with aiosqlite.connect(self.folder / "bobbin.db", timeout=60) as database:
            return [tuple(row) for row in await database.execute_fetchall(sql)]

    def answers(self, channel: str, thread: str) -> list[dict[str, Any]]:
        """Bobbin's messages in a thread."""
        return [
            message
            for message in self.slack.thread(channel, thread)
            if message.get("user") == self.slack.bot_user_id
        ]

    def finished(self, channel: str, thread: str) -> list[dict[str, Any]]:
        """Those of them that are whole: not streaming."""
        return [
            message
            for message in self.answers(channel, thread)
            if message.get("streaming_state") != "in_progress"
        ]

    async def answered(self, channel: str, thread: str, count: int = 1, timeout: float = 60) -> list[str]:  # noqa: ASYNC109
        """Wait for so many finished messages of Bobbin, an idle thread, and their turns' end; their texts."""

        def stand() -> bool:
            idle = self.slack.status(channel, thread).status == "active"
            return idle and len(self.finished(channel, thread)) >= count

        async with asyncio.timeout(timeout):
            while True:
                await self.slack.wait_for(stand, timeout)
                if not await self._written_yet(channel, thread):
                    return [shown(message) for message in self.finished(channel, thread)]
                await asyncio.sleep(0.02)  # a file tells nobody

    async def _written_yet(self, channel: str, thread: str) -> bool:
        """Whether a message there is of an open turn, or is to be deleted: that comes at the end."""
        made = ", ".join(f"'{message['ts']}'" for message in self.answers(channel, thread))
        these = f"channel_id = '{channel}' AND ts IN ({made})"
        return bool(
            await self.rows(
                f"SELECT 1 FROM orphan WHERE {these} UNION ALL SELECT 1 FROM turn WHERE state = 'open'"
                f" AND id IN (SELECT turn_id FROM reply_part WHERE {these})"
            )
        )


def _rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as server:
        return server.execute(sql.encode()).fetchall()


def by_requests(slack: Slack) -> dict[str, str]:
    """The settings of a Bobbin in HTTP mode, on a free port."""
    return {
        "SLACK_APP_TOKEN": "",
        "SLACK_SIGNING_SECRET": slack.signing_secret,
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
    }


def shown(message: dict[str, Any]) -> str:
    """What a person reads of a message's answer: its text, or its Markdown blocks."""
    pieces = [block["text"] for block in message.get("blocks") or [] if block["type"] == "markdown"]
    return "\n".join(pieces) if pieces else str(message.get("text", ""))


def patient_slack() -> Slack:
    """A Slack with a short schedule of redelivery, which waits for an ack while a machine stands still."""
    return Slack(ack_seconds=6, redelivery=(0, 0.3, 0.6))


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    slack = patient_slack()
    await slack.start()
    yield slack
    await slack.close()


@pytest.fixture
async def bedrock() -> AsyncIterator[Bedrock]:
    """A Bedrock with the scripted model."""
    async with Bedrock() as bedrock:
        yield bedrock


@pytest.fixture
async def make(slack: Slack, bedrock: Bedrock, tmp_path: Path) -> AsyncIterator[Callable[..., Bobbin]]:
    """Make a Bobbin with these settings; not started."""
    made: list[Bobbin] = []

    def make(**settings: str) -> Bobbin:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bobbin(slack, bedrock, folder, **settings))
        return made[-1]

    yield make
    for bobbin in made:
        await bobbin.close()


@pytest.fixture
async def bobbin(make: Callable[..., Bobbin]) -> Bobbin:
    """A running Bobbin."""
    return await make().start()
