"""The connector to PostgreSQL, on a real server: what breaks, what is tried again, what nobody knows."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from bot.errors import BadConfiguration, StoreError, StoreForeign, StoreUnavailable
from storage import migrated, open_store, sqlstates
from storage.connector import Query, Transaction
from storage.migrate import migrate, migrations
from storage.postgres import Postgres
from storage.queries import percent
from tests.pgbouncer import pooled

QUERIES = {
    "create": "CREATE TABLE IF NOT EXISTS "
    "word(id bigint PRIMARY KEY, text text NOT NULL CHECK(text <> 'bad'))",
    "add": "INSERT INTO word(id, text) VALUES (:id, :text)",
    "all": "SELECT id, text FROM word ORDER BY id",
    "lock": "SELECT pg_advisory_xact_lock(:key)",
    "sum": "SELECT sum(id) AS sum FROM word",
    "terminate": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
    "AND datname = current_database() AND application_name LIKE 'bobbin%'",
    "cancel_me": "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)",
    "end_me": "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)",
    "forget": "DELETE FROM word",
    "tell": "SELECT pg_notify('bobbin', '')",
    "prepared": "SELECT count(*) AS count FROM pg_prepared_statements",
    "unsynced": "SET LOCAL synchronous_commit = off",
    "synced": "SHOW synchronous_commit",
    "waiting": "SELECT count(*) AS count FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'",
}
NAMED = {name: percent(sql) for name, sql in QUERIES.items()}


def ask(name: str, **params: Any) -> Transaction[list[dict[str, Any]]]:
    return [dict(row) for row in (yield Query(name, params))]


def add(*words: tuple[int, str]) -> Transaction[int]:
    for number, text in words:
        yield Query("add", {"id": number, "text": text})
    return len(words)


@pytest.fixture
def url(postgres: Any) -> str:
    return str(postgres.create("connector"))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Postgres]:
    async with opened(url) as connector:
        yield connector


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Postgres]:
    connector = await Postgres.open(url, NAMED)
    try:
        await connector.write(ask, "create")
        yield connector
    finally:
        await connector.close()


async def words(connector: Postgres) -> list[tuple[int, str]]:
    return [(row["id"], row["text"]) for row in await connector.read(ask, "all")]


# ---------------------------------------------------------------- transactions


async def test_only_what_may_be_lost_in_a_power_cut_does_not_wait_for_the_disk(database: Postgres) -> None:
    levels = [(await do(ask, "synced"))[0] for do in (database.jot, database.write)]
    assert levels == [{"synchronous_commit": "off"}, {"synchronous_commit": "on"}]
    assert await database.jot(add, (1, "one")) == 1
    assert await words(database) == [(1, "one")]


async def test_a_commit_waits_for_the_disk_also_where_the_database_is_set_not_to(url: str) -> None:
    for usual, ours in (("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")):
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f"ALTER DATABASE connector SET synchronous_commit = {usual}".encode())
        async with opened(url) as database:
            assert await database.write(ask, "synced") == [{"synchronous_commit": ours}]


async def test_what_is_written_is_there_and_what_fails_leaves_nothing(database: Postgres) -> None:
    assert await database.write(add, (1, "one"), (2, "two")) == 2
    with pytest.raises(StoreError, match="in add"):
        await database.write(add, (3, "three"), (1, "again"))

    def breaks() -> Transaction[None]:
        yield Query("add", {"id": 4, "text": "four"})
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(breaks)
    assert await words(database) == [(1, "one"), (2, "two")]
    assert await database.read(ask, "sum") == [{"sum": 3}]


async def test_a_read_cannot_write(database: Postgres) -> None:
    with pytest.raises(StoreError):
        await database.read(add, (1, "one"))
    assert await words(database) == []


async def test_a_caller_that_is_cancelled_leaves_no_half(database: Postgres) -> None:
    for number in range(20):
        writing = asyncio.ensure_future(database.write(add, (2 * number, "a"), (2 * number + 1, "b")))
        await asyncio.sleep(0.001 * (number % 5))
        writing.cancel()
    await database.close()
    async with opened_again(database) as again:
        kept = {number for number, _ in await words(again)}
    assert {number ^ 1 for number in kept} == kept


@asynccontextmanager
async def opened_again(database: Postgres) -> AsyncIterator[Postgres]:
    connector = await Postgres.open(_url(database), NAMED)
    yield connector
    await connector.close()


def _url(database: Postgres) -> str:
    told = database._arguments
    return f"postgresql://{told['user']}@{told['host']}:{told['port']}/{told['dbname']}"


async def test_no_error_quotes_what_people_wrote(database: Postgres) -> None:
    with pytest.raises(StoreError) as failed:
        await database.write(add, (1, "bad"))
    assert "(23514 in add" in str(failed.value)
    with pytest.raises(StoreError) as failed:
        await database.write(add, ("swordfish", "one"))  # type: ignore[arg-type]
    assert "swordfish" not in str(failed.value)


async def test_nul_has_no_place_in_postgresqls_text_and_is_marked(database: Postgres) -> None:
    await database.write(add, (1, "a\0b"))
    assert await words(database) == [(1, "a\N{REPLACEMENT CHARACTER}b")]
    with pytest.raises(StoreError, match="cannot hold a value"):
        await database.write(add, (2, "\ud800"))


async def test_two_that_wait_for_each_other_both_get_through(database: Postgres) -> None:
    """PostgreSQL ends one of them: it is run again."""
    both = asyncio.Barrier(2)

    async def crossing(first: int, second: int) -> int:
        runs = 0

        def locks() -> Transaction[int]:
            nonlocal runs
            runs += 1
            yield Query("lock", {"key": 100 + first})
            yield Query("lock", {"key": 100 + second})
            yield Query("add", {"id": first, "text": "x"})
            return runs

        await both.wait()
        return await database.write(locks)

    for _ in range(5):
        runs = await asyncio.gather(crossing(1, 2), crossing(2, 1))
        if max(runs) > 1:
            break
        await database.write(ask, "forget")
    assert [number for number, _ in await words(database)] == [1, 2]


# ---------------------------------------------------------------- a server that breaks off


async def test_a_connection_that_the_server_ends_costs_nothing(database: Postgres) -> None:
    await database.write(add, (1, "one"))
    with psycopg.connect(_url(database), autocommit=True) as other:
        other.execute(QUERIES["terminate"].encode())
    assert await database.write(add, (2, "two")) == 1
    runs = 0

    def ended_once() -> Transaction[None]:
        nonlocal runs
        runs += 1
        yield Query("add", {"id": 3, "text": "three"})
        if runs == 1:
            yield Query("end_me")

    await database.write(ended_once)
    assert (runs, await words(database)) == (2, [(1, "one"), (2, "two"), (3, "three")])


async def test_a_query_that_was_cancelled_is_not_tried_again(database: Postgres) -> None:
    with pytest.raises(StoreUnavailable, match="57014"):
        await database.write(ask, "cancel_me")


class Cut:
    """A proxy that breaks a connection off at its COMMIT: `before` or `after` the server has got it."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.at: str | None = None
        self.closed = False
        self.cuts = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._serving: list[asyncio.Future[Any]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            for writer in self._writers:
                writer.close()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving += [task] if (task := asyncio.current_task()) else []
        if self.closed:
            writer.close()
            return
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        self._writers.append(writer)
        back = asyncio.ensure_future(self._copy(to_reader, writer))
        try:
            while data := await reader.read(65536):
                if self.at and b"COMMIT\0" in data:
                    at, self.at = self.at, None
                    self.cuts += 1
                    self.closed = at == "after, for good"
                    back.cancel()
                    await asyncio.wait([back])
                    if at != "before":
                        to_writer.write(data)
                        await to_reader.read(65536)
                    for each in self._writers if self.closed else [writer]:
                        each.close()
                    return
                to_writer.write(data)
        finally:
            to_writer.close()
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


@asynccontextmanager
async def behind_a_proxy(postgres: Any, url: str) -> AsyncIterator[tuple[Cut, Postgres]]:
    cut = Cut(postgres.port)
    async with cut.running() as port, opened(url.replace(str(postgres.port), str(port))) as connector:
        yield cut, connector


@pytest.mark.parametrize("at", ["before", "after"])
async def test_a_commit_without_an_answer_is_asked_for_and_happens_once(
    postgres: Any, url: str, at: str
) -> None:
    async with behind_a_proxy(postgres, url) as (cut, connector):
        cut.at = at
        assert await connector.write(add, (1, "one")) == 1
        assert cut.cuts == 1
        assert await words(connector) == [(1, "one")]


async def test_a_commit_of_which_nobody_knows_is_no_commit_for_the_caller(
    postgres: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.postgres._PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr("storage.postgres._WAIT_SECONDS", 0.5)
    async with behind_a_proxy(postgres, url) as (cut, connector):
        cut.at = "after, for good"
        with pytest.raises(StoreUnavailable, match="nobody knows"):
            await connector.write(add, (1, "one"))
        cut.closed = False


async def test_a_server_that_is_out_of_reach_is_named_and_its_password_is_not(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        await Postgres.open("postgresql://ann:hunter2@127.0.0.1:1/x", NAMED)
    assert "127.0.0.1" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(StoreUnavailable, match="nothing_here"):
        await Postgres.open(postgres.url("nothing_here"), NAMED)
    with pytest.raises(BadConfiguration) as malformed:
        await Postgres.open("postgresql://ann:hunter2@db/x?colour=blue", NAMED)
    assert "hunter2" not in str(malformed.value)
    monkeypatch.setattr("storage.postgres.OLDEST", 99)
    with pytest.raises(StoreForeign, match="PostgreSQL 13 or newer"):
        await Postgres.open(postgres.url(), NAMED)


async def test_without_the_driver_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "storage.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BadConfiguration, match=r"pip install .*requirements-postgres\.txt"):
        async with open_store("postgres://db/bobbin"):
            pass


def test_what_is_the_servers_trouble_is_waited_for_and_what_is_ours_is_not() -> None:
    """By psycopg's own list of SQLSTATEs."""
    states = [state for state in psycopg.errors._sqlcodes if len(state) == 5]
    theirs = {state for state in states if state.startswith(("08", "28", "40", "53", "57P", "58", "XX"))}
    assert len(theirs) > 20
    assert {type(sqlstates.renamed(state)) for state in theirs} == {StoreUnavailable}
    ours = {state for state in states if state.startswith(("22", "23", "42", "44", "54"))}
    assert {type(sqlstates.renamed(state)) for state in ours - {"42501", "42P07"}} == {StoreError}


# ---------------------------------------------------------------- migrations, news


async def test_workers_that_start_at_once_migrate_once(url: str) -> None:
    connectors = [await Postgres.open(url, NAMED) for _ in range(3)]
    await asyncio.gather(*map(migrate, connectors))
    assert [await connector.version() for connector in connectors] == [len(migrations("postgres"))] * 3
    for connector in connectors:
        await connector.close()


async def test_what_is_looked_up_or_sorted_is_so_byte_by_byte_whatever_the_servers_language(url: str) -> None:
    await migrated(url)
    with psycopg.connect(url) as server:
        others = server.execute("""
            SELECT i.indexrelid::regclass::text, c.collname
            FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid AND t.relnamespace = 'public'::regnamespace
                CROSS JOIN unnest(i.indcollation::oid[]) AS used JOIN pg_collation c ON c.oid = used
            WHERE c.collname <> 'C'""").fetchall()
    assert not others


async def test_a_migration_that_fails_leaves_nothing_behind(database: Postgres) -> None:
    with pytest.raises(StoreError):
        await database.migrate(1, "CREATE TABLE a(x integer); CREATE TABLE word(x integer);")
    assert await database.version() == 0
    assert await database.migrate(1, "CREATE TABLE a(x integer);")
    assert not await database.migrate(1, "CREATE TABLE a(x integer);")
    assert await database.writable()


async def test_a_migration_that_waits_lets_others_through_and_ends_well(
    database: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.postgres._MIGRATE_PAUSE", 0.3)

    async def until_it_waits() -> None:
        async with asyncio.timeout(60):
            while not (await database.write(ask, "waiting"))[0]["count"]:  # noqa: ASYNC110  a table
                await asyncio.sleep(0.01)

    with psycopg.connect(url) as dump, capture_logs() as logs:
        dump.execute("SELECT count(*) FROM word")  # until its end, nobody may have the table alone
        migrating = asyncio.ensure_future(database.migrate(1, "ALTER TABLE word ADD COLUMN more text"))
        for number in range(2):
            await until_it_waits()
            await database.write(add, (number, "written meanwhile"))
        assert not migrating.done()
    assert await migrating
    assert "a migration is tried again" in [log["event"] for log in logs]
    assert (await database.version(), len(await words(database))) == (1, 2)


async def test_another_programs_database_is_left_alone(postgres: Any, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE conversation(id integer)")
    with pytest.raises(StoreForeign, match="another program's tables"):
        await Postgres.open(url, NAMED)


async def test_what_another_worker_tells_is_heard_also_after_a_break(
    database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.postgres._LISTEN_AGAIN_SECONDS", 0.05)
    async with opened(_url(database)) as other, asyncio.timeout(60):
        await database.news()  # it listens now
        for _ in range(2):
            heard = asyncio.ensure_future(database.news())
            await other.write(ask, "tell")
            await heard
            with psycopg.connect(_url(database), autocommit=True) as killer:
                killer.execute(QUERIES["terminate"].encode())
            await database.news()


# ---------------------------------------------------------------- by way of PgBouncer


async def prepared(connector: Postgres) -> int:
    """How many statements its connections prepared for a query that came often."""
    await asyncio.gather(*(connector.read(ask, "all") for _ in range(60)))
    counts = await asyncio.gather(*(connector.read(ask, "prepared") for _ in range(30)))
    return max(int(row["count"]) for [row] in counts)


async def test_what_comes_often_is_prepared(database: Postgres) -> None:
    assert await prepared(database) > 0


async def test_nothing_is_prepared_where_transactions_share_connections(url: str, postgres: Any) -> None:
    with pooled(postgres, url.rpartition("/")[2]) as by_way:
        async with opened(by_way) as connector:
            assert await prepared(connector) == 0
            await connector.write(add, (1, "one"))
            assert await words(connector) == [(1, "one")]


async def test_news_is_not_heard_there_and_is_no_error(url: str, postgres: Any) -> None:
    with pooled(postgres, url.rpartition("/")[2]) as by_way:
        async with opened(by_way) as listening, opened(url) as telling:
            async with asyncio.timeout(60):
                await listening.news()  # it has begun to listen
            hearing = asyncio.ensure_future(listening.news())
            for _ in range(10):
                await telling.write(ask, "tell")
                await listening.write(ask, "tell")
            assert await words(listening) == []
            assert not hearing.done()
            hearing.cancel()
