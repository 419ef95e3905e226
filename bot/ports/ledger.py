"""What was spent, as it is kept; and what a channel is told and who answers there."""

from dataclasses import dataclass
from typing import Literal

from bot.ports.model import Usage

Purpose = Literal["answer", "summary"]
CallState = Literal["running", "done", "failed", "stopped", "lost"]


@dataclass(frozen=True, slots=True)
class Call:
    """One model call as the ledger keeps it: begun as an estimate, settled as what it was."""

    id: int
    """Sorts by time."""
    turn: int
    team: str
    channel: str
    user: str
    """Whose budget it counts against."""
    model: str
    purpose: Purpose
    usage: Usage
    micro_usd: int
    state: CallState = "running"
    estimated: bool = True
    request_id: str = ""
    first_at: int | None = None
    """Unix milliseconds of its first words, by this machine's clock."""
    error: str = ""
    """What it failed with: the name of a `ModelError`, and what the log says of it."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be spent, in millionths of a US dollar: by one person in a day, by all in a month (UTC)."""

    user: int | None = None
    team: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """How a budget stands: `used` of `cap` in millionths of a US dollar, renewed `until` (Unix seconds)."""

    budget: Literal["user", "team"]
    used: int
    cap: int
    until: int


@dataclass(frozen=True, slots=True)
class Booked:
    """Whether a call may go out (`refused` is None), and of which budgets somebody is due a warning."""

    refused: Spent | None = None
    warn: tuple[Spent, ...] = ()


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent on something: calls, tokens, millionths of a US dollar, what of that is estimated."""

    what: str
    """The user, channel, model, or day (UTC)."""
    name: str
    """The user's, where it is known."""
    calls: int
    estimated_calls: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    micro_usd: int
    estimated_micro_usd: int


SettingName = Literal["instructions", "model"]


@dataclass(frozen=True, slots=True)
class ChannelSetting:
    """What was set for a channel; an empty value is as everywhere else."""

    name: SettingName
    value: str
    by: str
    """The admin's user id."""
    ts: str
    """The message that set it: of several the newest counts. Empty where no message did: it is set now."""
