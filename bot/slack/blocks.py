"""The blocks that Bobbin sends. Every Markdown in them is harmless already."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from bot.errors import BobbinError

Block = Mapping[str, Any]

TRY_AGAIN, ANSWER_AGAIN = "try_again", "answer_again"
FORGET_THREAD, ERASE_ME = "forget_this_thread", "erase_my_data"
FEEDBACK, UP, DOWN, WHY = "feedback", "up", "down", "feedback_why"
LONGEST_WHY = 2000
CHANGED = "You changed a question that I have answered. Shall I answer the new one, in the same place?"
_NOTE = 1000
"""Characters of a note; Slack takes 3,000."""
DISCLAIMER = "Answers are written by Claude, an AI, and can be wrong."


def markdown(text: str) -> list[Block]:
    """A piece of an answer; nothing for no text."""
    return [{"type": "markdown", "text": text}] if text.strip() else []


def footer(notes: Sequence[str] = ()) -> list[Block]:
    """What stands below an answer. Plain text: a note may hold names of files, which people chose."""
    lines = [shorten(line, _NOTE, placeholder=" …") for line in (*notes, DISCLAIMER) if line]
    elements = [{"type": "plain_text", "text": line} for line in lines[-10:]]
    return [{"type": "context", "elements": elements}, {"type": "context_actions", "elements": [_JUDGE]}]


def offer(turn: int) -> list[Block]:
    """What whoever changed an answered question is asked, and the button."""
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": CHANGED}},
        {"type": "actions", "elements": [_button(ANSWER_AGAIN, "Answer again", turn)]},
    ]


def forgetting(words: str, thread_ts: str = "") -> list[Block]:
    """What is kept, and the buttons that ask whether to forget it; a thread, where one is named."""
    thread = [_button(FORGET_THREAD, "Forget this thread …", thread_ts)] if thread_ts else []
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": words}},
        {"type": "actions", "elements": [*thread, erase_me()]},
    ]


def erase_me() -> Block:
    """The button that asks whether somebody's data shall be erased."""
    return _button(ERASE_ME, "Erase my data …", "me")


def why(metadata: str) -> Block:
    """The modal that asks what was wrong with an answer."""
    return {
        "type": "modal",
        "callback_id": WHY,
        "private_metadata": metadata,
        "title": {"type": "plain_text", "text": "What was wrong?"},
        "submit": {"type": "plain_text", "text": "Send"},
        "close": {"type": "plain_text", "text": "No, thanks"},
        "blocks": [
            {
                "type": "input",
                "block_id": WHY,
                "optional": True,
                "label": {"type": "plain_text", "text": "A word helps those who run me to do better"},
                "element": {
                    "type": "plain_text_input",
                    "action_id": WHY,
                    "multiline": True,
                    "max_length": LONGEST_WHY,
                },
            }
        ],
    }


def failure(error: BobbinError, turn: int) -> list[Block]:
    """What happened, what to do, a short id for whoever runs Bobbin, and the button."""
    words = error.said.replace("*Try again*", "_Try again_")
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": f":warning: {words}"}},
        {"type": "actions", "elements": [_button(TRY_AGAIN, "Try again", turn)]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"Error {short_id(turn)}"}]},
    ]


def _button(action: str, label: str, turn: int | str) -> Block:
    text = {"type": "plain_text", "text": label}
    return {"type": "button", "action_id": action, "value": str(turn), "text": text}


def _judgement(value: str, label: str) -> Block:
    return {"text": {"type": "plain_text", "text": label}, "value": value, "accessibility_label": label}


_JUDGE: Block = {
    "type": "feedback_buttons",
    "action_id": FEEDBACK,
    "positive_button": _judgement(UP, "Good answer"),
    "negative_button": _judgement(DOWN, "Bad answer"),
}


def short_id(turn: int) -> str:
    """How a turn is named to people: T and its number."""
    return f"T{turn}"
