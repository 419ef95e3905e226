"""A choice from a message's menu is read defensively: what is not as Slack documents it does nothing."""

import copy
import json
from typing import Any

import pytest

from bot.policy import Rules
from bot.slack.asides import ASK, Asides
from bot.slack.incoming import Me
from bot.slack.shortcuts import CATCH_UP, RECEIPT, Shortcuts

CHOICE: dict[str, Any] = {
    "type": "message_action",
    "user": {"id": "U1", "team_id": "T1"},
    "channel": {"id": "C1", "name": "general"},
    "message": {"ts": "1782770400.000100", "thread_ts": "1782770400.000100", "user": "U2"},
    "trigger_id": "1.2.abc",
}


class Nobody:
    """Slack and the store, which must not be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.fixture
def shortcuts() -> Shortcuts:
    nobody: Any = Nobody()
    me = Me("T1", "UBOT", "B1")
    return Shortcuts(nobody, me, Asides(nobody, nobody, me, Rules(), nobody), later=nobody)


@pytest.fixture
def acked() -> list[dict[str, Any]]:
    return []


def wrong(at: tuple[str, ...], value: Any) -> dict[str, Any]:
    body = copy.deepcopy(CHOICE)
    place = body
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    return body


NOTHING: list[Any] = [None, [], 7]
RUBBISH: list[dict[str, Any]] = [
    {},
    *(wrong((key,), value) for key in ("user", "channel", "message", "trigger_id") for value in NOTHING),
    *(
        wrong((key, "id"), value)
        for key in ("user", "channel")
        for value in (None, "", "x y", "U" * 99, "\ud800")
    ),
    *(wrong(("message", "ts"), value) for value in (None, "", "now", "1782770400.1; --", 1782770400.0001)),
    wrong(("message", "thread_ts"), "\x00"),
    wrong(("message", "thread_ts"), ["1"]),
    wrong(("trigger_id",), "\x00"),
]


@pytest.mark.parametrize("shortcut", [RECEIPT, ASK, CATCH_UP])
async def test_what_cannot_be_read_is_acknowledged_and_nothing_else(shortcuts, acked, shortcut):
    async def ack(**answer: Any) -> None:
        acked.append(answer)

    for body in RUBBISH:
        await shortcuts.handlers["shortcut", shortcut](ack=ack, body=body, respond=None)
    assert acked == [{}] * len(RUBBISH)


async def test_a_question_that_cannot_be_read_closes_its_modal(shortcuts, acked):
    async def ack(**answer: Any) -> None:
        acked.append(answer)

    place = json.dumps({"channel": {"id": "C1"}, "message": {"ts": "1782770400.000100"}})
    person = {"user": {"id": "U1"}, "trigger_id": "1.2.abc"}
    state = {"values": {ASK: {ASK: {"value": "Why?"}}}}
    bodies = [
        {},
        {**person, "view": None},
        {**person, "view": {"private_metadata": place}},
        {**person, "view": {"private_metadata": place, "state": {"values": {ASK: {ASK: {"value": None}}}}}},
        *(
            {**person, "view": {"private_metadata": each, "state": state}}
            for each in ("", "[]", "{", "7", "{}")
        ),
    ]
    for body in bodies:
        await shortcuts.handlers["view", ASK](ack=ack, body=body)
    assert acked == [{}] * len(bodies)
