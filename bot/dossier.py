"""What is kept of one turn, or of a message that is in none: ids, times and sizes, no words. Pure values.

Times are Unix milliseconds by the database's clock; what a process noted itself (steps, first words of a
call) by that machine's.
"""

from dataclasses import dataclass

from bot.trail import Step


@dataclass(frozen=True, slots=True)
class Said:
    """One message of somebody."""

    ts: str
    user: str
    event_id: str
    """Slack's, by which the log knows it; empty where the thread was read."""
    kept_at: int
    addressed: bool
    reason: str
    """Why the policy left it unanswered."""
    edited: bool
    deleted: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the model."""

    model: str
    purpose: str
    state: str
    estimated: bool
    started_at: int
    first_at: int | None
    finished_at: int | None
    input: int
    cache_read: int
    cache_write: int
    output: int
    micro_usd: int
    request_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One Slack message of the reply."""

    ts: str
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """How a conversation stands among those that have something to do."""

    pending: bool
    owner: str
    """Who holds its lease: host and process; empty: nobody."""
    lease_until: int
    not_before: int
    ahead: int
    """Conversations of its workspace that come before it,"""
    running: int
    """and those that are worked on."""
    risky: int
    """Other open turns that killed their process twice or more: of those one is tried at a time."""
    open_turn: int | None
    """The turn that this conversation works on."""
    heard_at: int
    """When its workspace was last heard by a running Bobbin; 0: never."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """All of it. `state` is the turn's; without a turn: waiting, history or deleted."""

    now: int
    team: str
    channel: str
    thread_ts: str
    state: str
    line: Line
    said: tuple[Said, ...] = ()
    turn: int | None = None
    claims: int = 0
    deaths: int = 0
    started_at: int = 0
    finished_at: int | None = None
    stop_asked: str = ""
    retry_asked: bool = False
    reopened_at: int = 0
    stop_reason: str = ""
    error: str = ""
    recorded: bool = False
    """The whole answer is stored, and not shown to its end yet."""
    asked: tuple[Asked, ...] = ()
    shown: tuple[Shown, ...] = ()
    steps: tuple[Step, ...] = ()
