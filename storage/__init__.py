"""Keeps conversations in a database: `open_store(url)`; `spending(url, …)` reads what they cost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from bot.dossier import Dossier
from bot.errors import BadConfiguration, StoreUnavailable
from bot.ports import Spending, Store
from storage import ledger, migrate, why
from storage.connector import Connector, dialect_of
from storage.queries import load
from storage.reader import open_reader
from storage.sqlite import SQLite
from storage.store import ConversationStore


@asynccontextmanager
async def open_store(url: str, *, lease: float = 60.0, lock_seconds: float = 20.0) -> AsyncIterator[Store]:
    """Open the database at `url`, bring it to this code's schema, and close it at the end.

    `sqlite:///PATH`, absolute with four slashes, or `postgres://…`. Raises `BadConfiguration` for any other,
    and the `StoreError`s of the connector's `open` and of `migrate`.
    """
    connector = await _open(url, lock_seconds)
    try:
        await migrate.migrate(connector)
        yield ConversationStore(connector, lease=lease)
    finally:
        await connector.close()


async def spending(url: str, by: Literal["user", "channel", "model", "day"], since: int) -> list[Spending]:
    """Read, beside a running Bobbin, what was spent since a moment (Unix milliseconds).

    Raises `BadConfiguration` for the url, and the `StoreError`s of opening it.
    """
    async with _reading(url) as reader:
        return [Spending(**dict(row)) for row in await reader.read(ledger.spending, by, since)]


@asynccontextmanager
async def _reading(url: str) -> AsyncIterator[Connector]:
    if dialect_of(url) == "sqlite":
        async with open_reader(_path(url)) as reader:
            yield reader
        return
    connector = await _open(url, 0)
    try:
        if await connector.version() < len(migrate.migrations("postgres")):
            raise StoreUnavailable("an older Bobbin left the database: start this one once")
        yield connector
    finally:
        await connector.close()


async def _open(url: str, lock_seconds: float) -> Connector:
    if dialect_of(url) == "sqlite":
        return await SQLite.open(_path(url), load("sqlite"), lock_seconds=lock_seconds)
    try:
        from storage.postgres import Postgres  # noqa: PLC0415  an extra: who uses SQLite need not have it
    except ImportError as error:
        raise BadConfiguration([f"DATABASE_URL: {_EXTRA}"]) from error
    return await Postgres.open(url, load("postgres"))


_EXTRA = (
    "PostgreSQL needs a driver that is not installed: "
    ".venv/bin/pip install --require-hashes -r requirements-postgres.txt"
)


async def dossiers(
    url: str, *, turn: int | None = None, message: tuple[str, str] | None = None
) -> list[Dossier]:
    """Read, beside a running Bobbin, all that is kept of a turn, or of a message (its channel and ts).

    Raises `BadConfiguration` for the url, and the `StoreError`s of opening it.
    """
    async with _reading(url) as reader:
        if message is not None:
            return await reader.read(why.of_message, *message)
        found = None if turn is None else await reader.read(why.of_turn, turn)
        return [] if found is None else [found]


async def has_joined(url: str, channel: str, thread_ts: str) -> bool:
    """Whether Bobbin has joined a thread. Raises as `dossiers` does."""
    async with _reading(url) as reader:
        return await reader.read(why.joined, channel, thread_ts)


def _path(url: str) -> Path:
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not path:
        # The url stays unsaid: it may hold a password.
        raise BadConfiguration(["DATABASE_URL: no database that Bobbin knows. Example: sqlite:///bobbin.db"])
    return Path(path)
