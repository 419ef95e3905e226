"""The file of a SQLite database: whose it is, who holds it, who may read it."""

import asyncio
import fcntl
import os
import stat
from pathlib import Path

import structlog

from bot.errors import StoreForeign, StoreInUse

_log = structlog.get_logger(__name__)

APPLICATION_ID = 0x534C4254
"""SQLite's mark in the file's header that says whose file it is."""

_LOCK_POLL_SECONDS = 0.1


async def lock_file(lock: int, path: Path, seconds: float) -> None:
    """Hold the lock file until it is closed, by `close` or by the end of the process."""
    deadline = asyncio.get_running_loop().time() + seconds
    said = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() >= deadline:
                raise StoreInUse(f"{path}: another Bobbin is using it: stop that one first") from None
            if not said:
                _log.warning("another process holds the database: waiting", path=str(path), seconds=seconds)
                said = True
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        else:
            return


def refuse_foreign(path: Path) -> None:
    """Leave a file that is not ours untouched: SQLite's header (its first 100 bytes) says whose it is."""
    header = b""
    if path.exists():
        with path.open("rb") as file:
            header = file.read(100)
    if not header:
        return
    if not header.startswith(b"SQLite format 3\0"):
        raise StoreForeign(f"{path}: it is no SQLite database: set DATABASE_URL to another path")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreForeign(f"{path}: it is another program's database: set DATABASE_URL to another path")


def make_private(path: Path) -> None:
    """Make the database file, readable by its owner only; SQLite gives the files beside it the same mode."""
    os.close(private(path))
    for beside in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        if beside.exists():
            os.close(private(beside))


def private(path: Path) -> int:
    """Open or make a file that only its owner may read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if stat.S_IMODE(os.fstat(file).st_mode) & 0o077:
        os.fchmod(file, 0o600)
        _log.warning("others could read the file: now only its owner can", path=str(path))
    return file
