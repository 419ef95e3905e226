"""Reads from Slack: a thread that Bobbin joins late, what it posted before a crash, what it missed."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any

import structlog

from bot.conversation import ThreadKey
from bot.errors import SlackGone, SlackNotAllowed, SlackRefused
from bot.events import Posted
from bot.ports import Line, Seen
from bot.slack.api import SlackAPI
from bot.slack.blocks import FEEDBACK, TRY_AGAIN
from bot.slack.incoming import Me, Unreadable, read_event

_log = structlog.get_logger(__name__)

_PAGE = 200
_NEWEST = 5000
"""Messages of a thread that are kept when it is read late: the newest."""

_MISSED_PAGES = 5
"""Of a thread, or of a channel's top level, are read again after a break."""

ANSWER_EVENT = "bobbin_turn"
NOTICE_EVENT = "bobbin_notice"
"""Metadata of Bobbin's own messages (readable by anyone in the workspace: ids only)."""


class History:
    """What Slack itself has of a thread."""

    def __init__(self, api: SlackAPI, me: Me) -> None:
        self._api = api
        self._me = me

    async def read(self, thread: ThreadKey, until: str) -> tuple[list[Line], list[Posted]]:
        """Return what was said up to the ts `until`, and what people said after it, each oldest first.

        Bobbin's own answers are the assistant's lines.
        """
        lines: deque[Line] = deque(maxlen=_NEWEST)
        since: list[Posted] = []
        try:
            async for message in self._messages(thread, oldest="0"):
                said = self._said(thread, message)
                if isinstance(said, Posted) and said.ts > until:
                    since.append(said)
                elif isinstance(said, Posted):
                    lines.append(_line(said))
                elif said is not None:
                    lines.append(said)
        except (SlackGone, SlackNotAllowed) as error:
            _log.warning("a thread could not be read", channel=thread.channel, reason=str(error))
        return list(lines), since

    async def starter(self, thread: ThreadKey) -> str:
        """Return who wrote a thread's first message, a person or a bot; empty where that is gone."""
        channel, ts = thread.channel, thread.thread_ts
        try:
            page = await self._api.repeat("conversations.replies", limit=1, tries=3, channel=channel, ts=ts)
        except SlackGone:
            return ""
        messages = page.get("messages") or [{}]
        first: Mapping[str, Any] = messages[0]
        return str(first.get("user") or "") if first.get("ts") == thread.thread_ts else ""

    async def own(self, thread: ThreadKey, after: str) -> list[Mapping[str, Any]] | None:
        """Return Bobbin's own messages in the thread newer than `after`, oldest first, notices left out.

        None where the thread cannot be read.
        """
        try:
            return [
                message
                async for message in self._messages(thread, oldest=after)
                if self._is_own(message)
                and str(message.get("ts", "")) > after
                and (message.get("metadata") or {}).get("event_type") != NOTICE_EVENT
            ]
        except (SlackGone, SlackNotAllowed) as error:
            _log.warning("a thread could not be read", channel=thread.channel, reason=str(error))
            return None

    async def since(self, channel: str, ts: str, thread_ts: str = "") -> list[Mapping[str, Any]]:
        """Return what people said after `ts` in a thread, or at a channel's top level, oldest first.

        It has time: half of Slack's rate limit is left to others. Of very much, only some is read.
        """
        where = {"channel": channel, "oldest": ts} | ({"ts": thread_ts} if thread_ts else {})
        method = "conversations.replies" if thread_ts else "conversations.history"
        found: list[Mapping[str, Any]] = []
        try:
            async for message in self._pages(method, where, missed=True):
                found.append(message)  # noqa: PERF401  what came before a failure counts
        except (SlackGone, SlackNotAllowed, SlackRefused) as error:
            _log.warning("a channel or thread could not be read", channel=channel, reason=str(error))
        said = {str(message.get("ts", "")): message for message in found if not self._is_own(message)}
        return [said[at] for at in sorted(said) if at > ts]

    async def _messages(self, thread: ThreadKey, oldest: str) -> AsyncIterator[Mapping[str, Any]]:
        """Page through a thread; the root comes first on every page, whatever `oldest` says."""
        root_seen = False
        where = {"channel": thread.channel, "ts": thread.thread_ts, "oldest": oldest}
        async for message in self._pages("conversations.replies", where):
            is_root = message.get("ts") == thread.thread_ts
            if not (is_root and root_seen):
                yield message
            root_seen = root_seen or is_root

    async def _pages(
        self, method: str, where: Mapping[str, str], *, missed: bool = False
    ) -> AsyncIterator[Mapping[str, Any]]:
        more: dict[str, Any] = {**where}
        for number in count(1):
            if missed:
                await self._api.pacer.wait_for_spare(method)
            page = await self._api.repeat(method, limit=_PAGE, include_all_metadata=True, **more)
            for message in page.get("messages") or []:
                yield message
            more["cursor"] = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not page.get("has_more") or not more["cursor"]:
                return
            if missed and number == _MISSED_PAGES:
                _log.warning("so much was said that only some is read again", channel=where["channel"])
                return

    def _is_own(self, message: Mapping[str, Any]) -> bool:
        return message.get("user") == self._me.user or message.get("bot_id") == self._me.bot

    def _said(self, thread: ThreadKey, message: Mapping[str, Any]) -> Posted | Line | None:
        """Return a person's message, or one of Bobbin's own answers."""
        if self._is_own(message):
            notice = (message.get("metadata") or {}).get("event_type") == NOTICE_EVENT
            text = str(message.get("text") or "")
            return None if notice or not text else Line("assistant", str(message["ts"]), self._me.user, text)
        try:
            posted = read_event(as_event(message, thread.channel), self._me)
        except Unreadable:
            return None
        return posted if isinstance(posted, Posted) else None


def as_event(message: Mapping[str, Any], channel: str) -> dict[str, Any]:
    """What the Events API would have brought for a message that was read; its id is the message's place.

    Whether the channel is shared with others is not told there: it may be, so whose organisation is not
    named is looked up.
    """
    event = {"type": "message", **message, "channel": channel}
    event.pop("hidden", None)
    return {
        "type": "event_callback",
        "event_id": f"{channel}/{message['ts']}",
        "is_ext_shared_channel": True,
        "event": event,
    }


def _line(posted: Posted) -> Line:
    return Line(
        "user",
        posted.ts,
        posted.author,
        posted.text,
        posted.files,
        addressed=False,
        external=bool(posted.external),
        unsure=posted.external is None,
        bot=bool(posted.bot),
    )


def seen_of(message: Mapping[str, Any]) -> Seen:
    """How one of Bobbin's own messages reads, and whether it ends something: by what stands below it."""
    blocks = [block for block in message.get("blocks") or () if isinstance(block, Mapping)]
    pieces = [str(block.get("text", "")) for block in blocks if block.get("type") == "markdown"]
    below = {
        str(element.get("action_id"))
        for block in blocks
        for element in block.get("elements") or ()
        if isinstance(element, Mapping)
    }
    return Seen(
        ts=str(message.get("ts", "")),
        text="\n".join(pieces) or str(message.get("text") or ""),
        last=not below.isdisjoint((FEEDBACK, TRY_AGAIN)),
        failed=TRY_AGAIN in below,
    )
