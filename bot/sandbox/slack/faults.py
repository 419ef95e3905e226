"""Why a call that is right is not answered as it should be: faults put in on purpose, and rate limits."""

import math
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

LIMITS = {"T2": (22, 60), "T3": (55, 60), "T4": (110, 60)}  # calls, seconds: "20+" lets a tenth more pass
POST_CHANNEL, POST_WORKSPACE = (3, 3), (300, 60)  # chat.postMessage: 1/s with bursts; "several hundred"/min


@dataclass
class Fault:
    """What befalls `times` calls (None: all) of a method ("*": any), the first `after` of them left out.

    Kinds: ratelimited (`retry_after` s), http (`status`), html (a page with status 200), hang (carried out
    and answered after `seconds`), reset_before (cut, no effect), reset_after (effect, then cut), late (cut
    now, the effect comes after `seconds`); any other kind is the error code of the answer.
    """

    method: str
    kind: str
    times: int | None = 1
    after: int = 0
    seconds: float = 1.0
    status: int = 500
    retry_after: int = 1


class Faults:
    """The faults that wait for their call."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, method: str, kind: str, **options: Any) -> Fault:
        """Put in a fault; the options are the fields of `Fault`."""
        fault = Fault(method, kind, **options)
        self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Take out all faults."""
        self._waiting.clear()

    def take(self, method: str) -> Fault | None:
        """Return the fault that befalls this call, used up by it."""
        for fault in [fault for fault in self._waiting if fault.method in (method, "*")]:
            if fault.after:
                fault.after -= 1
            elif fault.times is None or fault.times > 0:
                fault.times = fault.times and fault.times - 1
                return fault
        return None


class Limits:
    """Slack's rate limits: calls counted over a sliding window."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[str, ...], deque[float]] = defaultdict(deque)

    def refuse(self, method: str, tier: str, channel: str) -> int:
        """Count a call; return the seconds to wait, at least 1, when it is one too many, else 0."""
        if method == "chat.postMessage":
            return self._over((method, channel), *POST_CHANNEL) or self._over((method,), *POST_WORKSPACE)
        return self._over((method,), *LIMITS[tier]) if tier else 0

    def _over(self, key: tuple[str, ...], most: int, window: float) -> int:
        calls, now = self._calls[key], time.monotonic()
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= most:
            return max(1, math.ceil(calls[0] + window - now))
        calls.append(now)
        return 0
