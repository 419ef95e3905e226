"""What the core needs of the world, in its own words: a model, a store, a place for replies.

Every adapter keeps to these, and one suite of contract tests holds every adapter to them
(`tests/contract/`). Times are Unix milliseconds unless a name says otherwise; `ts` is Slack's.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol

from bot.conversation import Messages, Role, ThreadKey
from bot.errors import BobbinError
from bot.events import Deleted, Edited, File, Muted, Person, Posted, Stopped
from bot.insight import Kept, Receipt, Standing
from bot.policy import Decision, ThreadState

# ---------------------------------------------------------------- the model


@dataclass(frozen=True, slots=True)
class CachePoints:
    """Up to where the model's cache keeps a request: all before each point, for `ttl` since its last use."""

    system: bool = False
    """After the system prompt."""
    after: tuple[int, ...] = ()
    """After the last block of these messages of the request, by index."""
    ttl: Literal["5m", "1h"] = "5m"


@dataclass(frozen=True, slots=True)
class Request:
    """What the model is sent. `messages` alternate, first and last are a user's (`alternate`)."""

    messages: Messages
    system: str = ""
    max_tokens: int = 8192
    cache: CachePoints | None = None
    model: str = ""
    """Its id; empty: the process's own."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call; `input` leaves out what was read from or written to the prompt cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    """All that was written."""
    cache_write_1h: int = 0
    """The part of it that is kept for an hour."""

    @property
    def total(self) -> int:
        """All that was read and written."""
        return self.input + self.cache_read + self.cache_write + self.output


StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "window"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, of any length but never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The answer is whole. Always the last event of a stream that did not raise."""

    reason: StopReason
    usage: Usage
    request_id: str = ""


StreamEvent = TextDelta | Stop


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    text: str
    reason: StopReason
    usage: Usage
    request_id: str = ""


class Model(Protocol):
    """Anything that streams an answer. Raises only `ModelError`s."""

    async def chat(self, request: Request) -> Answer:
        """Ask and wait for the whole answer."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        """Ask once, without a retry, and yield the answer as it comes.

        Closing the generator (use `contextlib.aclosing`) closes the connection at once. A stream that
        ends without `Stop` raises `BrokenStream`.
        """
        ...


# ---------------------------------------------------------------- the ledger

Purpose = Literal["answer", "summary"]
CallState = Literal["running", "done", "failed", "stopped", "lost"]


@dataclass(frozen=True, slots=True)
class Call:
    """One model call as the ledger keeps it: begun as an estimate, settled as what it was."""

    id: int
    """Sorts by time."""
    turn: int
    team: str
    channel: str
    user: str
    """Whose budget it counts against."""
    model: str
    purpose: Purpose
    usage: Usage
    micro_usd: int
    state: CallState = "running"
    estimated: bool = True
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be spent, in millionths of a US dollar: by one person in a day, by all in a month (UTC)."""

    user: int | None = None
    team: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """How a budget stands: `used` of `cap` in millionths of a US dollar, renewed `until` (Unix seconds)."""

    budget: Literal["user", "team"]
    used: int
    cap: int
    until: int


@dataclass(frozen=True, slots=True)
class Booked:
    """Whether a call may go out (`refused` is None), and of which budgets somebody is due a warning."""

    refused: Spent | None = None
    warn: tuple[Spent, ...] = ()


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent on something: calls, tokens, millionths of a US dollar, what of that is estimated."""

    what: str
    """The user, channel, model, or day (UTC)."""
    name: str
    """The user's, where it is known."""
    calls: int
    estimated_calls: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    micro_usd: int
    estimated_micro_usd: int


SettingName = Literal["instructions", "model"]


@dataclass(frozen=True, slots=True)
class ChannelSetting:
    """What was set for a channel; an empty value is as everywhere else."""

    name: SettingName
    value: str
    by: str
    """The admin's user id."""
    ts: str
    """The message that set it: of several the newest counts."""


# ---------------------------------------------------------------- the store

PartKind = Literal["answer", "error", "notice"]
TurnState = Literal["open", "answered", "silent", "failed", "cancelled"]


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
    instructions: str = ""
    """What admins want of Bobbin in this channel."""
    model: str = ""
    """The model they chose for it; empty: the process's."""


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
    """The id of an open turn that must end now, and why: stopped, deleted, or (to begin anew) edited."""
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
    """ts of parts that show nothing of the answer any more: deleted once the turn is closed."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which no event could come in."""

    began: float
    """Unix seconds."""
    number: int
    """How many there were so far."""


Decide = Callable[[ThreadState | None], Decision]
"""The policy, asked inside the transaction with what is known of the thread."""


class Store(Protocol):
    """Keeps conversations. Each method is one transaction. Raises only `StoreError`s."""

    async def post(self, message: Posted, decide: Decide) -> Ingested:
        """Take a message in, as the policy decides when it sees the thread."""
        ...

    async def edit(self, edit: Edited, decide: Decide) -> Ingested:
        """Follow an edit; one that adds a mention is answered like a new message."""
        ...

    async def delete(self, deleted: Deleted) -> Ingested:
        """Let the words go; a turn with nothing left to answer must end."""
        ...

    async def stop(self, stopped: Stopped) -> Ingested:
        """End the open turn of a thread."""
        ...

    async def mute(self, muted: Muted) -> Ingested:
        """Mute or wake a thread by the 🔕 on its first message."""
        ...

    async def seen(self, team: str, event_id: str, outcome: str) -> bool:
        """Note an event that changes no conversation; False when it was noted before."""
        ...

    async def quarantine(self, team: str, event_id: str, shape: str) -> None:
        """Keep the shape (keys and types, never text) of an event that could not be read."""
        ...

    async def claim(self, owner: str, limit: int) -> list[Turn]:
        """Take up to `limit` conversations that have something to answer: by workspace, person, wait."""
        ...

    async def extend(self, turn: Turn) -> str | None:
        """Heartbeat: keep the lease. Returns why the turn must end (stopped, deleted, edited).

        Raises `LeaseLost`.
        """
        ...

    async def restart(self, turn: Turn) -> Turn:
        """Its question was changed: the turn as it is now, without an answer. Raises `LeaseLost`."""
        ...

    async def history(self, turn: Turn) -> list[Line]:
        """All that the model reads for this turn, in order: earlier turns, then this one's messages."""
        ...

    async def recall(self, turn: Turn) -> History:
        """The same, where there is a summary with it in the place of what it stands for.

        A summary is forgotten where a message that it was made of was edited or deleted.
        """
        ...

    async def keep_summary(self, turn: Turn, summary: Summary, made_of: History) -> bool:
        """Put it in the place of the one it was made of, and of these lines. Raises `LeaseLost`.

        False, and nothing was kept, where what it was made of has changed meanwhile.
        """
        ...

    async def backfill(self, turn: Turn, lines: Sequence[Line]) -> None:
        """Add what Slack knows of the thread and the store did not. Raises `LeaseLost`."""
        ...

    async def people(self, team: str, ids: Sequence[str]) -> dict[str, Person]:
        """Those of these people that were learned."""
        ...

    async def learn(self, team: str, people: Sequence[Person]) -> None:
        """Keep who somebody is. A name that is known stays: it is in the prefix of threads."""
        ...

    async def dismiss(self, turn: Turn, authors: Sequence[str], reason: str) -> tuple[str, ...]:
        """These people may not ask: their words become history. Raises `LeaseLost`.

        Returns who is due a note for `reason`.
        """
        ...

    async def reads(self, turn: Turn, places: Collection[Place]) -> dict[Place, Read]:
        """What became of the files at these places, as far as it was tried."""
        ...

    async def keep_read(self, turn: Turn, place: Place, read: Read, data: bytes = b"") -> None:
        """Keep it with its message, in the place of what was kept before. Raises `LeaseLost`.

        Nothing is kept of a file whose message is gone.
        """
        ...

    async def file_data(self, hashes: Collection[str]) -> dict[str, bytes]:
        """The bytes that are kept under these."""
        ...

    async def begin_call(self, call: Call, caps: Caps) -> Booked:
        """Book a call before it goes out, unless a budget is spent. A turn that was admitted stays so."""
        ...

    async def settle_call(self, call: Call) -> None:
        """Book what it came to."""
        ...

    async def admins(self, team: str) -> list[str]:
        """The ids of those who were learned to be admins or owners of the workspace."""
        ...

    async def channel_settings(self, team: str, channel: str) -> dict[SettingName, ChannelSetting]:
        """What was ever set for a channel."""
        ...

    async def set_channel(self, team: str, channel: str, setting: ChannelSetting) -> None:
        """Set it, unless a newer message did."""
        ...

    async def standing(self, team: str, user: str) -> Standing:
        """What somebody has spent, and how busy Bobbin is."""
        ...

    async def kept(self, team: str, user: str) -> Kept:
        """What is kept of somebody's words."""
        ...

    async def receipt(self, team: str, channel: str, ts: str) -> Receipt | None:
        """What the answer was made of that this message of Bobbin shows; None where it shows none."""
        ...

    async def record_part(self, turn: Turn, part: Part) -> None:
        """A Slack message was made for this turn. Raises `LeaseLost`, having kept it as an orphan."""
        ...

    async def record_answer(self, turn: Turn, answer: str, stop: Stop) -> None:
        """The whole answer, before its last Slack write. Raises `LeaseLost`."""
        ...

    async def finish(self, turn: Turn, finish: Finish) -> bool:
        """Close the turn and give the lease back. True when more waits here. Raises `LeaseLost`."""
        ...

    async def release(self, turn: Turn, delay: float = 0) -> None:
        """Give the lease back with the turn still open; it may be claimed again after `delay` seconds."""
        ...

    async def retry(self, turn_id: int) -> Ingested:
        """Queue a failed turn (*Try again*), before anything newer of its conversation."""
        ...

    async def turn_shown(self, team: str, channel: str, ts: str) -> int | None:
        """Whose turn's a message of Bobbin is: its id."""
        ...

    async def again(self, turn_id: int, user: str) -> Ingested:
        """Queue a turn to be answered again, if this person may have that; else `note` says why not.

        Its answer is kept as an earlier version once the new one is begun.
        """
        ...

    async def rate(self, turn_id: int, user: str, *, good: bool) -> bool:
        """Keep what somebody thinks of an answer, in the place of what they thought before.

        False: no such turn.
        """
        ...

    async def explain(self, turn_id: int, user: str, why: str) -> bool:
        """And why. False where they have not judged it."""
        ...

    async def accounted(self, thread: ThreadKey) -> set[str]:
        """The ts of every message that Bobbin is known to have made in this thread."""
        ...

    async def orphans(self) -> list[tuple[str, str, str]]:
        """(team, channel, ts) of messages to delete: their turns are closed."""
        ...

    async def forget_orphan(self, team: str, channel: str, ts: str) -> None:
        """It is deleted in Slack."""
        ...

    async def note_due(self, team: str, user: str, reason: str, *, once_ever: bool = False) -> bool:
        """True at most once a day (or once ever) for this person and reason."""
        ...

    async def recover(self, settle: float) -> int:
        """At the start of the only process every lease is dead. How many turns must be taken up again.

        Calls that were running are lost: what they cost stays an estimate.
        """
        ...

    async def heard(self, team: str, longest: float) -> Gap | None:
        """Note that events can come in now; returns the gap of over `longest` seconds, until `caught_up`."""
        ...

    async def caught_up(self, team: str, gap: Gap) -> None:
        """What was said in this gap was read; a further one, if there was one meanwhile, stays."""
        ...

    async def channels(self, team: str, limit: int) -> list[str]:
        """Channels and DMs that have conversations; those of the newest first."""
        ...

    async def lively(self, team: str, after: str, limit: int) -> list[ThreadKey]:
        """Threads in which something was said after this ts, and those of DMs; the newest first."""
        ...

    async def sweep(self) -> None:
        """Housekeeping: purge what is old, mend what must not be."""
        ...

    async def scrub(self) -> None:
        """Take deleted words off the disk, where there are any."""
        ...

    async def next_due(self) -> float | None:
        """In how many seconds something can be claimed that cannot be claimed now; None: nothing waits."""
        ...

    async def writable(self) -> bool:
        """Whether a write reaches the disk right now."""
        ...


# ---------------------------------------------------------------- the place where people talk


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

    async def leave(self) -> None:
        """After `halt`: leave what was shown readable, and nothing that says it is being worked on."""
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

    async def tell(self, thread: ThreadKey, ts: str, user: str, reason: str, words: Words = NO_WORDS) -> None:
        """Tell somebody privately, about their message `ts`: a key of `policy.NOTES` and what fills it in.

        Or the answer to an `Inquiry`.
        """
        ...

    async def tell_admins(self, reason: str, words: Words = NO_WORDS) -> None:
        """Tell the admins, each in a DM, a key of `policy.NOTES`; where none is known, only the log."""
        ...

    async def delete(self, channel: str, ts: str) -> None:
        """Delete one of Bobbin's own messages; one that is gone already is no error."""
        ...
