"""The blocks that Bobbin sends keep Slack's rules, as the sandbox checks them."""

import inspect

import pytest

import bot.errors
from bot.errors import BobbinError
from bot.sandbox.slack.blocks import checked_blocks
from bot.slack.blocks import (
    DISCLAIMER,
    DOWN,
    LONGEST_WHY,
    TRY_AGAIN,
    UP,
    failure,
    footer,
    markdown,
    offer,
    short_id,
    why,
)

ERRORS = [
    kind for _, kind in inspect.getmembers(bot.errors, inspect.isclass) if issubclass(kind, BobbinError)
]


def test_a_piece_of_an_answer_is_markdown_and_no_text_no_block():
    assert markdown("**a**") == [{"type": "markdown", "text": "**a**"}]
    assert markdown(" \n") == []


def test_below_an_answer_stand_its_notes_and_last_that_an_ai_wrote_it():
    below, _ = footer(["Stopped.", ""])
    assert [element["text"] for element in below["elements"]] == ["Stopped.", DISCLAIMER]
    full, _ = checked_blocks(list(footer([f"note {n}" for n in range(20)])))
    assert [element["text"] for element in full["elements"]][-2:] == ["note 19", DISCLAIMER]


def test_below_that_it_can_be_judged():
    _, row = checked_blocks(list(footer()))
    assert row["type"] == "context_actions"
    [judge] = row["elements"]
    assert [judge[f"{way}_button"]["value"] for way in ("positive", "negative")] == [UP, DOWN]


def test_the_modal_and_the_offer_are_as_slack_takes_them():
    [question] = checked_blocks(why("{}")["blocks"], "view")
    assert question["element"]["max_length"] == LONGEST_WHY
    assert len(why("{}")["title"]["text"]) <= 24
    assert checked_blocks(offer(7))[1]["elements"][0]["value"] == "7"


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_says_what_happened_has_a_button_and_an_id_to_find_it_by(kind: type[BobbinError]):
    error = kind.__new__(kind, "secret of the log")
    said, actions, context = checked_blocks(list(failure(error, 7)))
    assert said["text"]["text"].replace("_", "*") == f":warning: {kind.said}".replace("_", "*")
    assert [(button["action_id"], button["value"]) for button in actions["elements"]] == [(TRY_AGAIN, "7")]
    assert context["elements"][0]["text"] == f"Error {short_id(7)}"
    assert "secret" not in repr(failure(error, 7))
