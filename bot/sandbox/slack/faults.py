"""Why a call that is right is not answered as it should be: faults put in on purpose, and rate limits."""

import asyncio
import math
import time
from collections import defaultdict, deque
from dataclasses import dataclass

from aiohttp import web

LIMITS = {"T2": (22, 60), "T3": (55, 60), "T4": (110, 60)}  # calls, seconds: "20+" lets a tenth more pass
POST_CHANNEL, POST_WORKSPACE = (3, 3), (300, 60)  # chat.postMessage: 1/s with bursts; "several hundred"/min


@dataclass
class Fault:
    """What befalls `times` calls (None: all) of a method, the first `after` of them left out.

    Kinds: ratelimited (`retry_after` s), http (`status`), html (a page with status 200), hang (carried out
    and answered after `seconds`), reset_before (cut, no effect), reset_after (effect, then cut), http_after
    (effect, then `status`), malformed (effect, then half of the JSON), late (cut now, the effect comes after
    `seconds`); any other kind is the error code of the answer.
    """

    method: str
    kind: str = ""
    times: int | None = 1
    after: int = 0
    seconds: float = 1.0
    status: int = 500
    retry_after: int = 1

    def befalls(self, method: str) -> bool:
        """Whether this call is one that it is meant for; each call asks once."""
        self.after -= self.method == method
        return self.method == method and self.after < 0

    async def spoil(self, request: web.Request) -> web.StreamResponse | None:
        """Return what comes in place of an answer, None where an answer comes, perhaps after a while."""
        if self.kind == "hang":
            await asyncio.sleep(self.seconds)
        if self.kind == "reset_before":
            return cut(request)
        if self.kind not in ("http", "html"):
            return None
        status = self.status if self.kind == "http" else 200
        return web.Response(status=status, text="<!DOCTYPE html>Sign in", content_type="text/html")


def cut(request: web.Request) -> web.StreamResponse:
    """Drop the connection: the caller learns nothing."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


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
