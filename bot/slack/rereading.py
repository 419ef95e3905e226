"""Reads again what was said while no event could come in, and takes it in by the way of events.

What was seen before changes nothing: a message is kept once, whatever brings it. What a channel and its
threads do not tell is not caught up with: deletions, reactions, clicks, and mentions in old threads that
Bobbin has not joined.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.slack.history import History, as_event


class Rereading:
    """Catches up with one channel or thread after the other. `again` takes an event in like a new one."""

    def __init__(self, history: History, again: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        self._history = history
        self._again = again

    async def read(self, channel: str, since: str, thread_ts: str = "") -> int:
        """Take in what was said after the ts `since` in a thread, or at a channel's top level.

        Returns how many messages there were. Raises `StoreError`, and the `SlackError`s after which another
        try may go well.
        """
        missed = await self._history.since(channel, since, thread_ts)
        events = [event for message in missed for event in _events(message, channel)]
        # All at once, so that they wait for the writer together and are answered together.
        await asyncio.gather(*map(self._again, events))
        return len(missed)


def _events(message: Mapping[str, Any], channel: str) -> list[dict[str, Any]]:
    """The message as it stands now; and its edit, in case that an older form of it is known."""
    posted = as_event(message, channel)
    edited = message.get("edited")
    if not isinstance(edited, Mapping):
        return [posted]
    changed = {
        "type": "message",
        "subtype": "message_changed",
        "message": posted["event"],
        "channel": channel,
    }
    return [posted, {**posted, "event": changed, "event_id": f"{posted['event_id']}/{edited.get('ts')}"}]
