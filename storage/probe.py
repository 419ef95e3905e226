"""Tries whether a write comes through: one try at a time, however many ask."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bot.errors import StoreUnavailable

_SECONDS = 2.0


class Probe:
    """`write` is tried when somebody asks and no try is under way: else tries would queue up."""

    def __init__(self, write: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._write = write
        self._trying: asyncio.Task[None] | None = None

    async def must_pass(self) -> None:
        """Raise `StoreUnavailable` where it does not within two seconds, else what the write raises."""
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._write())
        done, _ = await asyncio.wait({self._trying}, timeout=_SECONDS)
        if not done:
            raise StoreUnavailable(
                f"no write came through in {_SECONDS:g} s: another program has it locked, or the disk hangs"
            )
        self._trying.result()
