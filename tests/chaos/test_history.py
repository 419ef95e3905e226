"""The checker sees what is wrong: a run in which all is well is tampered with in one way after the other."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import pytest_asyncio

from tests.chaos.history import judged, violations
from tests.chaos.record import PartRow, Place, RanTurn, Record, recorded
from tests.chaos.stage import all_quiet, over, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND, THIRD, ELSEWHERE, CHANGED = range(1, 6)
"""Turns in their order: three of one thread, one of a DM, and one whose question was changed meanwhile."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Three questions in a thread that began without Bobbin, one in a DM, one that is changed meanwhile."""
    async with stage(tmp_path_factory.mktemp("run") / "stage", SLACK_PACING="off") as bobbin:
        slack = bobbin.slack
        ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Ode")
        channel = slack.add_channel("general", members=(ann, ben))
        await bobbin.start()
        thread = await slack.say(ann, channel, "The plan has three parts.")
        for number, who in enumerate((ben, ann, ben), start=1):
            await slack.say(who, channel, f"{bobbin.me} Which is number {number}?", thread=thread)
            await over(bobbin, number)
        await slack.say(ann, slack.dm(ann), "And who makes it?")
        await over(bobbin, ELSEWHERE)
        bobbin.bedrock.hold()
        question = await slack.say(ann, channel, f"{bobbin.me} Until when?")
        await bobbin.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
        await slack.edit(ann, channel, question, f"{bobbin.me} Until which day?")
        await bobbin.bedrock.wait_for(lambda bedrock: len(bedrock.requests) == CHANGED + 1)
        bobbin.bedrock.release()
        await all_quiet(bobbin, CHANGED)
        assert await violations(bobbin) == []
        record = await recorded(bobbin)
    assert judged(record) == []
    return record


def turn(run: Record, nth: int) -> RanTurn:
    return sorted((each for each in run.turns if each.seq > 0), key=lambda each: each.started)[nth - 1]


def part(run: Record, nth: int) -> PartRow:
    """The only message of a turn."""
    (found,) = (each for each in run.parts if each.turn == turn(run, nth).id)
    return found


def place(run: Record, nth: int) -> Place:
    return part(run, nth).channel, part(run, nth).ts


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


def cancelled(run: Record) -> None:
    turn(run, SECOND).state = "cancelled"


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
    (never_acked, "never acked"),
    (third_above_the_first, "answered above an earlier one"),
    (first_asked_third, "older than"),
    (cancelled, "ended cancelled"),
)


@pytest.mark.parametrize(
    ("tamper", "kind"), TAMPERS, ids=[f"{kind}-{each.__name__}" for each, kind in TAMPERS]
)
async def test_what_is_wrong_is_told(run: Record, tamper: Callable[[Record], None], kind: str) -> None:
    tampered = deepcopy(run)
    tamper(tampered)
    assert any(kind in wrong for wrong in judged(tampered)), judged(tampered)


async def test_a_change_after_the_answer_does_not_make_it_outdated(run: Record) -> None:
    late = deepcopy(run)
    late.requests.pop()
    shows(late, CHANGED, late.requests[-1].answer)
    assert any("OUTDATED" in wrong for wrong in judged(late))
    late.taken[act(late, "edit").event] = turn(late, CHANGED).finished + 1
    assert judged(late) == []
