"""Whether the database will carry Bobbin; of a file: place, lock, schema, privacy, SQLite itself.

Beside a running Bobbin it only reads. Where none runs, it opens the file as Bobbin does.
"""

import asyncio
import os
import shutil
import sqlite3
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bot.checks import Check, Outcome
from bot.errors import StoreError, StoreForeign, StoreInUse
from storage.connector import dialect_of
from storage.migrate import FINISH, UNFINISHED, migrations
from storage.queries import load
from storage.reader import open_reader
from storage.sqlite import _WAL_RESET_FIXED, SQLite
from storage.sqlite_file import Holder, holder

_FULL_BYTES = 64 * 2**20
_LOW_BYTES = 2**30
_TRIED_BYTES = 2**16


async def examine(url: str) -> list[Check]:
    """Examine the database at a URL."""
    if dialect_of(url) == "postgres":
        try:
            from storage import server  # noqa: PLC0415  an extra
        except ImportError:
            todo = ".venv/bin/pip install --require-hashes -r requirements-postgres.txt"
            return [Check("database", "failed", "PostgreSQL needs a driver that is not installed", todo)]
        return await server.examine(url)
    path = Path(url.partition(":///")[2]).absolute()  # noqa: ASYNC240  asks no disk
    # In a thread: where the disk hangs, the rest of the doctor goes on.
    first, open_to_others = await asyncio.to_thread(_look, path)
    if open_to_others is not None:
        first = [*await _database(path, open_to_others), *first]
    return [*first, sqlite(sqlite3.sqlite_version_info)]


def _look(path: Path) -> tuple[list[Check], list[str] | None]:
    """Return what the place shows, and which files others can read; None where there is no database yet."""
    folder = next(each for each in path.parents if each.exists())
    refused = _refused(folder)
    free = shutil.disk_usage(folder).free
    if not path.exists():
        return [_place(path, folder, refused), space(folder, free)], None
    room = space(folder, free, refused)
    if (owner := path.stat().st_uid) != os.getuid():
        # What would be made beside it (the lock) would be closed to Bobbin afterwards.
        found = f"{path}: it belongs to user {owner}, and this is user {os.getuid()}"
        todo = "run the doctor as the user that Bobbin runs as"
        return [Check("database", "warning", found, todo), room], None
    return [room], [str(file) for file in _files(path) if file.stat().st_mode & 0o077]


async def _database(path: Path, open_to_others: list[str]) -> list[Check]:
    name = "database"
    more: list[Check] = []
    try:
        try:
            connector = await SQLite.open(path, load("sqlite"), lock_seconds=0)
        except StoreInUse:
            held = await asyncio.to_thread(holder, path) or Holder()
            async with open_reader(path) as reader:
                by = f" ({held.owner})" if held.owner else ""
                check = _schema(await reader.version(), f"{path}: in use by a running Bobbin{by}")
            more = _others(path, held)
        else:
            try:
                check = _schema(await connector.version(), f"{path}: writable")
                if not await connector.writable():
                    check = Check(
                        name, "failed", f"{path}: it cannot be written", "free the disk, let Bobbin write"
                    )
            finally:
                await connector.close()
    except StoreForeign as error:
        return [Check(name, "failed", str(error), "set DATABASE_URL to a path of its own")]
    except StoreError as error:
        todo = f"let user {os.getuid()} own the file and write to its directory; if damaged, restore a backup"
        return [Check(name, "failed", str(error), todo)]
    return [check, *more, _private(path, open_to_others)]


def _others(path: Path, held: Holder) -> list[Check]:
    """Name a second process that wanted the file, and had to wait."""
    if not held.other:
        return []
    at = datetime.fromtimestamp(held.wanted_at, UTC)
    found = f"{held.other} wanted {path} too, at {at:%Y-%m-%d %H:%M} UTC, while {held.owner} has it"
    todo = (
        "stop one of the two, or give it a DATABASE_URL of its own: a file is for one Bobbin, and the second "
        "ends after 20 seconds; several can share a PostgreSQL"
    )
    return [Check("second process", "warning", found, todo)]


def _refused(folder: Path) -> str:
    """Try to write there, and leave nothing: why it cannot be done."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIED_BYTES))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _place(path: Path, folder: Path, refused: str) -> Check:
    """Judge whether the file could be made."""
    if refused:
        found = f"{path}: it cannot be made ({refused})"
        todo = f"let user {os.getuid()} write to {folder}, or set DATABASE_URL to another place"
        return Check("database", "failed", found, todo)
    return Check("database", "ok", f"{path}: none yet; the first start makes it")


def _schema(version: int, found: str) -> Check:
    known = len(migrations("sqlite"))
    if version < 0:
        return Check("database", "failed", UNFINISHED, FINISH)
    if version > known + 1:
        found = f"{found}, but its schema {version} is newer than this Bobbin's ({known})"
        return Check("database", "failed", found, "install the newer Bobbin again, or restore a backup")
    if version < known:
        return Check("database", "ok", f"{found}; the next start brings schema {version} to {known}")
    return Check("database", "ok", f"{found}; schema {version}")


def _files(path: Path) -> list[Path]:
    beside = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", ".lock"))
    return [path, *(file for file in beside if file.exists())]


def _private(path: Path, open_to_others: list[str]) -> Check:
    name = "database file"
    if not open_to_others:
        return Check(name, "ok", "only its owner can read it")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        todo = f"chmod 600 {' '.join(open_to_others)}"
        return Check(name, "warning", "others on this machine can read it", todo)
    todo = "find what changed it (a copy, a restore, a umask): each start closes it again"
    return Check(name, "warning", "others on this machine could read it until now", todo)


def space(folder: Path, free: int, refused: str = "") -> Check:
    """Judge the free bytes of a disk, and what it said to a file that was tried."""
    if refused:
        found = f"nothing can be written to {folder} ({refused})"
        todo = f"free some space there, and let user {os.getuid()} write: Bobbin goes on by itself"
        return Check("disk space", "failed", found, todo)
    outcome: Outcome = "failed" if free < _FULL_BYTES else "warning" if free < _LOW_BYTES else "ok"
    todo = (
        "" if outcome == "ok" else f"free some space on the disk of {folder}: Bobbin stops where it is full"
    )
    return Check("disk space", outcome, f"{free / 2**30:,.1f} GiB free at {folder}", todo)


def sqlite(version: tuple[int, ...]) -> Check:
    """Judge a version of SQLite by its one known bug that matters here."""
    words = ".".join(map(str, version))
    if version >= _WAL_RESET_FIXED:
        return Check("sqlite", "ok", words)
    found = f"{words} can damage a file that two connections write to; Bobbin writes by one"
    todo = "let nothing else write to the file while Bobbin runs, or use a Python with SQLite 3.51.3"
    return Check("sqlite", "warning", found, todo)
