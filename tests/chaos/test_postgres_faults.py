"""Every fault of a PostgreSQL server through the running process (of a file: test_database_faults.py)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import psycopg
import pytest
import pytest_asyncio

from tests.chaos.test_database_faults import PutIn, keeping, suffers
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_process import becomes
from tests.postgres import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = """
import os, sys
import bot.app, bot.turns, storage.postgres
from bot.__main__ import main
from bot.errors import StoreError

bot.turns._AGAIN_SECONDS, bot.app._STORE_AGAIN_SECONDS = 5, 2
storage.postgres._BEGIN = storage.postgres._BEGIN.replace("'15s'", "'1s'")

committed = storage.postgres.Postgres._committed

async def hindered(self, work):
    try:
        return await committed(self, work)
    except (StoreError, storage.postgres._Undone):
        if work.__name__ != "mark":  # which is tried whenever somebody asks whether it is ready
            os.write(1, b'{"event": "tried in vain", "level": "debug"}\\n')
        raise

storage.postgres.Postgres._committed = hindered
sys.exit(main())
"""
"""A statement that writes may take a second. The log has each try that failed."""

ROLE, NAME = "worker", "faults"
TRIES_A_SECOND = 10
"""Each transaction is one of its own, where a file has all that wait in one."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own() -> Server:
    """A server that may be stopped, with a database of a user who is nothing special."""
    server = await asyncio.to_thread(Server.start)
    server.create(NAME)
    as_admin(server, f"CREATE ROLE {ROLE} LOGIN; ALTER DATABASE {NAME} OWNER TO {ROLE}")
    as_admin(server, f"ALTER SCHEMA public OWNER TO {ROLE}", NAME)
    return server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(own: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Bobbin, int]]:
    url = own.url(NAME).replace("postgres@", f"{ROLE}@")
    folder = tmp_path_factory.mktemp("postgres")
    async with keeping(folder, START, DATABASE_URL=url, LEASE_SECONDS="6") as (bobbin, health):
        yield await bobbin.start(), health


def as_admin(server: Server, sql: str, database: str = "postgres") -> None:
    with psycopg.connect(server.url(database), autocommit=True) as admin:
        for statement in sql.split("; "):
            admin.execute(statement.encode())


TERMINATE = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"


@asynccontextmanager
async def no_connections(server: Server, _: Bobbin) -> AsyncIterator[None]:
    """The worker's connections are gone, and no more are given out."""
    as_admin(server, f"ALTER ROLE {ROLE} CONNECTION LIMIT 0; {TERMINATE}")
    yield
    as_admin(server, f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


@asynccontextmanager
async def read_only(server: Server, _: Bobbin) -> AsyncIterator[None]:
    """As a replica is."""
    as_admin(server, f"ALTER ROLE {ROLE} SET default_transaction_read_only = on; {TERMINATE}")
    yield
    as_admin(server, f"ALTER ROLE {ROLE} RESET default_transaction_read_only; {TERMINATE}")


@asynccontextmanager
async def held_up(server: Server, _: Bobbin) -> AsyncIterator[None]:
    """Somebody has the tables locked: each statement takes too long."""
    with psycopg.connect(server.url(NAME)) as other:
        other.execute("LOCK TABLE bobbin, conversation, message, turn, inbox")
        yield


@asynccontextmanager
async def stopped(mode: str, server: Server, _: Bobbin) -> AsyncIterator[None]:
    await asyncio.to_thread(server.halt, mode)
    yield
    await asyncio.to_thread(server.go)


FAULTS: dict[str, tuple[Callable[[Server, Bobbin], AbstractAsyncContextManager[None]], float, str]] = {
    "no connections": (no_connections, 3.0, "the database cannot be written"),
    "read-only": (read_only, 3.0, "it is read-only"),
    "statements too long": (held_up, 3.0, "it took too long"),
    "stopped": (partial(stopped, "fast"), 3.0, "the server is shutting down"),
    "crashed": (partial(stopped, "immediate"), 3.0, "the connection broke"),
}
"""How each is put in, for how many seconds, and what is said of it."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_asked_before_and_during_a_fault_has_one_answer_after_it(
    shared: tuple[Bobbin, int], own: Server, fault: str
) -> None:
    (bobbin, health), (put_in, seconds, said) = shared, FAULTS[fault]
    hindrance: PutIn = partial(put_in, own)
    log = await suffers(bobbin, health, hindrance, seconds, said, tries=TRIES_A_SECOND)
    assert any(said in f"{line['event']} {line.get('error')}" for line in log)


async def test_connections_that_are_ended_again_and_again_in_mid_answer_leave_one_answer(
    shared: tuple[Bobbin, int], own: Server
) -> None:
    bobbin, health = shared
    await becomes(health, "/readyz", 200)
    scene, text = Scene(bobbin), "Four score and seven years ago. " * 50
    bobbin.bedrock.pace = 0.3  # slower than appends are, so that each piece is one
    thread = await scene.mention(f"say exactly: {text}")
    for _ in range(3):  # each time as many are gone as the pool has: it takes a moment to find them all
        before = len(bobbin.slack.calls("chat.appendStream"))
        await bobbin.slack.wait_for(lambda: len(bobbin.slack.calls("chat.appendStream")) > before + 6)  # noqa: B023
        as_admin(own, TERMINATE)
    bobbin.bedrock.pace = 0
    await scene.shows(thread, [text.strip()])
    await at_rest(bobbin)
    await scene.shows(thread, [text.strip()])
    assert await scene.answered(await scene.mention("say exactly: and on")) == ["and on"]
