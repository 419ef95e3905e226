"""What there is but once for all processes of a workspace: each takes its share of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from bot.errors import StoreError
from bot.ports import Share, Store

_log = structlog.get_logger(__name__)

SHARE_SECONDS = 5.0
"""Within so long the others know of one that came."""
_LEAVE_SECONDS = 1.0


class Sharing:
    """Says that this process is at work, and tells each of `takers` which of how many it is."""

    def __init__(self, store: Store, team: str, *takers: Callable[[Share], None]) -> None:
        self._store = store
        self._team = team
        self._takers = takers
        self._of = 0

    async def look(self) -> None:
        """Say so, and look who else is; a chore."""
        share = await self._store.present(self._team)
        if share.of != self._of:
            self._of = share.of
            _log.info("sharing Slack's limits", workers=share.of)
        for take in self._takers:
            take(share)

    async def leave(self) -> None:
        """Say that it ends. A database that is out of reach just now keeps nobody: it is noticed soon."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._store.absent()
