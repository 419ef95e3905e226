"""Reads a thread from Slack: when Bobbin joins it late, and to find what it posted before a crash."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog

from bot.conversation import ThreadKey
from bot.errors import SlackGone, SlackNotAllowed
from bot.events import Posted
from bot.ports import Line
from bot.slack.api import SlackAPI
from bot.slack.incoming import Me, Unreadable, read_event

_log = structlog.get_logger(__name__)

_PAGE = 200
_NEWEST = 5000
"""Messages of a thread that are kept when it is read late: the newest."""

ANSWER_EVENT = "bobbin_turn"
NOTICE_EVENT = "bobbin_notice"
"""Metadata of Bobbin's own messages (readable by anyone in the workspace: ids only)."""


class History:
    """What Slack itself has of a thread."""

    def __init__(self, api: SlackAPI, me: Me) -> None:
        self._api = api
        self._me = me

    async def read(self, thread: ThreadKey) -> list[Line]:
        """Return all that was said, oldest first; Bobbin's own answers as the assistant's."""
        lines: deque[Line] = deque(maxlen=_NEWEST)
        try:
            async for message in self._messages(thread, oldest="0"):
                if (line := self._line(thread, message)) is not None:
                    lines.append(line)
        except (SlackGone, SlackNotAllowed) as error:
            _log.warning("a thread could not be read", channel=thread.channel, reason=str(error))
        return list(lines)

    async def own(self, thread: ThreadKey, after: str) -> list[Mapping[str, Any]]:
        """Return Bobbin's own messages in the thread newer than `after`, oldest first, notices left out."""
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
            return []

    async def _messages(self, thread: ThreadKey, oldest: str) -> AsyncIterator[Mapping[str, Any]]:
        """Page through conversations.replies; the root comes first on every page, whatever `oldest` says."""
        cursor, root_seen = "", False
        while True:
            more: dict[str, Any] = {"cursor": cursor} if cursor else {}
            page = await self._api.repeat(
                "conversations.replies",
                channel=thread.channel,
                ts=thread.thread_ts,
                oldest=oldest,
                limit=_PAGE,
                include_all_metadata=True,
                **more,
            )
            for message in page.get("messages") or []:
                is_root = message.get("ts") == thread.thread_ts
                if not (is_root and root_seen):
                    yield message
                root_seen = root_seen or is_root
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not page.get("has_more") or not cursor:
                return

    def _is_own(self, message: Mapping[str, Any]) -> bool:
        return message.get("user") == self._me.user or message.get("bot_id") == self._me.bot

    def _line(self, thread: ThreadKey, message: Mapping[str, Any]) -> Line | None:
        if self._is_own(message):
            notice = (message.get("metadata") or {}).get("event_type") == NOTICE_EVENT
            text = str(message.get("text") or "")
            return None if notice or not text else Line("assistant", str(message["ts"]), self._me.user, text)
        event = {"type": "message", **message, "channel": thread.channel}
        event.pop("hidden", None)
        try:
            posted = read_event({"event": event, "event_id": "history"}, self._me)
        except Unreadable:
            return None
        if not isinstance(posted, Posted):
            return None
        return Line(
            "user",
            posted.ts,
            posted.author,
            posted.text,
            posted.files,
            addressed=False,
            external=bool(posted.external),
        )
