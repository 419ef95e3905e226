"""Keeps conversations in a database: `open_store(url)`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.errors import BadConfiguration
from bot.ports import Store
from storage import migrate
from storage.queries import load
from storage.sqlite import SQLite
from storage.store import ConversationStore


@asynccontextmanager
async def open_store(url: str, *, lease: float = 60.0, lock_seconds: float = 20.0) -> AsyncIterator[Store]:
    """Open the database at `url`, bring it to this code's schema, and close it at the end.

    `sqlite:///PATH`, absolute with four slashes. Raises `BadConfiguration` for any other, and the
    `StoreError`s of `SQLite.open` and `migrate`.
    """
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not path:
        # The url stays unsaid: it may hold a password.
        scheme = url.partition("://")[0]
        known = scheme in ("postgres", "postgresql")
        reason = "PostgreSQL is not available in this version" if known else "no database that Bobbin knows"
        raise BadConfiguration([f"DATABASE_URL: {reason}. Example: sqlite:///bobbin.db"])
    connector = await SQLite.open(Path(path), load("sqlite"), lock_seconds=lock_seconds)
    try:
        await migrate.migrate(connector)
        yield ConversationStore(connector, lease=lease)
    finally:
        await connector.close()
