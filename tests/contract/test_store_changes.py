"""Edits and deletions: the conversation follows what people see, in whatever order the events come."""

import asyncio
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from bot.events import Deleted, Edited, File
from bot.ports import Finish, Part

MINUTE = 60


async def nothing_waits(talk: Any) -> bool:
    pending = await talk.sql("SELECT id FROM conversation WHERE pending_at IS NOT NULL")
    return not pending and not await talk.store.claim("worker", 10)


# ---------------------------------------------------------------- edits


async def test_an_edit_of_a_waiting_message_is_answered_in_its_new_form(talk):
    await talk.say(0, "@bobbin 1+1?")
    new = talk.message(0, "@bobbin 1+2?", files=(File("F1", "sums.txt"),))
    assert (await talk.edit(new, at=3)).outcome == "edited"
    [line] = (await talk.store.recall(await talk.claim())).lines
    assert (line.text, line.files) == ("@bobbin 1+2?", (File("F1", "sums.txt"),))


async def test_an_edit_of_an_answered_message_changes_the_history_only(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    assert not (await talk.edit(talk.message(0, "@bobbin 1 and 1?"), at=5)).wake
    assert await nothing_waits(talk)
    await talk.say(6, "and 3 more?")
    assert await talk.read(await talk.claim()) == ["@bobbin 1 and 1?", "2", "and 3 more?"]


async def test_an_edit_that_adds_a_mention_makes_an_ignored_message_a_call(talk):
    await talk.say(0, "1+1?")
    assert (await talk.edit(talk.message(0, "@bobbin 1+1?"), at=3)).wake
    assert await talk.read(await talk.claim()) == ["@bobbin 1+1?"]


async def test_an_edit_that_adds_a_mention_makes_history_a_call(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    await talk.say(5, "@cleo, 3 more?", "BEN", mentions_others=True)
    assert (await talk.edit(talk.message(5, "@bobbin 3 more?", "BEN"), at=6)).wake
    turn = await talk.claim()
    assert (turn.asker, turn.summoned) == ("BEN", True)
    assert await talk.read(turn) == ["@bobbin 1+1?", "2", "@bobbin 3 more?"]


async def test_a_mention_added_to_a_message_of_an_old_turn_takes_it_to_a_new_one(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    await talk.say(5, "as if", "BEN")
    await talk.say(6, "is it?")
    silent = await talk.claim()
    await talk.store.finish(silent, Finish("silent"))
    assert (await talk.edit(talk.message(5, "@bobbin as if", "BEN"), at=9)).wake
    turn = await talk.claim()
    assert (turn.seq, turn.askers) == (silent.seq + 1, ("BEN",))
    assert await talk.read(turn) == ["@bobbin 1+1?", "2", "is it?", "@bobbin as if"]


async def test_a_second_edit_that_still_mentions_is_no_second_call(talk):
    await talk.say(0, "1+1?")
    await talk.edit(talk.message(0, "@bobbin 1+1?"), at=3)
    await talk.answer(await talk.claim(), "2")
    assert not (await talk.edit(talk.message(0, "@bobbin 1 + 1?"), at=9)).wake
    assert await nothing_waits(talk)


async def test_a_message_being_answered_is_not_asked_twice_by_an_edit(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    await talk.say(5, "3 more?")
    turn = await talk.claim()
    assert not (await talk.edit(talk.message(5, "<@bobbin> 3 more?"), at=6)).wake
    assert not await talk.answer(turn, "5")


async def test_an_older_edit_that_comes_later_changes_nothing(talk):
    await talk.say(0, "@bobbin first")
    await talk.edit(talk.message(0, "@bobbin third"), at=9)
    assert (await talk.edit(talk.message(0, "@bobbin second"), at=5)).outcome == "an edit that came too late"
    assert await talk.read(await talk.claim()) == ["@bobbin third"]


async def test_an_edit_of_an_unknown_message_counts_as_new_within_ten_minutes(talk):
    assert (await talk.edit(talk.message(0, "@bobbin 1+1?"), at=10 * MINUTE)).wake
    late = await talk.edit(talk.message(1, "@bobbin 1+1?", root=1), at=1 + 10 * MINUTE + 1)
    assert late.outcome == "an edit of an old message that is not known"
    assert len(await talk.store.claim("worker", 10)) == 1


async def test_the_original_that_comes_after_its_edit_changes_nothing(talk):
    await talk.edit(talk.message(0, "@bobbin second"), at=3)
    assert (await talk.say(0, "@bobbin first")).outcome == "duplicate"
    assert await talk.read(await talk.claim()) == ["@bobbin second"]


async def test_an_edit_that_changes_nothing_is_none(talk):
    await talk.say(0, "@bobbin 1+1?")
    assert (await talk.edit(talk.message(0, "@bobbin 1+1?"), at=3)).outcome == "an edit that changed nothing"


async def test_a_redelivered_edit_changes_nothing(talk):
    await talk.say(0, "@bobbin first")
    new = talk.message(0, "@bobbin second")
    await talk.edit(new, at=3)
    assert (await talk.edit(new, at=3)).outcome == "duplicate"


# ---------------------------------------------------------------- deletions


async def test_a_waiting_message_that_is_deleted_is_not_answered(talk):
    await talk.say(0, "@bobbin 1+1?")
    assert (await talk.delete(0)).outcome == "deleted"
    assert await nothing_waits(talk)
    assert [row["text"] for row in await talk.sql("SELECT text FROM message")] == [""]


async def test_others_still_wait_when_one_is_deleted(talk):
    await talk.say(0, "@bobbin 1+1?")
    await talk.say(1, "@bobbin 2+2?")
    await talk.delete(0)
    assert await talk.read(await talk.claim()) == ["@bobbin 2+2?"]


async def test_a_turn_with_nothing_left_to_answer_must_end(talk):
    await talk.say(0, "@bobbin 1+1?")
    await talk.say(1, "@bobbin 2+2?")
    turn = await talk.claim()
    assert (await talk.delete(0)).stop is None
    assert (await talk.delete(1)).stop == (turn.id, "deleted")
    assert await talk.store.extend(turn) == "deleted"
    assert await talk.read(turn) == []
    await talk.store.release(turn)
    again = await talk.claim()
    assert (again.stopping, again.asker) == ("deleted", "")
    await talk.store.finish(again, Finish("cancelled"))
    assert await nothing_waits(talk)


async def test_the_words_of_an_answered_message_go_and_its_answer_stays(talk):
    await talk.ask(0, "@bobbin 1+1?", "2")
    assert not (await talk.delete(0)).wake
    await talk.say(5, "and 3 more?")
    assert await talk.read(await talk.claim()) == ["2", "and 3 more?"]


@pytest.mark.parametrize("part", [1, 2])
async def test_an_answer_of_which_somebody_deletes_a_message_leaves_the_history(talk, part):
    await talk.say(0, "@bobbin 1+1?")
    await talk.answer(await talk.claim(), "2", 1, 2)
    await talk.delete(part)
    await talk.say(5, "and 3 more?")
    assert await talk.read(await talk.claim()) == ["@bobbin 1+1?", "and 3 more?"]


async def test_an_answer_deleted_while_it_is_written_is_not_kept(talk):
    await talk.say(0, "@bobbin 1+1?")
    turn = await talk.claim()
    await talk.store.record_part(turn, Part(talk.ts(1)))
    await talk.delete(1)
    await talk.answer(turn, "2", 1)
    await talk.say(5, "and 3 more?")
    assert await talk.read(await talk.claim()) == ["@bobbin 1+1?", "and 3 more?"]


async def test_a_deleted_error_takes_no_words_with_it(talk):
    await talk.say(0, "@bobbin count")
    turn = await talk.claim()
    await talk.store.record_part(turn, Part(talk.ts(1)))
    await talk.store.record_part(turn, Part(talk.ts(2), "error", 1))
    await talk.store.finish(turn, Finish("failed", "1, 2,"))
    await talk.delete(2)
    await talk.say(5, "go on")
    assert await talk.read(await talk.claim()) == ["@bobbin count", "1, 2,", "go on"]


async def test_a_message_deleted_before_it_came_is_not_taken_in(talk):
    await talk.delete(0)
    assert not (await talk.say(0, "@bobbin 1+1?")).wake
    assert not (await talk.edit(talk.message(0, "@bobbin 2+2?"), at=3)).wake
    assert await nothing_waits(talk)


async def test_neither_a_late_edit_nor_a_twin_brings_deleted_words_back(talk):
    await talk.say(0, "@bobbin 1+1?")
    await talk.delete(0)
    await talk.edit(talk.message(0, "@bobbin 2+2?"), at=3)
    await talk.say(0, "@bobbin 1+1?")
    assert [row["text"] for row in await talk.sql("SELECT text FROM message")] == [""]
    assert await nothing_waits(talk)


async def test_a_redelivered_deletion_changes_nothing(talk):
    await talk.say(0, "@bobbin 1+1?")
    await talk.delete(0, "Ev")
    assert (await talk.delete(0, "Ev")).outcome == "duplicate"


# ---------------------------------------------------------------- in any order


async def test_whatever_the_order_and_the_repetitions_the_same_messages_are_kept(talk):
    """Two events of one mention, its edit, a second message and its deletion: in all 120 orders."""
    deliveries = []
    for number, order in enumerate(permutations(range(5))):
        there = talk.elsewhere(f"C{number}")
        await there.ask(0, "@bobbin hello", "Hello!")
        mention, second = there.message(5, "@bobbin first"), there.message(7, "@bobbin second")
        events = [
            mention,
            replace(mention, event_id=there.event()),
            Edited(there.message(5, "@bobbin first, edited"), there.ts(9)),
            second,
            Deleted(there.event(), there.team, there.channel, second.ts),
        ]
        deliveries.append(deliver(there, [events[index] for index in order]))
    await asyncio.gather(*deliveries)
    kept = await talk.sql(
        "SELECT channel_id, text, addressed FROM message WHERE turn_id IS NULL AND deleted_at IS NULL"
    )
    assert len(kept) == 120
    assert {(row["text"], row["addressed"]) for row in kept} == {("@bobbin first, edited", 1)}
    words = await talk.sql("SELECT text FROM message WHERE text LIKE '%second%'")
    assert words == []


async def deliver(there: Any, events: list[Any]) -> None:
    """Each event three times."""
    for event in [*events, *reversed(events), *events]:
        if isinstance(event, Edited):
            await there.edit(event.message, at=9)
        elif isinstance(event, Deleted):
            await there.store.delete(event)
        else:
            await there.post(event)
