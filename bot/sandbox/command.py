"""`python -m bot sandbox`: Slack, Bedrock and a page on loopback, and Bobbin as a process of its own between."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.page import Page
from bot.sandbox.slack import Slack

_REFUSED = 78  # the exit code for settings that Bobbin cannot start with
_AGAIN_SECONDS = 1.0
_STOP_SECONDS = 10.0
_CONNECT_SECONDS = 60.0
_QUICK = {
    "LEASE_SECONDS": "10",
    "RECOVERY_SETTLE_SECONDS": "1",
    "DRAIN_SECONDS": "2",
}  # a crash is mended soon
_STRANGE = ("aws_", "bedrock_", "port", "metrics_", "http_proxy", "https_proxy", "all_proxy")


async def run(*, port: int, model: Literal["scripted", "bedrock"]) -> None:
    """Serve the page on `port` (0: a free one) until SIGTERM or SIGINT; its address is printed last.

    Raises `SystemExit`, in words for a person, where the port is not free or Bobbin does not start.
    """
    stopping, slack = asyncio.Event(), Slack()

    def stop() -> None:
        stopping.set()
        slack.workspace.changed()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="bobbin-sandbox-")))
        await slack.start()
        stack.push_async_callback(slack.close)
        _furnish(slack)
        variables = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, **_QUICK}
        variables |= {"SLACK_API_URL": slack.api_url, "DATABASE_URL": f"sqlite:///{home}/bobbin.db"}
        variables |= {"LOG_FORMAT": "console", "NO_PROXY": "127.0.0.1"}
        if model == "scripted":
            bedrock = await stack.enter_async_context(Bedrock(delay=0.6, pace=0.03))
            variables |= {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url, "AWS_REGION": "us-east-1"}
            variables |= {"AWS_ACCESS_KEY_ID": "SANDBOX", "AWS_SECRET_ACCESS_KEY": "sandbox"}
            variables |= {"AWS_EC2_METADATA_DISABLED": "true"}
        bobbin = Bobbin(home, _environment(variables, model), model, slack.workspace.changed)
        page = Page(
            slack, lambda: {"model": model, "connected": bool(slack.connected), **bobbin.facts}, bobbin.kill
        )
        stack.push_async_callback(page.close)
        try:
            address = await page.start(port)
        except OSError as error:
            words = (
                f"SANDBOX_PORT: the page cannot be served on port {port} ({os.strerror(error.errno or 0)})."
            )
            raise SystemExit(f"{words} Set another, for example SANDBOX_PORT={port + 1}.") from None
        bobbin.start()
        stack.push_async_callback(bobbin.close)
        with suppress(TimeoutError):
            await slack.wait_for(
                lambda: slack.connected or bobbin.refused or stopping.is_set(), _CONNECT_SECONDS
            )
        if not stopping.is_set():
            if not slack.connected:
                raise SystemExit(f"Bobbin did not start. The end of its log:\n{bobbin.log_end()}")
            print(f"Bobbin's log: {bobbin.log}")  # noqa: T201  what a person reads
            print(f"Bobbin's sandbox: {address}  (Ctrl-C ends it)", flush=True)  # noqa: T201  the same
            await stopping.wait()


class Bobbin:
    """Bobbin's process, started again whenever it ends by itself. `changed` is called after each such end."""

    def __init__(
        self,
        home: Path,
        environment: dict[str, str],
        model: Literal["scripted", "bedrock"],
        changed: Callable[[], None],
    ) -> None:
        self.log = home / "bobbin.log"
        self.refused = False
        # The script needs nothing of a person's .env; with the real Bedrock it may hold AWS's settings.
        self._directory = home if model == "scripted" else Path.cwd()
        self._environment = environment
        self._changed = changed
        self._ends: list[int] = []
        self._process: asyncio.subprocess.Process | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What the page says of it: its process id, the exit codes so far (-9: killed by signal 9), its log."""
        return {"pid": self._process and self._process.pid, "ends": self._ends, "log": str(self.log)}

    def start(self) -> None:
        """Start it, and see to it that it runs."""
        self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while not self.refused:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "bot", "serve"),
                    cwd=self._directory,
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            self._ends.append(await self._process.wait())
            self.refused = self._ends[-1] == _REFUSED
            self._changed()
            await asyncio.sleep(_AGAIN_SECONDS)

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def close(self) -> None:
        """Let it end, or kill it."""
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self._signal(signal.SIGTERM)
        if self._process:
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self.kill()
                await self._process.wait()

    def log_end(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-12:])


def _environment(variables: dict[str, str], model: str) -> dict[str, str]:
    """This process's environment with the variables; for the script without what could lead elsewhere."""
    inherited = dict(os.environ)  # noqa: TID251  handed on whole to a process, not read as settings
    if model == "scripted":
        inherited = {name: v for name, v in inherited.items() if not name.lower().startswith(_STRANGE)}
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), inherited.get("PYTHONPATH")]))
    return {**inherited, "HOST": "127.0.0.1", "PYTHONPATH": path, **variables}


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
