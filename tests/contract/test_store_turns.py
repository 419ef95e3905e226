"""How turns are read and how they end; who people are."""

from dataclasses import replace
from typing import Any

import pytest

from bot.conversation import ThreadKey
from bot.errors import LeaseLost
from bot.events import Deleted, File, Person
from bot.policy import Rules
from bot.ports import Finish, Line, Part, Stop, Usage
from storage import turns

STOP = Stop("end_turn", Usage(10, 5, 3, 2), "request-1")


# ---------------------------------------------------------------- the ends of a turn


async def test_the_answers_stand_between_the_questions(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    await talk.ask(5, "@bobbin and 3 more?", "5")
    await talk.say(9, "and 4?")
    lines = (await talk.store.recall(await talk.claim())).lines
    assert [(line.role, line.text) for line in lines] == [
        ("user", "@bobbin 1+1?"),
        ("assistant", "2"),
        ("user", "@bobbin and 3 more?"),
        ("assistant", "5"),
        ("user", "and 4?"),
    ]
    assert lines[1].ts == talk.ts(1)


async def test_an_answer_stands_after_what_was_said_while_it_was_written(talk):
    """Slack shows the answer of the first turn after the second question; the model reads it before."""
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    await talk.say(1, "two")
    await talk.answer(turn, "1", 9)
    assert await talk.read(await talk.claim()) == ["@bobbin one", "1", "two"]


async def test_the_answer_and_its_cost_are_on_the_disk_before_the_turn_is_closed(talk):
    await talk.say(0, "@bobbin 1+1?")
    turn = await talk.claim()
    await talk.store.record_answer(turn, "2", STOP)
    [row] = await talk.sql("SELECT * FROM turn WHERE id = :id", id=turn.id)
    assert (row["state"], row["answer"], row["request_id"]) == ("open", "2", "request-1")
    await talk.answer(turn, "2")
    [row] = await talk.sql("SELECT * FROM turn WHERE id = :id", id=turn.id)
    assert (row["state"], row["answer"], row["stop_reason"]) == ("answered", None, "end_turn")
    tokens = [row[f"{kind}_tokens"] for kind in ("input", "output", "cache_read", "cache_write")]
    assert tokens == [10, 5, 3, 2]


@pytest.mark.parametrize("state", ["silent", "failed", "cancelled"])
async def test_a_turn_without_an_answer_leaves_what_was_asked(talk, state):
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    assert not await talk.store.finish(turn, Finish(state, error="ModelBusy"))
    await talk.say(5, "@bobbin two")
    assert await talk.read(await talk.claim()) == ["@bobbin one", "@bobbin two"]
    [row] = await talk.sql("SELECT state, error FROM turn WHERE id = :id", id=turn.id)
    assert row == {"state": state, "error": "ModelBusy"}


async def test_what_people_saw_of_a_broken_answer_is_kept(talk):
    await talk.say(0, "@bobbin count")
    turn = await talk.claim()
    await talk.store.record_part(turn, Part(talk.ts(1)))
    await talk.store.finish(turn, Finish("cancelled", "1, 2,", reason="stopped"))
    await talk.say(5, "@bobbin go on")
    assert await talk.read(await talk.claim()) == ["@bobbin count", "1, 2,", "@bobbin go on"]


async def test_a_turn_is_finished_once(talk):
    turn = await talk.ask(0, "@bobbin 1+1?", "2")
    with pytest.raises(LeaseLost):
        await talk.store.finish(turn, Finish("failed"))


async def test_a_history_only_message_does_not_make_a_finished_conversation_wait(talk):
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    await talk.say(1, "thanks", pleasantry=True)
    assert not await talk.answer(turn, "1", 2)
    assert await talk.store.claim("worker", 10) == []


# ---------------------------------------------------------------- parts


async def test_the_parts_of_a_reply_come_in_their_order(talk):
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    parts = (Part(talk.ts(3), "notice", 0), Part(talk.ts(1), "answer", 1), Part(talk.ts(2), "error", 2))
    for part in (*reversed(parts), parts[0]):
        await talk.store.record_part(turn, part)
    await talk.store.release(turn)
    assert (await talk.claim()).parts == parts


async def test_a_part_that_shows_nothing_any_more_is_deleted_once_the_turn_is_closed(talk):
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    for number in range(2):
        await talk.store.record_part(turn, Part(talk.ts(1 + number), "answer", number))
    assert await talk.store.orphans() == []
    await talk.store.finish(turn, Finish("answered", "1", surplus=(talk.ts(2),)))
    assert await talk.store.orphans() == [("T1", "C1", talk.ts(2))]


async def test_every_message_of_bobbin_is_accounted_for(talk):
    await talk.ask(0, "@bobbin one", "1")
    await talk.say(5, "two")
    turn = await talk.claim()
    await talk.store.record_part(turn, Part(talk.ts(6), "notice"))
    await talk.store.backfill(turn, [Line("assistant", talk.ts(-5), "", "before")])
    other = talk.elsewhere("C2")
    await other.ask(0, "@bobbin elsewhere", "there")
    assert await talk.store.accounted(talk.thread()) == {talk.ts(-5), talk.ts(1), talk.ts(6)}
    assert await talk.store.accounted(ThreadKey("T1", "C1", talk.ts(99))) == set()


# ---------------------------------------------------------------- try again


async def fail(talk: Any, at: float, text: str, shown: str | None = None) -> Any:
    await talk.say(at, text)
    turn = await talk.claim()
    await talk.store.record_part(turn, Part(talk.ts(at + 1), "error"))
    await talk.store.finish(turn, Finish("failed", shown))
    return turn


async def test_a_failed_turn_is_tried_again_before_what_is_newer_and_reads_what_it_read(talk):
    await talk.ask(0, "@bobbin one", "1")
    failed = await fail(talk, 5, "@bobbin two")
    await talk.ask(10, "@bobbin three", "3")
    await talk.say(15, "@bobbin four")
    assert (await talk.store.retry(failed.id)).wake
    again = await talk.claim()
    assert (again.id, again.resumed, again.deaths, again.parts) == (
        failed.id, True, 0, (Part(talk.ts(6), "error"),)
    )  # fmt: skip
    assert await talk.read(again) == ["@bobbin one", "1", "@bobbin two"]
    assert await talk.store.finish(again, Finish("answered", "2"))
    turn = await talk.claim()
    assert await talk.read(turn) == [
        "@bobbin one", "1", "@bobbin two", "2", "@bobbin three", "3", "@bobbin four"
    ]  # fmt: skip


async def test_another_try_does_not_read_what_the_one_before_had_shown(talk):
    failed = await fail(talk, 0, "@bobbin count", "1, 2,")
    await talk.store.retry(failed.id)
    again = await talk.claim()
    assert await talk.read(again) == ["@bobbin count"]
    await talk.store.finish(again, Finish("answered", "1, 2, 3"))
    await talk.say(9, "@bobbin on")
    assert await talk.read(await talk.claim()) == ["@bobbin count", "1, 2, 3", "@bobbin on"]


async def test_a_try_whose_process_died_is_taken_over_like_any_turn(talk):
    failed = await fail(talk, 0, "@bobbin one")
    await talk.store.retry(failed.id)
    await talk.lapse(await talk.claim())
    again = await talk.claim()
    assert (again.id, again.deaths) == (failed.id, 1)


async def test_only_a_failed_turn_can_be_tried_again_and_once_at_a_time(talk):
    answered = await talk.ask(0, "@bobbin one", "1")
    assert not (await talk.store.retry(answered.id)).wake
    assert not (await talk.store.retry(12345)).wake
    failed = await fail(talk, 5, "@bobbin two")
    await talk.store.retry(failed.id)
    await talk.store.retry(failed.id)
    again = await talk.claim()
    assert not (await talk.store.retry(failed.id)).wake
    assert not await talk.store.finish(again, Finish("answered", "2"))


# ---------------------------------------------------------------- what was said before


async def test_what_was_said_before_is_read_first_in_its_order(talk):
    await talk.say(8, "@bobbin what do you think?", "ANN")
    turn = await talk.claim()
    files = (File("F1", "plan.txt"),)
    await talk.store.backfill(
        turn,
        [
            Line("user", talk.ts(0), "BEN", "a plan", files, external=True),
            Line("assistant", talk.ts(2), "", "an old answer"),
            Line("user", talk.ts(3), "CLEO", "hm"),
            Line("user", talk.ts(8), "ANN", "what Slack says of the question"),
            Line("user", talk.ts(9), "BEN", "what comes by its own event"),
        ],
    )
    lines = (await talk.store.recall(turn)).lines
    assert [line.text for line in lines] == ["a plan", "an old answer", "hm", "@bobbin what do you think?"]
    assert (lines[0].files, lines[0].external, lines[0].addressed) == (files, True, False)
    assert not (await talk.post(talk.message(3, "hm", "CLEO"))).wake
    assert (await talk.say(9, "what comes by its own event", "BEN")).wake


async def test_a_thread_is_read_once_and_reading_it_twice_adds_nothing(talk):
    await talk.say(8, "@bobbin what do you think?")
    turn = await talk.claim()
    for _ in range(2):
        await talk.store.backfill(turn, [Line("user", talk.ts(0), "BEN", "a plan")])
    await talk.store.release(turn)
    again = await talk.claim()
    assert not again.backfill
    assert await talk.read(again) == ["a plan", "@bobbin what do you think?"]


async def test_what_is_deleted_while_the_thread_is_read_stays_away(talk):
    await talk.say(8, "@bobbin what do you think?")
    turn = await talk.claim()
    await talk.delete(0)
    await talk.store.backfill(turn, [Line("user", talk.ts(0), "BEN", "a secret")])
    assert await talk.read(turn) == ["@bobbin what do you think?"]


async def test_a_long_thread_whose_reading_broke_off_is_read_again_whole(talk, monkeypatch):
    monkeypatch.setattr("storage.store._LINES", 2)
    await talk.say(8, "@bobbin what do you think?")
    turn = await talk.claim()
    lines = [Line("user", talk.ts(at), "BEN", f"word {at}") for at in range(5)]
    await talk.store._connector.write(turns.backfill, turn, lines[:2], last=False)
    await talk.lapse(turn)
    again = await talk.claim()
    assert again.backfill
    await talk.store.backfill(again, lines)
    assert await talk.read(again) == [*(line.text for line in lines), "@bobbin what do you think?"]
    await talk.store.release(again)
    assert not (await talk.claim()).backfill


async def test_an_old_message_that_is_deleted_while_its_thread_is_read_stays_away(talk):
    gone = Deleted("Ev-gone", "T1", "C1", talk.ts(0), at=talk.ts(9000))
    assert (await talk.store.delete(gone)).outcome == "a deletion of what is not kept"
    await talk.say(8000, "@bobbin what do you think?")
    turn = await talk.claim()
    assert (await talk.store.delete(gone)).outcome == "deleted"
    await talk.store.backfill(turn, [Line("user", talk.ts(0), "BEN", "a secret")])
    assert await talk.read(turn) == ["@bobbin what do you think?"]
    assert (await talk.store.delete(replace(gone, event_id="Ev", ts=talk.ts(1)))).outcome == (
        "a deletion of what is not kept"
    )


async def test_a_mention_whose_event_comes_after_the_thread_was_read_is_answered(talk):
    await talk.say(8, "@bobbin second")
    turn = await talk.claim()
    await talk.store.backfill(turn, [Line("user", talk.ts(5), "BEN", "@bobbin first")])
    assert (await talk.say(5, "@bobbin first", "BEN")).wake
    assert await talk.answer(turn, "2", 9)
    assert (await talk.claim()).asker == "BEN"


# ---------------------------------------------------------------- people


async def test_whether_an_author_is_of_another_organisation_is_told_where_it_is_known(talk):
    talk.rules = Rules(external_users="allow")
    for at, external in enumerate([False, True, None]):
        await talk.say(at, f"@bobbin {external}", external=external)
    lines = (await talk.store.recall(await talk.claim())).lines
    assert [(line.external, line.unsure) for line in lines] == [(False, False), (True, False), (False, True)]


async def test_a_learned_name_stays_and_the_rest_is_kept_current(talk):
    await talk.store.learn("T1", [Person("ANN", "Ann"), Person("BEN", "Ben")])
    await talk.store.learn("T1", [Person("ANN", "Annie", guest=True, external=True)])
    assert await talk.store.people("T1", ["ANN", "BEN", "EVE"]) == {
        "ANN": Person("ANN", "Ann", guest=True, external=True),
        "BEN": Person("BEN", "Ben"),
    }
    assert await talk.store.people("T2", ["ANN"]) == {}


async def test_the_words_of_people_who_may_not_ask_are_history(talk):
    await talk.ask(0, "@bobbin one", "1")
    await talk.say(5, "two", "EVE")
    await talk.say(6, "three", "ANN")
    turn = await talk.claim()
    assert await talk.store.dismiss(turn, ["EVE"], "guest") == ("EVE",)
    assert await talk.store.dismiss(turn, ["EVE"], "guest") == ()
    lines = (await talk.store.recall(turn)).lines
    assert [(line.text, line.addressed) for line in lines[2:]] == [("two", False), ("three", True)]
    await talk.store.release(turn)
    assert (await talk.claim()).askers == ("ANN",)
