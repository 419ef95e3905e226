"""The checker sees what is wrong: a run in which all is well is tampered with in one way after the other."""

import shutil
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import pytest_asyncio

from bot.turns import DEATHS_AT_MOST
from tests.chaos.forked import ForkedBobbin
from tests.chaos.history import AT_REST, SOUND, at_rest, judged, violations
from tests.chaos.record import PartRow, Place, RanTurn, Record, Said, recorded
from tests.chaos.stage import all_quiet, over, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND, THIRD, ELSEWHERE, STOPPED, TAKEN_BACK, CHANGED = range(1, 8)
"""Turns in their order: three of one thread, two of a DM, whose second answer was stopped, one whose question
was deleted meanwhile, and one whose question was changed meanwhile."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ran(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ForkedBobbin]:
    """Three questions in a thread that began without Bobbin, four of their own; the process has ended."""
    place = tmp_path_factory.mktemp("run") / "stage"
    async with stage(place, SLACK_PACING="off", LEASE_SECONDS="60") as bobbin:
        slack = bobbin.slack
        ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Ode")
        channel = slack.add_channel("general", members=(ann, ben))
        await bobbin.start()
        thread = await slack.say(ann, channel, "The plan has three parts.")
        for number, who in enumerate((ben, ann, ben), start=1):
            await slack.say(who, channel, f"{bobbin.me} Which is number {number}?", thread=thread)
            await over(bobbin, number)
        direct = slack.dm(ann)
        await slack.say(ann, direct, "And who makes it?")
        await over(bobbin, ELSEWHERE)
        await stop_half_way(bobbin, ann, direct, await slack.say(ann, direct, "And who pays for it?"))
        await over(bobbin, STOPPED)
        bobbin.bedrock.hold()
        question = await slack.say(ann, channel, f"{bobbin.me} And what if not?")
        await bobbin.bedrock.wait_for(lambda bedrock: len(bedrock.requests) == TAKEN_BACK)
        await slack.delete(ann, channel, question)
        await over(bobbin, TAKEN_BACK)
        question = await slack.say(ann, channel, f"{bobbin.me} Until when?")
        await bobbin.bedrock.wait_for(lambda bedrock: len(bedrock.requests) == CHANGED)
        await slack.edit(ann, channel, question, f"{bobbin.me} Until which day?")
        await bobbin.bedrock.wait_for(lambda bedrock: len(bedrock.requests) == CHANGED + 1)
        bobbin.bedrock.release()
        await all_quiet(bobbin, CHANGED)
        assert await bobbin.stop() == 0
        assert await violations(bobbin) == []
        yield bobbin


async def stop_half_way(bobbin: ForkedBobbin, who: str, channel: str, thread: str) -> None:
    """Press Stop when some of an answer is seen."""
    usual, pace = bobbin.model.sentences, bobbin.bedrock.pace
    bobbin.model.sentences, bobbin.bedrock.pace = 100, 0.5
    await bobbin.slack.wait_for(lambda: bobbin.answers(channel, thread), 20)
    await bobbin.slack.stop(who, channel, thread)
    await over(bobbin, STOPPED)
    bobbin.model.sentences, bobbin.bedrock.pace = usual, pace


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(ran: ForkedBobbin) -> Record:
    """The record of it, in which all is well."""
    record = await recorded(ran)
    assert judged(record) == []
    return record


def turn(run: Record, nth: int) -> RanTurn:
    return sorted((each for each in run.turns if each.seq > 0), key=lambda each: each.started)[nth - 1]


def part(run: Record, nth: int) -> PartRow:
    """The only message of a turn."""
    (found,) = parts(run, nth)
    return found


def parts(run: Record, nth: int) -> list[PartRow]:
    return [each for each in run.parts if each.turn == turn(run, nth).id]


def place(run: Record, nth: int) -> Place:
    return part(run, nth).channel, part(run, nth).ts


def asked(run: Record, nth: int) -> Said:
    """The question of a turn."""
    (found,) = run.asked()[turn(run, nth).id]
    return run.said[found]


def shows(run: Record, nth: int, text: str) -> None:
    """In Slack and in the database a turn says this."""
    turn(run, nth).answer = text
    run.own[place(run, nth)] = {**run.own[place(run, nth)], "text": text, "blocks": []}


def act(run: Record, transaction: str) -> Any:
    return next(each for each in run.acts if each.transaction == transaction)


def swapped(run: Record) -> None:
    one, other = turn(run, SECOND).answer, turn(run, ELSEWHERE).answer
    shows(run, SECOND, other)
    shows(run, ELSEWHERE, one)


def shown_elsewhere(run: Record) -> None:
    run.own[place(run, SECOND)] = {**run.own[place(run, SECOND)], "thread_ts": "1.0"}


def before_the_edit(run: Record) -> None:
    shows(run, CHANGED, run.requests[-2].answer)


def edit_not_kept(run: Record) -> None:
    question = run.said[act(run, "edit").place]
    (row,) = (row for row in run.kept if row.place == question.place)
    row.text = question.forms[0].text


def without(run: Record, words: str) -> None:
    """No request holds these words."""
    for asked in run.requests:
        for message in asked.body["messages"]:
            message["content"] = [block for block in message["content"] if words not in block.get("text", "")]


def root_left_out(run: Record) -> None:
    without(run, "three parts")


def root_not_read(run: Record) -> None:
    without(run, "three parts")
    run.kept = [row for row in run.kept if "three parts" not in row.text]


def answer_left_out(run: Record) -> None:
    """The first answer, where the second question is asked; what remains alternates."""
    messages = run.requests[1].body["messages"]
    messages[:] = [{"role": "user", "content": messages[0]["content"] + messages[2]["content"]}]


def foreign_words(run: Record) -> None:
    run.requests.append(deepcopy(run.requests[0]))
    run.requests[-1].body["messages"] = [
        {"role": "user", "content": [{"text": '<message from="Ann Lee" at="now">Nobody said so</message>'}]}
    ]


def acked_early(transaction: str) -> Callable[[Record], None]:
    def tamper(run: Record) -> None:
        assert run.committed is not None
        event = act(run, transaction).event
        run.committed[transaction, event] = run.acked[event] + 0.001

    return tamper


def never_acked(run: Record) -> None:
    del run.acked[act(run, "edit").event]


def third_above_the_first(run: Record) -> None:
    """The turn between them has no message, as one that was cancelled."""
    run.parts.remove(part(run, SECOND))
    one, other = part(run, FIRST), part(run, THIRD)
    one.ts, other.ts = other.ts, one.ts


def first_asked_third(run: Record) -> None:
    rows = {row.turn: row for row in run.kept if row.addressed}
    one, other = turn(run, FIRST).id, turn(run, THIRD).id
    rows[one].turn, rows[other].turn = other, one


def answered_above_its_question(run: Record) -> None:
    first = part(run, FIRST)
    above = str(float(asked(run, FIRST).place[1]) - 0.001)
    run.own[first.channel, above] = run.own.pop(place(run, FIRST))
    first.ts = above


def not_taken(run: Record) -> None:
    """The third question was there when the second one was taken up."""
    for event in asked(run, THIRD).events:
        run.taken[event] = turn(run, SECOND).started - 1


def nothing_shown(run: Record) -> None:
    del run.own[place(run, SECOND)]


def cancelled(run: Record) -> None:
    turn(run, SECOND).state = "cancelled"


def pressed(run: Record, at: float) -> None:
    """Stop was pressed then, and taken in at once."""
    stop = act(run, "stop")
    run.acts[run.acts.index(stop)] = replace(stop, at=at)
    run.taken[stop.event] = int(at * 1000)


def stopped_before_it_was_asked(run: Record) -> None:
    pressed(run, asked(run, STOPPED).forms[0].at - 1)


def stopped_when_it_was_over(run: Record) -> None:
    pressed(run, turn(run, STOPPED).finished / 1000 + 1)


def deleted_when_it_was_over(run: Record) -> None:
    gone = asked(run, TAKEN_BACK).gone
    assert gone is not None
    asked(run, TAKEN_BACK).gone = replace(gone, at=turn(run, TAKEN_BACK).finished / 1000 + 1)


def left_standing(run: Record, text: str) -> None:
    """Of the turn that was cancelled something stands."""
    of = turn(run, TAKEN_BACK)
    ts = f"{of.finished / 1000:.6f}"
    run.parts.append(PartRow(of.id, of.channel, ts, "answer"))
    run.own[of.channel, ts] = {"user": "B", "text": text, "ts": ts, "thread_ts": of.thread}


def cancelled_with_other_words(run: Record) -> None:
    left_standing(run, "Call 999 says 0.")


def cancelled_with_no_words(run: Record) -> None:
    left_standing(run, "")


def stopped_with_other_words(run: Record) -> None:
    shows(run, STOPPED, "Call 999 says 0.")


def stopped_with_no_words(run: Record) -> None:
    shows(run, STOPPED, "")


def silent(run: Record) -> None:
    turn(run, SECOND).state = "silent"


def failed(run: Record) -> None:
    turn(run, SECOND).state = "failed"


def given_up_without_a_button(run: Record) -> None:
    turn(run, SECOND).state, turn(run, SECOND).deaths = "failed", DEATHS_AT_MOST


def still_streaming(run: Record) -> None:
    run.own[place(run, SECOND)] = {**run.own[place(run, SECOND)], "streaming_state": "in_progress"}


def eyes_left(run: Record) -> None:
    run.eyes.append(asked(run, SECOND).place)


def status_left(run: Record) -> None:
    run.sessions[turn(run, SECOND).where].status = "processing"


def words_left(run: Record) -> None:
    run.sessions[turn(run, SECOND).where].text = "is thinking…"


TAMPERS: tuple[tuple[Callable[[Record], None], str], ...] = (
    (swapped, "WRONG"),
    (shown_elsewhere, "ASTRAY"),
    (before_the_edit, "OUTDATED"),
    (edit_not_kept, "LOST"),
    (root_left_out, "FORGOT"),
    (root_not_read, "LOST: not kept"),
    (answer_left_out, "FORGOT"),
    (foreign_words, "FOREIGN"),
    (acked_early("post"), "ACK before commit"),
    (acked_early("edit"), "ACK before commit"),
    (acked_early("delete"), "ACK before commit"),
    (acked_early("stop"), "ACK before commit"),
    (never_acked, "never acked"),
    (third_above_the_first, "answered above an earlier one"),
    (first_asked_third, "older than"),
    (answered_above_its_question, "answers a question that came after its answer"),
    (not_taken, "did not take"),
    (nothing_shown, "shows nothing"),
    (cancelled, "ended cancelled"),
    (stopped_before_it_was_asked, "ended answered: stopped"),
    (stopped_when_it_was_over, "ended answered: stopped"),
    (deleted_when_it_was_over, "ended cancelled: deleted"),
    (cancelled_with_other_words, "is cancelled, and shows"),
    (cancelled_with_no_words, "is cancelled, and shows"),
    (stopped_with_other_words, "shows what no call for it said"),
    (stopped_with_no_words, "shows what no call for it said"),
    (silent, "ended silent"),
    (silent, "is silent, and shows"),
    (failed, "ended failed"),
    (given_up_without_a_button, "NO WAY ON"),
    (still_streaming, "STREAMING"),
    (eyes_left, "WORKING: 👀"),
    (status_left, "still shows processing"),
    (words_left, "still shows active 'is thinking…'"),
)


@pytest.mark.parametrize(
    ("tamper", "kind"), TAMPERS, ids=[f"{kind}-{each.__name__}" for each, kind in TAMPERS]
)
async def test_what_is_wrong_is_told(run: Record, tamper: Callable[[Record], None], kind: str) -> None:
    tampered = deepcopy(run)
    tamper(tampered)
    assert any(kind in wrong for wrong in judged(tampered)), judged(tampered)


async def test_what_was_shown_of_an_ended_answer_may_stand(run: Record) -> None:
    ended = deepcopy(run)
    left_standing(ended, "Call 6 says")
    assert judged(ended) == []


async def test_a_stop_that_comes_late_ends_what_is_there_by_then(run: Record) -> None:
    late = deepcopy(run)
    stopped_before_it_was_asked(late)
    late.taken[act(late, "stop").event] = turn(late, STOPPED).finished - 1
    assert judged(late) == []


async def test_a_change_after_the_answer_does_not_make_it_outdated(run: Record) -> None:
    late = deepcopy(run)
    late.requests.pop()
    shows(late, CHANGED, late.requests[-1].answer)
    assert any("OUTDATED" in wrong for wrong in judged(late))
    late.taken[act(late, "edit").event] = turn(late, CHANGED).finished + 1
    assert judged(late) == []


NOT_AT_REST = {
    "state = 'open'": "UPDATE turn SET state = 'open' WHERE id = 1",
    "lease_owner": "UPDATE conversation SET lease_owner = 'somebody' WHERE id = 1",
    "pending_at": "UPDATE conversation SET pending_at = 1 WHERE id = 1",
    "turn_id IS NULL": "UPDATE message SET turn_id = NULL WHERE addressed = 1 AND role = 'user'",
    "integrity_check": "PRAGMA ignore_check_constraints = on; UPDATE turn SET state = '' WHERE id = 1",
    "foreign_key_check": "UPDATE reply_part SET turn_id = 999",
}
"""By words of a check, what it must see in the database."""


async def test_each_check_of_the_database_has_its_tamper() -> None:
    assert all(sum(words in check for words in NOT_AT_REST) == 1 for check in (*AT_REST, *SOUND))
    assert len(NOT_AT_REST) == len(AT_REST) + len(SOUND)


@pytest.mark.parametrize("check", NOT_AT_REST)
async def test_what_is_wrong_in_the_database_is_told(ran: ForkedBobbin, tmp_path: Path, check: str) -> None:
    database, kept = ran.folder / "bobbin.db", tmp_path / "kept.db"
    shutil.copy(database, kept)
    try:
        async with aiosqlite.connect(database) as connection:
            await connection.executescript(NOT_AT_REST[check])
        found = await at_rest(ran)
    finally:
        shutil.copy(kept, database)
    assert [check in wrong for wrong in found].count(True) == 1, found
    assert await at_rest(ran) == []
