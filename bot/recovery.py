"""Puts right what a crash left: dead leases at the start, and in a sweep orphans, purges, deleted words."""

import structlog

from bot.errors import SlackError
from bot.ports import Store, Workspace

_log = structlog.get_logger(__name__)

SWEEP_SECONDS = 60.0
SCRUB_SECONDS = 5.0
"""Deleted words are off the disk within twice this."""


class Recovery:
    """`settle`: seconds until the last calls of a dead process have arrived."""

    def __init__(self, store: Store, workspace: Workspace, *, settle: float) -> None:
        self._store = store
        self._workspace = workspace
        self._settle = settle

    async def start(self) -> None:
        """End the leases of the process before this one; its turns are taken up after the settle time."""
        if turns := await self._store.recover(self._settle):
            _log.info("taking up unfinished turns", count=turns, after_seconds=self._settle)

    async def sweep(self) -> None:
        """Housekeeping; also deletes the messages that a stale owner made."""
        await self._store.sweep()
        for team, channel, ts in await self._store.orphans():
            try:
                await self._workspace.delete(channel, ts)
            except SlackError as error:
                _log.warning("an orphan is not deleted yet", channel=channel, error=str(error))
                continue
            await self._store.forget_orphan(team, channel, ts)

    async def scrub(self) -> None:
        """Take deleted words off the disk."""
        await self._store.scrub()
