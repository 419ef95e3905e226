"""Why Bedrock does not answer as it should: its refusals in its own words, and faults put in on purpose."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = tomllib.loads(Path(__file__).with_name("bedrock.toml").read_text("utf-8"))

STOP_REASONS = (
    *("max_tokens", "stop_sequence", "guardrail_intervened", "content_filtered", "malformed_model_output"),
    *("malformed_tool_use", "model_context_window_exceeded", "brand_new_reason"),
)
# reset: RST; cut: the connection, or the stream's body, ends in good order; stall: silence for `seconds`;
# bad_crc: a damaged frame; empty: an answer without text.
TROUBLE = ("reset", "cut", "stall", "bad_crc", "empty")
KINDS = (*DATA["faults"], *STOP_REASONS, *TROUBLE)


class Refusal(Exception):
    """An error as Bedrock answers it; a word of `[faults]` or `[rules]` in bedrock.toml names it."""

    def __init__(self, word: str, **values: Any) -> None:
        rule = DATA["rules"].get(word, "").format(**values)
        self.status: int
        self.code: str
        self.message: str
        self.status, self.code, self.message = DATA["faults"].get(word, (400, "ValidationException", rule))
        super().__init__(self.message)


@dataclass
class Fault:
    """One fault, for `times` requests (None: for ever) that `when` picks (by their body).

    `kind` is one of `KINDS`: a word of `[faults]` in bedrock.toml, a stop reason, or trouble. With
    `after_events` it comes inside the stream, after so many events; without, before the answer's headers.
    """

    kind: str
    times: int | None = 1
    after_events: int | None = None
    seconds: float = 1.0
    when: Callable[[dict[str, Any]], bool] = lambda _: True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(self.kind)

    @property
    def refusal(self) -> Refusal | None:
        """The error to answer with, where the fault is one."""
        return Refusal(self.kind) if self.kind in DATA["faults"] else None


class Faults:
    """The faults that wait for their request."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, kind: str, **options: Any) -> Fault:
        """Put in a fault; the options are the fields of `Fault`."""
        fault = Fault(kind, **options)
        self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Take out all faults."""
        self._waiting.clear()

    def take(self, body: dict[str, Any]) -> Fault | None:
        """Return the fault that befalls this request, used up by it."""
        fault = next((fault for fault in self._waiting if fault.when(body)), None)
        if fault and fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._waiting.remove(fault)
        return fault
