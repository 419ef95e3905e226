"""The blocks that Bobbin sends. Every Markdown in them is harmless already."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from bot.errors import BobbinError

Block = Mapping[str, Any]

TRY_AGAIN = "try_again"
_NOTE = 1000
"""Characters of a note; Slack takes 3,000."""
DISCLAIMER = "Answers are written by Claude, an AI, and can be wrong."


def markdown(text: str) -> list[Block]:
    """A piece of an answer; nothing for no text."""
    return [{"type": "markdown", "text": text}] if text.strip() else []


def footer(notes: Sequence[str] = ()) -> list[Block]:
    """What stands below an answer. Plain text: a note may hold names of files, which people chose."""
    lines = [shorten(line, _NOTE, placeholder=" …") for line in (*notes, DISCLAIMER) if line]
    return [{"type": "context", "elements": [{"type": "plain_text", "text": line} for line in lines[-10:]]}]


def failure(error: BobbinError, turn: int) -> list[Block]:
    """What happened, what to do, a short id for whoever runs Bobbin, and the button."""
    words = error.said.replace("*Try again*", "_Try again_")
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": f":warning: {words}"}},
        {
            "type": "actions",
            "elements": [
                {
                    "type": "button",
                    "action_id": TRY_AGAIN,
                    "value": str(turn),
                    "text": {"type": "plain_text", "text": "Try again"},
                }
            ],
        },
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"Error {short_id(turn)}"}]},
    ]


def short_id(turn: int) -> str:
    """How a turn is named to people: T and its number."""
    return f"T{turn}"
