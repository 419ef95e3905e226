"""Reads a SQLite database beside the process that owns it: it takes no lock and changes no word."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiosqlite

from bot.errors import StoreUnavailable
from storage.migrate import migrations
from storage.queries import load
from storage.sqlite import SQLite, _hop, _prepare_reader
from storage.sqlite_file import refuse_foreign


@asynccontextmanager
async def open_reader(path: Path) -> AsyncIterator[SQLite]:
    """Open the file for `Connector.read` alone.

    Raises `StoreUnavailable` where there is none, or one that an older Bobbin left; `StoreForeign` where
    it is not Bobbin's.
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
        reader = SQLite(path, load("sqlite"), connection, connection, AsyncExitStack())
        if await reader.version() < len(migrations("sqlite")):
            raise StoreUnavailable(f"{path}: an older Bobbin left it: start this one once")
        yield reader
