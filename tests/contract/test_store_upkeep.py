"""Words that must go from the disk, and housekeeping."""

import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.events import File
from bot.ports import Finish, Share
from tests.contract.conftest import Talk

WEEK_MS = 7 * 24 * 3600 * 1000


def on_disk(directory: Path, words: str) -> bool:
    """Whether these words stand in the bytes of any file of the database.

    Read by another process: closing a file here would let go of SQLite's own locks on it.
    """
    files = sorted(directory.glob("bobbin.db*"))
    assert directory / "bobbin.db-wal" in files
    return words.encode() in subprocess.run(["cat", *files], capture_output=True, check=True).stdout


@pytest.fixture
def directory(url, tmp_path):
    if not url.startswith("sqlite:"):
        pytest.skip("the files of this database are its server's")
    return tmp_path


@pytest.mark.parametrize("length", [1, 400])
async def test_deleted_words_are_nowhere_on_the_disk_after_a_scrub(talk, directory, length):
    """Short ones within a page among others, long ones over pages of their own."""
    for at in range(20):
        await talk.say(at, "@bobbin " + f"secret{at:02} " * length, files=(File("F1", f"name{at:02}.txt"),))
    await talk.answer(await talk.claim(), "noted", 30)
    assert on_disk(directory, "secret07")
    await talk.delete(7)
    await talk.store.scrub()
    assert not on_disk(directory, "secret07")
    assert not on_disk(directory, "name07")
    assert on_disk(directory, "secret08")


async def test_the_old_words_of_an_edit_are_nowhere_on_the_disk_after_a_scrub(talk, directory):
    await talk.say(0, "@bobbin my password is swordfish")
    await talk.edit(talk.message(0, "@bobbin my password is none of your business"), at=3)
    await talk.store.scrub()
    assert not on_disk(directory, "swordfish")
    assert on_disk(directory, "none of your business")


async def test_the_words_of_a_deleted_answer_are_nowhere_on_the_disk_after_a_scrub(talk, directory):
    await talk.ask(0, "@bobbin sing", "tirralirra")
    await talk.delete(1)
    await talk.store.scrub()
    assert not on_disk(directory, "tirralirra")


async def test_what_a_process_that_died_left_is_scrubbed_too(talk, directory):
    await talk.say(0, "@bobbin swordfish")
    await talk.sql("UPDATE message SET text = ''")
    assert on_disk(directory, "swordfish")
    await talk.store.scrub()
    assert not on_disk(directory, "swordfish")


async def test_writing_goes_on_after_a_scrub(talk):
    await talk.say(0, "@bobbin one")
    await talk.delete(0)
    await talk.store.scrub()
    await talk.store.scrub()
    await talk.say(1, "@bobbin two")
    assert await talk.read(await talk.claim()) == ["@bobbin two"]
    assert await talk.store.writable()


# ---------------------------------------------------------------- the sweep


async def test_a_conversation_that_was_overlooked_is_mended_and_said(talk):
    await talk.say(0, "@bobbin one")
    await talk.sql("UPDATE conversation SET pending_at = NULL")
    assert await talk.store.claim("worker", 10) == []
    with capture_logs() as logs:
        await talk.store.sweep()
    told = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [(entry["log_level"], entry["count"]) for entry in told] == [("error", 1)]
    assert await talk.read(await talk.claim()) == ["@bobbin one"]


async def test_a_sweep_over_a_sound_store_mends_nothing(talk):
    await talk.ask(0, "@bobbin one", "1")
    await talk.say(2, "thanks", pleasantry=True)
    await talk.elsewhere("C2").say(0, "@bobbin two")
    turn = await talk.claim()
    with capture_logs() as logs:
        await talk.store.sweep()
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []
    assert not await talk.store.finish(turn, Finish("silent"))


async def test_what_guards_against_redelivery_is_purged_after_a_week(talk):
    await talk.store.seen("T1", "old", "invited")
    await talk.delete(0, "Ev")
    for table, column in (("inbox", "received_at"), ("tombstone", "created_at")):
        await talk.sql(f"UPDATE {table} SET {column} = {column} - :week", week=WEEK_MS)
    await talk.store.seen("T1", "new", "invited")
    await talk.delete(1, "new deletion")
    await talk.store.sweep()
    kept = await talk.sql("SELECT event_id FROM inbox ORDER BY event_id")
    assert [row["event_id"] for row in kept] == ["new", "new deletion"]
    assert await talk.sql("SELECT ts FROM tombstone") == [{"ts": talk.ts(1)}]


async def test_alone_on_a_database_a_process_has_all_there_is(talk):
    for _ in range(2):
        assert await talk.store.present("T1") == Share(0, 1)
    await talk.store.absent()


async def test_workers_that_have_ended_are_swept_away(talk):
    await talk.sql("INSERT INTO worker VALUES ('gone', 'T1', 0), ('killed', 'T1', 1)")
    await talk.store.present("T1")
    await talk.store.sweep()
    assert await talk.sql("SELECT id FROM worker WHERE id IN ('gone', 'killed')") == []


async def test_no_turn_waits_for_a_clock_that_stepped_back(talk: Talk) -> None:
    await talk.say(0, "@bobbin 1+1?")
    await talk.store.release(await talk.claim(), 15)
    await talk.sql("UPDATE conversation SET not_before = not_before + 3600000")
    wait = await talk.store.next_due()
    assert wait is not None
    assert wait > 3600
    await talk.store.sweep()
    wait = await talk.store.next_due()
    assert wait is not None
    assert 290 < wait <= 300
