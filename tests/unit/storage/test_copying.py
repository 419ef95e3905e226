"""From one database into another one, on a real file and a real server: every table, byte for byte."""

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import psycopg
import pytest

from bot.errors import BadConfiguration, StoreError, StoreForeign, StoreInUse, StoreUnavailable
from storage import copied, migrated, open_store, spending
from storage.doctor import examine
from storage.migrate import migrations

COUNT = 1003
"""Rows in each table: two whole pages, and a part of one."""
NAMES = {
    name
    for path in migrations("sqlite")
    for name in re.findall(r"CREATE TABLE (\w+)\(", path.read_text("utf-8"))
} - {"worker"}
"""Who works on a database is nothing that it keeps."""
CHECKED = {"state": "open", "role": "user", "kind": "answer"}
"""Columns that take some words only."""
WORDS = 'it\'s "so" \\ %s :x\n\tÄ 漢字 🧵 {n:04}'


@contextmanager
def quiet(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda _done, _total: None


async def fill(path: Path) -> None:
    """Put rows into every table: all kinds of values, and NULL where there may be none."""
    await migrated(f"sqlite:///{path}")
    async with aiosqlite.connect(path) as database:
        await database.execute("PRAGMA foreign_keys = OFF")
        for table in sorted(NAMES):
            columns = await database.execute_fetchall(f"PRAGMA table_info({table})")
            keys = await database.execute_fetchall(f"PRAGMA foreign_key_list({table})")
            refers = {key[3]: key[2] for key in keys}
            rows = [[value(tuple(column), refers, number) for column in columns] for number in range(COUNT)]
            places = ", ".join("?" * len(rows[0]))
            await database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        await database.commit()
        assert not await database.execute_fetchall("PRAGMA foreign_key_check")


def value(column: tuple[Any, ...], refers: dict[str, str], number: int) -> Any:
    _, name, kind, needed, _, key = column
    if not needed and not key and number % 3 == 1:
        return None
    if name in CHECKED:
        return CHECKED[name]
    if kind == "BLOB":
        return bytes(range(256)) * (number % 5) + number.to_bytes(2, "big")
    if kind == "TEXT":
        return WORDS.format(n=number)
    return 1_795_000_000_000 + number if name.endswith("_at") else 5 * number + 7


async def held(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a database, by table, with their columns in the order of their names."""
    found = {}
    for table in NAMES:
        if url.startswith("sqlite"):
            async with aiosqlite.connect(url.partition(":///")[2]) as database:
                cursor = await database.execute(f"SELECT * FROM {table}")
                names = [each[0] for each in cursor.description]
                rows = [tuple(row) for row in await cursor.fetchall()]
        else:
            with psycopg.connect(url) as server:
                asked = server.execute(f'SELECT * FROM "{table}"'.encode())
                assert asked.description is not None
                names = [each.name for each in asked.description]
                rows = asked.fetchall()
        order = sorted(range(len(names)), key=names.__getitem__)
        found[table] = sorted((tuple(row[place] for place in order) for row in rows), key=repr)
    return found


@pytest.fixture
def server(postgres: Any) -> str:
    return str(postgres.create("copied"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "old.db"
    asyncio.run(fill(path))
    return path


@pytest.fixture
def house(filled: Path, tmp_path: Path) -> str:
    """A database in which every table is full."""
    shutil.copy(filled, tmp_path)
    return f"sqlite:///{tmp_path / 'old.db'}"


async def test_every_table_of_every_migration_goes_there_and_back_byte_for_byte(
    house: str, server: str, tmp_path: Path
) -> None:
    before = await held(house)
    assert {table: len(rows) for table, rows in before.items()} == dict.fromkeys(NAMES, COUNT)
    assert await copied(house, server, quiet) == dict.fromkeys(NAMES, COUNT)
    assert await held(server) == before
    assert await copied(server, f"sqlite:///{tmp_path / 'back.db'}", quiet) == dict.fromkeys(NAMES, COUNT)
    assert await held(f"sqlite:///{tmp_path / 'back.db'}") == before
    assert await held(house) == before


async def test_new_ids_come_after_those_that_were_copied(house: str, server: str) -> None:
    await copied(house, server, quiet)
    with psycopg.connect(server) as connection:
        for table in ("conversation", "turn", "message", "step"):
            sequence = f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))"
            assert connection.execute(sequence.encode()).fetchone() == (5 * (COUNT - 1) + 7 + 1,)


async def test_an_empty_database_is_copied_too_and_counts_from_one(server: str, tmp_path: Path) -> None:
    await migrated(f"sqlite:///{tmp_path / 'old.db'}")
    assert await copied(f"sqlite:///{tmp_path / 'old.db'}", server, quiet) == dict.fromkeys(NAMES, 0)
    with psycopg.connect(server) as connection:
        assert connection.execute("SELECT nextval(pg_get_serial_sequence('turn', 'id'))").fetchone() == (1,)
    async with open_store(server):
        pass


async def test_what_postgresql_cannot_hold_is_there_what_bobbin_would_have_written(
    house: str, server: str, tmp_path: Path
) -> None:
    async with aiosqlite.connect(tmp_path / "old.db") as database:
        await database.execute("UPDATE message SET text = 'a' || char(0) || 'b' WHERE id = 7")
        await database.commit()
    await copied(house, server, quiet)
    with psycopg.connect(server) as connection:
        assert connection.execute("SELECT text FROM message WHERE id = 7").fetchone() == ("a�b",)


async def broken_off(house: str, server: str) -> None:
    """Copy until the server ends it, in the second page of one table."""
    await migrated(server)
    with psycopg.connect(server) as connection:
        connection.execute(
            "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE 'enough'; END $$; "
            f"CREATE TRIGGER break_off BEFORE INSERT ON message FOR EACH ROW WHEN (new.id = {5 * 700 + 7}) "
            "EXECUTE FUNCTION break_off()"
        )
    with pytest.raises(StoreError, match="enough"):
        await copied(house, server, quiet)
    with psycopg.connect(server) as connection:
        connection.execute("DROP FUNCTION break_off CASCADE")
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (500,)


async def test_no_bobbin_starts_on_half_a_copy_and_the_doctor_says_so(house: str, server: str) -> None:
    await broken_off(house, server)
    with pytest.raises(StoreForeign, match="not finished"):
        async with open_store(server):
            pass
    with pytest.raises(StoreForeign, match="not finished"):
        await spending(server, "day", 0)
    [check] = [check for check in await examine(server) if check.name == "database"]
    assert (check.outcome, "not finished" in check.found) == ("failed", True)
    with pytest.raises(BadConfiguration, match="--from: it is itself a copy"):
        await copied(server, "sqlite:////nowhere/else.db", quiet)


async def test_a_copy_that_broke_off_goes_on_where_it_was(house: str, server: str) -> None:
    await broken_off(house, server)
    with psycopg.connect(server) as connection:
        transaction = connection.execute("SELECT xmin FROM message LIMIT 1").fetchone()
        assert transaction is not None
    assert await copied(house, server, quiet) == dict.fromkeys(NAMES, COUNT)
    assert await held(server) == await held(house)
    with psycopg.connect(server) as connection:
        again = "SELECT count(*) FROM message WHERE xmin = %s"
        assert connection.execute(again, transaction).fetchone() == (500,)  # not written a second time


async def test_a_copy_is_gone_on_with_by_the_same_source_as_it_was(
    house: str, server: str, tmp_path: Path
) -> None:
    await broken_off(house, server)
    async with aiosqlite.connect(tmp_path / "old.db") as database:
        await database.execute("UPDATE message SET text = 'edited meanwhile' WHERE id = 7")
        await database.commit()
    with pytest.raises(BadConfiguration, match="before it changed"):
        await copied(house, server, quiet)


async def test_half_a_copy_in_a_file_is_refused_as_well(house: str, tmp_path: Path) -> None:
    await migrated(f"sqlite:///{tmp_path / 'new.db'}")
    async with aiosqlite.connect(tmp_path / "new.db") as database:
        await database.execute("PRAGMA user_version = -17")
        await database.commit()
    new = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(StoreForeign, match="not finished"):
        await spending(new, "day", 0)
    [check] = [check for check in await examine(new) if check.name == "database"]
    assert (check.outcome, "not finished" in check.found) == ("failed", True)
    with pytest.raises(BadConfiguration, match="of another database"):
        await copied(house, new, quiet)


async def test_a_copy_that_is_not_the_same_is_not_used(house: str, server: str) -> None:
    await migrated(server)
    with psycopg.connect(server) as connection:
        connection.execute(
            "CREATE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN new.why = 'no'; RETURN new; END $$; "
            "CREATE TRIGGER lie BEFORE INSERT ON feedback FOR EACH ROW EXECUTE FUNCTION lie()"
        )
    with pytest.raises(StoreUnavailable, match=r"not the same as what was copied \(feedback\)"):
        await copied(house, server, quiet)
    with pytest.raises(StoreForeign, match="not finished"):
        async with open_store(server):
            pass


async def test_a_database_that_holds_something_is_left_alone(house: str, server: str) -> None:
    await migrated(server)
    with psycopg.connect(server) as connection:
        connection.execute("INSERT INTO heard(team_id, heard_at) VALUES ('T1', 1)")
    with pytest.raises(StoreInUse, match=r"--to: it is not empty \(heard 1\)"):
        await copied(house, server, quiet)
    async with open_store(server):
        pass


async def small(path: Path) -> str:
    """A database with one row."""
    await migrated(f"sqlite:///{path}")
    async with aiosqlite.connect(path) as database:
        await database.execute("INSERT INTO heard(team_id, heard_at) VALUES ('T1', 1)")
        await database.commit()
    return f"sqlite:///{path}"


async def test_a_copy_that_was_ended_before_it_could_say_so_says_it_when_given_again(
    server: str, tmp_path: Path
) -> None:
    source = await small(tmp_path / "old.db")
    counts = await copied(source, server, quiet)
    assert await copied(source, server, quiet) == counts
    with psycopg.connect(server) as connection:
        connection.execute("UPDATE heard SET heard_at = 2")
    with pytest.raises(StoreInUse, match=r"--to: it is not empty \(heard 1\)"):
        await copied(source, server, quiet)


def once_copied(happens: Callable[[], object]) -> Callable[[str], Any]:
    """What happens when all was copied, and nothing is checked yet."""

    @contextmanager
    def progress(words: str) -> Iterator[Callable[[int, int], None]]:
        if words == "Checking the copy":
            happens()
        yield lambda _done, _total: None

    return progress


async def test_a_server_that_is_changed_while_it_is_copied_makes_no_copy(server: str, tmp_path: Path) -> None:
    await copied(await small(tmp_path / "old.db"), server, quiet)

    def change() -> None:
        with psycopg.connect(server) as connection:
            connection.execute("UPDATE heard SET heard_at = 2")

    target = f"sqlite:///{tmp_path / 'back.db'}"
    with pytest.raises(StoreInUse, match=r"--from: it was changed while it was copied \(heard\)"):
        await copied(server, target, once_copied(change))
    with pytest.raises(StoreForeign, match="not finished"):
        async with open_store(target):
            pass


async def test_a_bobbin_that_starts_while_its_server_is_copied_is_noticed(
    server: str, tmp_path: Path
) -> None:
    await copied(await small(tmp_path / "old.db"), server, quiet)

    def start() -> None:
        with psycopg.connect(server) as worker:
            worker.execute(
                "INSERT INTO worker SELECT 'w1', 'T1', CAST(extract(epoch FROM now()) * 1000 AS bigint)"
            )

    with pytest.raises(StoreInUse, match="--from: a Bobbin is at work"):
        await copied(server, f"sqlite:///{tmp_path / 'back.db'}", once_copied(start))


async def test_neither_end_may_be_in_use(house: str, server: str, tmp_path: Path) -> None:
    async with open_store(house):
        with pytest.raises(StoreInUse, match=r"--from: .*another Bobbin is using it"):
            await copied(house, server, quiet)
    async with open_store(server) as store:
        await store.present("T1")
        with pytest.raises(StoreInUse, match="--to: a Bobbin is at work"):
            await copied(house, server, quiet)


async def test_what_is_no_place_to_copy_from_or_to_is_named(house: str, server: str, tmp_path: Path) -> None:
    same = f"sqlite:///{tmp_path}/../{tmp_path.name}/old.db"
    secret = "postgresql://bobbin:hunter2@127.0.0.1:1/bobbin"
    wrong: list[tuple[str, str, type[Exception], str]] = [
        (house, same, BadConfiguration, "the same database"),
        (server, server, BadConfiguration, "the same database"),
        ("mysql://x", server, BadConfiguration, "^--from: no database that Bobbin knows"),
        (house, "bobbin.db", BadConfiguration, "^--to: no database that Bobbin knows"),
        (house, "postgresql://bobbin:hunter2@[", BadConfiguration, "^--to: it cannot be read"),
        (f"sqlite:///{tmp_path}/none.db", server, StoreUnavailable, "^--from: .*there is no database"),
        (house, secret, StoreUnavailable, "^--to: "),
    ]
    for source, target, kind, words in wrong:
        with pytest.raises(kind, match=words) as raised:
            await copied(source, target, quiet)
        assert "hunter2" not in str(raised.value)
    assert not (tmp_path / "none.db").exists()


async def test_another_schema_is_named(house: str, server: str, tmp_path: Path) -> None:
    for version, words in (
        (3, "an older Bobbin left it"),
        (len(migrations("sqlite")) + 1, "a newer Bobbin left it"),
    ):
        async with aiosqlite.connect(tmp_path / "old.db") as database:
            await database.execute(f"PRAGMA user_version = {version}")
            await database.commit()
        with pytest.raises((BadConfiguration, StoreUnavailable), match=f"--from: .*{words}"):
            await copied(house, server, quiet)
