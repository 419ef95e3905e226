"""What Bobbin itself says of an answer: while it is made, below it, and where it was stopped. Pure."""

from collections.abc import Mapping, Sequence

from bot.ports import History, Line, Turn

THINKING = "is thinking…"
ENDINGS: Mapping[str, str] = {
    "stopped": "Stopped.",
    "deleted": "Stopped: the question was deleted.",
    "forgotten": "Stopped: I was told to forget this thread.",
}
"""By why a turn was ended."""

_MANY = 20
"""Messages: so many are worth a word."""
_CONDENSED = "I have condensed the older part of this thread to go on reading it."
_REASONS: Mapping[str, str] = {
    "max_tokens": "The answer reached its length limit. Ask me to go on.",
    "window": "The answer stopped because I cannot read or write more at once. Ask me to go on.",
}


def doing(lines: Sequence[Line]) -> str:
    """Return what a status says once it is known how much is read."""
    return f"is reading {len(lines):,} messages…" if len(lines) >= _MANY else THINKING


def remarks(reason: str, history: History, turn: Turn) -> list[str]:
    """Return what stands below an answer that ended for this reason."""
    condensed = history.summary is not None and history.summary.first_turn == turn.id
    return ([_CONDENSED] if condensed else []) + ([_REASONS[reason]] if reason in _REASONS else [])
