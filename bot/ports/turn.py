"""A turn, its messages and its reply, as the store gives and takes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bot.conversation import Role, ThreadKey
from bot.events import File
from bot.policy import Decision, ThreadState

PartKind = Literal["answer", "error", "notice"]
TurnState = Literal["open", "answered", "silent", "failed", "cancelled"]
How = Literal["claimed", "resumed", "died", "again"]
"""How a turn came to be worked on: for the first time; given back before; its process died; wanted again."""


@dataclass(frozen=True, slots=True)
class Part:
    """One Slack message of a reply."""

    ts: str
    kind: PartKind = "answer"
    part: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as it was claimed: the messages answered together, and what is known of their reply."""

    id: int
    conversation: int
    seq: int
    fence: int
    thread: ThreadKey
    direct: bool
    asker: str
    """Who wrote the newest addressed message; empty where none is left."""
    question_ts: str
    """That message."""
    newest_ts: str
    """The newest input's ts: the reply is newer."""
    called_ts: str
    """The same, or when it was edited: what was said until then is read as history."""
    summoned: bool
    """Some input mentions Bobbin, or this is a DM: it may not stay silent."""
    askers: tuple[str, ...] = ()
    """Everybody whose words are answered."""
    resumed: bool = False
    """Claimed before: it may have posted already."""
    how: How = "claimed"
    waited: float = 0
    """Seconds since the oldest of its questions was kept."""
    deaths: int = 0
    """How often a process died while it worked on this turn."""
    backfill: bool = False
    """The thread must be read from Slack before the model is asked."""
    about: ThreadKey | None = None
    """The thread that is read then, where this one is about another."""
    stopping: str | None = None
    """Why the turn must end without an answer: stopped, deleted."""
    answer: str | None = None
    """The whole answer, where it was stored already."""
    earlier: str = ""
    """What it was answered before, where it is answered again: that holds until there is a new answer."""
    stop_reason: str = ""
    parts: tuple[Part, ...] = ()
    doubtful: bool = False
    """Asked before the database was restored from a backup: it may have been answered since that was made."""
    instructions: str = ""
    """What admins want of Bobbin in this channel."""
    model: str = ""
    """The model they chose for it; empty: the process's."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A conversation that waits for a free slot."""

    conversation: int
    thread: ThreadKey
    ahead: int
    """How many of its workspace go first."""
    summoned: bool
    """Somebody called Bobbin there, and so may be told that they wait."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which of how many processes of its workspace this one is."""

    number: int = 0
    of: int = 1

    def has(self, row: int) -> bool:
        """Whether what one of them does for the row of this id is this one's to do."""
        return row % self.of == self.number


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of Bobbin's as it stands in its thread."""

    ts: str
    text: str
    last: bool = False
    """It ends an answer, or an error;"""
    failed: bool = False
    """this one."""


@dataclass(frozen=True, slots=True)
class Line:
    """One stored message of a conversation, in the order the model reads them."""

    role: Role
    ts: str
    author: str
    text: str
    files: tuple[File, ...] = ()
    turn: int = 0
    """The id of its turn,"""
    seq: int = 0
    """and that turn's place in the thread; 0: before Bobbin came."""
    addressed: bool = True
    external: bool = False
    unsure: bool = False
    """Whether its author is of another organisation is not known."""
    bot: bool = False
    """No person wrote it."""


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a file: what the model reads of it, or why it does not. Kept with its message."""

    format: str = ""
    """Of `bot.files`; empty: it is not read,"""
    reason: str = ""
    """a key of `files.REASONS`."""
    size: int = 0
    """Of what the model reads, in bytes."""
    sha256: str = ""
    """Under it the bytes are kept, once."""
    name: str = ""
    """The file's, where its message did not tell."""


Place = tuple[str, str]
"""Where a file stands: its message's ts, and its id."""
Reads = Mapping[Place, Read]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the oldest part of a conversation comes to, in the model's words. Its messages are kept."""

    text: str
    seq: int
    """It stands for all that was said before this turn,"""
    ts: str
    """and in it up to this message."""
    authors: tuple[str, ...] = ()
    """Who spoke there, in the order of their first words."""
    first_turn: int = 0
    """The id of the turn in which this thread had to be condensed for the first time."""


@dataclass(frozen=True, slots=True)
class History:
    """What the model reads for a turn: a summary of the oldest part, where there is one, then the lines."""

    lines: list[Line]
    summary: Summary | None = None
    measured: tuple[int, int] | None = None
    """The newest turn (its `seq`) whose request Bedrock has counted, and the tokens of it and its answer."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of an event once its transaction was committed."""

    outcome: str
    """message, addressed, edited, deleted, stopped, muted, duplicate, refused, or the reason why ignored."""
    wake: bool = False
    """A conversation has something to answer now."""
    decision: Decision | None = None
    note: str | None = None
    """The reason to be told privately, at most once a day: a key of `policy.NOTES`."""
    stop: tuple[int, str] | None = None
    """The id of an open turn that must end now, and why: stopped, deleted, or (to begin anew) edited.

    Whoever works on it learns of it by `Store.asked_to_end`.
    """
    offer: int | None = None
    """The id of a turn whose question was changed in words: to be answered again, if its author wants."""


@dataclass(frozen=True, slots=True)
class Finish:
    """How a turn ended."""

    state: TurnState
    answer: str | None = None
    """What people saw, as the model wrote it; becomes the turn's assistant message."""
    reason: str = ""
    error: str = ""
    surplus: tuple[str, ...] = field(default=())
    """ts of messages that show nothing of the answer: deleted once the turn is closed."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which no event could come in."""

    began: float
    """Unix seconds."""
    number: int
    """How many there were so far."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """How the store stands just now."""

    waiting: int
    """Conversations that wait for a slot,"""
    oldest: float
    """and how long the first of them does, in seconds."""
    open_turns: int
    orphans: int
    """Messages that are to be deleted in Slack."""
    log_bytes: int = 0
    """Of what is committed and not in the database file yet (SQLite's -wal)."""


Decide = Callable[[ThreadState | None], Decision]
"""The policy, asked inside the transaction with what is known of the thread."""
