"""A summary stands for the oldest part of a thread; what was sent once stays as it was."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import LeaseLost
from bot.events import Person
from bot.ports import Finish, History, Stop, Summary, Turn, Usage
from bot.prompt import SILENT, messages_of


async def condensed(talk: Any, turn: Turn, count: int, text: str = "Notes.") -> Summary:
    """Put a summary in the place of the oldest `count` lines."""
    history = await talk.store.recall(turn)
    newest = history.lines[count - 1]
    summary = Summary(text, newest.seq, newest.ts, ("ANN",), turn.id)
    assert await talk.store.keep_summary(turn, summary, History(history.lines[:count], history.summary))
    return summary


async def words(talk: Any, turn: Turn) -> list[str]:
    history = await talk.store.recall(turn)
    return ([history.summary.text] if history.summary else []) + [line.text for line in history.lines]


@pytest.fixture
async def turn(talk: Any) -> Turn:
    """The third turn of a thread."""
    await talk.ask(0, "@bobbin one", "1")
    await talk.ask(10, "two", "2")
    await talk.say(20, "three")
    claimed: Turn = await talk.claim()
    return claimed


async def test_without_a_summary_all_is_read(talk, turn):
    history = await talk.store.recall(turn)
    assert (history.summary, history.measured) == (None, None)
    assert [line.seq for line in history.lines] == [1, 1, 2, 2, 3]


async def test_a_summary_stands_for_what_it_was_made_of_and_the_messages_stay(talk, turn):
    await condensed(talk, turn, 2)
    assert await words(talk, turn) == ["Notes.", "two", "2", "three"]
    await talk.answer(turn, "3", 21)
    await talk.say(30, "four")
    turn = await talk.claim()
    assert await words(talk, turn) == ["Notes.", "two", "2", "three", "3", "four"]
    await condensed(talk, turn, 3, "More notes.")
    assert await words(talk, turn) == ["More notes.", "3", "four"]
    [kept] = await talk.sql("SELECT count(*) AS count FROM message WHERE text <> ''")
    assert kept["count"] == 7


async def test_the_turn_that_was_the_first_to_be_condensed_stays_known(talk, turn):
    await condensed(talk, turn, 1)
    await talk.answer(turn, "3", 21)
    await talk.say(30, "four")
    later = await talk.claim()
    await condensed(talk, later, 2)
    assert (await talk.store.recall(later)).summary.first_turn == turn.id


@pytest.mark.parametrize("end", ["failed", "silent", "cancelled"])
async def test_a_turn_that_shows_no_answer_does_not_count_as_the_first_to_be_condensed(talk, turn, end):
    await condensed(talk, turn, 1)
    await talk.store.finish(turn, Finish(end))
    await talk.say(30, "four")
    second = await talk.claim()
    assert (await talk.store.recall(second)).summary.first_turn == second.id
    await talk.answer(second, "4", 31)
    await talk.say(40, "five")
    assert (await talk.store.recall(await talk.claim())).summary.first_turn == second.id


@pytest.mark.parametrize("change", ["edit", "delete", "delete the answer"])
async def test_a_summary_made_of_words_that_change_is_forgotten_and_off_the_disk(talk, turn, change):
    await condensed(talk, turn, 2)
    if change == "edit":
        await talk.edit(talk.message(0, "@bobbin uno"), 40)
    else:
        await talk.delete(0 if change == "delete" else 1)
    assert (await talk.store.recall(turn)).summary is None
    assert await words(talk, turn) == await talk.read(turn)
    assert [row["text"] for row in await talk.sql("SELECT text FROM summary")] == [None]
    await condensed(talk, turn, 1, "New notes.")
    assert (await words(talk, turn))[0] == "New notes."


async def test_a_summary_stays_where_newer_words_change(talk, turn):
    await condensed(talk, turn, 2)
    await talk.edit(talk.message(10, "zwei"), 40)
    await talk.delete(11)
    assert await words(talk, turn) == ["Notes.", "zwei", "three"]


async def test_a_summary_of_words_that_changed_while_it_was_made_is_not_kept(talk, turn):
    history = await talk.store.recall(turn)
    made_of = History(history.lines[:2])
    summary = Summary("Notes of one.", 1, history.lines[1].ts)
    await talk.delete(0)
    assert not await talk.store.keep_summary(turn, summary, made_of)
    assert await words(talk, turn) == ["1", "two", "2", "three"]


async def test_who_lost_the_lease_keeps_no_summary(talk, turn):
    await talk.lapse(turn)
    await talk.claim()
    with pytest.raises(LeaseLost):
        await talk.store.keep_summary(turn, Summary("Notes.", 1, talk.ts(1)), History([]))


async def test_a_turn_tried_again_reads_what_it_read_before_whatever_was_condensed_since(talk):
    await talk.ask(0, "@bobbin one", "1")
    await talk.say(10, "two")
    failed = await talk.claim()
    await talk.store.finish(failed, Finish("failed", error="x"))
    await talk.say(20, "three")
    later = await talk.claim()
    await condensed(talk, later, 3)
    await talk.answer(later, "3", 21)
    await talk.store.retry(failed.id)
    again = await talk.claim()
    assert again.id == failed.id
    assert await words(talk, again) == ["@bobbin one", "1", "two"]


async def test_the_newest_size_is_known_until_the_thread_is_condensed(talk, turn):
    await talk.store.record_answer(turn, "3", Stop("end_turn", Usage(1, 2, 30, 400, 400)))
    await talk.answer(turn, "3", 21)
    await talk.say(30, "four")
    later = await talk.claim()
    assert (await talk.store.recall(later)).measured == (3, 433)
    await condensed(talk, later, 2)
    assert (await talk.store.recall(later)).measured is None


# ---------------------------------------------------------------- append-only

ENDS = ("answered", "stopped", "silent", "failed")
STEPS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, 60), st.sampled_from(["ANN", "BEN", "CLEO"])), min_size=1, max_size=4
        ),
        st.sampled_from(ENDS),
    ),
    min_size=2,
    max_size=6,
)
NAMES = {"ANN": "Ann Lee", "BEN": "Ann Lee", "CLEO": "Cleo"}


def wire(lines: list[Any]) -> str:
    """The messages as they go out, up to the end of the last block."""
    people = {user: Person(user, name) for user, name in NAMES.items()}
    messages = messages_of(lines, people, {line.ts: line.text for line in lines if line.role == "user"})
    body = [
        {"role": message.role, "content": [{"text": block.text} for block in message.content]}  # type: ignore[union-attr]
        for message in messages
    ]
    return json.dumps(body).removesuffix("]}]")


async def check(talk: Any, steps: list[Any]) -> None:
    for table in ("conversation", "inbox", "tombstone"):  # what an earlier example left
        await talk.sql(f"DELETE FROM {table}")
    await talk.ask(0, "@bobbin hello", "Hello!")
    sent = ""
    for step, (said, end) in enumerate(steps):
        for number, (late, who) in enumerate(said):
            # Some of it comes late: it is older than what was answered already.
            moment = 100 * (step + 1) + number - 3 * late + step / 1000
            await talk.say(moment, f"{who} says {step}.{number}", who)
        turn = await talk.claim()
        request = wire((await talk.store.recall(turn)).lines)
        assert request.startswith(sent)
        sent = request
        if end == "silent":
            await talk.store.record_answer(turn, SILENT, Stop("end_turn", Usage()))
            await talk.store.finish(turn, Finish("silent"))
        elif end == "failed":
            await talk.store.finish(turn, Finish("failed", error="x"))
        else:
            shown = f"Answer {step}" if end == "answered" else "Ans"
            await talk.answer(turn, shown, 100 * (step + 1) + 50 + step / 1000)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
async def test_each_request_begins_with_the_one_before_byte_for_byte(talk, steps):
    """Through names, late messages, answers, stops, silence and failures."""
    await check(talk, steps)
