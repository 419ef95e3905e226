"""What Bobbin can tell people: how they stand, what it keeps, what an answer was made of. Pure values.

Money is in millionths of a US dollar.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody has spent, with what is reserved for running calls, and how busy Bobbin is."""

    today: int
    month: int
    team_month: int
    """Everybody in the workspace together."""
    tomorrow: int
    """Unix seconds: when a day's budget is renewed,"""
    next_month: int
    """and a month's."""
    running: int
    """Answers that are being written,"""
    waiting: int
    """and threads that wait for theirs."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of somebody's words."""

    messages: int
    threads: int
    oldest: str
    """The oldest message's ts; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one answer was made of, as far as it is still kept."""

    turn: int
    askers: tuple[str, ...]
    """Ids of those who asked; whose words were deleted since is left out."""
    messages: int
    """People's, these included,"""
    answers: int
    """and Bobbin's own earlier ones."""
    authors: tuple[str, ...]
    """Ids of those people."""
    first: str
    """ts of the oldest and the newest of them all."""
    last: str
    files: tuple[tuple[str, str], ...] = ()
    """Each file's name, and a key of `files.REASONS` where it was not read."""
    condensed: int | None = 0
    """How many of them were read as a summary; None: some were, but it is not known how many."""
    models: tuple[str, ...] = ()
    input: int = 0
    """Tokens: read at the full price,"""
    cache_read: int = 0
    """from the cache,"""
    cache_write: int = 0
    """and put into it."""
    output: int = 0
    micro_usd: int = 0
    estimated: bool = False
    """Whether Bedrock did not tell all of it."""
    requests: tuple[str, ...] = ()
    """Bedrock's ids of them."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was forgotten, counted: the receipt of it, without a word of it."""

    messages: int = 0
    answers: int = 0
    """Bobbin's, earlier ones too."""
    files: int = 0
    summaries: int = 0
    feedback: int = 0
    names: int = 0
    threads: int = 0
    """Conversations that this was kept in."""
    ends: tuple[tuple[int, str], ...] = ()
    """Open turns (their ids) that it concerns, and why they must end: forgotten, deleted, or edited."""
