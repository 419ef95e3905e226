"""The Store in terms of named queries, the same for every database."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

import structlog

from bot import trail
from bot.conversation import ThreadKey
from bot.errors import LeaseLost
from bot.events import Deleted, Edited, Muted, Person, Posted, Stopped
from bot.insight import Erased, Kept, Receipt, Standing
from bot.policy import Decision, ThreadState
from bot.ports import (
    Booked,
    Call,
    Caps,
    ChannelSetting,
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
    SettingName,
    Share,
    Stop,
    Store,
    Summary,
    Turn,
)
from storage import (
    arrivals,
    channels,
    erasure,
    feedback,
    files,
    gauges,
    hearing,
    inspect,
    ledger,
    parts,
    persons,
    restoring,
    summaries,
    turns,
    workers,
)
from storage.connector import Connector, P, Query, Transaction

_log = structlog.get_logger(__name__)

_EVER = 100 * 365 * arrivals.DAY
_LONGEST_CALL = 3600 * 1000
"""Milliseconds: no call lasts so long, its turn would have ended."""
_LINES = 200
"""Of a thread that is read in, in one transaction: the events of its channel wait for it."""


class ConversationStore(Store):
    """Keeps conversations in the database behind a connector. `lease` is in seconds."""

    def __init__(self, connector: Connector, *, lease: float = 60.0) -> None:
        self._connector = connector
        self._lease = int(lease * 1000)
        self._worker = uuid4().hex  # two containers may have one host's name, and in it the same number
        self._words_deleted = True  # a process that died may have left deleted words in the log
        self._much_deleted = True

    @property
    def exclusive(self) -> bool:
        """See `Store`."""
        return self._connector.exclusive

    async def post(self, message: Posted, decide: Callable[[ThreadState | None], Decision]) -> Ingested:
        """See `Store`."""
        return await self._connector.write(arrivals.post, message, decide)

    async def edit(self, edit: Edited, decide: Callable[[ThreadState | None], Decision]) -> Ingested:
        """See `Store`."""
        ingested = await self._connector.write(arrivals.edit, edit, decide)
        self._words_deleted = True
        return ingested

    async def delete(self, deleted: Deleted) -> Ingested:
        """See `Store`."""
        ingested = await self._connector.write(arrivals.delete, deleted)
        self._words_deleted = True
        return ingested

    async def stop(self, stopped: Stopped) -> Ingested:
        """See `Store`."""
        return await self._connector.write(arrivals.stop, stopped)

    async def mute(self, muted: Muted) -> Ingested:
        """See `Store`."""
        return await self._connector.write(arrivals.mute, muted)

    async def seen(self, team: str, event_id: str, outcome: str) -> bool:
        """See `Store`."""
        return await self._connector.write(arrivals.noted, team, event_id, outcome)

    async def quarantine(self, team: str, event_id: str, shape: str) -> None:
        """See `Store`."""
        await self._connector.write(arrivals.noted, team, event_id, "quarantined", shape)

    async def claim(self, owner: str, limit: int, team: str = "") -> list[Turn]:
        """See `Store`."""
        return await self._connector.write(turns.claim, owner, limit, self._lease, team)

    async def in_line(self, team: str = "") -> list[Queued]:
        """See `Store`."""
        return await self._connector.read(turns.in_line, team)

    async def idle(self, conversations: Collection[int]) -> list[int]:
        """See `Store`."""
        return await self._connector.read(turns.idle, conversations)

    async def extend(self, turn: Turn) -> str | None:
        """See `Store`."""
        with trail.to_write() as steps:
            held, why = await self._connector.write(turns.extend, turn, self._lease, steps)
        self._must_hold(turn, held)
        return why

    async def restart(self, turn: Turn) -> Turn:
        """See `Store`."""
        anew = await self._connector.write(turns.restart, turn)
        if anew is None:
            raise LeaseLost(f"turn {turn.id}: fence {turn.fence} is not the newest any more")
        return anew

    async def recall(self, turn: Turn) -> History:
        """See `Store`."""
        return await self._connector.read(summaries.recall, turn)

    async def keep_summary(self, turn: Turn, summary: Summary, made_of: History) -> bool:
        """See `Store`."""
        held, kept = await self._connector.write(summaries.keep, turn, summary, made_of)
        self._must_hold(turn, held)
        return kept

    async def backfill(self, turn: Turn, lines: Sequence[Line]) -> None:
        """See `Store`."""
        for at in range(0, len(lines) or 1, _LINES):
            some, last = lines[at : at + _LINES], at + _LINES >= len(lines)
            self._must_hold(turn, await self._connector.write(turns.backfill, turn, some, last=last))

    async def people(self, team: str, ids: Sequence[str]) -> dict[str, Person]:
        """See `Store`."""
        return await self._connector.read(persons.known, team, ids)

    async def learn(self, team: str, people: Sequence[Person]) -> None:
        """See `Store`."""
        await self._connector.write(persons.learn, team, people)

    async def dismiss(self, turn: Turn, authors: Sequence[str], reason: str) -> tuple[str, ...]:
        """See `Store`."""
        held, due = await self._connector.write(turns.dismiss, turn, authors, reason)
        self._must_hold(turn, held)
        return due

    async def begin_call(self, call: Call, caps: Caps) -> Booked:
        """See `Store`."""
        return await self._connector.jot(ledger.begin, call, caps)

    async def settle_call(self, call: Call) -> None:
        """See `Store`."""
        await self._connector.jot(ledger.settle, call)

    async def admins(self, team: str) -> list[str]:
        """See `Store`."""
        return await self._connector.read(persons.admins, team)

    async def channel_settings(self, team: str, channel: str) -> dict[SettingName, ChannelSetting]:
        """See `Store`."""
        return await self._connector.read(channels.settings, team, channel)

    async def set_channel(self, team: str, channel: str, setting: ChannelSetting) -> bool:
        """See `Store`."""
        return await self._connector.write(channels.set_channel, team, channel, setting)

    async def reads(self, turn: Turn, places: Collection[Place]) -> dict[Place, Read]:
        """See `Store`."""
        return await self._connector.read(files.reads, turn, places)

    async def keep_read(self, turn: Turn, place: Place, read: Read, data: bytes = b"") -> None:
        """See `Store`."""
        self._must_hold(turn, await self._connector.write(files.keep, turn, place, read, data))

    async def file_data(self, hashes: Collection[str]) -> dict[str, bytes]:
        """See `Store`."""
        return await self._connector.read(files.data, hashes)

    async def standing(self, team: str, user: str) -> Standing:
        """See `Store`."""
        return await self._connector.read(inspect.standing, team, user)

    async def kept(self, team: str, user: str) -> Kept:
        """See `Store`."""
        return await self._connector.read(inspect.kept, team, user)

    async def receipt(self, team: str, channel: str, ts: str) -> Receipt | None:
        """See `Store`."""
        return await self._connector.read(inspect.receipt, team, channel, ts)

    async def reconcile(self, turn: Turn, seen: Sequence[Seen]) -> Finish | None:
        """See `Store`."""
        held, end = await self._connector.write(restoring.reconcile, turn, seen)
        self._must_hold(turn, held)
        return end

    async def record_part(self, turn: Turn, part: Part) -> None:
        """See `Store`."""
        with trail.to_write() as steps:
            self._must_hold(turn, await self._connector.write(turns.record_part, turn, part, steps))

    async def record_answer(self, turn: Turn, answer: str, stop: Stop) -> None:
        """See `Store`."""
        with trail.to_write() as steps:
            written = await self._connector.write(turns.record_answer, turn, answer, stop, steps)
        self._must_hold(turn, written)

    async def finish(self, turn: Turn, finish: Finish) -> bool:
        """See `Store`."""
        with trail.to_write() as steps:
            held, more = await self._connector.write(turns.finish, turn, finish, steps)
        self._must_hold(turn, held)
        return more

    async def release(self, turn: Turn, delay: float = 0) -> None:
        """See `Store`."""
        with trail.to_write() as steps:
            await self._connector.write(turns.release, turn, int(delay * 1000), steps)

    async def retry(self, turn_id: int) -> Ingested:
        """See `Store`."""
        return await self._connector.write(turns.retry, turn_id)

    async def turn_shown(self, team: str, channel: str, ts: str) -> int | None:
        """See `Store`."""
        return await self._connector.read(feedback.turn_shown, team, channel, ts)

    async def again(self, turn_id: int, user: str) -> Ingested:
        """See `Store`."""
        return await self._connector.write(turns.again, turn_id, user)

    async def rate(self, turn_id: int, user: str, *, good: bool) -> bool:
        """See `Store`."""
        return await self._connector.write(feedback.rate, turn_id, user, good=good)

    async def explain(self, turn_id: int, user: str, why: str) -> bool:
        """See `Store`."""
        return await self._connector.write(feedback.explain, turn_id, user, why)

    async def accounted(self, thread: ThreadKey) -> set[str]:
        """See `Store`."""
        return await self._connector.read(parts.accounted, thread)

    async def orphans(self, turn: int = 0, team: str = "") -> list[tuple[str, str, str]]:
        """See `Store`."""
        return await self._connector.read(parts.orphans, turn, team)

    async def forget_orphan(self, team: str, channel: str, ts: str) -> None:
        """See `Store`."""
        await self._connector.write(_run, "forget_orphan", {"team": team, "channel": channel, "ts": ts})

    async def note_due(self, team: str, user: str, reason: str, *, once_ever: bool = False) -> bool:
        """See `Store`."""
        every = _EVER if once_ever else arrivals.DAY
        return await self._connector.write(arrivals.note_due, team, user, reason, every)

    async def recover(self, settle: float) -> int:
        """See `Store`."""
        if not self.exclusive:
            return 0
        await self._connector.write(ledger.lose)
        return await self._connector.write(turns.recover, int(settle * 1000))

    async def heard(self, team: str, longest: float) -> Gap | None:
        """See `Store`."""
        return await self._connector.write(hearing.heard, team, int(longest * 1000), self._worker)

    async def caught_up(self, team: str, gap: Gap) -> None:
        """See `Store`."""
        await self._connector.write(_run, "caught_up", {"team": team, "gaps": gap.number})

    async def leave_gap(self, team: str) -> None:
        """See `Store`."""
        await self._connector.write(_run, "leave_gap", {"team": team, "worker": self._worker})

    async def channels(self, team: str, limit: int) -> list[str]:
        """See `Store`."""
        return await self._connector.read(hearing.channels, team, limit)

    async def lively(self, team: str, after: str, limit: int) -> list[ThreadKey]:
        """See `Store`."""
        return await self._connector.read(hearing.lively, team, after, limit)

    async def forget_thread(self, thread: ThreadKey) -> Erased:
        """See `Store`."""
        return await self._forget(erasure.thread, thread)

    async def forget_person(self, team: str, user: str) -> Erased:
        """See `Store`."""
        return await self._forget(erasure.person, team, user)

    async def forget_team(self, team: str) -> Erased:
        """See `Store`."""
        return await self._forget(erasure.team, team)

    async def forget_old(self, days: float, limit: int) -> Erased:
        """See `Store`."""
        age = int(days * arrivals.DAY)
        erased = await self._forget(erasure.old, age, limit)
        if erased.threads == limit:
            return erased
        return replace(erased, names=await self._connector.write(erasure.old_names, age))

    async def starter(self, thread: ThreadKey) -> str:
        """See `Store`."""
        return await self._connector.read(erasure.starter, thread)

    async def _forget(
        self, transaction: Callable[P, Transaction[Erased]], *args: P.args, **more: P.kwargs
    ) -> Erased:
        erased = await self._connector.write(transaction, *args, **more)
        self._words_deleted = self._much_deleted = True
        return erased

    async def sweep(self) -> None:
        """See `Store`."""
        await self._connector.write(erasure.sweep)
        if overlooked := await self._connector.write(turns.sweep):
            _log.error("conversations with waiting messages had been overlooked", count=overlooked)
        await self._connector.write(ledger.lose, _LONGEST_CALL)
        await self._connector.write(ledger.close_days)

    async def scrub(self) -> None:
        """See `Store`."""
        if not self._words_deleted:
            return
        self._words_deleted = False  # before the checkpoint: what is deleted during it needs another
        done = False
        try:
            if self._much_deleted:
                self._much_deleted = False
                await self._connector.compact()
            done = await self._connector.checkpoint()
        finally:
            self._words_deleted |= not done

    async def asked_to_end(self) -> list[tuple[int, str]]:
        """See `Store`."""
        return await self._connector.read(workers.asked_to_end)

    async def tell(self) -> None:
        """See `Store`."""
        if not self._connector.exclusive:
            await self._connector.write(workers.tell)

    async def present(self, team: str) -> Share:
        """See `Store`."""
        return Share() if self.exclusive else await self._connector.write(workers.present, self._worker, team)

    async def absent(self) -> None:
        """See `Store`."""
        if not self._connector.exclusive:
            await self._connector.write(workers.absent, self._worker)

    async def news(self) -> None:
        """See `Store`."""
        await self._connector.news()

    async def next_due(self) -> float | None:
        """See `Store`."""
        return await self._connector.read(gauges.next_due)

    async def writable(self) -> bool:
        """See `Store`."""
        return await self._connector.writable()

    async def gauges(self) -> Gauges:
        """See `Store`."""
        return replace(await self._connector.read(gauges.gauges), log_bytes=self._connector.log_bytes())

    @staticmethod
    def _must_hold(turn: Turn, held: bool) -> None:  # noqa: FBT001  it is what the transaction returned
        if not held:
            raise LeaseLost(f"turn {turn.id}: fence {turn.fence} is not the newest any more")


def _run(name: str, params: Mapping[str, str | int]) -> Transaction[None]:
    yield Query(name, params)
