"""The Store in terms of named queries, the same for every database: each method is one transaction."""

import json
from collections.abc import Callable, Mapping, Sequence

import structlog

from bot.conversation import ThreadKey
from bot.errors import LeaseLost
from bot.events import Deleted, Edited, File, Muted, Person, Posted, Stopped
from bot.policy import Decision, ThreadState
from bot.ports import Finish, Ingested, Line, Part, Stop, Store, Turn
from storage import arrivals, turns
from storage.connector import Connector, Query, Row, Transaction

_log = structlog.get_logger(__name__)

_EVER = 100 * 365 * arrivals.DAY


class ConversationStore(Store):
    """Keeps conversations in the database behind a connector. `lease` is in seconds."""

    def __init__(self, connector: Connector, *, lease: float = 60.0) -> None:
        self._connector = connector
        self._lease = int(lease * 1000)
        self._words_deleted = True  # a process that died may have left deleted words in the log

    async def post(self, message: Posted, decide: Callable[[ThreadState | None], Decision]) -> Ingested:
        """See `Store`."""
        return await self._connector.write(arrivals.post(message, decide))

    async def edit(self, edit: Edited, decide: Callable[[ThreadState | None], Decision]) -> Ingested:
        """See `Store`."""
        ingested = await self._connector.write(arrivals.edit(edit, decide))
        self._words_deleted = True
        return ingested

    async def delete(self, deleted: Deleted) -> Ingested:
        """See `Store`."""
        ingested = await self._connector.write(arrivals.delete(deleted))
        self._words_deleted = True
        return ingested

    async def stop(self, stopped: Stopped) -> Ingested:
        """See `Store`."""
        return await self._connector.write(arrivals.stop(stopped))

    async def mute(self, muted: Muted) -> Ingested:
        """See `Store`."""
        return await self._connector.write(arrivals.mute(muted))

    async def seen(self, team: str, event_id: str, outcome: str) -> bool:
        """See `Store`."""
        return await self._connector.write(arrivals.noted(team, event_id, outcome))

    async def quarantine(self, team: str, event_id: str, shape: str) -> None:
        """See `Store`."""
        await self._connector.write(arrivals.noted(team, event_id, "quarantined", shape))

    async def claim(self, owner: str, limit: int) -> list[Turn]:
        """See `Store`."""
        return await self._connector.write(turns.claim(owner, limit, self._lease))

    async def extend(self, turn: Turn) -> str | None:
        """See `Store`."""
        held, why = await self._connector.write(turns.extend(turn, self._lease))
        self._must_hold(turn, held)
        return why

    async def history(self, turn: Turn) -> list[Line]:
        """See `Store`."""
        return await self._connector.read(_history(turn))

    async def backfill(self, turn: Turn, lines: Sequence[Line]) -> None:
        """See `Store`."""
        self._must_hold(turn, await self._connector.write(turns.backfill(turn, lines)))

    async def people(self, team: str, ids: Sequence[str]) -> dict[str, Person]:
        """See `Store`."""
        return await self._connector.read(_people(team, ids))

    async def learn(self, team: str, people: Sequence[Person]) -> None:
        """See `Store`."""
        await self._connector.write(_learn(team, people))

    async def dismiss(self, turn: Turn, authors: Sequence[str], reason: str) -> tuple[str, ...]:
        """See `Store`."""
        held, due = await self._connector.write(turns.dismiss(turn, authors, reason))
        self._must_hold(turn, held)
        return due

    async def record_part(self, turn: Turn, part: Part) -> None:
        """See `Store`."""
        self._must_hold(turn, await self._connector.write(turns.record_part(turn, part)))

    async def record_answer(self, turn: Turn, answer: str, stop: Stop) -> None:
        """See `Store`."""
        self._must_hold(turn, await self._connector.write(turns.record_answer(turn, answer, stop)))

    async def finish(self, turn: Turn, finish: Finish) -> bool:
        """See `Store`."""
        held, more = await self._connector.write(turns.finish(turn, finish))
        self._must_hold(turn, held)
        return more

    async def release(self, turn: Turn, delay: float = 0) -> None:
        """See `Store`."""
        await self._connector.write(turns.release(turn, int(delay * 1000)))

    async def retry(self, turn_id: int) -> Ingested:
        """See `Store`."""
        return await self._connector.write(turns.retry(turn_id))

    async def accounted(self, thread: ThreadKey) -> set[str]:
        """See `Store`."""
        return await self._connector.read(_accounted(thread))

    async def orphans(self) -> list[tuple[str, str, str]]:
        """See `Store`."""
        return await self._connector.read(_orphans())

    async def forget_orphan(self, team: str, channel: str, ts: str) -> None:
        """See `Store`."""
        await self._connector.write(_run("forget_orphan", {"team": team, "channel": channel, "ts": ts}))

    async def note_due(self, team: str, user: str, reason: str, *, once_ever: bool = False) -> bool:
        """See `Store`."""
        every = _EVER if once_ever else arrivals.DAY
        return await self._connector.write(arrivals.note_due(team, user, reason, every))

    async def recover(self, settle: float) -> int:
        """See `Store`."""
        return await self._connector.write(turns.recover(int(settle * 1000)))

    async def heard(self, team: str, longest: float) -> float | None:
        """See `Store`."""
        return await self._connector.write(_heard(team, int(longest * 1000)))

    async def caught_up(self, team: str) -> None:
        """See `Store`."""
        await self._connector.write(_run("caught_up", {"team": team}))

    async def lively(self, team: str, after: str, limit: int) -> list[ThreadKey]:
        """See `Store`."""
        return await self._connector.read(_lively(team, after, limit))

    async def sweep(self) -> None:
        """See `Store`."""
        if overlooked := await self._connector.write(turns.sweep()):
            _log.error("conversations with waiting messages had been overlooked", count=overlooked)

    async def scrub(self) -> None:
        """See `Store`."""
        if not self._words_deleted:
            return
        self._words_deleted = False  # before the checkpoint: what is deleted during it needs another
        done = False
        try:
            done = await self._connector.checkpoint()
        finally:
            self._words_deleted |= not done

    async def next_due(self) -> float | None:
        """See `Store`."""
        return await self._connector.read(_next_due())

    async def writable(self) -> bool:
        """See `Store`."""
        return await self._connector.writable()

    @staticmethod
    def _must_hold(turn: Turn, held: bool) -> None:  # noqa: FBT001  it is what the transaction returned
        if not held:
            raise LeaseLost(f"turn {turn.id}: fence {turn.fence} is not the newest any more")


def _line(row: Row) -> Line:
    return Line(
        role=row["role"],
        ts=row["ts"],
        author=row["user_id"],
        text=row["text"],
        files=tuple(File(file["id"], file["name"]) for file in json.loads(row["files"])),
        turn=row["turn_id"],
        addressed=bool(row["addressed"]),
        external=bool(row["external"]),
        unsure=row["external"] is None,
    )


def _history(turn: Turn) -> Transaction[list[Line]]:
    rows = yield Query("history", {"conversation": turn.conversation, "turn": turn.id, "seq": turn.seq})
    return [_line(row) for row in rows]


def _people(team: str, ids: Sequence[str]) -> Transaction[dict[str, Person]]:
    known: dict[str, Person] = {}
    for user in ids:
        for row in (yield Query("find_person", {"team": team, "user": user})):
            known[user] = Person(user, row["name"], guest=bool(row["guest"]), external=bool(row["external"]))
    return known


def _learn(team: str, people: Sequence[Person]) -> Transaction[None]:
    now = yield from arrivals.clock()
    for person in people:
        learned = {
            "team": team,
            "user": person.id,
            "name": person.name,
            "guest": int(person.guest),
            "external": int(person.external),
            "now": now,
        }
        yield Query("learn", learned)


def _accounted(thread: ThreadKey) -> Transaction[set[str]]:
    where = {"team": thread.team, "channel": thread.channel, "thread": thread.thread_ts}
    found = yield Query("find_conversation", where)
    rows = yield Query(
        "accounted",
        {"conversation": found[0]["id"] if found else 0, "team": thread.team, "channel": thread.channel},
    )
    return {row["ts"] for row in rows}


def _orphans() -> Transaction[list[tuple[str, str, str]]]:
    rows = yield Query("orphans")
    return [(row["team_id"], row["channel_id"], row["ts"]) for row in rows]


def _heard(team: str, longest: int) -> Transaction[float | None]:
    now = yield from arrivals.clock()
    rows = yield Query("heard", {"team": team, "now": now, "before": now - longest})
    since = rows[0]["missed_since"]
    return None if since is None else since / 1000


def _lively(team: str, after: str, limit: int) -> Transaction[list[ThreadKey]]:
    rows = yield Query("lively", {"team": team, "after": after, "limit": limit})
    return [ThreadKey(team, row["channel_id"], row["thread_ts"]) for row in rows]


def _next_due() -> Transaction[float | None]:
    now = yield from arrivals.clock()
    rows = yield Query("next_due", {"now": now})
    due = rows[0]["due"]
    return None if due is None else max(0, due - now) / 1000


def _run(name: str, params: Mapping[str, str]) -> Transaction[None]:
    yield Query(name, params)
