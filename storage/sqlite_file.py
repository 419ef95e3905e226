"""The file of a SQLite database: whose it is, who holds it, who may read it."""

import asyncio
import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

import structlog

from bot.errors import StoreForeign, StoreInUse

_log = structlog.get_logger(__name__)

APPLICATION_ID = 0x534C4254
"""SQLite's mark in the file's header that says whose file it is."""

_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """Which process holds a database file, and which other one waited for it in vain so far.

    Both as host:process, empty where nothing is known; `wanted_at` in Unix seconds.
    """

    owner: str = ""
    other: str = ""
    wanted_at: int = 0


async def lock_file(lock: int, path: Path, seconds: float) -> None:
    """Hold the lock file until it is closed, by `close` or by the end of the process.

    It says who holds it, and who has waited for it since, for the doctor.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    said = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() >= deadline:
                raise StoreInUse(f"{path}: another Bobbin is using it: stop that one first") from None
            if not said:
                owner = _read(lock).owner
                _log.warning(
                    "another process holds the database: waiting",
                    path=str(path),
                    process=owner,
                    seconds=seconds,
                )
                _write(lock, f"{owner}\n{_me()} {time():.0f}\n")
                said = True
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        else:
            _write(lock, f"{_me()}\n")
            return


def holder(path: Path) -> Holder | None:
    """Who holds the database file; None: nobody. Nothing is changed."""
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY)
    except OSError:  # none there, or none of ours
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(lock)
    finally:
        os.close(lock)
    return None


def _me() -> str:
    return f"{os.uname().nodename}:{os.getpid()}"


def _write(lock: int, words: str) -> None:
    with suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(lock, 0)
        os.pwrite(lock, words.encode(), 0)


def _read(lock: int) -> Holder:
    owner, _, rest = os.pread(lock, 1000, 0).decode(errors="replace").partition("\n")
    other, _, at = rest.strip().rpartition(" ")
    return Holder(owner, other, int(at)) if at.isdecimal() else Holder(owner)


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
