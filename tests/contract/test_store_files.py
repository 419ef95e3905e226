"""What was read of files is kept once, with the messages that brought them, and goes with them."""

from hashlib import sha256

import pytest

from bot.errors import LeaseLost
from bot.events import File
from bot.ports import Place, Read, Turn
from tests.contract.conftest import Talk

DATA = b"A secret to forget"
KEPT = Read("txt", size=len(DATA), sha256=sha256(DATA).hexdigest())


async def asked(talk: Talk, *moments: float) -> Turn:
    """A turn whose messages each brought the file F1."""
    for at in moments:
        await talk.say(at, "@bobbin read", files=(File("F1", "a.txt", "text/plain", 3, "https://x/a"),))
    return await talk.claim()


def place(talk: Talk, at: float, file: str = "F1") -> Place:
    return talk.ts(at), file


async def test_what_slack_says_of_a_file_is_kept_with_its_message(talk: Talk):
    turn = await asked(talk, 0)
    [line] = (await talk.store.recall(turn)).lines
    assert line.files == (File("F1", "a.txt", "text/plain", 3, "https://x/a"),)


async def test_a_file_is_found_as_it_was_read_or_refused(talk: Talk):
    turn = await asked(talk, 0, 1)
    first, second = place(talk, 0), place(talk, 1)
    assert await talk.store.reads(turn, [first, second]) == {}
    await talk.store.keep_read(turn, first, KEPT, DATA)
    await talk.store.keep_read(turn, second, Read(reason="gone", name="a.txt"))
    assert await talk.store.reads(turn, [first]) == {first: KEPT}
    assert await talk.store.reads(turn, [first, second, place(talk, 1, "F2")]) == {
        first: KEPT,
        second: Read(reason="gone", name="a.txt"),
    }
    assert await talk.store.file_data([KEPT.sha256, "unknown"]) == {KEPT.sha256: DATA}


async def test_the_same_bytes_are_kept_once_and_go_with_the_last_message(talk: Talk):
    turn = await asked(talk, 0, 1)
    for at in (0, 1):
        await talk.store.keep_read(turn, place(talk, at), KEPT, DATA)
    await talk.delete(0)
    assert await talk.store.file_data([KEPT.sha256]) == {KEPT.sha256: DATA}
    await talk.delete(1)
    assert await talk.store.file_data([KEPT.sha256]) == {}
    assert await talk.store.reads(turn, [place(talk, 0), place(talk, 1)]) == {}


async def test_a_file_that_an_edit_takes_away_goes(talk: Talk):
    turn = await asked(talk, 0)
    await talk.store.keep_read(turn, place(talk, 0), KEPT, DATA)
    same = (File("F1", "a.txt"),)
    await talk.edit(talk.message(0, "@bobbin read it", files=same), 1)
    assert await talk.store.file_data([KEPT.sha256]) == {KEPT.sha256: DATA}
    await talk.edit(talk.message(0, "@bobbin read it", files=(File("F1", "a file", state="gone"),)), 2)
    assert await talk.store.file_data([KEPT.sha256]) == {}


async def test_what_takes_the_place_of_a_file_lets_its_bytes_go(talk: Talk):
    turn = await asked(talk, 0)
    await talk.store.keep_read(turn, place(talk, 0), KEPT, DATA)
    await talk.store.keep_read(turn, place(talk, 0), Read(reason="model"))
    assert await talk.store.reads(turn, [place(talk, 0)]) == {place(talk, 0): Read(reason="model")}
    assert await talk.store.file_data([KEPT.sha256]) == {}


async def test_nothing_is_kept_of_a_file_whose_message_is_gone(talk: Talk):
    turn = await asked(talk, 0, 1)
    await talk.delete(0)
    await talk.store.keep_read(turn, place(talk, 0), KEPT, DATA)
    assert await talk.store.file_data([KEPT.sha256]) == {}


async def test_who_has_lost_the_lease_keeps_nothing(talk: Talk):
    turn = await asked(talk, 0)
    await talk.store.release(turn)
    with pytest.raises(LeaseLost):
        await talk.store.keep_read(turn, place(talk, 0), KEPT, DATA)
    assert await talk.store.file_data([KEPT.sha256]) == {}
