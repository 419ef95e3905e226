"""The connector to PostgreSQL (13 or newer): many workers, each with a small pool of connections.

A transaction is run query by query on one connection. What the server
ends or cuts off before its commit (a restart, two transactions in each other's way) has left no trace and
is run again, for some seconds. Where the connection breaks during COMMIT, the server is asked afterwards
what became of that very transaction; where it cannot tell, the caller is told that nobody knows, which is
never taken for a commit.

It works behind PgBouncer in transaction mode too: nothing is kept in a session, and statements are prepared
only where nothing stands between; only LISTEN is not heard there, and what it tells is found by looking once
a second.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any, Self, cast

import psycopg
import structlog
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from bot.errors import StoreError, StoreUnavailable
from storage.connector import Connector, Dialect, P, Query, Row, T, Transaction
from storage.session import SESSION, Connection, arguments, configure, connected, cut_off, told
from storage.sqlstates import AGAIN, OLDEST, TAKEN, TOO_OLD, renamed

_log = structlog.get_logger(__name__)

CONNECTIONS = 8
"""Of one worker, at most; one more listens."""

_PATIENCE_SECONDS = 5.0
"""How long a transaction is tried again, or waited for a connection; Slack waits 3 s for an ack."""
_WAIT_SECONDS = 15.0
"""For one of the connections: where many wait, the server is busy, and none the worse for it."""
_PAUSE_SECONDS = 0.1
_LISTEN_AGAIN_SECONDS = 2.0
_WRITABLE_SECONDS = 2.0

_MIGRATE_SECONDS = 300.0
"""How long a migration tries to get at its tables."""
_MIGRATE_PAUSE = 2.0

# Each limit holds in its transaction only. The last one frees what a frozen worker has locked.
_LIMITS = """
    SET LOCAL statement_timeout = '15s';
    SET LOCAL lock_timeout = '3s';
    SET LOCAL idle_in_transaction_session_timeout = '5s';
"""
# A commit waits for the disk also where the database, or its user, is set not to; what is stronger stays.
_SYNCED = """
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
"""
_BEGIN = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED; {_LIMITS} {_SYNCED} "
    "SELECT CAST(pg_current_xact_id() AS text) AS number"
)
_BEGIN_SNAPSHOT = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_LIMITS}"
# Whoever waits for a whole table keeps all others from it: a second at a time, with a pause for them.
# The lock of those who migrate is in nobody else's way.
_MIGRATING = """
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '60s';
    SELECT pg_advisory_xact_lock(2);
    SET LOCAL lock_timeout = '1s';
"""


class _Undone(Exception):
    """Nothing of a transaction was committed; it may be run again. `error`: if it is not."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(str(error))
        self.error = error


class Postgres(Connector):
    """One database on a server. Make it with `open`, `close` it at the end."""

    dialect: Dialect = "postgres"
    exclusive = False

    def __init__(
        self, where: Mapping[str, Any], queries: Mapping[str, str], pool: AsyncConnectionPool[Connection]
    ) -> None:
        self._arguments = where
        self._queries = queries
        self._pool = pool
        self._running: set[asyncio.Task[Any]] = set()
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, url: str, queries: Mapping[str, str]) -> Self:
        """Connect to the database at a `postgres://` or `postgresql://` URL; its parameters are libpq's.

        Raises `BadConfiguration` for a URL that cannot be read, `StoreUnavailable` where the server cannot
        be reached, `StoreForeign` where the server is too old or the database another program's.
        """
        found = arguments(url)
        async with connected(found) as connection:
            server = connection.info.server_version
            if server < OLDEST * 10_000:
                raise renamed(TOO_OLD)
            cursor = await connection.execute(
                "SELECT to_regclass('bobbin') IS NULL AND to_regclass('conversation') IS NOT NULL AS taken"
            )
            if (row := await cursor.fetchone()) and row["taken"]:
                raise renamed(TAKEN)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            "",
            kwargs={**found, **SESSION},
            min_size=1,
            max_size=CONNECTIONS,
            open=False,
            timeout=_WAIT_SECONDS,
            reconnect_timeout=_PATIENCE_SECONDS,
            configure=configure,
            name="bobbin",
        )
        await pool.open()
        _log.info("connected to the database", server=server, connections=CONNECTIONS)
        return cls(found, queries, pool)

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Connector.write`. Those of this worker run at once as well."""
        return await self._whole(partial(self._commit, partial(transaction, *args, **kwargs)))

    async def jot(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Connector.jot`."""
        return await self.write(_unsynced, partial(transaction, *args, **kwargs))

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Connector.read`."""
        return await self._whole(partial(self._look, partial(transaction, *args, **kwargs)))

    async def checkpoint(self) -> bool:
        """See `Connector.checkpoint`. Here that is the server's vacuum's, and its operator's."""
        return True

    async def compact(self) -> None:
        """See `Connector.compact`. Likewise."""

    async def writable(self) -> bool:
        """See `Connector.writable`."""

        async def mark(connection: Connection) -> None:
            await connection.execute("UPDATE bobbin SET version = version")

        try:
            async with asyncio.timeout(_WRITABLE_SECONDS):
                await self._committed(mark)
        except (StoreError, _Undone, TimeoutError) as error:
            _log.warning("the database cannot be written", error=str(error))
            return False
        return True

    async def version(self) -> int:
        """See `Connector.version`: a table of one row keeps it."""

        async def version(connection: Connection) -> int:
            cursor = await connection.execute("SELECT to_regclass('bobbin') IS NULL AS missing")
            if (row := await cursor.fetchone()) is None or row["missing"]:
                return 0
            cursor = await connection.execute("SELECT version FROM bobbin")
            found = await cursor.fetchone()
            return int(found["version"]) if found else 0

        return await self._whole(partial(self._patiently, partial(self._committed, version)))

    async def migrate(self, version: int, script: str) -> bool:
        """See `Connector.migrate`. Workers that start at once wait for each other."""

        async def run(connection: Connection) -> bool:
            await connection.execute(_MIGRATING)
            await connection.execute("CREATE TABLE IF NOT EXISTS bobbin(version integer NOT NULL)")
            cursor = await connection.execute("SELECT version FROM bobbin")
            found = await cursor.fetchone()
            if found and found["version"] >= version:
                return False
            await connection.execute(cast(Any, script))
            mark = "UPDATE bobbin SET version = %s" if found else "INSERT INTO bobbin(version) VALUES (%s)"
            await connection.execute(mark, (version,))
            return True

        again = partial(self._patiently, what="a migration", seconds=_MIGRATE_SECONDS, pause=_MIGRATE_PAUSE)
        return await self._whole(partial(again, partial(self._committed, run)))

    async def news(self) -> None:
        """See `Connector.news`."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        await self._news.wait()
        self._news.clear()

    async def close(self) -> None:
        """See `Connector.close`."""
        self._closed = True
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._running:
            await asyncio.wait(self._running, timeout=_PATIENCE_SECONDS)
        await self._pool.close()

    # ------------------------------------------------------------ transactions

    async def _whole(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it in a task of its own: no caller's cancellation leaves a half of it."""
        if self._closed:
            raise StoreUnavailable("Bobbin has closed the database")
        task: asyncio.Task[T] = asyncio.ensure_future(cast(Any, work()))
        self._running.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, should the caller be gone

    async def _commit(self, begin: Callable[[], Transaction[T]]) -> T:
        return await self._patiently(
            lambda: self._committed(lambda connection: self._run(begin(), connection))
        )

    async def _look(self, begin: Callable[[], Transaction[T]]) -> T:
        return await self._patiently(lambda: self._read(begin()))

    async def _patiently(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        what: str = "a transaction",
        seconds: float | None = None,
        pause: float = _PAUSE_SECONDS,
    ) -> T:
        """Do it again, while that is safe and may help."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (_PATIENCE_SECONDS if seconds is None else seconds)
        while True:
            try:
                return await work()
            except _Undone as undone:
                if loop.time() >= deadline:
                    raise undone.error from undone.__cause__
                _log.info(f"{what} is tried again", error=str(undone))
            await asyncio.sleep(pause)

    async def _committed(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do it in a transaction. Raises `_Undone` where nothing came of it and it may be tried again."""
        async with self._connection() as connection:
            async with _undone_by(connection):
                cursor = await connection.execute(_BEGIN)
                await cursor.set_result(-1)
                number = cast(DictRow, await cursor.fetchone())["number"]
                result = await work(connection)
            try:
                cursor = await connection.execute("COMMIT")
            except psycopg.Error as error:
                if not cut_off(error, connection):
                    raise told(error) from error
                lost = error
            else:
                if cursor.statusmessage != "COMMIT":
                    raise StoreError("a transaction in which a query had failed was to be committed")
                return result
        fate = await self._fate(number)
        if fate == "committed":
            return result
        if fate == "aborted":
            raise _Undone(told(lost)) from lost
        raise StoreUnavailable(
            "the connection broke during a commit: nobody knows yet what became of it"
        ) from lost

    async def _fate(self, number: str) -> str | None:
        """Ask the server what became of a transaction whose COMMIT got no answer; None: it did not tell."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_SECONDS
        while loop.time() < deadline:
            try:
                async with self._connection() as connection:
                    cursor = await connection.execute(
                        "SELECT pg_xact_status(CAST(CAST(%s AS text) AS xid8)) AS fate", (number,)
                    )
                    fate = cast(DictRow, await cursor.fetchone())["fate"]
            except (psycopg.Error, _Undone) as error:
                _log.info("the fate of a commit is not known yet", error=type(error).__name__)
            else:
                if fate != "in progress":
                    return cast("str | None", fate)
            await asyncio.sleep(_PAUSE_SECONDS)
        return None

    async def _read(self, transaction: Transaction[T]) -> T:
        async with self._connection() as connection, _undone_by(connection):
            await connection.execute(_BEGIN_SNAPSHOT)
            result = await self._run(transaction, connection)
            await connection.execute("COMMIT")
            return result

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.getconn()
        except PoolTimeout as error:
            raise _Undone(
                StoreUnavailable(f"no connection to the server, or all {CONNECTIONS} are busy")
            ) from error
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    async def _run(self, transaction: Transaction[T], connection: Connection) -> T:
        with closing(transaction):
            try:
                query = next(transaction)
                while True:
                    query = transaction.send(await self._rows(query, connection))
            except StopIteration as end:
                return cast(T, end.value)

    async def _rows(self, query: Query, connection: Connection) -> list[Row]:
        params = {name: _storable(value) for name, value in query.params.items()}
        try:
            cursor = await connection.execute(cast(Any, self._queries[query.name]), params)
            return cast("list[Row]", await cursor.fetchall()) if cursor.description else []
        except UnicodeEncodeError as error:
            raise StoreError(f"{query.name}: PostgreSQL cannot hold a value: {error.reason}") from error
        except psycopg.Error as error:
            error.add_note(query.name)
            raise

    # ------------------------------------------------------------ listening

    async def _listen(self) -> None:
        """Hear what other workers tell, on a connection of its own; what was told before is looked for."""
        while True:
            try:
                async with connected(
                    {**self._arguments, "application_name": "bobbin listening"}
                ) as connection:
                    await connection.execute("LISTEN bobbin")
                    self._news.set()
                    async for _ in connection.notifies():
                        self._news.set()
            except StoreError as error:
                _log.info("not listening just now", error=type(error).__name__)
            await asyncio.sleep(_LISTEN_AGAIN_SECONDS)


@asynccontextmanager
async def _undone_by(connection: Connection) -> AsyncIterator[None]:
    """Roll back what fails, and say whether it may be tried again."""
    try:
        yield
    except BaseException as error:
        await _roll_back(connection)
        if not isinstance(error, psycopg.Error):
            raise
        ours = told(error)
        if cut_off(error, connection) or (error.sqlstate or "").startswith(AGAIN):
            raise _Undone(ours) from error
        raise ours from error


async def _roll_back(connection: Connection) -> None:
    try:
        await connection.rollback()
    except psycopg.Error:
        await connection.close()


def _unsynced(begin: Callable[[], Transaction[T]]) -> Transaction[T]:
    yield Query("unsynced")
    return (yield from begin())


def _storable(value: Any) -> Any:
    """PostgreSQL's text holds no NUL."""
    return (
        value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if isinstance(value, str) and "\0" in value
        else value
    )
