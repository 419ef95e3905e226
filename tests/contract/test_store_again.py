"""Turns that are answered anew: while they run, and again; and what people think of an answer."""

from typing import Any

import pytest

from bot.errors import LeaseLost
from bot.ports import Finish, Stop, Usage

STOP = Stop("end_turn", Usage(10, 5, 3, 2), "request-1")


async def feedback(talk: Any) -> list[tuple[Any, ...]]:
    rows = await talk.sql("SELECT user_id, good, why, version FROM feedback ORDER BY user_id")
    return [tuple(row.values()) for row in rows]


async def versions(talk: Any) -> list[str]:
    return [row["text"] for row in await talk.sql("SELECT text FROM answer_version ORDER BY version")]


# ---------------------------------------------------------------- changed while it is answered


async def test_an_edit_of_what_is_being_answered_lets_it_begin_anew(talk):
    await talk.say(0, "@bobbin red tea?")
    turn = await talk.claim()
    await talk.store.record_answer(turn, "Red.", STOP)
    ingested = await talk.edit(talk.message(0, "@bobbin green tea?"), at=1)
    assert (ingested.outcome, ingested.stop) == ("edited", (turn.id, "edited"))
    assert await talk.store.extend(turn) == "edited"
    anew = await talk.store.restart(turn)
    assert (anew.id, anew.answer, anew.resumed) == (turn.id, None, False)
    assert await talk.read(anew) == ["@bobbin green tea?"]
    assert await talk.store.extend(turn) is None
    assert not await talk.answer(anew, "Green.")


async def test_whoever_takes_it_up_after_a_crash_does_not_show_the_old_answer(talk):
    await talk.say(0, "@bobbin red tea?")
    turn = await talk.claim()
    await talk.edit(talk.message(0, "@bobbin green tea?"), at=1)
    await talk.store.record_answer(turn, "Red.", STOP)
    await talk.sql("UPDATE conversation SET lease_until = 1")
    anew = await talk.claim()
    assert (anew.answer, await talk.read(anew)) == (None, ["@bobbin green tea?"])


async def test_a_change_in_the_last_moment_reopens_the_turn(talk):
    await talk.say(0, "@bobbin red tea?")
    turn = await talk.claim()
    await talk.edit(talk.message(0, "@bobbin green tea?"), at=1)
    assert await talk.answer(turn, "Red.")
    anew = await talk.claim()
    assert (anew.id, anew.earlier, len(anew.parts)) == (turn.id, "Red.", 1)
    assert await talk.read(anew) == ["@bobbin green tea?"]


@pytest.mark.parametrize("why", ["stopped", "deleted"])
async def test_what_a_person_ends_does_not_begin_anew(talk, why):
    await talk.say(0, "@bobbin red tea?")
    turn = await talk.claim()
    await (talk.stop() if why == "stopped" else talk.delete(0))
    assert (await talk.edit(talk.message(0, "@bobbin green tea?"), at=2)).stop is None
    assert await talk.store.extend(turn) == why
    assert not await talk.store.finish(turn, Finish("answered", "Red.", reason=why))


async def test_only_its_owner_begins_anew(talk):
    await talk.say(0, "@bobbin red tea?")
    stale = await talk.claim()
    await talk.sql("UPDATE conversation SET lease_until = 1")
    await talk.claim()
    with pytest.raises(LeaseLost):
        await talk.store.restart(stale)


# ---------------------------------------------------------------- answered again


async def test_an_answer_is_kept_as_a_version_and_left_out_of_what_is_read(talk):
    turn = await talk.ask(0, "@bobbin 1+1?", "3")
    ingested = await talk.store.again(turn.id, turn.asker)
    assert (ingested.outcome, ingested.wake, ingested.note) == ("again", True, None)
    again = await talk.claim()
    assert (again.id, again.earlier, again.resumed, again.summoned) == (turn.id, "3", True, True)
    assert await talk.read(again) == ["@bobbin 1+1?"]
    await talk.answer(again, "2", 1)
    assert await versions(talk) == ["3"]
    await talk.say(5, "and 3 more?")
    assert await talk.read(await talk.claim()) == ["@bobbin 1+1?", "2", "and 3 more?"]


async def test_where_nothing_comes_of_it_the_earlier_answer_holds(talk):
    turn = await talk.ask(0, "@bobbin 1+1?", "2")
    await talk.store.again(turn.id, turn.asker)
    again = await talk.claim()
    assert not await talk.store.finish(again, Finish("cancelled", reason="over budget"))
    assert await versions(talk) == []
    await talk.say(5, "and 3 more?")
    assert await talk.read(await talk.claim()) == ["@bobbin 1+1?", "2", "and 3 more?"]


async def test_who_may_not_is_told_why(talk):
    older = await talk.ask(0, "@bobbin 1+1?", "2")
    newer = await talk.ask(5, "@bobbin 2+2?", "4")
    notes = [
        (await talk.store.again(turn, user)).note
        for turn, user in [(newer.id, "U9"), (older.id, older.asker), (999, older.asker)]
    ]
    assert notes == ["again_not_yours", "again_older", "again_unknown"]
    await talk.store.again(newer.id, newer.asker)
    await talk.claim()
    assert (await talk.store.again(newer.id, newer.asker)).note == "again_busy"


async def test_a_deleted_answer_takes_its_versions_along_and_cannot_be_written_again(talk):
    turn = await talk.ask(0, "@bobbin 1+1?", "3")
    await talk.store.again(turn.id, turn.asker)
    await talk.answer(await talk.claim(), "2", 1)
    await talk.delete(1)
    assert await versions(talk) == []
    assert (await talk.store.again(turn.id, turn.asker)).note == "again_unknown"


async def test_a_failed_turn_is_tried_again(talk):
    await talk.say(0, "@bobbin 1+1?")
    turn = await talk.claim()
    await talk.store.finish(turn, Finish("failed", error="ModelBusy"))
    assert (await talk.store.again(turn.id, turn.asker)).outcome == "retry"
    assert (await talk.claim()).id == turn.id


# ---------------------------------------------------------------- offered


@pytest.mark.parametrize(
    ("text", "offered"), [("@bobbin 2+2?", True), ("@bobbin 1+1!", False), ("@bobbin  1 + 1?", False)]
)
async def test_a_change_in_words_of_an_answered_question_is_an_offer(talk, text, offered):
    turn = await talk.ask(0, "@bobbin 1+1?", "2")
    assert (await talk.edit(talk.message(0, text), at=3)).offer == (turn.id if offered else None)


# ---------------------------------------------------------------- feedback


async def test_the_newest_judgement_of_each_person_counts(talk):
    turn = await talk.ask(0, "@bobbin 1+1?", "3")
    assert await talk.store.turn_shown(talk.team, talk.channel, talk.ts(1)) == turn.id
    assert await talk.store.rate(turn.id, "ANN", good=False)
    assert await talk.store.explain(turn.id, "ANN", "It is 2.")
    assert await talk.store.rate(turn.id, "BEN", good=True)
    assert await feedback(talk) == [("ANN", 0, "It is 2.", 1), ("BEN", 1, "", 1)]
    await talk.store.again(turn.id, turn.asker)
    await talk.answer(await talk.claim(), "2", 1)
    assert await talk.store.rate(turn.id, "ANN", good=True)
    assert await feedback(talk) == [("ANN", 1, "", 2), ("BEN", 1, "", 1)]


async def test_what_is_no_answer_is_not_judged(talk):
    assert await talk.store.turn_shown(talk.team, talk.channel, talk.ts(1)) is None
    assert not await talk.store.rate(7, "ANN", good=True)
    assert not await talk.store.explain(7, "ANN", "Why?")
