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

    def _said(self, thread: ThreadKey, message: Mapping[str, Any]) -> Posted | Line | None:
        """Return a person's message, or one of Bobbin's own answers."""
        if self._is_own(message):
            notice = (message.get("metadata") or {}).get("event_type") == NOTICE_EVENT
            text = str(message.get("text") or "")
            return None if notice or not text else Line("assistant", str(message["ts"]), self._me.user, text)
        event = {"type": "message", **message, "channel": thread.channel}
        event.pop("hidden", None)
        try:
            posted = read_event({"event": event, "event_id": f"{thread.channel}/{message['ts']}"}, self._me)
        except Unreadable:
            return None
        return posted if isinstance(posted, Posted) else None


def _line(posted: Posted) -> Line:
    return Line(
        "user",
        posted.ts,
        posted.author,
        posted.text,
        posted.files,
        addressed=False,
        external=bool(posted.external),
    )
