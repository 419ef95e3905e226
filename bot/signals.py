"""What is worth counting, said once where it happens; whoever counts or traces listens.

Nobody listens unless an operator wants metrics or traces (bot/metrics.py, bot/traces.py): then saying it
costs a call of an empty loop. Values have names of a small set, never ids of people or threads.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.ports import Purpose, TurnState, Usage


@dataclass(frozen=True, slots=True)
class Taken:
    """An event was taken in. Seconds: from its arrival to its commit; from what it tells of to that."""

    kind: str
    outcome: str
    seconds: float = 0
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A turn is worked on from here on. `waited` seconds since its oldest message was kept."""

    turn: int
    channel: str
    thread_ts: str
    how: str
    """claimed, resumed, died, again."""
    waited: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn was closed. Seconds from its claim in this process; `asked`: from the newest question."""

    turn: int
    state: TurnState
    error: str
    """The name of a `BobbinError`, or empty."""
    seconds: float
    asked: float | None
    """None where it was answered before."""
    resumed: bool
    marks: dict[str, float] = field(default_factory=dict)
    """Seconds from the claim to each `trail.Mark`."""


@dataclass(frozen=True, slots=True)
class SlackCalled:
    """Slack was called; `outcome` is ok or the name of a `SlackError`."""

    method: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelCalled:
    """The model was asked. `error` is the name of a `ModelError`, or empty; a call may be cut off, too."""

    model: str
    purpose: Purpose
    state: str
    """done, failed, stopped."""
    error: str
    usage: Usage
    micro_usd: int
    estimated: bool
    seconds: float
    first: float | None
    """Seconds to its first words."""
    max_tokens: int
    request_id: str
    stop_reason: str


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that is only counted; `why` is one of a few words."""

    what: str
    why: str = ""
    times: int = 1


Signal = Taken | Claimed | Ended | SlackCalled | ModelCalled | Happened

_listeners: list[Callable[[Signal], None]] = []


def listen(listener: Callable[[Signal], None]) -> Callable[[], None]:
    """Call `listener`, which must not raise, with each signal; returns what undoes it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def tell(signal: Signal) -> None:
    """Say it."""
    for listener in _listeners:
        listener(signal)
