"""The receipt of what was forgotten; and what cannot be read erases nothing."""

from typing import Any

import pytest

from bot.insight import Erased
from bot.slack.blocks import ERASE_ME, FORGET_THREAD
from bot.slack.forgetting import Forgetting, receipt
from bot.slack.incoming import Me
from tests.unit.slack.test_shortcuts import RUBBISH, Nobody


def test_the_receipt_counts_what_went():
    assert receipt(Erased(messages=1234, answers=1, files=2, names=1, threads=3)).startswith(
        "*Erased:* 1,234 messages, 1 answer of mine, 2 files, 1 name.\n"
    )
    assert receipt(Erased()).startswith("There was nothing to erase")


@pytest.mark.parametrize(
    "handler",
    [
        ("shortcut", FORGET_THREAD),
        ("action", FORGET_THREAD),
        ("view", FORGET_THREAD),
        ("view", ERASE_ME),
    ],
)
async def test_what_cannot_be_read_is_acknowledged_and_erases_nothing(handler):
    nobody: Any = Nobody()
    forgetting = Forgetting(nobody, nobody, Me("T1", "UBOT", "B1"), done=nobody, later=nobody)
    acked: list[dict[str, Any]] = []

    async def ack(**answer: Any) -> None:
        acked.append(answer)

    bodies: list[Any] = [*RUBBISH, {"view": None}, {"view": {"private_metadata": "{"}}, {"actions": [{}]}]
    if handler == ("view", ERASE_ME):
        bodies = [{}, {"user": None}, {"user": {"id": ""}}, {"user": {"id": 7}}]
    for body in bodies:
        arguments = {} if handler[0] == "view" else {"respond": None}
        await forgetting.handlers[handler](ack=ack, body=body, **arguments)
    assert acked == [{}] * len(bodies)
