"""Keeps conversations."""

from collections.abc import Collection, Sequence
from typing import Protocol

from bot.conversation import ThreadKey
from bot.events import Deleted, Edited, Muted, Person, Posted, Stopped
from bot.insight import Erased, Kept, Receipt, Standing
from bot.ports.ledger import Booked, Call, Caps, ChannelSetting, SettingName
from bot.ports.model import Stop
from bot.ports.turn import (
    Decide,
    Finish,
    Gap,
    Gauges,
    History,
    Ingested,
    Line,
    Part,
    Place,
    Queued,
    Read,
    Seen,
    Share,
    Summary,
    Turn,
)


class Store(Protocol):
    """Keeps conversations. Raises only `StoreError`s.

    Each method is one transaction, but for `backfill`, and for the chores `recover`, `sweep`, `forget_old`.
    """

    @property
    def exclusive(self) -> bool:
        """Whether no other process works on this database, and what is written is so in the order asked."""
        ...

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

    async def claim(self, owner: str, limit: int, team: str = "") -> list[Turn]:
        """Take up to `limit` conversations that have something to answer: by workspace, person, wait.

        Of one workspace; of all where `team` is empty.
        """
        ...

    async def in_line(self, team: str = "") -> list[Queued]:
        """Who could be claimed but for want of a slot, by workspace (or of one) and place; at most 1,000."""
        ...

    async def idle(self, conversations: Collection[int]) -> list[int]:
        """Which of these have nothing to answer any more."""
        ...

    async def extend(self, turn: Turn) -> str | None:
        """Heartbeat: keep the lease. Returns why the turn must end (stopped, deleted, edited).

        Raises `LeaseLost`.
        """
        ...

    async def restart(self, turn: Turn) -> Turn:
        """Its question was changed: the turn as it is now, without an answer. Raises `LeaseLost`."""
        ...

    async def recall(self, turn: Turn) -> History:
        """All that the model reads for this turn, in order: earlier turns, then this one's messages.

        Where there is a summary, with it in the place of what it stands for.

        A summary is forgotten where a message that it was made of was edited or deleted.
        """
        ...

    async def keep_summary(self, turn: Turn, summary: Summary, made_of: History) -> bool:
        """Put it in the place of the one it was made of, and of these lines. Raises `LeaseLost`.

        False, and nothing was kept, where what it was made of has changed meanwhile.
        """
        ...

    async def backfill(self, turn: Turn, lines: Sequence[Line]) -> None:
        """Add what Slack knows of the thread and the store did not. Raises `LeaseLost`.

        Some lines at a time, so that the channel's other events get in between. Where it breaks off, what was
        added stays, and the thread is to be read again.
        """
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

    async def set_channel(self, team: str, channel: str, setting: ChannelSetting) -> bool:
        """Set it, unless a newer message did: whether it holds now. Without a ts it is newer than all."""
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

    async def reconcile(self, turn: Turn, seen: Sequence[Seen]) -> Finish | None:
        """What of these messages answers a doubtful turn becomes its reply: how it ended, or None.

        What was said after them waits for a turn of its own. Raises `LeaseLost`.
        """
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

    async def orphans(self, turn: int = 0, team: str = "") -> list[tuple[str, str, str]]:
        """(team, channel, ts) of messages to delete, of one turn or of all: their turns are closed.

        Of one workspace; of all where `team` is empty.
        """
        ...

    async def forget_orphan(self, team: str, channel: str, ts: str) -> None:
        """It is deleted in Slack."""
        ...

    async def note_due(self, team: str, user: str, reason: str, *, once_ever: bool = False) -> bool:
        """True at most once a day (or once ever) for this person and reason."""
        ...

    async def recover(self, settle: float) -> int:
        """At the start of the only process every lease is dead. How many turns must be taken up again.

        Calls that were running are lost: what they cost stays an estimate. Where there may be other
        processes, nothing is done: a dead one's leases run out.
        """
        ...

    async def heard(self, team: str, longest: float) -> Gap | None:
        """Note that events can come in now; returns the gap of over `longest` seconds, until `caught_up`.

        Of several processes one is told of it; where that one ends or leaves it, another one.
        """
        ...

    async def caught_up(self, team: str, gap: Gap) -> None:
        """What was said in this gap was read; a further one, if there was one meanwhile, stays."""
        ...

    async def leave_gap(self, team: str) -> None:
        """What was said in its gap could not all be read here: any process may be told of it."""
        ...

    async def channels(self, team: str, limit: int) -> list[str]:
        """Channels and DMs that have conversations; those of the newest first."""
        ...

    async def lively(self, team: str, after: str, limit: int) -> list[ThreadKey]:
        """Threads in which something was said after this ts, and those of DMs; the newest first."""
        ...

    async def forget_thread(self, thread: ThreadKey) -> Erased:
        """Forget all that is kept of a thread, and the private conversations about it, for good.

        Nothing that was written before is taken in again. What is being answered must end (`Erased.ends`).
        """
        ...

    async def forget_person(self, team: str, user: str) -> Erased:
        """Forget somebody for good: their words in every thread, their DMs whole, their name."""
        ...

    async def forget_team(self, team: str) -> Erased:
        """Forget a workspace. Of what was spent the numbers stay."""
        ...

    async def forget_old(self, days: float, limit: int) -> Erased:
        """Forget up to `limit` conversations in which nothing was said for so many days.

        Once there are no more: names of people of whom nothing is kept, and whose the calls were. The next
        mention may read such a thread again.
        """
        ...

    async def starter(self, thread: ThreadKey) -> str:
        """Who wrote a thread's first message; empty where that is not kept."""
        ...

    async def sweep(self) -> None:
        """Housekeeping: purge what is old, mend what must not be."""
        ...

    async def scrub(self) -> None:
        """Take deleted words off the disk, where there are any."""
        ...

    async def asked_to_end(self) -> list[tuple[int, str]]:
        """Open turns that must end, or begin anew, and why (stopped, deleted, edited), whoever has them."""
        ...

    async def tell(self) -> None:
        """Tell the other processes that there is something to do."""
        ...

    async def present(self, team: str) -> Share:
        """Say that this process is at work: it counts for 15 seconds. Which of its workspace's it is."""
        ...

    async def absent(self) -> None:
        """Say that this process ends, and counts no more."""
        ...

    async def news(self) -> None:
        """Wait until another process tells that there is something to do, or to end. It is only a hint."""
        ...

    async def next_due(self) -> float | None:
        """In how many seconds something can be claimed that cannot be claimed now; None: nothing waits."""
        ...

    async def writable(self) -> bool:
        """Whether a write reaches the disk right now."""
        ...

    async def gauges(self) -> Gauges:
        """How much waits, what is open: for metrics."""
        ...
