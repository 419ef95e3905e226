import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from structlog.testing import capture_logs

from bot.errors import StoreError, StoreForeign, StoreInUse, StoreUnavailable
from storage import probe, sqlite
from storage.connector import Query, Transaction
from storage.sqlite import SQLite

QUERIES = {
    "create": "CREATE TABLE note(id INTEGER PRIMARY KEY, caller INTEGER, text TEXT UNIQUE) STRICT",
    "add": "INSERT INTO note(caller, text) VALUES(:caller, :text) RETURNING id",
    "count": "SELECT count(*) AS count FROM note",
    "notes": "SELECT caller, text FROM note ORDER BY id",
    "erase": "DELETE FROM note",
    "limit_pages": "PRAGMA max_page_count = 1",
    "fill": "INSERT INTO note(text) VALUES(hex(randomblob(65536)))",
    "synced": "PRAGMA synchronous",
    "broken": "SELECT nothing FROM nowhere",
}


def ask(name: str, **params: Any) -> Transaction[list[dict[str, Any]]]:
    """One query, as a transaction that returns its rows."""
    rows = yield Query(name, params)
    return [dict(row) for row in rows]


def add(text: str | int, caller: int = 0) -> Transaction[int]:
    rows = yield Query("add", {"caller": caller, "text": text})
    return int(rows[0]["id"])


def add_then_fail(text: str) -> Transaction[None]:
    yield from add(text)
    raise LookupError(text)


def held(entered: threading.Event, leave: threading.Event) -> Transaction[None]:
    """A transaction that stays in the middle of its writes until it may leave."""
    yield from add("held")
    entered.set()
    assert leave.wait(60)


async def count(database: SQLite) -> Any:
    return (await database.read(ask, "count"))[0]["count"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bobbin.db"


@pytest.fixture
async def database(path):
    connector = await SQLite.open(path, QUERIES)
    await connector.write(ask, "create")
    yield connector
    await connector.close()


@pytest.fixture
async def busy(database):
    """Hold the writer in mid-transaction; calling the fixture's value lets it go on."""
    entered, leave = threading.Event(), threading.Event()
    writing = asyncio.create_task(database.write(held, entered, leave))
    await asyncio.to_thread(entered.wait, 60)
    yield leave.set
    leave.set()
    await writing


# ---------------------------------------------------------------- transactions


async def test_a_transaction_returns_its_result_and_is_read_after_it(database):
    assert await database.write(add, "hello") == 1
    assert await database.read(ask, "notes") == [{"caller": 0, "text": "hello"}]


async def test_a_transaction_that_fails_alone_leaves_nothing(database):
    with pytest.raises(LookupError):
        await database.write(add_then_fail, "lost")
    assert await count(database) == 0


async def test_what_may_be_lost_in_a_power_cut_waits_for_no_disk_but_never_keeps_others_from_it(database):
    def level(transaction: list[dict[str, Any]]) -> int:
        return int(transaction[0]["synchronous"])

    normal, full = 1, 2
    assert level(await database.jot(ask, "synced")) == normal
    assert level(await database.write(ask, "synced")) == full
    together = await asyncio.gather(
        database.jot(ask, "synced"), database.write(ask, "synced"), database.jot(ask, "synced")
    )
    assert list(map(level, together)) == [full] * 3
    assert await database.jot(add, "kept") == 1
    assert await database.read(ask, "notes") == [{"caller": 0, "text": "kept"}]


async def test_a_failing_transaction_in_a_batch_hurts_nobody_else(database):
    results = await asyncio.gather(
        database.write(add, "a"),
        database.write(add_then_fail, "lost"),
        database.write(add, "a"),
        database.write(ask, "broken"),
        database.write(add, "b"),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, LookupError, StoreError, StoreError, int]
    assert isinstance(results[2].__cause__, sqlite3.IntegrityError)
    assert [row["text"] for row in await database.read(ask, "notes")] == ["a", "b"]


async def test_a_thousand_writes_at_once_all_land_each_callers_in_its_order(database):
    async def caller(number: int) -> None:
        for step in range(10):
            await database.write(add, f"{number}/{step}", caller=number)

    await asyncio.gather(*(caller(number) for number in range(100)))
    notes = await database.read(ask, "notes")
    assert len(notes) == 1000
    for number in range(100):
        assert [row["text"] for row in notes if row["caller"] == number] == [
            f"{number}/{s}" for s in range(10)
        ]


async def test_reads_see_only_what_is_committed_and_wait_for_no_write(database, busy):
    assert await asyncio.wait_for(count(database), 30) == 0
    busy()
    await database.write(add, "next")
    assert await count(database) == 2


async def test_a_read_cannot_write(database):
    with pytest.raises(StoreError):
        await database.read(add, "no")


async def test_a_cancelled_caller_neither_stops_nor_splits_its_transaction(database, busy):
    tasks = [asyncio.create_task(database.write(add, f"{number}")) for number in range(300)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    busy()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 150
    assert await count(database) == 301


async def test_a_storm_of_cancellations_leaves_no_transaction_open(database):
    for step in range(200):
        writing = asyncio.create_task(database.write(add, f"w{step}"))
        reading = asyncio.create_task(database.read(ask, "notes"))
        for _ in range(step % 5):
            await asyncio.sleep(0)
        writing.cancel()
        reading.cancel()
        await asyncio.gather(writing, reading, return_exceptions=True)
    await database.write(add, "last")
    assert (await database.read(ask, "notes"))[-1]["text"] == "last"
    # Each thread takes its work in order: what the cancelled callers left behind is done by now.
    assert not database._writer.in_transaction
    assert not database._reader.in_transaction


async def test_a_full_disk_fails_the_whole_batch_and_the_next_write_succeeds(database):
    await database.write(ask, "limit_pages")  # SQLite takes this as: not one page more than there are
    results = await asyncio.gather(
        database.write(add, "a"),
        database.write(ask, "fill"),
        database.write(add, "b"),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    assert "the disk is full" in str(results[0])
    assert await database.write(add, "small") == 1


async def test_a_value_that_sqlite_cannot_hold_is_a_store_error(database):
    for value in ("\ud800", 2**63):
        with pytest.raises(StoreError, match="add: SQLite cannot hold a value"):
            await database.write(add, value)
    assert await count(database) == 0


# ---------------------------------------------------------------- the disk


async def test_an_erased_word_is_on_the_disk_no_more_after_a_checkpoint(database, path):
    await database.write(add, "unspeakable")
    await database.write(ask, "erase")
    assert await database.checkpoint()
    assert path.with_name("bobbin.db-wal").stat().st_size == 0
    await database.close()  # reading the file lets go of SQLite's own locks on it
    assert b"unspeakable" not in path.read_bytes()


async def test_commits_go_on_after_a_checkpoint(database):
    assert await database.checkpoint()
    assert await database.write(add, "on") == 1


async def test_writable_writes_to_the_disk(database, path):
    await database.checkpoint()
    assert await database.writable()
    assert path.with_name("bobbin.db-wal").stat().st_size > 0


async def test_a_writer_that_hangs_is_not_writable_says_why_and_is_tried_once_however_many_ask(
    database, busy, monkeypatch
):
    marks: list[None] = []
    monkeypatch.setattr(database._probe, "_write", partial(counted, marks, database._probe._write))
    with capture_logs() as logs, monkeypatch.context() as hurried:
        hurried.setattr(probe, "_SECONDS", 0.05)
        assert not any(await asyncio.gather(*(database.writable() for _ in range(20))))
    assert all("another program has it locked, or the disk hangs" in log["error"] for log in logs)
    assert len(marks) == 1
    busy()
    assert await database.writable()


async def counted(marks, write):
    marks.append(None)
    await write()


async def test_close_finishes_what_waits_and_again_does_nothing(path):
    database = await SQLite.open(path, QUERIES)
    await database.write(ask, "create")
    writes = [asyncio.create_task(database.write(add, f"{number}")) for number in range(600)]
    await asyncio.sleep(0)
    await asyncio.gather(database.close(), database.close())
    assert len(await asyncio.gather(*writes)) == 600
    assert not path.with_name("bobbin.db-wal").exists()
    for refused in (database.write(add, "late"), database.read(ask, "count"), database.checkpoint()):
        with pytest.raises(StoreUnavailable, match="closed"):
            await refused
    assert not await database.writable()


CHILD = """
import asyncio, os, sys
from pathlib import Path
import structlog
from storage.connector import Query, Transaction
from storage.sqlite import SQLite

QUERIES = {"create": "CREATE TABLE note(text TEXT UNIQUE) STRICT", "add": "INSERT INTO note VALUES(:text)"}

def create():
    yield Query("create")

def add(text):
    yield Query("add", {"text": text + "/1"})
    yield Query("add", {"text": text + "/2"})

async def caller(database, number):
    for step in range(1_000_000):
        await database.write(add, f"{number}-{step}")
        os.write(1, f"{number}-{step}\\n".encode())

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is the report

async def main():
    database = await SQLite.open(Path(sys.argv[1]), QUERIES)
    if sys.argv[2] == "forget":
        return
    await database.write(create)
    await asyncio.gather(*(caller(database, number) for number in range(50)))

asyncio.run(main())
"""


def child(path: Path, task: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(path), task], stdout=subprocess.PIPE)


async def test_sigkill_in_mid_batch_loses_nothing_that_was_reported_committed(path):
    with child(path, "write") as process:
        assert process.stdout
        reported = [process.stdout.readline() for _ in range(500)]
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.readlines()
    database = await SQLite.open(path, {"texts": "SELECT text FROM note"})
    found = {row["text"] for row in await database.read(ask, "texts")}
    await database.close()
    whole = {line.decode().strip() for line in reported if line.endswith(b"\n")}
    assert len(whole) >= 500
    assert {f"{text}/{half}" for text in whole for half in "12"} <= found
    assert {text[:-1] + "1" for text in found} == {text[:-1] + "1" for text in found if text.endswith("2")}


def test_a_process_that_forgets_to_close_still_ends(path):
    with child(path, "forget") as process:
        assert process.wait(60) == 0


# ---------------------------------------------------------------- opening


async def test_every_file_is_for_its_owner_only(database, path):
    await database.write(add, "secret")
    files = sorted(path.parent.glob("bobbin.db*"))
    assert [file.name for file in files] == ["bobbin.db", "bobbin.db-shm", "bobbin.db-wal", "bobbin.db.lock"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_missing_directory_is_made_for_its_owner_only(tmp_path):
    database = await SQLite.open(tmp_path / "data" / "bobbin.db", QUERIES)
    await database.close()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


async def test_a_file_that_others_could_read_is_tightened_and_the_log_says_so(path):
    path.touch()
    path.chmod(0o644)
    with capture_logs() as logs:
        database = await SQLite.open(path, QUERIES)
    await database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert any("only its owner" in entry["event"] for entry in logs)


@pytest.mark.parametrize("text", ["hello", "hello " * 10_000])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path, text):
    path.write_text(text)
    with pytest.raises(StoreForeign, match="set DATABASE_URL to another path"):
        await SQLite.open(path, QUERIES)
    assert path.read_text() == text


async def test_another_programs_database_is_refused_and_left_as_it_was(path):
    async with aiosqlite.connect(path) as other:
        await other.execute("CREATE TABLE theirs(x)")
    before = path.read_bytes()
    with pytest.raises(StoreForeign, match=r"bobbin\.db: it is another program's database"):
        await SQLite.open(path, QUERIES)
    assert path.read_bytes() == before


async def test_a_damaged_database_is_refused(path):
    database = await SQLite.open(path, QUERIES)
    await database.write(ask, "create")
    await asyncio.gather(*(database.write(ask, "fill") for _ in range(3)))
    await database.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreUnavailable, match="damaged: restore a backup"):
        await SQLite.open(path, QUERIES)


async def test_a_path_that_cannot_be_used_is_explained(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "bobbin.db"):
        with pytest.raises(StoreUnavailable, match=r"Bobbin \(user id \d+\) must own the file"):
            await SQLite.open(path, QUERIES)


async def test_a_second_process_waits_says_so_once_and_gives_up(path):
    with child(path, "write") as process:
        assert process.stdout
        process.stdout.readline()
        with capture_logs() as logs, pytest.raises(StoreInUse, match="stop that one first"):
            await SQLite.open(path, QUERIES, lock_seconds=0.3)
        process.kill()
        process.stdout.read()
    assert len([entry for entry in logs if "waiting" in entry["event"]]) == 1


async def test_a_second_process_goes_on_as_soon_as_the_first_is_gone(path):
    with child(path, "write") as process:
        assert process.stdout
        process.stdout.readline()
        opening = asyncio.create_task(SQLite.open(path, {}))
        await asyncio.sleep(0)
        process.kill()
        process.stdout.read()
    await (await opening).close()


async def test_the_file_is_opened_for_safety_before_speed(database):
    def settings(connection):
        names = (
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "trusted_schema",
            "secure_delete",
            "mmap_size",
        )
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await sqlite._hop(Path(), database._writer, settings) == ["wal", 2, 1, 0, 1, 0]


# ---------------------------------------------------------------- borders


# Result codes share their numbers with other constants of the module, so they are listed by name.
# What is missing here is no failure (OK, ROW, DONE, NOTICE, WARNING) or never returned.
OURS = [
    "ERROR",
    "INTERNAL",
    "ABORT",
    "NOTFOUND",
    "SCHEMA",
    "TOOBIG",
    "CONSTRAINT",
    "MISMATCH",
    "MISUSE",
    "AUTH",
    "FORMAT",
    "RANGE",
]
THEIRS = [
    "PERM",
    "BUSY",
    "LOCKED",
    "NOMEM",
    "READONLY",
    "INTERRUPT",
    "IOERR",
    "CORRUPT",
    "FULL",
    "CANTOPEN",
    "PROTOCOL",
    "NOLFS",
    "NOTADB",
]


def test_every_result_code_of_sqlite_is_renamed_or_a_bug_of_ours():
    codes = {getattr(sqlite3, f"SQLITE_{name}") for name in [*OURS, *THEIRS]}
    assert codes | {sqlite3.SQLITE_EMPTY} == set(range(1, 27))
    assert set(sqlite._RENAMED) == {getattr(sqlite3, f"SQLITE_{name}") for name in THEIRS}


async def test_aiosqlite_still_has_the_private_call_that_runs_a_whole_transaction(database):
    assert aiosqlite.__version__ == "0.22.1"
    assert list(signature(aiosqlite.Connection._execute).parameters) == ["self", "fn", "args", "kwargs"]
    connection = database._writer
    assert connection._thread.daemon
    ran = await connection._execute(lambda raw: (raw, threading.current_thread()), connection._conn)
    assert ran == (connection._conn, connection._thread)
    assert isinstance(ran[0], sqlite3.Connection)
