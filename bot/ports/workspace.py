"""The place where people talk: replies, and all else that Bobbin does there."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from bot.conversation import ThreadKey
from bot.errors import BobbinError
from bot.events import File, Person, Posted
from bot.ports.turn import Line, Seen, Turn


class Reply(Protocol):
    """A reply on its way into a thread. `show` what the model says; then one of `finish`, `stop`, `fail`.

    Raises `SlackError`s, and `LeaseLost` where nothing may be written any more.
    """

    @property
    def shown(self) -> str:
        """What people see of the answer."""
        ...

    @property
    def uncertain(self) -> bool:
        """Whether a message may have been made that is not recorded."""
        ...

    @property
    def stands(self) -> bool:
        """Whether a message of the turn stands in the thread."""
        ...

    def begin(self, words: str) -> None:
        """Show that the answer is being worked on; returns at once."""
        ...

    def meet(self, lines: Sequence[Line], people: Mapping[str, Person]) -> None:
        """Learn who is in the thread; before the first word is shown."""
        ...

    async def resume(self) -> None:
        """Take up what an earlier try of this turn has shown."""
        ...

    def show(self, delta: str) -> None:
        """Take more of the model's text; returns at once."""
        ...

    async def restart(self, *, outdated: bool = False) -> None:
        """Throw the text away: another try writes the same messages anew.

        What was shown stands until the new text is as long; where it is `outdated`, until the first new word.
        """
        ...

    async def finish(self, text: str | None = None, notes: Sequence[str] = ()) -> tuple[str, ...]:
        """Show the whole answer and close it; `text` replaces what was fed in. Returns `Finish.surplus`."""
        ...

    async def say(self, text: str) -> tuple[str, ...]:
        """Show words of Bobbin's own, which no model wrote, and close it. Returns `Finish.surplus`."""
        ...

    async def stop(self, note: str) -> tuple[str, ...]:
        """Leave what was shown as it stands, and say why it ends there."""
        ...

    async def fail(self, error: BobbinError) -> tuple[str, ...]:
        """Say what happened and what to do, below what was shown or in a message of its own.

        Where the error `withdraws` the answer, in place of what was shown.
        """
        ...

    async def halt(self) -> None:
        """Stop writing at once, in the middle of a call; the turn goes on later, or with another owner."""
        ...

    async def leave(self, *, settle: float = 0) -> None:
        """After `halt`: leave what was shown readable, and nothing that says it is being worked on.

        A call that was given up takes its effect within `settle` seconds, if it is waited for.
        """
        ...


Words = Mapping[str, str | datetime]
"""What fills in a note; each reader sees a moment in their own time zone."""
NO_WORDS: Words = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file from the workspace: its format and bytes, or the reason why it is not read."""

    format: str = ""
    data: bytes = b""
    reason: str = ""
    name: str = ""
    """As the workspace told when it was asked for it."""


class Workspace(Protocol):
    """Where the threads are. Raises only `SlackError`s."""

    async def acquaint(self, lines: Sequence[Line], needed: Collection[str]) -> Mapping[str, Person]:
        """Who writes (and is named) in these lines; the `needed` people for certain."""
        ...

    def words(self, lines: Sequence[Line], people: Mapping[str, Person]) -> Mapping[str, str]:
        """The words of people's messages by ts, with the platform's markup undone."""
        ...

    def reply(self, turn: Turn, check: Callable[[], None]) -> Reply:
        """A reply for this turn; `check` raises `LeaseLost` where nothing may be written any more."""
        ...

    async def fetch(self, file: File) -> Fetched:
        """What is in a file, as the model can read it; or why not. Raises nothing."""
        ...

    async def read_thread(self, thread: ThreadKey, until: str) -> tuple[list[Line], list[Posted]]:
        """What was said in a thread up to the ts `until`, and what people said after it; oldest first."""
        ...

    def called(self, line: Line) -> bool:
        """Whether a message mentions Bobbin."""
        ...

    async def is_admin(self, user: str) -> bool:
        """Whether somebody may set what holds for a channel; asked anew each time."""
        ...

    async def show_place(self, thread: ThreadKey, ahead: int | None) -> None:
        """Show in a thread that it waits behind so many; None: that it does not wait any more."""
        ...

    async def tell(self, thread: ThreadKey, ts: str, user: str, reason: str, words: Words = NO_WORDS) -> None:
        """Tell somebody privately, about their message `ts`: a key of `policy.NOTES` and what fills it in.

        Or the answer to an `Inquiry`.
        """
        ...

    async def tell_admins(self, reason: str, words: Words = NO_WORDS) -> None:
        """Tell the admins, each in a DM, a key of `policy.NOTES`; where none is known, only the log."""
        ...

    async def seen(self, turn: Turn) -> list[Seen]:
        """The messages of Bobbin that stand in a turn's thread, oldest first, notices left out."""
        ...

    async def starter(self, thread: ThreadKey) -> str:
        """Who wrote a thread's first message; empty where that is gone."""
        ...

    async def expelled(self) -> bool:
        """Whether Slack does not know Bobbin any more; False where Slack does not tell."""
        ...

    async def delete(self, channel: str, ts: str) -> None:
        """Delete one of Bobbin's own messages; one that is gone already is no error."""
        ...
