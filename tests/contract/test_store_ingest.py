"""Messages, commands and notes: what arrives is kept once, and waits where it is to be answered."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bot.events import Stopped
from bot.policy import Ignore, Obey, Rules
from bot.ports import Line

WEEK = 7 * 24 * 3600


async def waiting(talk: Any) -> list[str]:
    return [
        row["text"] for row in await talk.sql("SELECT text FROM message WHERE turn_id IS NULL ORDER BY ts")
    ]


# ---------------------------------------------------------------- messages


async def test_a_mention_makes_a_conversation_that_can_be_claimed(talk):
    ingested = await talk.say(0, "@bobbin 1+1?")
    assert (ingested.outcome, ingested.wake) == ("addressed", True)
    turn = await talk.claim()
    assert (turn.thread, turn.asker, turn.question_ts) == (talk.thread(), "ANN", talk.ts(0))
    assert turn.summoned
    assert not turn.direct
    assert not turn.backfill
    assert await talk.read(turn) == ["@bobbin 1+1?"]


async def test_every_message_in_a_dm_is_answered(talk):
    dm = talk.elsewhere("D1", direct=True)
    await dm.say(0, "1+1?")
    turn = await dm.claim()
    assert turn.direct
    assert turn.summoned


async def test_a_reply_in_a_joined_thread_is_answered_but_was_no_call(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    assert (await talk.say(5, "and 3 more?", "BEN")).wake
    turn = await talk.claim()
    assert not turn.summoned
    assert (turn.asker, turn.askers) == ("BEN", ("BEN",))


async def test_a_mention_within_a_thread_wants_the_thread_read_first(talk):
    await talk.say(9, "@bobbin what do you think?", root=0)
    assert (await talk.claim()).backfill


async def test_a_late_delivery_wants_the_thread_read_first(talk):
    await talk.say(0, "@bobbin hello", late=True)
    assert (await talk.claim()).backfill


async def test_a_pleasantry_in_a_joined_thread_is_history_only(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    thanks = await talk.say(5, "thanks", pleasantry=True)
    assert (thanks.outcome, thanks.wake) == ("message", False)
    assert await talk.store.claim("worker", 10) == []
    await talk.say(6, "and 3 more?")
    assert await talk.read(await talk.claim()) == ["@bobbin 1+1?", "2", "thanks", "and 3 more?"]


async def test_other_talk_is_ignored_and_writes_no_row(talk):
    ingested = await talk.say(0, "lunch?")
    assert isinstance(ingested.decision, Ignore)
    assert not ingested.wake
    for table in ("conversation", "message", "inbox"):
        assert await talk.sql(f"SELECT * FROM {table}") == []


async def test_a_thread_that_was_silent_for_a_week_is_answered_by_mention_only(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    assert not (await talk.say(WEEK + 10, "anybody?")).wake
    assert (await talk.say(WEEK + 20, "@bobbin anybody?")).wake


async def test_equal_ids_in_two_workspaces_are_two_conversations(talk):
    other = talk.elsewhere(talk.channel, team="T2")
    await talk.post(replace(talk.message(0, "@bobbin ours"), event_id="Ev"))
    await other.post(replace(other.message(0, "@bobbin theirs"), event_id="Ev"))
    claimed = await talk.store.claim("worker", 10)
    assert [await talk.read(turn) for turn in claimed] == [["@bobbin ours"], ["@bobbin theirs"]]


# ---------------------------------------------------------------- once


async def test_a_redelivered_event_changes_nothing(talk):
    message = talk.message(0, "@bobbin 1+1?")
    await talk.post(message)
    assert (await talk.post(message)).outcome == "duplicate"
    await talk.answer(await talk.claim(), "2")
    again = await talk.post(message)
    assert (again.outcome, again.wake) == ("duplicate", False)
    assert await talk.store.claim("worker", 10) == []


@pytest.mark.parametrize("order", [("app_mention", "message"), ("message", "app_mention")], ids="-".join)
async def test_the_two_events_of_a_mention_are_one_message(talk, order):
    message = talk.message(0, "@bobbin 1+1?")
    outcomes = [(await talk.post(replace(message, event_id=event))).outcome for event in order]
    assert outcomes == ["addressed", "duplicate"]
    assert await talk.read(await talk.claim()) == ["@bobbin 1+1?"]


async def test_a_twin_that_calls_makes_the_other_one_a_call(talk):
    """One of the two events may not show the mention, as in an edit by Slack."""
    await talk.ask(0, "@bobbin 1+1?", "2")
    message = talk.message(5, "hey", mentions_others=True)
    assert not (await talk.post(message)).wake
    assert (await talk.post(replace(message, event_id="twin", mentions_me=True))).wake
    assert (await talk.claim()).summoned


async def test_many_twins_at_once_are_one_message(talk):
    message = talk.message(0, "@bobbin 1+1?")
    ingested = await asyncio.gather(*(talk.post(replace(message, event_id=f"twin {n}")) for n in range(20)))
    assert [one.outcome for one in ingested].count("addressed") == 1
    assert await waiting(talk) == ["@bobbin 1+1?"]


async def test_an_event_that_changes_no_conversation_is_noted_once(talk):
    assert await talk.store.seen("T1", "Ev", "invited")
    assert not await talk.store.seen("T1", "Ev", "invited")
    assert await talk.store.seen("T2", "Ev", "invited")


async def test_an_unreadable_event_is_kept_by_its_shape(talk):
    await talk.store.quarantine("T1", "Ev", '{"text": "str"}')
    await talk.store.quarantine("T1", "Ev", '{"text": "str"}')
    [row] = await talk.sql("SELECT event_id, outcome, shape FROM inbox")
    assert row == {"event_id": "Ev", "outcome": "quarantined", "shape": '{"text": "str"}'}


async def test_whose_words_they_are_is_kept_as_far_as_it_is_known(talk):
    await talk.say(5, "@bobbin hi")
    await talk.say(6, "a bot's", "B1", bot="B1")
    await talk.say(7, "a stranger's", "EVE", external=True)
    await talk.say(8, "anybody's", "MAX", external=None, mentions_others=True)
    turn = await talk.claim()
    before = [
        Line("user", talk.ts(1), "B2", "old", bot=True),
        Line("user", talk.ts(2), "ZOE", "x", unsure=True),
    ]
    await talk.store.backfill(turn, before)
    kept = {
        line.author: (line.bot, line.external, line.unsure) for line in (await talk.store.recall(turn)).lines
    }
    outside = {who: found for who, found in kept.items() if who != "ANN"}
    assert outside == {
        "B1": (True, False, False),
        "EVE": (False, True, False),
        "MAX": (False, False, True),
        "B2": (True, False, False),
        "ZOE": (False, False, True),
    }
    assert kept["ANN"] == (False, False, False)


# ---------------------------------------------------------------- notes


async def test_somebody_who_may_not_ask_is_told_once_a_day(talk):
    talk.rules = Rules(allowed_users=frozenset({"ANN"}))
    notes = [(await talk.say(at, "@bobbin hi", "EVE", root=at)).note for at in range(3)]
    assert notes == ["person", None, None]
    assert (await talk.say(9, "@bobbin hi", "MAX", root=9)).note == "person"
    await talk.sql("UPDATE note SET given_at = given_at - :day", day=24 * 3600 * 1000)
    assert (await talk.say(10, "@bobbin hi", "EVE", root=10)).note == "person"
    assert await talk.sql("SELECT * FROM message") == []


async def test_a_note_is_due_once_a_day_or_once_ever(talk):
    due = talk.store.note_due
    assert [await due("T1", "ANN", "guest") for _ in range(2)] == [True, False]
    assert [await due("T1", "ANN", "welcome", once_ever=True) for _ in range(2)] == [True, False]
    await talk.sql("UPDATE note SET given_at = given_at - :day", day=24 * 3600 * 1000)
    assert await due("T1", "ANN", "guest")
    assert not await due("T1", "ANN", "welcome", once_ever=True)


# ---------------------------------------------------------------- commands


async def test_a_muted_thread_is_answered_by_mention_only_until_it_is_woken(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    muted = await talk.say(5, "mute", command="mute")
    assert (muted.outcome, muted.note, muted.wake) == ("muted", "muted", False)
    assert isinstance(muted.decision, Obey)
    assert not (await talk.say(6, "between us")).wake
    assert (await talk.say(7, "@bobbin you")).wake
    await talk.answer(await talk.claim(), "yes")
    assert (await talk.say(10, "wake", command="wake")).note == "woken"
    assert (await talk.say(11, "hello")).wake


async def test_a_reaction_on_the_first_message_mutes_and_wakes(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    assert (await talk.mute()).outcome == "muted"
    assert not (await talk.say(6, "between us")).wake
    assert (await talk.mute(muted=False)).outcome == "woken"
    assert (await talk.say(7, "hello")).wake


async def test_a_reaction_elsewhere_mutes_nothing(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    await talk.mute(at=1)
    assert (await talk.say(6, "hello")).wake


async def test_stop_ends_the_open_turn_and_nothing_else(talk):
    assert (await talk.stop()).stop is None
    await talk.say(0, "@bobbin tell me everything")
    turn = await talk.claim()
    stopped = await talk.stop()
    assert (stopped.outcome, stopped.stop) == ("stopped", (turn.id, "stopped"))
    assert await talk.store.extend(turn) == "stopped"
    await talk.answer(turn, "Everything is")
    assert (await talk.stop()).stop is None


async def test_a_stop_that_comes_late_does_not_end_what_was_asked_since(talk):
    await talk.ask(0, "@bobbin tell me everything", "Everything is")
    await talk.say(9, "@bobbin and more")
    turn = await talk.claim()
    pressed = Stopped("late", talk.thread(0), "ANN", talk.ts(5))
    assert (await talk.store.stop(pressed)).outcome == "nothing to stop"
    assert await talk.store.extend(turn) is None
    pressed = Stopped("in time", talk.thread(0), "ANN", talk.ts(10))
    assert (await talk.store.stop(pressed)).stop == (turn.id, "stopped")


async def test_the_word_stop_does_the_same(talk):
    await talk.say(0, "@bobbin tell me everything")
    turn = await talk.claim()
    assert (await talk.say(3, "stop", command="stop")).stop == (turn.id, "stopped")


async def test_the_twin_of_a_command_does_not_command_again(talk):
    await talk.say(0, "@bobbin tell me everything")
    stop = talk.message(3, "@bobbin stop", command="stop")
    turn = await talk.claim()
    assert (await talk.post(stop)).stop == (turn.id, "stopped")
    await talk.answer(turn, "Everything is")
    await talk.say(5, "@bobbin go on")
    await talk.claim()
    assert (await talk.post(replace(stop, event_id="twin"))).outcome == "duplicate"
