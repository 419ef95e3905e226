"""The connector to SQLite: one file, one process, one thread that writes and one that reads.

The only module that knows aiosqlite. Its public calls cost a hop between threads for every statement,
and a task cancelled between two of them leaves its transaction open for the next; here a transaction
runs whole in one hop. What waits for the writer is committed together, under one sync of the disk.
"""

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

import aiosqlite
import structlog

from bot.errors import StoreError, StoreForeign, StoreUnavailable
from storage.connector import Connector, Dialect, P, Query, Row, T, Transaction
from storage.probe import Probe
from storage.sqlite_file import APPLICATION_ID, lock_file, make_private, private, refuse_foreign

_log = structlog.get_logger(__name__)

_Outcome = tuple[Any, Exception | None]

_BATCH = 256
"""Transactions in one commit at most, so that the first of them does not wait for ever."""

_CHECK_BYTES = 256 * 1024 * 1024
_COMPACT_BYTES = 1024 * 1024

_WAL_RESET_FIXED = (3, 51, 3)
"""https://sqlite.org/wal.html#walresetbug"""

_SETTINGS = """
    PRAGMA busy_timeout = 5000;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA secure_delete = ON;
    PRAGMA mmap_size = 0;
"""

# SQLite's primary result codes (https://sqlite.org/rescode.html). What is not here is a bug of ours.
_RENAMED: Mapping[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreUnavailable, "another program has it locked: close that program"),
    sqlite3.SQLITE_LOCKED: (StoreUnavailable, "another program has it locked: close that program"),
    sqlite3.SQLITE_PROTOCOL: (StoreUnavailable, "another program has it locked: close that program"),
    sqlite3.SQLITE_FULL: (StoreUnavailable, "the disk is full: free some space"),
    sqlite3.SQLITE_READONLY: (StoreUnavailable, "it is read-only: let Bobbin write to it and its directory"),
    sqlite3.SQLITE_PERM: (StoreUnavailable, "access is denied: let Bobbin write to it and its directory"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnavailable, "it cannot be opened: let Bobbin write to its directory"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "the disk fails to read or write: check the disk"),
    sqlite3.SQLITE_NOLFS: (StoreUnavailable, "it is too large for this file system: move it"),
    sqlite3.SQLITE_NOMEM: (StoreUnavailable, "there is no memory left: give Bobbin more"),
    sqlite3.SQLITE_INTERRUPT: (StoreUnavailable, "the query was interrupted"),
    sqlite3.SQLITE_CORRUPT: (StoreUnavailable, "it is damaged: restore a backup"),
    sqlite3.SQLITE_NOTADB: (StoreForeign, "it is no SQLite database: set DATABASE_URL to another path"),
}


class SQLite(Connector):
    """One open database file. Make it with `open`; `close` it, so that the last commits reach the file."""

    dialect: Dialect = "sqlite"

    def __init__(
        self,
        path: Path,
        queries: Mapping[str, str],
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        resources: AsyncExitStack,
    ) -> None:
        self._path = path
        self._queries = queries
        self._writer = writer
        self._reader = reader
        self._resources = resources
        self._files = _files(path)
        self._synced = True  # what the connection that writes is set to
        self._waiting: deque[tuple[Transaction[Any], asyncio.Future[Any], bool]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._probe = Probe(partial(_hop, path, writer, _mark))

    @classmethod
    async def open(cls, path: Path, queries: Mapping[str, str], *, lock_seconds: float = 20.0) -> Self:
        """Open or make the file (0600, its directory 0700) and hold it against other processes.

        Raises `StoreInUse` when another process still holds it after `lock_seconds`, `StoreForeign` when
        it is not Bobbin's, `StoreUnavailable` when it cannot be opened or is damaged.
        """
        path = path.absolute()  # noqa: ASYNC240  asks no disk
        async with AsyncExitStack() as resources:
            try:
                refuse_foreign(path)
                lock = private(path.with_name(path.name + ".lock"))
                resources.callback(os.close, lock)
                await lock_file(lock, path, lock_seconds)
                make_private(path)
            except OSError as error:
                raise StoreUnavailable(
                    f"{path}: {error}. Bobbin (user id {os.getuid()}) must own the file and be able to write "
                    "to its directory."
                ) from error
            writer = await _connect(path, _prepare, resources)
            reader = await _connect(path, _prepare_reader, resources)
            return cls(path, queries, writer, reader, resources.pop_all())
        raise AssertionError("unreachable")

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Connector.write`. Transactions of one batch see each other's writes, in order of arrival."""
        return await self._soon(transaction(*args, **kwargs), synced=True)

    async def jot(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Connector.jot`."""
        return await self._soon(transaction(*args, **kwargs), synced=False)

    async def _soon(self, transaction: Transaction[T], *, synced: bool) -> T:
        self._must_be_open()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((transaction, future, synced))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._commit_waiting())
        return await future

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Connector.read`. Reads wait for each other, never for a write."""
        self._must_be_open()
        return await _hop(self._path, self._reader, partial(self._snapshot, transaction(*args, **kwargs)))

    async def checkpoint(self) -> bool:
        """See `Connector.checkpoint`. Runs between two commits."""
        self._must_be_open()
        return await _hop(self._path, self._writer, _checkpoint)

    async def compact(self) -> None:
        """See `Connector.compact`. Nothing is written meanwhile, so a large file stays as it is."""
        self._must_be_open()
        if await _hop(self._path, self._writer, _compact):
            _log.info("made the database smaller", path=str(self._path))

    async def writable(self) -> bool:
        """See `Connector.writable`."""
        try:
            self._must_be_open()
            self._must_be_in_place()
            await self._probe.must_pass()
        except StoreError as error:
            _log.warning("the database cannot be written", path=str(self._path), error=str(error))
            return False
        return True

    def log_bytes(self) -> int:
        """See `Connector.log_bytes`."""
        log = self._path.with_name(self._path.name + "-wal")
        return log.stat().st_size if log.exists() else 0

    async def version(self) -> int:
        """See `Connector.version`: SQLite keeps it in the file's header."""
        return await _hop(self._path, self._writer, lambda connection: _pragma(connection, "user_version"))

    async def migrate(self, version: int, script: str) -> bool:
        """See `Connector.migrate`."""

        def run(connection: sqlite3.Connection) -> None:
            # executescript commits what is open before it begins: the transaction must stand in the script.
            try:
                connection.executescript(
                    f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {version};\nCOMMIT;"
                )
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

        await _hop(self._path, self._writer, run)
        return True

    async def close(self) -> None:
        """See `Connector.close`."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        async with self._resources:
            if self._writing is not None:
                await asyncio.wait([self._writing])
            try:
                await _hop(self._path, self._writer, _checkpoint)
            except StoreError as error:
                # The commits are safe in the -wal file: the next start brings them over.
                _log.warning("the last checkpoint failed", path=str(self._path), error=str(error))

    def _must_be_open(self) -> None:
        if self._closing is not None:
            raise StoreUnavailable(f"{self._path}: Bobbin has closed it")

    def _must_be_in_place(self) -> None:
        """Files that were moved, replaced or deleted go on taking writes, which no later start would find."""
        if _files(self._path) != self._files:
            raise StoreUnavailable(f"{self._path}: its files were moved or replaced: put them back")

    async def _commit_waiting(self) -> None:
        """Write for all callers, in one task of its own: no caller's cancellation reaches it."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            synced = any(synced for _, _, synced in batch)
            commit = partial(self._commit, [transaction for transaction, _, _ in batch], synced=synced)
            try:
                outcomes = await _hop(self._path, self._writer, commit)
            except Exception as error:  # noqa: BLE001  whatever it is, it belongs to those who wait
                outcomes = [(None, error)] * len(batch)
            # A claim comes behind what is claimed: its turn begins to read while that is acknowledged.
            for (_, future, _), (result, failed) in reversed(list(zip(batch, outcomes, strict=True))):
                if future.done():  # its caller was cancelled and wants no result
                    continue
                if failed is None:
                    future.set_result(result)
                else:
                    future.set_exception(failed)

    def _commit(
        self, transactions: Sequence[Transaction[Any]], connection: sqlite3.Connection, *, synced: bool
    ) -> Sequence[_Outcome]:
        """Give the outcome of each; raises when nothing of the batch was committed."""
        self._must_be_in_place()
        if synced != self._synced:  # a log that is not synced now is synced with the next commit that is
            connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced
        before = connection.total_changes
        with _transaction(connection, "BEGIN IMMEDIATE"):
            if len(transactions) == 1:
                outcomes: list[_Outcome] = [(self._run(transactions[0], connection), None)]
            else:
                outcomes = [self._attempt(transaction, connection) for transaction in transactions]
        if rows := connection.total_changes - before:
            names = ", ".join(getattr(transaction, "__name__", "?") for transaction in transactions)
            _log.debug("committed", transactions=names, rows=rows)
        return outcomes

    def _attempt(self, transaction: Transaction[Any], connection: sqlite3.Connection) -> _Outcome:
        """Run one transaction among others: when it fails, only its own writes are undone."""
        connection.execute("SAVEPOINT attempt")
        outcome: _Outcome
        try:
            outcome = self._run(transaction, connection), None
        except Exception as error:
            if not connection.in_transaction:
                # A full disk and its like make SQLite undo everything: the others' writes are gone too.
                raise
            connection.execute("ROLLBACK TO attempt")
            outcome = None, error
        connection.execute("RELEASE attempt")
        return outcome

    def _snapshot(self, transaction: Transaction[T], connection: sqlite3.Connection) -> T:
        with _transaction(connection, "BEGIN"):
            return self._run(transaction, connection)

    def _run(self, transaction: Transaction[T], connection: sqlite3.Connection) -> T:
        with closing(transaction):
            try:
                query = next(transaction)
                while True:
                    query = transaction.send(self._rows(query, connection))
            except StopIteration as end:
                return cast(T, end.value)

    def _rows(self, query: Query, connection: sqlite3.Connection) -> list[Row]:
        try:
            return connection.execute(self._queries[query.name], query.params).fetchall()
        except sqlite3.Error as error:
            raise _renamed(self._path, error, query.name) from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise StoreError(f"{query.name}: SQLite cannot hold a value: {error}") from error


def _renamed(path: Path, error: sqlite3.Error, query: str = "") -> StoreError:
    """SQLite's error in Bobbin's words. Its extended codes keep the primary one in their low byte."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    kind, words = _RENAMED.get(code, (StoreError, "a query failed"))
    return kind(f"{path}: {words} ({query}{': ' if query else ''}{error})")


async def _hop(path: Path, connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` whole on the connection's own thread; the caller's cancellation does not stop it there."""
    try:
        # aiosqlite's public calls are one statement each; this one is pinned by version and by a test.
        return cast(T, await connection._execute(work, connection._conn))  # type: ignore[no-untyped-call]  # noqa: SLF001
    except sqlite3.Error as error:
        raise _renamed(path, error) from error


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Commit at the end; whatever happens, nothing is left open."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _files(path: Path) -> list[int]:
    """Which files stand at the path just now: the database and its log."""
    try:
        return [file.stat().st_ino for file in (path, path.with_name(path.name + "-wal"))]
    except OSError:
        return []


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _mark(connection: sqlite3.Connection) -> None:
    """Say whose file this is. It writes the first page each time, which proves that commits get through."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _checkpoint(connection: sqlite3.Connection) -> bool:
    # Read as a row: left unread, the statement stays open and the next COMMIT fails.
    return not _pragma(connection, "wal_checkpoint(TRUNCATE)")


def _compact(connection: sqlite3.Connection) -> bool:
    size, pages, free = (_pragma(connection, name) for name in ("page_size", "page_count", "freelist_count"))
    if free * size < _COMPACT_BYTES or free * 4 < pages or (pages - free) * size > _CHECK_BYTES:
        return False
    connection.execute("VACUUM")
    return True


# ---------------------------------------------------------------- opening


async def _connect(
    path: Path, prepare: Callable[[Path, sqlite3.Connection], None], resources: AsyncExitStack
) -> aiosqlite.Connection:
    # isolation_level=None: Python begins no transaction of its own accord.
    connection = aiosqlite.connect(path, isolation_level=None, cached_statements=256)
    connection._thread.daemon = True  # noqa: SLF001  else a forgotten close keeps the process from ending
    try:
        await resources.enter_async_context(connection)
    except sqlite3.Error as error:
        raise _renamed(path, error) from error
    await _hop(path, connection, partial(prepare, path))
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Make sure that the file is ours and sound, then set up the connection that writes."""
    connection.row_factory = sqlite3.Row
    connection.executescript(_SETTINGS)
    if _pragma(connection, "page_count") == 0:
        # Before anything else is written: a crash in between must not leave a file that looks foreign.
        _mark(connection)
    if (mode := _pragma(connection, "journal_mode = WAL")) != "wal":
        raise StoreUnavailable(f"{path}: its file system allows no WAL (only {mode}): use a local disk")
    if path.stat().st_size > _CHECK_BYTES:
        _log.info("the database is large: not checked at the start", path=str(path))
    elif (found := _pragma(connection, "quick_check(1)")) != "ok":
        raise StoreUnavailable(f"{path}: it is damaged: restore a backup ({found})")
    mended = sqlite3.sqlite_version_info >= _WAL_RESET_FIXED
    note = "" if mended else "has the WAL-reset bug, which needs two writing connections: Bobbin has one"
    _log.info("opened the database", path=str(path), sqlite=sqlite3.sqlite_version, note=note)


def _prepare_reader(_: Path, connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    connection.executescript(_SETTINGS + "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0;")
