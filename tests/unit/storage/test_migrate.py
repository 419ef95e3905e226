import hashlib
from typing import Any, get_args

import pytest

from bot.errors import StoreError, StoreForeign
from storage import migrate as module
from storage.connector import Dialect, Query, Transaction
from storage.migrate import migrate, migrations
from storage.sqlite import SQLite

QUERIES = {"schema": "SELECT name, sql FROM sqlite_schema ORDER BY name"}

# Once released, a migration never changes: a database that has seen it will not see it again.
FROZEN: dict[Dialect, dict[str, str]] = {
    "sqlite": {
        "0001_initial.sql": "79e9f023aaa86393abbb3ee8eace14174f38d3491eeb98afa42a25383287e14d",
        "0002_heard.sql": "b30c883c5c2f6062a4de0753e51084b48d25c1154574c64e3466411279afd0b1",
        "0003_ledger_channels.sql": "ca1b472cb616d42fad603ac1952b93be90095cc9b2644af92ce3eeac6c11634c",
        "0004_summary.sql": "da1413e3a059d11264e3973a283d2bb32478f8173765205ea5f70575281a2844",
        "0005_files.sql": "d7fe99307b1343fb7411e763689e30f93d042f6d365b7968a34c08d16064f26d",
        "0006_feedback.sql": "58037aa2ed2ec67fcfcab6cf4e29d2b9ab5755f8115a3bdef748120badf1691b",
        "0007_about.sql": "124ca19b7e9169d47a10f0ae2be742886dca3f32ed4fb26761f504b85b14b2b1",
        "0008_steps.sql": "41356bbf840449bcb8de03984a312ed7d3c8fc5f2c820edeaa6ea5f53c1a5749",
        "0009_bots.sql": "c60a4d0274c9856322b45b25afa90956b5bf85bb76fd78eb527b17384d00fbf2",
        "0010_forgotten.sql": "e112d794a42fcd5350e60dbee23d33ebbe4a0c766997cbef637310ae74e2f3e7",
        "0011_spent_days.sql": "3755a837307a3a53ade0d9d07571dbc6191f910662964084b6323693696db16b",
        "0012_workers.sql": "dccc24d700b0a8b3c84b106cf7e9ed8f167de708388089af44ec4ea0b44e4263",
    },
    "postgres": {
        "0001_initial.sql": "cf7d8181b62ed6c64df5aecaf15db3383dc4c659fe20d975e2a1914231569dcd",
        "0002_heard.sql": "d73fbfb3d3da3cd6ebee2540cc777ba5b4b173beb3c32539f537559211929d78",
        "0003_ledger_channels.sql": "9372638b38c506a7d69dec174a33ec8661c447e3a6a50579410a63afa5bd3dbd",
        "0004_summary.sql": "6e5c1b6ccd654953652b575183d1b0ba90bbff7bd0c89ec4b465c633fe2112a8",
        "0005_files.sql": "08fbd83051a045c7eb9a9f997e043d7513760ecf99a02b38ec59d90eee292665",
        "0006_feedback.sql": "f8c6fc73b4d8d70afd0b6723822ce1cd0cd8f4372278177c4e57496dcd959cf7",
        "0007_about.sql": "3cc18d543432e9060cd2fba10853a1a5863e068dd41727562032b945c8919260",
        "0008_steps.sql": "fd7713d1bc410fb5dec551d7592b4c02f1ddcf4ce5e9d6723b29d266f2cd1e6a",
        "0009_bots.sql": "6de94f278dce8d016015acda7729861a45a0d235eedffba94e32468c8b2ec524",
        "0010_forgotten.sql": "1b7bbbf51c80df17770f908fd250a4264ef9e24ddfe310c520567a59a4c2e329",
        "0011_spent_days.sql": "755bb9b71dc28577cd26603fbda863daa06e12c2e3c249a1b608db646acad008",
        "0012_workers.sql": "872de984459478c69d3136f902efde624f0a5c38eae36bd4f7c6c00b76d4848c",
    },
}


def schema() -> Transaction[list[dict[str, Any]]]:
    rows = yield Query("schema")
    return [dict(row) for row in rows]


@pytest.fixture
async def database(tmp_path):
    connector = await SQLite.open(tmp_path / "bobbin.db", QUERIES)
    yield connector
    await connector.close()


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Two migrations instead of the real ones."""
    directory = tmp_path / "migrations" / "sqlite"
    directory.mkdir(parents=True)
    (directory / "0001_first.sql").write_text("CREATE TABLE a(x);\nCREATE TABLE b(x); -- and a word")
    (directory / "0002_second.sql").write_text("ALTER TABLE a ADD COLUMN y;")
    monkeypatch.setattr(module, "_MIGRATIONS", tmp_path / "migrations")
    return directory


@pytest.mark.parametrize("dialect", get_args(Dialect))
def test_released_migrations_never_change(dialect):
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in migrations(dialect)}
    assert found == FROZEN[dialect]


def test_both_databases_have_the_same_migrations():
    sqlite, postgres = ([path.name for path in migrations(dialect)] for dialect in get_args(Dialect))
    assert sqlite == postgres


async def test_the_real_migrations_apply_and_a_second_time_change_nothing(database):
    await migrate(database)
    once = await database.read(schema)
    await migrate(database)
    assert await database.read(schema) == once
    assert await database.version() == len(migrations("sqlite"))


async def test_what_is_missing_is_applied_in_order(database, scripts):
    later = (scripts / "0002_second.sql").rename(scripts / "later")
    await migrate(database)
    assert await database.version() == 1
    later.rename(scripts / "0002_second.sql")
    await migrate(database)
    assert await database.version() == 2
    assert [row["sql"] for row in await database.read(schema)] == [
        "CREATE TABLE a(x, y)",
        "CREATE TABLE b(x)",
    ]


async def test_a_migration_that_fails_leaves_nothing_behind(database, scripts):
    (scripts / "0002_second.sql").write_text("CREATE TABLE c(x);\nCREATE TABLE a(x);")
    with pytest.raises(StoreError):
        await migrate(database)
    assert await database.version() == 1
    assert [row["name"] for row in await database.read(schema)] == ["a", "b"]


async def test_a_database_one_step_newer_is_accepted_and_two_steps_is_not(database, scripts):
    await migrate(database)
    (scripts / "0002_second.sql").unlink()
    await migrate(database)
    (scripts / "0001_first.sql").unlink()
    with pytest.raises(StoreForeign, match="install the newer Bobbin"):
        await migrate(database)


def test_a_gap_in_the_numbers_is_refused(scripts):
    (scripts / "0004_fourth.sql").touch()
    with pytest.raises(ValueError, match="migration 0003 is missing"):
        migrations("sqlite")
