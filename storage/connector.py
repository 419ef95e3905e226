"""How a transaction is run: the one thing a database must bring.

A transaction is a generator. It yields queries by name, is sent the rows of each, and returns its
result:

    def waiting(conversation: int) -> Transaction[int]:
        rows = yield Query("count_waiting", {"conversation": conversation})
        return rows[0]["count"]

So the same transaction runs whole on SQLite's own thread, and would run query by query where each must
be awaited. It may run on any thread: it touches nothing but its arguments.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Dialect = Literal["sqlite", "postgres"]


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

    async def write(self, transaction: Transaction[T]) -> T:
        """Run and commit: on return it is on the disk. What it raises rolls it back, and nothing else.

        Once called it is carried out whole, even if the caller is cancelled.
        """
        ...

    async def read(self, transaction: Transaction[T]) -> T:
        """Run on one snapshot of what is committed; it cannot write."""
        ...

    async def checkpoint(self) -> bool:
        """Bring everything into the database file, so that no erased word is left beside it.

        False when a reader was in the way: try again.
        """
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

    async def migrate(self, version: int, script: str) -> None:
        """Run one migration and note its version, both or neither."""
        ...

    async def close(self) -> None:
        """Finish what is waiting and let go of the database; calling it again does nothing."""
        ...
