"""Puts right what a crash left: dead leases at the start, and in a sweep orphans, purges, deleted words.

And what an outage left: talk of which no event will come any more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import time

import structlog

from bot import signals
from bot.errors import SlackError
from bot.ports import Gap, Store, Workspace

_log = structlog.get_logger(__name__)

SWEEP_SECONDS = 60.0
SCRUB_SECONDS = 5.0
"""Deleted words are off the disk within twice this."""

HEARD_SECONDS = 30.0
GAP_SECONDS = 240.0
"""Slack delivers an event again at once, after one minute and after five: less than that loses nothing.
A minute is taken off, for a socket that was dead before it was noticed."""
_MARGIN_SECONDS = 60.0
"""What was said just before the gap may have been delivered in vain."""
_DAY = 24 * 3600.0
"""Older words are not answered any more; threads in which nothing was said for so long are not read."""
_PLACES = 50


class Recovery:
    """`settle`: seconds until the last calls of a dead process have arrived."""

    def __init__(self, store: Store, team: str, workspace: Workspace, *, settle: float) -> None:
        self._store = store
        self._team = team
        self._workspace = workspace
        self._settle = settle

    async def start(self) -> None:
        """End the leases of the process before this one; its turns are taken up after the settle time."""
        if turns := await self._store.recover(self._settle):
            _log.info("taking up unfinished turns", count=turns, after_seconds=self._settle)

    async def sweep(self) -> None:
        """Housekeeping; also deletes the messages that a stale owner made."""
        await self._store.sweep()
        for team, channel, ts in await self._store.orphans(team=self._team):
            try:
                await self._workspace.delete(channel, ts)
            except SlackError as error:
                _log.warning("an orphan is not deleted yet", channel=channel, error=str(error))
                continue
            await self._store.forget_orphan(team, channel, ts)
            signals.tell(signals.Happened("orphan deleted"))

    async def scrub(self) -> None:
        """Take deleted words off the disk."""
        await self._store.scrub()


class Gaps:
    """Notices when nothing could be heard for longer than Slack delivers again, and catches up.

    `listening` waits until events can come in. `read` takes in what was said after a ts at the top level of
    a channel, or in a thread of it, and returns how many messages there were.
    """

    def __init__(
        self,
        store: Store,
        team: str,
        *,
        listening: Callable[[], Awaitable[None]],
        read: Callable[[str, str, str], Awaitable[int]],
    ) -> None:
        self._store = store
        self._team = team
        self._listening = listening
        self._read = read
        self._gap = Gap(0.0, 0)
        self._caught_up: set[tuple[str, str]] = set()
        """The places that were read again after this gap."""
        self._missed = asyncio.Event()

    async def note(self) -> None:
        """Note that events can come in now, as soon as they can."""
        await self._listening()
        if (gap := await self._store.heard(self._team, GAP_SECONDS)) is not None:
            if gap != self._gap:
                self._caught_up.clear()
            self._gap = gap
            self._missed.set()

    async def catch_up(self) -> None:
        """Wait for a gap; then read the channels Bobbin is used in and the lively threads, the newest first.

        A failure leaves what is not read yet for the next time; after a restart, or for another process, all.
        """
        await self._missed.wait()
        # From the gap's start, not from what is known last: newer messages may have come in already.
        gap = self._gap
        since = _ts(max(gap.began - _MARGIN_SECONDS, time() - _DAY))
        channels = await self._store.channels(self._team, _PLACES)
        threads = await self._store.lively(self._team, _ts(gap.began - _DAY), _PLACES)
        places = [(channel, "") for channel in channels]
        places += [(thread.channel, thread.thread_ts) for thread in threads]
        places = [place for place in places if place not in self._caught_up]
        _log.info("reading again what was said while nothing came in", places=len(places))
        messages, failed = 0, 0
        for channel, thread_ts in places:
            try:
                messages += await self._read(channel, since, thread_ts)
                self._caught_up.add((channel, thread_ts))
            except SlackError as error:
                failed += 1
                _log.warning("what was said meanwhile is not read yet", channel=channel, error=str(error))
        self._missed.clear()
        if failed:
            await self._store.leave_gap(self._team)
            return
        await self._store.caught_up(self._team, gap)
        _log.info("read again what was said while nothing came in", messages=messages)


def _ts(seconds: float) -> str:
    return f"{seconds:.6f}"
