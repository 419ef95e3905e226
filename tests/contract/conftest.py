"""A store on every database, and the talk of a small workspace.

Another database is one more line of `DATABASES`.
"""

from collections import UserDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bot.conversation import ThreadKey
from bot.events import Deleted, Edited, Muted, Posted, Stopped
from bot.policy import Rules, decide
from bot.ports import Finish, Ingested, Part, Store, Turn
from storage import open_store
from storage.connector import Dialect, Query, Transaction
from storage.queries import percent
from storage.store import ConversationStore

DATABASES = ("sqlite", "postgres")

LEASE = 60.0

Rows = list[dict[str, Any]]


class _Raw(UserDict[str, str]):
    """Queries by name; what is no name is SQL."""

    def __init__(self, queries: Mapping[str, str], dialect: Dialect) -> None:
        super().__init__(queries)
        self.dialect = dialect

    def __missing__(self, sql: str) -> str:
        return percent(sql) if self.dialect == "postgres" else sql


@dataclass
class Talk:
    """A thread in a channel, told to the store: whoever mentions @bobbin calls it."""

    store: Store
    channel: str = "C1"
    team: str = "T1"
    direct: bool = False
    rules: Rules = field(default_factory=Rules)
    _events: "count[int]" = field(default_factory=count)

    def elsewhere(self, channel: str, **more: Any) -> "Talk":
        """The same workspace's people in another channel."""
        return replace(self, channel=channel, **more)

    @staticmethod
    def ts(at: float) -> str:
        """Slack's ts of the moment `at` seconds after the story began."""
        return f"{1_795_000_000 + at:.6f}"

    def thread(self, root: float = 0) -> ThreadKey:
        return ThreadKey(self.team, self.channel, self.ts(root))

    def event(self) -> str:
        return f"Ev{next(self._events)}"

    def message(self, at: float, text: str, who: str = "ANN", root: float = 0, **more: Any) -> Posted:
        fields: dict[str, Any] = {
            "event_id": self.event(),
            "thread": self.thread(root),
            "ts": self.ts(at),
            "direct": self.direct,
            "author": who,
            "text": text,
            "mentions_me": "@bobbin" in text,
        }
        return Posted(**fields | more)

    async def post(self, message: Posted) -> Ingested:
        return await self.store.post(message, partial(decide, message, rules=self.rules))

    async def say(self, at: float, text: str, who: str = "ANN", root: float = 0, **more: Any) -> Ingested:
        return await self.post(self.message(at, text, who, root, **more))

    async def edit(self, message: Posted, at: float) -> Ingested:
        """`message` is the new form; `at` says when."""
        return await self.store.edit(Edited(message, self.ts(at)), partial(decide, message, rules=self.rules))

    async def delete(self, at: float, event_id: str = "") -> Ingested:
        return await self.store.delete(
            Deleted(event_id or self.event(), self.team, self.channel, self.ts(at))
        )

    async def stop(self, root: float = 0) -> Ingested:
        return await self.store.stop(Stopped(self.event(), self.thread(root), "ANN"))

    async def mute(self, *, muted: bool = True, at: float = 0) -> Ingested:
        return await self.store.mute(Muted(self.event(), self.team, self.channel, self.ts(at), muted))

    async def claim(self) -> Turn:
        """The one turn that can be claimed now."""
        [turn] = await self.store.claim("worker", 10)
        return turn

    async def claim_one(self) -> Turn:
        """The first of all that can be claimed now."""
        [turn] = await self.store.claim("worker", 1)
        return turn

    async def answer(self, turn: Turn, text: str, *parts: float) -> bool:
        """Show an answer at these moments (by default right after the question) and close the turn."""
        moments = [self.ts(at) for at in parts] or [f"{turn.newest_ts[:-1]}1"]
        for number, moment in enumerate(moments):
            await self.store.record_part(turn, Part(moment, "answer", number))
        return await self.store.finish(turn, Finish("answered", text))

    async def ask(self, at: float, text: str, answer: str) -> Turn:
        """A whole turn: a mention and its answer a second later."""
        await self.say(at, text)
        turn = await self.claim()
        await self.answer(turn, answer, at + 1)
        return turn

    async def read(self, turn: Turn) -> list[str]:
        """The words that the model reads."""
        return [line.text for line in (await self.store.recall(turn)).lines]

    async def sql(self, statement: str, **params: Any) -> Rows:
        """Look at the tables, or break what no caller of the store can break."""
        assert isinstance(self.store, ConversationStore)
        connector: Any = self.store._connector
        if not isinstance(connector._queries, _Raw):
            connector._queries = _Raw(connector._queries, connector.dialect)

        def run() -> Transaction[Rows]:
            return [dict(row) for row in (yield Query(statement, params))]

        rows: Rows = await connector.write(run)
        return rows

    async def now(self) -> int:
        """The database's clock, in milliseconds."""
        [row] = await self.sql("now")
        return int(row["now"])

    async def lapse(self, turn: Turn) -> None:
        """Its owner has not been heard of for longer than its lease."""
        await self.sql("UPDATE conversation SET lease_until = 1 WHERE id = :id", id=turn.conversation)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bobbin.db'}"
    emptied: Callable[[], str] = request.getfixturevalue("emptied")
    return emptied()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, lease=LEASE, lock_seconds=0) as opened:
        yield opened


@pytest.fixture
def talk(store: Store) -> Talk:
    return Talk(store)


@pytest.fixture
def talk_with() -> type[Talk]:
    """For tests that open the store themselves."""
    return Talk
