"""What the doctor finds: one outcome for each thing that must be right."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

Outcome = Literal["ok", "warning", "failed", "skipped"]

_REFUSED_SECONDS = 300
"""AWS takes no signature that is older or younger."""
_ODD_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name (machines know it by that), what was found, and the next step where one is due."""

    name: str
    outcome: Outcome
    found: str
    todo: str = ""


def wrong_settings(problems: Iterable[str]) -> list[Check]:
    """Return the problems of a `BadConfiguration` as failed checks, each by the name of its variable."""
    checks = []
    for problem in problems:
        variable, _, reason = problem.partition(": ")
        found, _, example = reason.partition("; for example ")
        todo = f"for example {example}" if example else "mend it in the environment, .env, or AWS's own files"
        checks.append(Check(variable, "failed", found, todo))
    return checks


class Clock:
    """How far this machine's clock is from the clocks of the servers that answered."""

    def __init__(self) -> None:
        self._ahead: list[float] = []

    def note(self, date: str, sent: float) -> None:
        """Take in an answer's Date header; `sent` is when its request went out, in Unix seconds."""
        with suppress(ValueError, TypeError):
            # The header leaves out the fraction: half a second on average.
            served = parsedate_to_datetime(date).timestamp() + 0.5
            self._ahead.append((sent + time.time()) / 2 - served)

    def check(self) -> Check:
        """Judge by the server that is closest."""
        if not self._ahead:
            return Check("clock", "skipped", "no server told its time")
        ahead = min(self._ahead, key=abs)
        if abs(ahead) < _ODD_SECONDS:
            return Check("clock", "ok", "within seconds of the servers' clocks")
        outcome: Outcome = "failed" if abs(ahead) >= _REFUSED_SECONDS else "warning"
        found = f"this machine's clock is {abs(ahead):.0f} seconds {'fast' if ahead > 0 else 'slow'}"
        return Check(
            "clock", outcome, found, "set it by NTP (timedatectl set-ntp true); AWS refuses 5 minutes"
        )
