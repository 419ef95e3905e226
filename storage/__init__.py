"""Keeps conversations in a database: `open_store(url)`; `spending(url, …)` reads what they cost."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from math import inf
from pathlib import Path
from typing import Any, Literal

from bot.conversation import ThreadKey
from bot.dossier import Dossier
from bot.errors import BadConfiguration, StoreError, StoreForeign, StoreUnavailable
from bot.insight import Erased
from bot.ports import Spending, Store
from storage import copying, erasure, hearing, inspect, ledger, migrate, why, workers
from storage.connector import Connector, dialect_of
from storage.orders import Orders
from storage.queries import load
from storage.reader import open_held, open_reader
from storage.sqlite import SQLite
from storage.sqlite_file import holder
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
        async with open_reader(database_path(url)) as reader:
            yield reader
        return
    connector = await _open(url, 0)
    try:
        version = await connector.version()
        migrate.refuse_unfinished(version)
        if version < len(migrate.migrations("postgres")):
            raise StoreUnavailable("an older Bobbin left the database: start this one once")
        yield connector
    finally:
        await connector.close()


async def _open(url: str, lock_seconds: float, queries: Mapping[str, str] | None = None) -> Connector:
    queries = queries or load(dialect_of(url))
    if dialect_of(url) == "sqlite":
        return await SQLite.open(database_path(url), queries, lock_seconds=lock_seconds)
    try:
        from storage.postgres import Postgres  # noqa: PLC0415  an extra: who uses SQLite need not have it
    except ImportError as error:
        raise BadConfiguration([f"DATABASE_URL: {_EXTRA}"]) from error
    return await Postgres.open(url, queries)


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


async def quiet(url: str) -> tuple[bool, float]:
    """Whether a Bobbin runs on the database, and for how many seconds no event could come in to one.

    Infinitely many where none ever could. Raises as `spending`.
    """
    async with _reading(url) as reader:
        if reader.exclusive:
            runs = holder(database_path(url)) is not None
        else:
            runs = await reader.read(workers.at_work) > 0
        now, heard_at = await reader.read(hearing.last_heard)
    return runs, (now - heard_at) / 1000 if heard_at else inf


async def teams(url: str) -> list[str]:
    """Which workspaces the database knows; read beside a running Bobbin. Raises as `spending`."""
    async with _reading(url) as reader:
        return await reader.read(erasure.teams)


async def erasable(url: str, order: Mapping[str, str]) -> Erased:
    """Count what would be erased of a person, a thread, else of the workspace. Raises as `spending`."""
    team, user, channel, thread = (order.get(name, "") for name in ("team", "user", "channel", "thread"))
    async with _reading(url) as reader:
        if user:
            return await reader.read(erasure.what_person, team, user)
        if thread:
            return await reader.read(erasure.what_thread, ThreadKey(team, channel, thread))
        return await reader.read(erasure.what_team, team)


async def thread_at(url: str, team: str, channel: str, ts: str) -> ThreadKey:
    """Find the thread of a message; of an unknown one its own. Raises as `spending`."""
    async with _reading(url) as reader:
        return await reader.read(inspect.thread_at, team, channel, ts)


async def exported(url: str, thread: ThreadKey) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Read a thread as it is kept, oldest first, and everybody's names. Raises as `spending`."""
    async with _reading(url) as reader:
        return await reader.read(inspect.exported, thread)


async def migrated(url: str) -> list[str]:
    """Bring the database to this code's schema: the migrations that were missing. Raises as `open_store`."""
    connector = await _open(url, 20.0)
    try:
        return await migrate.migrate(connector)
    finally:
        await connector.close()


async def copied(source: str, target: str, progress: copying.Progress) -> dict[str, int]:
    """Copy the database at one URL into the one at another, or go on with that; the rows of each table.

    Raises `BadConfiguration` where a URL or what stands there is not fit for it, and `StoreError`s.
    """
    places = []
    for name, url in (("--from", source), ("--to", target)):
        with _named(name):
            places.append(database_path(url).resolve() if dialect_of(url) == "sqlite" else url)
    if places[0] == places[1]:
        raise BadConfiguration(["--from and --to are the same database"])
    async with _end("--from", source) as one, _end("--to", target) as other:
        try:
            return await copying.copy(one, other, progress)
        except StoreForeign as error:
            raise BadConfiguration([str(error)]) from error


@asynccontextmanager
async def _end(name: str, url: str) -> AsyncIterator[copying.End]:
    """Open one of the two databases of a copy: what is copied is only read."""
    queries = dict(load(dialect_of(url)))
    async with AsyncExitStack() as resources:
        with _named(name):
            if name == "--from" and dialect_of(url) == "sqlite":
                reader = open_held(database_path(url), queries)
                connector: Connector = await resources.enter_async_context(reader)
            else:
                connector = await _open(url, 0, queries)
                resources.push_async_callback(connector.close)
        yield copying.End(connector, queries)


@contextmanager
def _named(end: str) -> Iterator[None]:
    """Say of which of two databases an error is."""
    try:
        yield
    except BadConfiguration as error:
        raise BadConfiguration(
            [problem.replace("DATABASE_URL", end, 1) for problem in error.problems]
        ) from error
    except StoreForeign as error:
        raise BadConfiguration([f"{end}: {error}"]) from error
    except StoreError as error:
        raise type(error)(f"{end}: {error}") from error


def order_book(url: str) -> Orders | None:
    """Where orders to a running Bobbin are given; None where another process may write as well."""
    return Orders(database_path(url)) if dialect_of(url) == "sqlite" else None


def database_path(url: str) -> Path:
    """Return the file of `sqlite:///PATH`. Raises `BadConfiguration` for any other url."""
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not path:
        # The url stays unsaid: it may hold a password.
        raise BadConfiguration(["DATABASE_URL: no database that Bobbin knows. Example: sqlite:///bobbin.db"])
    return Path(path)
