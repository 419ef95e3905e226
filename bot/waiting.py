"""Who waits for a free slot sees so: “queued, 3 ahead”, in the place where “is thinking…” comes.

Only where slots are short: else a question is claimed within milliseconds. What is shown is taken over by
the turn that answers; where there is nothing to answer any more it is taken away here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import structlog

from bot.conversation import ThreadKey
from bot.errors import SlackError, SlackLimited, StoreError
from bot.ports import Queued, Share, Store

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
_CALLS = 5
"""At most so many statuses in a round, of all workers: 300 a minute, and what was never shown comes first."""
_CHANGES_SECONDS = 10.0
"""A number that has changed is shown again after so long,"""
_FADES_SECONDS = 100.0
"""and any after so long: Slack takes a status away after two minutes."""


ShowPlace = Callable[[ThreadKey, int | None], Awaitable[None]]


@dataclass(slots=True)
class _Shown:
    queued: Queued
    at: float


class Waiting:
    """Shows the line of a workspace, by `Workspace.show_place`. `full`: whether every slot is taken."""

    def __init__(self, store: Store, team: str, show: ShowPlace, full: Callable[[], bool]) -> None:
        self._store = store
        self._team = team
        self._show_place = show
        self._full = full
        self._shown: dict[int, _Shown] = {}
        self._rests_until = 0.0
        self._calls = 0.0
        self._share = Share()

    def share(self, share: Share) -> None:
        """Of several workers each shows its part of the line, with its part of the calls."""
        self._share = share

    def claimed(self, conversation: int) -> None:
        """Its turn begins here, and shows what holds from now on."""
        self._shown.pop(conversation, None)

    async def look(self) -> None:
        """Show those who wait their places, as far as calls go; a chore, once a second."""
        try:
            if (self._shown or self._full()) and monotonic() >= self._rests_until:
                await self._look()
        except StoreError as error:
            _log.debug("the line cannot be read just now", error=str(error))

    async def _look(self) -> None:
        waiting = await self._store.in_line(self._team) if self._full() else []
        line = {each.conversation: each for each in waiting if self._share.has(each.conversation)}
        gone = [each for each in self._shown if each not in line]
        for conversation in await self._store.idle(gone) if gone else ():
            await self._show(self._shown[conversation].queued, None)
        for conversation in gone:
            self._shown.pop(conversation, None)
        due = [each for each in line.values() if self._is_due(each)]
        # Who was shown nothing yet is first, then what is oldest.
        due.sort(
            key=lambda each: self._shown[each.conversation].at if each.conversation in self._shown else 0
        )
        self._calls = min(_CALLS, self._calls + _CALLS / self._share.of)
        for queued in due[: int(self._calls)]:
            self._calls -= 1
            if not await self._show(queued, queued.ahead):
                return

    def _is_due(self, queued: Queued) -> bool:
        shown = self._shown.get(queued.conversation)
        if shown is None:
            return queued.summoned
        seconds = _FADES_SECONDS if shown.queued.ahead == queued.ahead else _CHANGES_SECONDS
        return monotonic() - shown.at >= seconds

    async def _show(self, queued: Queued, ahead: int | None) -> bool:
        """Show it, or with None take it away; False where Slack wants fewer calls."""
        shown = _Shown(queued, monotonic())
        if ahead is not None:
            self._shown[queued.conversation] = shown
        try:
            await self._show_place(queued.thread, ahead)
            # Claimed while the call was under way: it may have come last, over what the turn shows.
            if ahead is not None and self._shown.get(queued.conversation) is not shown:
                await self._show_place(queued.thread, None)
        except SlackLimited as error:
            self._shown.pop(queued.conversation, None)
            self._rests_until = monotonic() + error.retry_after
            return False
        except SlackError as error:
            _log.info("a place in the line is not shown", reason=str(error))
        return True
