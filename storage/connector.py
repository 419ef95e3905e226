"""How a transaction is run: the one thing a database must bring.

A transaction is a generator. It yields queries by name, is sent the rows of each, and returns its
result:

    def waiting(conversation: int) -> Transaction[int]:
        rows = yield Query("count_waiting", {"conversation": conversation})
        return rows[0]["count"]

So the same transaction runs whole on SQLite's own thread, and query by query on PostgreSQL, where each is
awaited. It may run on any thread, and again from its beginning where nothing of it was committed: it
touches nothing but its arguments.

**Several processes.** SQLite's file has one writer, so its transactions run one after the other. On
PostgreSQL those of several workers run at once, each statement on what is committed when it begins. What
must not run at once there takes a lock first, in a statement of its own, so that the next one sees what the
holder before did:

- whatever brings news of one Slack message (twins, edits, deletions, the reply it turns out to be):
  `hold_message`. Whoever reads a whole thread in from Slack: `hold_channel`, against all of these.
- whatever changes a conversation: its row, by `hold`, `hold_thread`, `hold_turn`, `hold_conversation` or
  `hold_quoting`. That is the one point of order of all that is written about a thread: ingest, finish,
  stop, sweep.
- claims one after another: `hold_claims`, for the line is one for all; a conversation that is held by
  somebody just then is left out of it.
- reservations of a workspace's budget: `hold_budget`.
- the places of one person's conversations in the line: `hold_line`.

They are taken in this order. Where two wait for each other all the same, PostgreSQL ends one, and it is run
again. Each of these queries does nothing on SQLite.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, Protocol, TypeAlias, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

Dialect = Literal["sqlite", "postgres"]


def dialect_of(url: str) -> Dialect:
    """Which database a `DATABASE_URL` names."""
    return "postgres" if url.startswith(("postgres://", "postgresql://")) else "sqlite"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of `queries.sql`, and its `:named` parameters."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


class Row(Protocol):
    """One row, read by column name; `dict(row)` works. What `sqlite3.Row` and a dict have in common."""

    def keys(self) -> Iterable[str]:
        """Give the columns' names."""
        ...

    def __getitem__(self, column: str, /) -> Any: ...


Transaction: TypeAlias = Generator[Query, list[Row], T]
"""Sent all rows of each query: an empty list where the statement has none."""


class Connector(Protocol):
    """Runs transactions on one database. Raises only `StoreError`s, and what a transaction itself raises."""

    dialect: Dialect
    exclusive: bool = True
    """Whether no other process works on this database."""

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run and commit: on return it is on the disk. What it raises rolls it back, and nothing else.

        Once called it is carried out whole, even if the caller is cancelled.
        """
        ...

    async def jot(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `write`, but on return it need not be on the disk: it outlives this process, not a power cut.

        Whatever is written afterwards takes it along.
        """
        ...

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run on one snapshot of what is committed; it cannot write."""
        ...

    async def checkpoint(self) -> bool:
        """Bring everything into the database file, so that no erased word is left beside it.

        False when a reader was in the way: try again.
        """
        ...

    async def compact(self) -> None:
        """Give room back that much erased words had taken, where that is worth the time."""
        ...

    async def writable(self) -> bool:
        """Whether a write reaches the disk right now; answers within seconds."""
        ...

    def log_bytes(self) -> int:
        """Give the size of what is committed and stands beside the database file."""
        return 0

    async def version(self) -> int:
        """How many migrations this database has seen; 0 when it is new."""
        ...

    async def migrate(self, version: int, script: str) -> bool:
        """Run one migration and note its version, both or neither; False where another process just did."""
        ...

    async def news(self) -> None:
        """Wait until another process says that there is something to look at (by the query `tell`).

        Where none works on this database, for ever. What is told may be missed: it is a hint.
        """
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Finish what is waiting and let go of the database; calling it again does nothing."""
        ...
