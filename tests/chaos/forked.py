"""Bobbin as a process that starts in a fraction of a second, dies at a point, and notes its commits."""

import sys
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path

from bot.prompt import SILENT
from bot.sandbox.bedrock import Bedrock
from bot.sandbox.scripted import Messages, Scripted
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.processes import Fork

START = """
import sys
from bot.__main__ import main
from tests.chaos.hooks import put_in

put_in(**{})
sys.exit(main())
"""


class ForkedBobbin(Bobbin):
    """A Bobbin under the hooks.

    For the next start: `kill_at` is the point at which it dies, `mutant` the variant it is, `steal` after
    which call of Slack's it loses its first reply to another owner, and for how many seconds it sleeps then,
    `census` whether it counts what it holds, `migration` the SQL by which its version is one newer.
    """

    def __init__(self, slack: Slack, bedrock: Bedrock, folder: Path, **settings: str) -> None:
        super().__init__(slack, bedrock, folder, **settings)
        self.points = folder / "points.tsv"
        self.kill_at: tuple[str, int] | None = None
        self.mutant = ""
        self.steal: tuple[str, float] | None = None
        self.census = False
        self.migration = ""
        self.counts = folder / "census"

    async def begin(self, *arguments: str) -> Process | Fork:
        """Start the process with what was said for it; wait for nothing."""
        told = {
            "points": str(self.points),
            "kill_at": self.kill_at,
            "mutant": self.mutant,
            "steal": self.steal,
            "tasks": str(self.counts) if self.census else "",
            "migration": self.migration,
        }
        self.command = [sys.executable, "-c", START.format(told)]
        return await super().begin(*arguments)

    @property
    def model(self) -> "Counted":
        """What answers it."""
        assert isinstance(self.bedrock.model, Counted)
        return self.bedrock.model

    def colleague(self, number: int) -> "ForkedBobbin":
        """Another worker on the same database, whose points are noted in the same file."""
        folder = self.folder / f"worker{number}"
        folder.mkdir()
        other = ForkedBobbin(self.slack, self.bedrock, folder, **self.settings)
        other.points = self.points
        return other

    def passed(self) -> list[tuple[float, int, str, int, str]]:
        """The points that were passed: time, process, name, how many-th of its process, key."""
        if not self.points.exists():
            return []
        lines = (line.split("\t") for line in self.points.read_text().splitlines())
        return [(float(at), int(pid), name, int(nth), key) for at, pid, name, nth, key in lines]


NOT_FOR_YOU = "that is between us."
"""Words below which the model has nothing to say."""


@dataclass
class Counted(Scripted):
    """Each call gets a text of its own, so that a stale overwrite shows.

    `sentences`: how long it is; `code`: how many lines of code stand below them.
    """

    sentences: int = 6
    code: int = 0
    calls: int = field(default=0)

    def answer(self, messages: Messages, system: str) -> str:
        """Return a text that no other call gets."""
        if NOT_FOR_YOU in str(messages[-1]["content"][-1]):
            return SILENT
        self.calls += 1
        text = " ".join(f"Call {self.calls} says {number}." for number in range(self.sentences))
        return text + ("\n\n```\n" + f"{self.calls}\n" * self.code + "```") * bool(self.code)
