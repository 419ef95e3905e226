"""*Answer again*: chosen on an answer, or offered to whoever changed a question that was answered."""

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from bot.errors import SlackError
from bot.events import Posted
from bot.policy import NOTES
from bot.ports import Ingested, Store
from bot.slack import blocks
from bot.slack.api import SlackAPI
from bot.slack.private import Respond, whisper

_log = structlog.get_logger(__name__)

_TURN = re.compile("[0-9]{1,18}")  # what a database takes for an id


class Again:
    """Queues turns to be answered again: the answer is written anew in the same messages."""

    def __init__(
        self,
        store: Store,
        api: SlackAPI,
        team: str,
        *,
        wake: Callable[[], None],
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._store = store
        self._api = api
        self._team = team
        self._wake = wake
        self._later = later
        self.handlers: Mapping[tuple[str, str], Callable[..., Awaitable[None]]] = {
            ("action", blocks.ANSWER_AGAIN): self._pressed,
            ("shortcut", blocks.ANSWER_AGAIN): self._chosen,
        }

    async def offer(self, question: Posted, turn: int) -> None:
        """Offer it privately to the author of a changed question."""
        try:
            await self._api.repeat(
                "chat.postEphemeral",
                channel=question.thread.channel,
                thread_ts=question.thread.thread_ts,
                user=question.author,
                text=blocks.CHANGED,
                blocks=blocks.offer(turn),
            )
        except SlackError as error:
            _log.warning("a new answer was not offered", turn=turn, error=str(error))

    # Bolt gives arguments by their names.
    async def _pressed(
        self, ack: Callable[[], Awaitable[None]], body: Mapping[str, Any], respond: Respond
    ) -> None:
        match body:
            case {"user": {"id": str(user)}, "actions": [{"value": str(turn)}, *_]} if _TURN.fullmatch(turn):
                ingested = await self._again(int(turn), user)
            case _:
                ingested = Ingested("unreadable", note="again_unknown")
        await ack()
        if ingested.note is None:
            self._later(whisper(respond, "", delete_original=True))
        else:
            self._later(whisper(respond, NOTES[ingested.note], replace_original=True))

    async def _chosen(
        self, ack: Callable[[], Awaitable[None]], body: Mapping[str, Any], respond: Respond
    ) -> None:
        ingested, place = Ingested("unreadable", note="again_unknown"), {}
        match body:
            case {
                "user": {"id": str(user)},
                "channel": {"id": str(channel)},
                "message": {"ts": str(ts)} as message,
            }:
                turn = await self._store.turn_shown(self._team, channel, ts)
                if turn is not None:
                    ingested = await self._again(turn, user)
                if isinstance(thread := message.get("thread_ts"), str):
                    place = {"thread_ts": thread}
        await ack()
        if ingested.note is not None:
            self._later(whisper(respond, NOTES[ingested.note], **place))

    async def _again(self, turn: int, user: str) -> Ingested:
        ingested = await self._store.again(turn, user)
        _log.info("answer again", turn=turn, outcome=ingested.outcome)
        if ingested.wake:
            self._wake()
        return ingested
