"""What happens in a turn, noted on the way: kept for `why`, timed for the metrics. Names and ids only.

The turn that is being worked on is known by its context (`contextvars`): the tasks it starts inherit it. So
whoever meets something worth telling calls `note`, wherever it is; outside of a turn that does nothing. The
notes are written to the store with the next transaction that the turn makes anyway.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Literal

What = Literal[
    "claimed",  # detail: whose lease; the store writes these four
    "resumed",
    "died",
    "again",
    "recorded",  # the whole answer is stored; detail: its length
    "read",  # the thread was read from Slack; detail: messages
    "condensed",
    "anew",  # the question was changed
    "over budget",
    "limited",  # Slack: 429; detail: method and seconds
    "unreachable",  # detail: method and what came in the place of an answer
    "refused",  # detail: method and Slack's code
    "adopted",  # a message of an earlier try was found in the thread; detail: its ts
    "not made",  # it was looked for, and is not there; detail: method
    "late",  # a message came by a call that was taken for lost, and is deleted; detail: its ts
    "unaccounted",  # messages of Bobbin's that no turn accounts for; detail: how many
    "not growing",  # it is shown at its end only; detail: why
    "not shown",
    "put off",
    "given back",
]
Mark = Literal["first token", "first text", "whole"]

MOST = 100
"""Notes that are kept of one turn: of a storm the beginning tells enough."""


@dataclass(frozen=True, slots=True)
class Step:
    """One note. `at` in Unix milliseconds, by this machine's clock."""

    at: int
    what: str
    detail: str = ""


@dataclass(slots=True)
class Trail:
    """The notes of one turn in this process; `marks` are moments by `time.monotonic`."""

    turn: int
    began: float = field(default_factory=monotonic)
    marks: dict[str, float] = field(default_factory=dict)
    left: int = MOST
    unwritten: list[Step] = field(default_factory=list)


_current: ContextVar[Trail | None] = ContextVar("trail", default=None)


def begin(turn: int) -> Trail:
    """Follow a turn from here on, in this task and those that it starts."""
    trail = Trail(turn)
    _current.set(trail)
    return trail


def current() -> Trail | None:
    """The turn that is being worked on here."""
    return _current.get()


def note(what: What, detail: str = "") -> None:
    """Note what happens. `detail` never has anybody's words in it."""
    trail = _current.get()
    if trail is not None and trail.left > 0:
        trail.left -= 1
        trail.unwritten.append(Step(int(time() * 1000), what, detail[:500]))


def mark(moment: Mark) -> None:
    """Keep when something happened for the first time."""
    trail = _current.get()
    if trail is not None:
        trail.marks.setdefault(moment, monotonic())


@contextmanager
def to_write() -> Iterator[list[Step]]:
    """Take the notes that are not written yet. Where that fails (an exception), they are there again."""
    trail = _current.get()
    steps = [] if trail is None else trail.unwritten[:]
    if trail is not None:
        trail.unwritten.clear()
    try:
        yield steps
    except BaseException:
        if trail is not None:
            trail.unwritten[:0] = steps
        raise
