"""A connection to PostgreSQL: how it is made, what holds on it, and how its errors read."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

from bot.errors import BadConfiguration, StoreError, StoreUnavailable
from storage.sqlstates import BROKEN, CUT_OFF, renamed

Connection: TypeAlias = psycopg.AsyncConnection[DictRow]

_SERVER: Mapping[str, Any] = {
    "connect_timeout": 5,
    "application_name": "bobbin",
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""What the URL may say otherwise."""


SESSION: Mapping[str, Any] = {"autocommit": True, "prepare_threshold": None, "row_factory": dict_row}


_PREPARE_AFTER = 3


async def configure(connection: Connection) -> None:
    """Set up a connection of the pool.

    Queries that come again are prepared, which halves what the server does for them; but not where something
    stands between, such as PgBouncer, which may give each transaction another connection. That shows by the
    number of the server's process: what stands between has told one of its own.
    """
    connection.adapters.register_loader("numeric", _Whole)
    cursor = await connection.execute("SELECT pg_backend_pid() AS pid")
    if (row := await cursor.fetchone()) and row["pid"] == connection.info.backend_pid:
        connection.prepare_threshold = _PREPARE_AFTER


def arguments(url: str) -> dict[str, Any]:
    """Read a `postgres://` or `postgresql://` URL. Raises `BadConfiguration`, which does not quote it."""
    try:
        told = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        problem = "it cannot be read. Example: postgresql://bobbin:password@db.example.com/bobbin"
        raise BadConfiguration([f"DATABASE_URL: {problem}"]) from None
    return {**_SERVER, **told, "client_encoding": "utf8"}


class _Whole(Loader):
    """Sums of integers come as numeric; Bobbin keeps no fractions."""

    def load(self, data: bytes | bytearray | memoryview) -> int:
        return int(bytes(data))


@asynccontextmanager
async def connected(arguments: Mapping[str, Any]) -> AsyncIterator[Connection]:
    """Yield a connection beside the pool."""
    try:
        connection = await psycopg.AsyncConnection[DictRow].connect(**{**arguments, **SESSION})
    except psycopg.Error as error:
        raise StoreUnavailable(" ".join(str(error).split())) from error  # libpq names no password
    try:
        yield connection
    except psycopg.Error as error:
        raise told(error) from error
    finally:
        await connection.close()


def cut_off(error: psycopg.Error, connection: Connection) -> bool:
    """Whether the connection broke, rather than the server having answered with an error."""
    broken = isinstance(error, psycopg.OperationalError) and (error.sqlstate or BROKEN).startswith(CUT_OFF)
    return connection.closed or broken


def told(error: psycopg.Error) -> StoreError:
    """PostgreSQL's error in Bobbin's words; of its own only the first line, for the others may quote rows."""
    state = error.sqlstate or (BROKEN if isinstance(error, psycopg.OperationalError) else "")
    return renamed(state, error.diag.message_primary or type(error).__name__, getattr(error, "__notes__", ()))
