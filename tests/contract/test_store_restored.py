"""After a restore: what stands in Slack tells what became of a turn."""

from typing import Any

import pytest

from bot.errors import LeaseLost
from bot.ports import Finish, Line, Part, Seen, Turn
from storage.restoring import Gone, gone, restored
from tests.contract.conftest import Talk


def whole(talk: Talk, at: float, text: str) -> Seen:
    return Seen(talk.ts(at), text, last=True)


def piece(talk: Talk, at: float, text: str) -> Seen:
    return Seen(talk.ts(at), text)


def broken(talk: Talk, at: float) -> Seen:
    return Seen(talk.ts(at), "It broke.", last=True, failed=True)


async def write(talk: Talk, transaction: Any, *args: Any) -> Any:
    connector: Any = talk.store._connector  # type: ignore[attr-defined]
    return await connector.write(transaction, *args)


@pytest.fixture
async def backup(talk: Talk) -> Talk:
    """A database with an answered thread, that was just restored."""
    await talk.ask(0, "@bobbin one", "1")
    await write(talk, restored, Gone())
    return talk


async def asked(talk: Talk, *moments: float) -> Turn:
    for at in moments:
        await talk.say(at, f"@bobbin {at:g}")
    turn = await talk.claim()
    assert turn.doubtful
    return turn


async def settled(talk: Talk, turn: Turn, *seen: Seen) -> Finish | None:
    """Reconcile with what stands there, and close the turn where that ends it."""
    end = await talk.store.reconcile(turn, [whole(talk, 1, "1"), *seen])
    if end is not None:
        await talk.store.finish(turn, end)
    return end


async def answers(talk: Talk) -> list[str]:
    rows = await talk.sql("SELECT text FROM message WHERE role = 'assistant' ORDER BY ts")
    return [row["text"] for row in rows]


async def test_a_question_that_was_answered_since_gets_that_answer(backup: Talk):
    turn = await asked(backup, 10)
    end = await settled(backup, turn, piece(backup, 11, "a long"), whole(backup, 12, "answer"))
    assert end is not None
    assert (end.state, end.answer) == ("answered", "a long\n\nanswer")
    assert await answers(backup) == ["1", "a long\n\nanswer"]
    assert await backup.store.turn_shown("T1", "C1", backup.ts(12)) == turn.id
    assert await backup.store.claim("worker", 10) == []


async def test_a_question_that_was_not_is_asked(backup: Talk):
    assert await settled(backup, await asked(backup, 10)) is None
    assert await answers(backup) == ["1"]


async def test_the_answer_of_the_next_question_is_not_taken_for_this_ones(backup: Talk):
    turn = await asked(backup, 10)
    await backup.say(11, "@bobbin 11")
    seen = whole(backup, 12, "ten"), whole(backup, 13, "eleven")
    end = await settled(backup, turn, *seen)
    assert end is not None
    assert end.answer == "ten"
    end = await settled(backup, await backup.claim(), *seen)
    assert end is not None
    assert end.answer == "eleven"


async def test_what_was_said_after_the_last_answer_waits_for_its_own(backup: Talk):
    turn = await asked(backup, 10, 12, 14)
    end = await settled(backup, turn, whole(backup, 11, "ten"), whole(backup, 13, "twelve"))
    assert end is not None
    assert end.answer == "ten\n\ntwelve"
    turn = await backup.claim()
    assert await backup.read(turn) == [
        "@bobbin one",
        "1",
        "@bobbin 10",
        "@bobbin 12",
        "ten\n\ntwelve",
        "@bobbin 14",
    ]
    assert await settled(backup, turn, whole(backup, 11, "ten"), whole(backup, 13, "twelve")) is None


async def test_an_answer_that_is_not_whole_is_gone_on_with(backup: Talk):
    assert await settled(backup, await asked(backup, 10), piece(backup, 11, "half an")) is None


async def test_an_error_counts_as_what_the_question_got_unless_it_is_tried_again(backup: Talk):
    turn = await asked(backup, 10)
    end = await settled(backup, turn, broken(backup, 11))
    assert end is not None
    assert end.state == "failed"
    assert (await backup.store.retry(turn.id)).wake
    turn = await backup.claim()
    assert not turn.doubtful  # somebody wants it now
    assert await backup.store.reconcile(turn, [broken(backup, 11)]) is None


async def test_what_was_read_with_the_thread_before_does_not_hide_its_question(backup: Talk):
    other = backup.elsewhere("C2")
    await other.say(10, "@bobbin later", late=True)
    turn = await backup.claim()
    assert await backup.store.reconcile(turn, []) is None
    lines = [Line("user", backup.ts(2), "ANN", "@bobbin before"), Line("assistant", backup.ts(3), "", "so")]
    await backup.store.backfill(turn, lines)
    await other.answer(turn, "later", 11)
    assert (await other.say(2, "@bobbin before")).wake
    seen = [whole(backup, 3, "so"), whole(backup, 11, "later")]
    turn = await backup.claim()
    end = await backup.store.reconcile(turn, seen)
    assert end is not None
    assert end.answer == "so"


async def test_what_is_asked_after_the_restore_is_not_doubted(backup: Talk):
    await backup.say(3e8, "@bobbin hello")
    assert not (await backup.claim()).doubtful


async def test_who_lost_the_lease_reconciles_nothing(backup: Talk):
    turn = await asked(backup, 10)
    await backup.lapse(turn)
    await backup.claim()
    with pytest.raises(LeaseLost):
        await backup.store.reconcile(turn, [whole(backup, 11, "ten")])
    assert await answers(backup) == ["1"]


async def test_wishes_orphans_and_numbers_of_before_are_not_taken_up(talk: Talk):
    turn = await talk.ask(0, "@bobbin one", "1")
    assert (await talk.store.again(turn.id, "ANN")).wake
    await talk.say(10, "@bobbin two", root=10)
    stale = next(each for each in await talk.store.claim("worker", 10) if each.id != turn.id)
    await talk.lapse(stale)
    await talk.store.claim("worker", 10)
    with pytest.raises(LeaseLost):
        await talk.store.record_part(stale, Part(talk.ts(11)))
    await talk.sql("UPDATE turn SET state = 'answered', retry_asked = 1 WHERE id = :id", id=turn.id)
    await write(talk, restored, Gone())
    assert await talk.store.orphans() == []
    assert await talk.sql("SELECT id FROM turn WHERE retry_asked <> 0") == []
    await talk.say(20, "@bobbin new", root=20)
    new = next(each for each in await talk.store.claim("worker", 10) if each.thread == talk.thread(20))
    assert new.id > stale.id + 9999
    assert new.conversation > stale.conversation + 9999


async def test_what_was_forgotten_or_deleted_since_the_backup_is_so_in_it_too(talk: Talk):
    await talk.ask(0, "@bobbin swordfish", "1")
    await talk.say(10, "@bobbin marlin", "BEN", root=10)
    await talk.say(20, "@bobbin halibut", "CAT", root=20)
    since = Gone(
        forgotten=(("T1", "", "C1", talk.ts(0), 10**15), ("T1", "BEN", "", "", 10**15)),
        deleted=(("T1", "C1", talk.ts(20)), ("T1", "C9", talk.ts(99))),
    )
    assert await write(talk, restored, since) == 3
    assert await talk.sql("SELECT text FROM message WHERE text <> ''") == []
    known: Gone = await write(talk, gone)
    assert ("T1", "C1", talk.ts(20)) in known.deleted
    assert {row[:4] for row in known.forgotten} == {("T1", "", "C1", talk.ts(0)), ("T1", "BEN", "", "")}


async def test_what_was_forgotten_before_the_backup_does_not_take_what_was_said_after(talk: Talk):
    await talk.store.forget_person("T1", "ANN")
    await talk.say(3e8, "@bobbin said since")
    known: Gone = await write(talk, gone)
    assert await write(talk, restored, known) == 0
    assert [row["text"] for row in await talk.sql("SELECT text FROM message")] == ["@bobbin said since"]
