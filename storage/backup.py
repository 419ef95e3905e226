"""Copies of a SQLite database: made beside the Bobbin that uses it, checked, and put back in its place."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiosqlite

from bot.errors import StoreError, StoreForeign, StoreInUse, StoreUnavailable
from storage.connector import Query, Transaction
from storage.migrate import migrate, migrations
from storage.queries import load
from storage.reader import open_reader
from storage.restoring import Gone, gone, restored
from storage.sqlite import SQLite, _hop, _pragma, _renamed
from storage.sqlite_file import lock_file, private, refuse_foreign

Told = Callable[[int, int], None]
"""How much is done, and of how much."""
Counts = Mapping[str, int]
"""Rows by what they are."""

_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands in the database now; `carried`: how much of it was forgotten or deleted since the backup.

    None where that could not be read from the database that was replaced.
    """

    counts: Counts
    carried: int | None


async def back_up(source: Path, target: Path, told: Told) -> Counts:
    """Copy a database as it is at one moment into a new file (0600). Returns what it holds.

    Raises `StoreUnavailable` where the file exists, cannot be written, or the copy is not as it should be.
    """
    target = target.absolute()  # noqa: ASYNC240  asks no disk
    if target.exists():
        raise StoreUnavailable(f"{target}: it exists already: name a new file")
    part = target.with_name(target.name + ".part")
    try:
        async with _discarded(part):
            async with open_reader(source) as reader:
                counts = await _copy(reader, part, told)
            await _check(part, counts)
            os.replace(part, target)  # noqa: PTH105  a rename that replaces
            _sync(target.parent)
    except OSError as error:
        raise StoreUnavailable(f"{target}: {error.strerror}: name a file that I can write") from error
    return counts


async def restore(source: Path, target: Path, *, sure: bool, told: Told) -> Restored:
    """Put a backup in the place of a database that no Bobbin uses.

    What that one knows to be forgotten or deleted since goes in the backup too. Raises `StoreInUse` where
    one runs, or where the database holds something and nobody is `sure`; `StoreForeign` and
    `StoreUnavailable` for what is no sound backup.
    """
    target = target.absolute()  # noqa: ASYNC240  asks no disk
    async with AsyncExitStack() as resources:
        try:
            lock = private(target.with_name(target.name + ".lock"))
            resources.callback(os.close, lock)
            await lock_file(lock, target, 0)
            held, since = await _replaced(target)
            if held != {} and not sure:
                raise StoreInUse(
                    f"{target}: it holds {told_of(held)}. Add --yes to put the backup in its place."
                )
            part = target.with_name(target.name + ".restoring")
            await resources.enter_async_context(_discarded(part))
            async with _opened(source) as backup:
                counts = await _copy(backup, part, told)
            await _check(part, counts)
            carried = await _prepared(part, since or Gone())
            for beside in ("-wal", "-shm"):
                target.with_name(target.name + beside).unlink(missing_ok=True)
            os.replace(part, target)  # noqa: PTH105  a rename that replaces
            _sync(target.parent)
        except OSError as error:
            raise StoreUnavailable(f"{target}: {error.strerror}: let me write to its directory") from error
    return Restored(counts, carried if since is not None else None)


def told_of(counts: Counts | None) -> str:
    """Name what a database holds.

    >>> told_of({"threads": 2, "messages": 1})
    '2 threads, 1 messages'
    """
    if counts is None:
        return "something that I cannot read"
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


async def _replaced(target: Path) -> tuple[Counts | None, Gone | None]:
    """Return what the database holds, {} for nothing, and what is gone from it; None: it cannot be read."""
    if not target.exists() or not target.stat().st_size:  # noqa: ASYNC240  a command waits for its disk
        return {}, Gone()
    try:
        async with open_reader(target) as reader:
            counts = await reader.read(_counts)
            since = await reader.read(gone)
    except StoreError:
        return None, None
    return counts if any(counts.values()) else {}, since


async def _prepared(part: Path, since: Gone) -> int:
    """Bring a copy to this code's schema, and mark it as restored."""
    copy = await SQLite.open(part, load("sqlite"), lock_seconds=0)
    try:
        await migrate(copy)
        carried = await copy.write(restored, since)
        await copy.checkpoint()
    finally:
        await copy.close()
    return carried


@asynccontextmanager
async def _opened(source: Path) -> AsyncIterator[aiosqlite.Connection]:
    """Open a backup for reading. Raises `StoreForeign` for what is none, or one of a newer Bobbin."""
    source = source.absolute()  # noqa: ASYNC240  asks no disk
    if not source.is_file():
        raise StoreUnavailable(f"{source}: there is no such file")
    refuse_foreign(source)
    try:
        async with aiosqlite.connect(
            f"{source.as_uri()}?mode=ro", uri=True, isolation_level=None
        ) as connection:
            version = await _hop(source, connection, lambda raw: int(_pragma(raw, "user_version")))
            if version > len(migrations("sqlite")) + 1:
                raise StoreForeign(f"{source}: a newer Bobbin made it: install that one")
            yield connection
    except aiosqlite.Error as error:
        raise _renamed(source, error) from error


async def _copy(source: SQLite | aiosqlite.Connection, part: Path, told: Told) -> Counts:
    """Copy it, page by page, as it is at one moment; what it holds then."""
    connection = source._reader if isinstance(source, SQLite) else source  # noqa: SLF001  the same package
    os.close(private(part))
    async with aiosqlite.connect(part, isolation_level=None) as copy:
        # Within a transaction the moment is one, however much is written meanwhile.
        await _hop(part, connection, lambda raw: raw.execute("BEGIN"))
        try:
            counts = await _hop(part, connection, _held)
            report = partial(_report, told)
            await connection.backup(copy, pages=_PAGES, progress=report, sleep=0)
        except aiosqlite.Error as error:
            raise _renamed(part, error) from error
        finally:
            await _hop(part, connection, lambda raw: raw.execute("ROLLBACK"))
        # One file, with no log beside it.
        await _hop(part, copy, lambda raw: raw.execute("PRAGMA journal_mode = DELETE").fetchall())
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return counts


def _report(told: Told, _status: int, remaining: int, total: int) -> None:
    told(total - remaining, total)


async def _check(part: Path, counts: Counts) -> None:
    """Make sure that a copy is sound and whole."""
    async with aiosqlite.connect(f"{part.as_uri()}?mode=ro", uri=True, isolation_level=None) as copy:
        found = await _hop(part, copy, lambda raw: _pragma(raw, "integrity_check"))
        strays = await _hop(part, copy, lambda raw: raw.execute("PRAGMA foreign_key_check").fetchall())
        held = await _hop(part, copy, _held)
    if found != "ok" or strays:
        raise StoreUnavailable(f"the copy is damaged ({found}): the database may be too")
    if held != counts:
        raise StoreUnavailable(f"the copy holds {told_of(held)}, and not {told_of(counts)}")


def _held(connection: sqlite3.Connection) -> Counts:
    """Count what a database holds, by queries that every schema knows."""
    tables = {"threads": "conversation", "turns": "turn", "messages": "message"}
    return {
        name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  our own names
        for name, table in tables.items()
    }


def _counts() -> Transaction[Counts]:
    return dict((yield Query("counts"))[0])


@asynccontextmanager
async def _discarded(part: Path) -> AsyncIterator[None]:
    """Leave nothing of an unfinished copy behind."""
    files = [part.with_name(part.name + suffix) for suffix in ("", "-wal", "-shm", "-journal", ".lock")]
    for file in files:
        file.unlink(missing_ok=True)
    try:
        yield
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make a rename last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
