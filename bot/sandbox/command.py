"""`python -m bot sandbox`: Slack, Bedrock and a page on loopback, and Bobbin as a process between them."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from bot.sandbox.bedrock import Asked, Bedrock
from bot.sandbox.page import Page
from bot.sandbox.slack import Slack

_REFUSED = 78  # Bobbin's exit code for settings that it cannot start with
_AGAIN_SECONDS, _END_SECONDS = 1, 10
_ALWAYS = {"HOST": "127.0.0.1", "NO_PROXY": "127.0.0.1", "LOG_FORMAT": "console", "DRAIN_SECONDS": "2"}
_ALWAYS |= {"LEASE_SECONDS": "10", "RECOVERY_SETTLE_SECONDS": "3"}  # a crash is mended soon
_ALWAYS |= {"LOG_LEVEL": "DEBUG"}  # the page shows it
_AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
_ASTRAY = (
    "aws_",
    "bedrock_",
    "slack_app_token",
    "port",
    "metrics_",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)


async def run(*, port: int, model: Literal["scripted", "bedrock"], by_requests: bool = False) -> None:
    """Serve the page on `port` (0: a free one) until SIGTERM or SIGINT. `SystemExit` where it cannot.

    Slack delivers over a socket, or `by_requests`.
    """
    slack, stopping = Slack(), asyncio.Event()

    def stop() -> None:
        stopping.set()
        slack.workspace.changed()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="bobbin-sandbox-")))
        stack.push_async_callback(slack.close)
        await slack.start()
        _furnish(slack)
        variables = {"SLACK_BOT_TOKEN": slack.bot_token}
        if by_requests:
            variables |= {"SLACK_SIGNING_SECRET": slack.signing_secret, "PORT": str(served := free_port())}
        else:
            variables |= {"SLACK_APP_TOKEN": slack.app_token}
        variables |= {"SLACK_API_URL": slack.api_url, "DATABASE_URL": f"sqlite:///{home}/bobbin.db"}
        variables |= {"PYTHONPATH": os.pathsep.join(sys.path), **_ALWAYS}
        inherited = dict(os.environ)  # noqa: TID251  handed on whole to a process, not read as settings
        asked, trouble = list[Asked](), dict[str, Callable[[], object]]()
        if model == "scripted":  # nothing of the person's own, be it in .env, may lead elsewhere
            inherited = {name: v for name, v in inherited.items() if not name.lower().startswith(_ASTRAY)}
            bedrock = await stack.enter_async_context(Bedrock(delay=0.6, pace=0.03))
            asked, fault = bedrock.requests, bedrock.faults.add
            trouble["throttle"] = partial(fault, "throttled", times=2)  # the third try gets through
            trouble["cut"] = partial(fault, "reset", after_events=6)
            variables |= {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url, "AWS_REGION": "us-east-1", **_AWS}
        directory = home if model == "scripted" else Path.cwd()
        bobbin = Bobbin(directory, inherited | variables, home / "bobbin.log", slack.workspace.changed)
        stack.push_async_callback(bobbin.close)
        page = Page(slack, lambda: {"model": model, **bobbin.facts}, asked, {"kill": bobbin.kill, **trouble})
        stack.push_async_callback(page.close)
        slack.workspace.manifest = await _manifest(directory, inherited | variables)
        try:
            address = await page.start(port)
        except OSError as error:
            reason = f"SANDBOX_PORT: port {port} cannot be had ({os.strerror(error.errno or 0)})."
            raise SystemExit(f"{reason} Choose another, for example SANDBOX_PORT={port + 1}.") from None
        if by_requests:
            stack.enter_context(_verifying(slack, f"http://127.0.0.1:{served}/slack/events"))
        with suppress(TimeoutError):
            await slack.wait_for(lambda: slack.connected or bobbin.refused or stopping.is_set(), timeout=60)
        if not slack.connected and not stopping.is_set():
            end = bobbin.log.read_text("utf-8", "replace")[-2000:]
            raise SystemExit(f"Bobbin did not start. The end of its log:\n{end}")
        print(f"Bobbin's log: {bobbin.log}")  # noqa: T201  what a person reads
        print(f"Bobbin's sandbox: {address}  (Ctrl-C ends it)", flush=True)  # noqa: T201  the same
        await stopping.wait()


@contextmanager
def _verifying(slack: Slack, url: str) -> Iterator[None]:
    """Verify the address meanwhile; without an answer nothing is delivered."""
    verifying = asyncio.ensure_future(slack.requests.verify(url, 60))
    verifying.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        yield
    finally:
        verifying.cancel()


def free_port() -> int:
    """Return a port of loopback that nobody uses just now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


async def _manifest(directory: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what Bobbin declares of itself, as Slack is told when the app is installed."""
    command = (sys.executable, "-m", "bot", "manifest")
    process = await asyncio.create_subprocess_exec(*command, cwd=directory, env=environment, stdout=PIPE)
    told, _ = await process.communicate()
    return dict(json.loads(told or "{}"))


class Bobbin:
    """Bobbin's process, started again whenever it ends by itself; `changed` is called at each such end."""

    def __init__(
        self, directory: Path, environment: Mapping[str, str], log: Path, changed: Callable[[], None]
    ) -> None:
        command = (sys.executable, "-m", "bot", "serve")
        self._start = partial(asyncio.create_subprocess_exec, *command, cwd=directory, env=environment)
        self.log, self._changed = log, changed
        self.refused = False
        self._process: Process | None = None
        self._ends: list[int] = []
        self._keeping = asyncio.create_task(self._keep())

    @property
    def facts(self) -> dict[str, Any]:
        """Its process id, the exit codes so far (-9: by signal 9), where its log is, and the log."""
        facts = {"pid": self._process and self._process.pid, "ends": self._ends, "log": str(self.log)}
        return facts | {"lines": self.log.read_text("utf-8", "replace").splitlines()}

    async def _keep(self) -> None:
        while not self.refused:
            with self.log.open("ab") as log:
                self._process = await self._start(stdin=DEVNULL, stdout=log, stderr=log)
            self._ends.append(await self._process.wait())
            self.refused = self._ends[-1] == _REFUSED
            self._changed()
            await asyncio.sleep(_AGAIN_SECONDS)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, if it runs."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    async def close(self) -> None:
        """Let it end, or else kill it."""
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self.kill(signal.SIGTERM)
        if self._process:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _END_SECONDS)
            self.kill()
            await self._process.wait()


def _furnish(slack: Slack) -> None:
    """Put in the people to write as, and the places to write in."""
    ann, ben = slack.add_person("ann", display="Ann Lee"), slack.add_person("ben", display="Ben Ode")
    guest = slack.add_person("cleo", display="Cleo Tam", guest=True)
    outsider = slack.add_person("dan", display="Dan Ruiz", external_team="T0OUTSIDE")
    slack.add_channel("general", members=[ann, ben, guest])
    slack.add_channel("random", members=[ann, ben, outsider])
    slack.add_channel("not-invited", members=[ann, ben], bot_member=False)
    slack.add_channel("private", private=True, members=[ann, ben])
    slack.add_group_dm([ann, ben])
    for person in (ann, ben, guest, outsider):
        slack.dm(person)
