"""What a model is asked and what it says."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from bot.conversation import Messages


@dataclass(frozen=True, slots=True)
class CachePoints:
    """Up to where the model's cache keeps a request: all before each point, for `ttl` since its last use."""

    system: bool = False
    """After the system prompt."""
    after: tuple[int, ...] = ()
    """After the last block of these messages of the request, by index."""
    ttl: Literal["5m", "1h"] = "5m"


@dataclass(frozen=True, slots=True)
class Request:
    """What the model is sent. `messages` alternate, first and last are a user's (`alternate`)."""

    messages: Messages
    system: str = ""
    max_tokens: int = 8192
    cache: CachePoints | None = None
    model: str = ""
    """Its id; empty: the process's own."""
    size: int = 0
    """The tokens of all that is read, as far as they are known; 0: nobody has counted."""
    held: int = 0
    """How many of them the model's cache is thought to hold."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call; `input` leaves out what was read from or written to the prompt cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    """All that was written."""
    cache_write_1h: int = 0
    """The part of it that is kept for an hour."""

    @property
    def total(self) -> int:
        """All that was read and written."""
        return self.input + self.cache_read + self.cache_write + self.output


StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "window"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, of any length but never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The answer is whole. Always the last event of a stream that did not raise."""

    reason: StopReason
    usage: Usage
    request_id: str = ""


StreamEvent = TextDelta | Stop


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    text: str
    reason: StopReason
    usage: Usage
    request_id: str = ""


class Model(Protocol):
    """Anything that streams an answer. Raises only `ModelError`s."""

    async def chat(self, request: Request) -> Answer:
        """Ask and wait for the whole answer."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        """Ask once, without a retry, and yield the answer as it comes.

        Closing the generator (use `contextlib.aclosing`) closes the connection at once. A stream that
        ends without `Stop` raises `BrokenStream`.
        """
        ...
