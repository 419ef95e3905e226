"""The right to work on a turn, kept by a heartbeat.

Two clocks guard a turn. The store's: every write is made under the fence of its claim. And the process's
own: `check` refuses once the last good heartbeat is too old, so that a process which was frozen past its
lease writes nothing more to Slack.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import structlog

from bot.errors import POSTPONING, BobbinError, LeaseLost, StoreError
from bot.ports import Store, Turn

_log = structlog.get_logger(__name__)

EDITED = "edited"
"""The question was changed."""
_HERE = ("drained", "lost")
"""The work ends in this process; the turn goes on elsewhere."""

_BEAT = 1 / 4
_TRUST = 0.6
"""Parts of the lease: how often it is renewed, and how long after the last renewal it is still trusted."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Seconds that no step of the wall clock changes, and that a suspended machine counts, where it can."""
    return time.clock_gettime(_CLOCK)


def term(seconds: float, settle: float) -> float:
    """How long the store keeps a lease: its last write has settled before anybody else takes it."""
    return max(seconds, _TRUST * seconds + settle)


class Lease:
    """Held while inside `async with`. `end` cancels the task that holds it and says why.

    `claimed`: when the claim began, by `uptime`. What it took counts: the commit may have been long
    in coming back, and the process may have been frozen meanwhile.
    """

    def __init__(self, store: Store, turn: Turn, seconds: float, *, claimed: float) -> None:
        self._store = store
        self._turn = turn
        self._seconds = seconds
        self._good = claimed
        self._holder: asyncio.Task[object] | None = None
        self._heart: asyncio.Task[None] | None = None
        self.ended: str | None = None
        """Why the turn must end: stopped, deleted, lost, drained; or `EDITED`: it must begin anew."""

    async def __aenter__(self) -> Self:
        self._holder = asyncio.current_task()
        if self.ended is not None and self._holder is not None:
            self._holder.cancel()
        self._heart = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder = None  # nothing cuts off what gives the turn back
        if self._heart is not None:
            self._heart.cancel()
            with suppress(asyncio.CancelledError):
                await self._heart

    def check(self) -> None:
        """Raise `LeaseLost` where nothing may be written any more."""
        if self.ended == "lost" or uptime() > self._good + _TRUST * self._seconds:
            raise LeaseLost(f"turn {self._turn.id}: no good heartbeat for too long")

    def end(self, why: str) -> None:
        """End the work on the turn. A stronger reason replaces one that is heeded already, like no other."""
        if self.ended is None or _strength(why) > _strength(self.ended):
            self.ended = why
            if self._holder is not None:
                self._holder.cancel()

    def again(self) -> None:
        """The turn begins anew: the next edit will end that."""
        if self.ended == EDITED:
            self.ended = None

    def close(self) -> None:
        """The work is done: nothing ends it any more."""
        self._holder = None

    @asynccontextmanager
    async def heeding(self) -> AsyncIterator[None]:
        """Where what is done inside fails, look first whether it must end: that comes before an error.

        It may have failed because its words are gone or changed, which only another worker knows yet.
        """
        try:
            yield
        except (*POSTPONING, LeaseLost):
            raise
        except BobbinError:
            why = await self._store.extend(self._turn)
            if why is not None:
                self.end(why)
                await asyncio.sleep(0)  # here the cancellation comes
            raise

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT * self._seconds)
            begun = uptime()
            try:
                why = await self._store.extend(self._turn)
            except LeaseLost:
                self.end("lost")
                return
            except StoreError as error:
                _log.warning("a heartbeat failed", turn=self._turn.id, error=str(error))
                if uptime() > self._good + _TRUST * self._seconds:
                    self.end("lost")
                    return
                continue
            self._good = begun
            if why is not None:
                self.end(why)


def _strength(why: str) -> int:
    """To begin anew is weaker than to end; to stop working here is stronger, also while the end is shown."""
    return 0 if why == EDITED else 2 if why in _HERE else 1
