"""Why Bedrock does not answer as it should: its refusals in its own words, and faults put in on purpose."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = tomllib.loads(Path(__file__).with_name("bedrock.toml").read_text("utf-8"))

STOP_REASONS: list[str] = DATA["stop_reasons"]
KINDS: list[str] = [*DATA["faults"], *STOP_REASONS, *DATA["trouble"]]


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
    """One fault of `KINDS` (see bedrock.toml), for `times` requests (None: for ever).

    With `after_events` it comes inside the stream, after so many events; without, before the headers.
    """

    kind: str
    times: int | None = 1
    after_events: int | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(self.kind)

    @property
    def refusal(self) -> Refusal | None:
        """The error to answer with, where the fault is one."""
        return Refusal(self.kind) if self.kind in DATA["faults"] else None
