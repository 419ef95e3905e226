"""Reads a SQLite database beside the process that owns it: it takes no lock and changes no word."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiosqlite

from bot.errors import StoreUnavailable
from storage.migrate import migrations, refuse_unfinished
from storage.queries import load
from storage.sqlite import SQLite, _hop, _prepare_reader
from storage.sqlite_file import lock_file, private, refuse_foreign


@asynccontextmanager
async def open_reader(path: Path, queries: Mapping[str, str] | None = None) -> AsyncIterator[SQLite]:
    """Open the file for `Connector.read` alone; `queries` in the place of Bobbin's own.

    Raises `StoreUnavailable` where there is none, or one that an older Bobbin left; `StoreForeign` where
    it is not Bobbin's, or half a copy.
    """
    path = path.absolute()  # noqa: ASYNC240  asks no disk
    if not path.is_file():
        raise StoreUnavailable(f"{path}: there is no database yet: DATABASE_URL says where it is")
    async with AsyncExitStack() as resources:
        try:
            refuse_foreign(path)
            uri = f"{path.as_uri()}?mode=ro"
            connection = await resources.enter_async_context(
                aiosqlite.connect(uri, uri=True, isolation_level=None)
            )
        except (OSError, aiosqlite.Error) as error:
            raise StoreUnavailable(f"{path}: it cannot be read: {error}") from error
        await _hop(path, connection, partial(_prepare_reader, path))
        reader = SQLite(path, queries or load("sqlite"), connection, connection, AsyncExitStack())
        version = await reader.version()
        refuse_unfinished(version)
        if version < len(migrations("sqlite")):
            raise StoreUnavailable(f"{path}: an older Bobbin left it: start this one once")
        yield reader


@asynccontextmanager
async def open_held(path: Path, queries: Mapping[str, str]) -> AsyncIterator[SQLite]:
    """Open the file for reading, and hold it against every other process meanwhile.

    Raises as `open_reader`, and `StoreInUse` where a Bobbin runs on it.
    """
    async with open_reader(path, queries) as reader, AsyncExitStack() as resources:
        path = path.absolute()  # noqa: ASYNC240  asks no disk
        try:
            lock = private(path.with_name(path.name + ".lock"))
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}: let me write to its directory") from error
        resources.callback(os.close, lock)
        await lock_file(lock, path, 0)
        yield reader
