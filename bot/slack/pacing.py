"""Slack's rate limits, per workspace and method, shared by all replies.

The tiers are Slack's (docs.slack.dev/apis/web-api/rate-limits): so many calls a minute for each method,
chat.postMessage one a second in each channel. The pacer counts what was called in the last minute; it
tells a reply how long to wait for its next append, and whether a stream may still be started (a start is
only taken with its stop). Where several workers serve the workspace, each takes its part of every tier, and
of a channel's posts.
"""

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Mapping
from time import monotonic

from bot.ports import Share

PER_MINUTE: Mapping[str, int] = {
    "chat.startStream": 20,
    "chat.stopStream": 20,
    "chat.appendStream": 100,
    "chat.update": 50,
    "chat.postMessage": 200,
    "users.info": 100,
    "conversations.history": 50,
    "conversations.replies": 50,
}
_MINUTE = 60.0
_POST_SECONDS = 1.0
_UPDATE_SECONDS = 3.0
_APPEND_SECONDS = 0.8
_UNPACED_SECONDS = 0.1
_SPARE_SECONDS = 1.0


class Pacer:
    """Decides when a reply may write. `on=False`: only what Slack itself refuses slows a reply down."""

    def __init__(self, *, on: bool = True) -> None:
        self._on = on
        self._calls: defaultdict[str, deque[float]] = defaultdict(deque)
        self._last_post: dict[str, float] = {}
        self._blocked: dict[str, float] = {}
        self._streaming = 0
        self._workers = 1
        self.rewriting = 0
        """Replies that rewrite a message as it grows."""

    def share(self, share: Share) -> None:
        """Leave what is left of each limit to the other workers."""
        self._workers = share.of

    def called(self, method: str, channel: str = "") -> None:
        """Note a call that is being made."""
        now = monotonic()
        if self._on and method in PER_MINUTE and method != "chat.startStream":  # counted when taken
            self._calls[method].append(now)
        if method == "chat.postMessage":
            self._last_post[channel] = now

    def limited(self, method: str, seconds: float) -> None:
        """Slack refused a call: nothing more of this method for so long."""
        self._blocked[method] = max(self._blocked.get(method, 0), monotonic() + seconds)

    def take_stream(self) -> bool:
        """Take the right to start a stream, its stop with it, and hold it until `stream_ended`."""
        if self._left("chat.startStream") <= 0 or self._wait("chat.stopStream") > 0:
            return False
        if self._on and self._left("chat.stopStream") <= self._streaming:
            return False
        self._streaming += 1
        if self._on:
            self._calls["chat.startStream"].append(monotonic())
        return True

    def stream_ended(self) -> None:
        """Its stop was called, or it was never started."""
        self._streaming -= 1

    def may(self, method: str) -> bool:
        """Whether this method may be called now."""
        return self._left(method) > 0

    def may_rewrite(self) -> bool:
        """Whether a reply may show more of itself by an update: the last update of each is always left."""
        return self._left("chat.update") > (self.rewriting if self._on else 0)

    def append_interval(self) -> float:
        """Seconds from one append of a reply to its next: longer, the more replies there are."""
        if not self._on:
            return max(_UNPACED_SECONDS, self._wait("chat.appendStream"))
        share = 1.1 * _MINUTE / self._tier("chat.appendStream") * self._streaming
        return max(_APPEND_SECONDS, share, self._wait("chat.appendStream"))

    def update_interval(self) -> float:
        """Seconds from one update of a message to its next: longer, the more messages grow so."""
        if not self._on:
            return max(_UNPACED_SECONDS, self._wait("chat.update"))
        share = 1.1 * _MINUTE / self._tier("chat.update") * self.rewriting
        return max(_UPDATE_SECONDS, share, self._wait("chat.update"))

    async def wait_for(self, method: str, channel: str = "") -> None:
        """Wait until this method may be called; it must be called at once, before anybody else looks."""
        while (seconds := self._wait(method, channel)) > 0:  # noqa: ASYNC110  the clock tells, no event does
            await asyncio.sleep(seconds)

    async def wait_for_spare(self, method: str) -> None:
        """The same for what has time: half of a minute's calls is always left to the replies."""
        while self._wait(method) > 0 or (  # noqa: ASYNC110  the clock tells, no event does
            self._on and self._left(method) * 2 <= self._tier(method)
        ):
            await asyncio.sleep(_SPARE_SECONDS)

    def jitter(self) -> float:
        """A factor that keeps many replies from calling again all at once."""
        return random.uniform(0.5, 1.5)  # noqa: S311  spread, no secret

    def _wait(self, method: str, channel: str = "") -> float:
        """Seconds until the method may be called."""
        now, free = monotonic(), self._blocked.get(method, 0)
        if self._on and method == "chat.postMessage":
            free = max(free, self._last_post.get(channel, 0) + _POST_SECONDS * self._workers)
        calls = self._recent(method)
        if self._on and method in PER_MINUTE and len(calls) >= self._tier(method):
            free = max(free, calls[-self._tier(method)] + _MINUTE, now + 0.01)
        return max(0.0, free - now)

    def _left(self, method: str) -> int:
        """How many calls are left in this minute; without a limit there is always one."""
        if self._blocked.get(method, 0) > monotonic():
            return 0
        if not self._on or method not in PER_MINUTE:
            return 1
        return self._tier(method) - len(self._recent(method))

    def _tier(self, method: str) -> int:
        """How many calls a minute are this worker's."""
        return max(1, PER_MINUTE[method] // self._workers)

    def _recent(self, method: str) -> deque[float]:
        calls = self._calls[method]
        while calls and calls[0] <= monotonic() - _MINUTE:
            calls.popleft()
        return calls
