"""What people think of an answer: 👍 and 👎 below it, and on 👎 a word of why."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from bot.conversation import ThreadKey
from bot.errors import SlackError
from bot.events import storable
from bot.policy import NOTES
from bot.ports import Store, Workspace
from bot.slack import blocks
from bot.slack.api import SlackAPI
from bot.slack.private import Respond, whisper

_log = structlog.get_logger(__name__)


class Feedback:
    """Keeps judgements with the turn whose answer they are about; one of each person, the newest."""

    def __init__(
        self,
        store: Store,
        api: SlackAPI,
        workspace: Workspace,
        team: str,
        *,
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._store = store
        self._api = api
        self._workspace = workspace
        self._team = team
        self._later = later
        self.handlers: Mapping[tuple[str, str], Callable[..., Awaitable[None]]] = {
            ("action", blocks.FEEDBACK): self._judged,
            ("view", blocks.WHY): self._explained,
        }

    # Bolt gives arguments by their names.
    async def _judged(
        self, ack: Callable[[], Awaitable[None]], body: Mapping[str, Any], respond: Respond
    ) -> None:
        turn = None
        match body:
            case {
                "user": {"id": str(user)},
                "channel": {"id": str(channel)},
                "container": {"message_ts": str(ts)},
                "actions": [{"value": str(value)}, *_],
            }:
                turn = await self._store.turn_shown(self._team, channel, ts)
                if turn is not None:
                    await self._store.rate(turn, user, good=value == blocks.UP)
        await ack()
        if turn is None:
            self._later(whisper(respond, NOTES["feedback_unknown"], **_thread(body)))
            return
        _log.info("feedback", turn=turn, good=value == blocks.UP)
        if value == blocks.UP:
            self._later(whisper(respond, NOTES["feedback_thanks"], **_thread(body)))
        else:
            about = {"turn": turn, "channel": channel, "ts": ts, "thread": _thread(body).get("thread_ts", ts)}
            self._later(self._ask_why(str(body.get("trigger_id", "")), about, respond, _thread(body)))

    async def _ask_why(
        self, trigger: str, about: Mapping[str, Any], respond: Respond, place: Mapping[str, str]
    ) -> None:
        """Open the modal, if there is time left for it: it was judged in any case."""
        try:
            await self._api.call("views.open", trigger_id=trigger, view=blocks.why(json.dumps(about)))
        except SlackError as error:
            _log.info("nobody was asked why", turn=about["turn"], error=str(error))
            await whisper(respond, NOTES["feedback_thanks"], **place)

    async def _explained(self, ack: Callable[[], Awaitable[None]], body: Mapping[str, Any]) -> None:
        view = body.get("view")
        about, words, user = _about(view), _words(view), body.get("user", {}).get("id", "")
        if about and words:
            await self._store.explain(about["turn"], user, words)
        await ack()
        if about:
            thread = ThreadKey(self._team, about["channel"], about["thread"])
            self._later(self._workspace.tell(thread, about["ts"], user, "feedback_thanks"))


def _thread(body: Mapping[str, Any]) -> dict[str, str]:
    """Where the answer stands that was judged."""
    match body:
        case {"container": {"thread_ts": str(thread)}} | {"message": {"thread_ts": str(thread)}}:
            return {"thread_ts": thread}
    return {}


def _about(view: Any) -> Mapping[str, Any]:
    """What the modal was opened for: Bobbin's own words, which Slack keeps."""
    try:
        about = json.loads(view["private_metadata"])
    except (KeyError, TypeError, ValueError):
        return {}
    match about:
        case {"turn": int(), "channel": str(), "ts": str(), "thread": str()}:
            return dict(about)
    return {}


def _words(view: Any) -> str:
    match view:
        case {"state": {"values": {blocks.WHY: {blocks.WHY: {"value": str(words)}}}}}:
            return storable(words.strip())[: blocks.LONGEST_WHY]
    return ""
