"""The blocks that Bobbin sends keep Slack's rules, as the sandbox checks them."""

import inspect

import pytest

import bot.errors
from bot.errors import BobbinError
from bot.sandbox.slack.blocks import checked_blocks
from bot.slack.blocks import DISCLAIMER, TRY_AGAIN, failure, footer, markdown, short_id

ERRORS = [
    kind for _, kind in inspect.getmembers(bot.errors, inspect.isclass) if issubclass(kind, BobbinError)
]


def test_a_piece_of_an_answer_is_markdown_and_no_text_no_block():
    assert markdown("**a**") == [{"type": "markdown", "text": "**a**"}]
    assert markdown(" \n") == []


def test_below_an_answer_stand_its_notes_and_last_that_an_ai_wrote_it():
    [below] = footer(["Stopped.", ""])
    assert [element["text"] for element in below["elements"]] == ["Stopped.", DISCLAIMER]
    [full] = checked_blocks(list(footer([f"note {n}" for n in range(20)])))
    assert [element["text"] for element in full["elements"]][-2:] == ["note 19", DISCLAIMER]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_says_what_happened_has_a_button_and_an_id_to_find_it_by(kind: type[BobbinError]):
    error = kind.__new__(kind, "secret of the log")
    said, actions, context = checked_blocks(list(failure(error, 7)))
    assert said["text"]["text"].replace("_", "*") == f":warning: {kind.said}".replace("_", "*")
    assert [(button["action_id"], button["value"]) for button in actions["elements"]] == [(TRY_AGAIN, "7")]
    assert context["elements"][0]["text"] == f"Error {short_id(7)}"
    assert "secret" not in repr(failure(error, 7))
