"""The way in: every Bolt handler in one table. Each event is on the disk before Slack gets its ack.

Bolt acks an event only after its listener has returned (`process_before_response`), so a listener that
raises leaves the event to be delivered again. What Bolt itself cannot parse is quarantined and acked
before it gets there (`quarantined`), and a catch-all is last: nothing ends unacked for want of a handler.
"""

import json
import re
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic, time
from types import MappingProxyType
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot import signals
from bot.errors import StoreError
from bot.events import Deleted, Edited, Event, Ignored, Invited, Muted, Posted, Stopped, Uninstalled
from bot.policy import NOTES, Rules, decide, refusal_of
from bot.ports import Ingested, Store
from bot.slack.blocks import TRY_AGAIN
from bot.slack.choices import presser
from bot.slack.incoming import Me, Unreadable, read_event, shape
from bot.slack.private import Respond, whisper

_log = structlog.get_logger(__name__)

Handlers = Mapping[tuple[str, str], Callable[..., Awaitable[None]]]
"""What takes something in besides the events below: by Bolt's kind (event, action, command, shortcut, view)
and the name of the event, or the id of what was pressed, chosen or sent."""
_NO_HANDLERS: Handlers = MappingProxyType({})

SUBSCRIPTIONS: Mapping[str, tuple[str, ...]] = {
    "agent_session_stopped": ("chat:write",),
    "app_uninstalled": (),
    "app_context_changed": ("assistant:write",),  # for what somebody looks at: else no event tells
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "tokens_revoked": (),
}
"""Every bot event of the manifest, and the scopes that it needs."""

_OFTEN = ("message", "app_mention")
"""Bolt tries one handler after the other, and each costs it something: what comes most often stands first."""

EVENTS = tuple(
    dict.fromkeys([*_OFTEN, *(name.partition(".")[0] for name in SUBSCRIPTIONS), "message_stream_stopped"])
)
"""The same as Bolt names them, and the former name of agent_session_stopped, which may come as well."""

_TURN = re.compile("[0-9]{1,18}")  # what a database takes for an id
_COUNT = re.compile("[0-9]{1,9}")
_ID = re.compile(r"[A-Za-z0-9_./:-]{1,64}")

_FAR_FUTURE = 1e11
"""Unix seconds; what is later is rubbish."""

_OVERTAKEN = 10_000
"""Threads of which a reply is remembered that came before Bobbin was called."""
_SOON_SECONDS = 1.0
"""Nobody has answered a message so soon after it was written."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """What happens beside the store: tell the dispatcher, and what may be said to people."""

    wake: Callable[[], None]
    expect: Callable[[], bool]
    """A question may be written just now; whether that is as good as to wake when it is."""
    tell: Callable[[Posted, str], Coroutine[Any, Any, None]]
    offer: Callable[[Posted, int], Coroutine[Any, Any, None]]
    welcome: Callable[[Invited], Coroutine[Any, Any, None]]
    uninstalled: Callable[[Uninstalled], Awaitable[Ingested]]
    later: Callable[[Coroutine[Any, Any, None]], None]
    """Do it after the ack."""


class Listeners:
    """Takes Slack's events and clicks in."""

    def __init__(
        self, store: Store, me: Me, rules: Rules, outlets: Outlets, handlers: Handlers = _NO_HANDLERS
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._me = me
        self._rules = rules
        self._outlets = outlets
        self._overtaken: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._replies: Counter[tuple[str, str]] = Counter()
        """By thread, those that are being taken in: whether they were ignored is not known yet."""

    def bolt(self, client: AsyncWebClient, bot_token: str) -> AsyncApp:
        """Make the Bolt app with every handler in it."""

        async def authorize(**_: Any) -> AuthorizeResult:
            # Bolt's own asks Slack for each event, and drops (but acks) the event when that call fails.
            return AuthorizeResult(
                enterprise_id=self._me.enterprise or None,
                team_id=self._me.team,
                bot_user_id=self._me.user,
                bot_id=self._me.bot,
                bot_token=bot_token,
            )

        app = AsyncApp(
            name="bobbin",  # without one, Bolt reads the source of every caller for it: 0.1 s of the start
            client=client,
            authorize=authorize,
            process_before_response=True,
            ignoring_self_events_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        app.use(_Sound(self.quarantine))
        events: Handlers = {("event", name): self._event for name in EVENTS}
        for (kind, name), handler in {**events, **self._handlers}.items():
            getattr(app, kind)(name)(handler)
        app.action(TRY_AGAIN)(self._try_again)
        app.event(re.compile(".*"))(_nothing)
        for register in (app.action, app.command, app.shortcut, app.view, app.options):
            register(re.compile(".*"))(_acked)
        return app

    async def quarantine(self, body: Any, reason: str) -> None:
        """Keep the shape of an event that could not be read; its words are not kept."""
        event_id = _id(body)
        _log.error("an event could not be read", id=event_id, reason=reason)
        signals.tell(signals.Taken("unreadable", "quarantined"))
        await self._store.quarantine(self._me.team, event_id, json.dumps(shape(body))[:4096])

    # Bolt gives arguments by their names.
    async def _event(self, body: Mapping[str, Any], request: Any) -> None:
        began = monotonic()
        retry = _retry(request.headers)
        try:
            event = read_event(body, self._me, retry=retry)
        except Unreadable as error:
            await self.quarantine(body, str(error))
            return
        if isinstance(event, Ignored):
            _log.debug("event ignored", id=_id(body), reason=event.reason)
            signals.tell(signals.Taken("ignored", event.reason))
            return
        try:
            ingested = await self._ingest(event)
        except StoreError as error:
            _log.error("an event was not kept, and not acked: it comes again", id=_id(body), error=str(error))
            signals.tell(signals.Taken(type(event).__name__.lower(), "not kept"))
            error.told = True
            raise
        kind, seconds = type(event).__name__.lower(), monotonic() - began
        message = event.message if isinstance(event, Edited) else event
        _log.info(
            "event",
            id=_sound(message.event_id),
            kind=kind,
            outcome=ingested.outcome,
            retry=retry,
            ms=int(seconds * 1000),
            **_where(message),
        )
        signals.tell(signals.Taken(kind, ingested.outcome, seconds, _age(body)))
        if ingested.wake:
            self._outlets.wake()
        if ingested.note is not None and isinstance(message, Posted):
            self._outlets.later(self._outlets.tell(message, ingested.note))
        if ingested.offer is not None and isinstance(message, Posted):
            self._outlets.later(self._outlets.offer(message, ingested.offer))

    async def _ingest(self, event: Event) -> Ingested:
        match event:
            case Posted():
                return await self._post(event)
            case Edited():
                return await self._store.edit(event, partial(self._decide, event.message))
            case Deleted():
                return await self._store.delete(event)
            case Stopped():
                return await self._store.stop(event)
            case Muted():
                return await self._store.mute(event)
            case Invited():
                if not await self._store.seen(event.team, event.event_id, "invited"):
                    return Ingested("duplicate")
                self._outlets.later(self._outlets.welcome(event))
                return Ingested("invited")
            case Uninstalled():
                return await self._outlets.uninstalled(event)

    async def _post(self, message: Posted) -> Ingested:
        """Take a message in, noticing where Slack delivers out of order.

        A reply that comes before the mention which it answers is none of Bobbin's business yet. The mention,
        when it comes, is then late: the thread is read for what was missed. What another worker ignored is
        not known here, but that nothing was said yet where the mention has just been written.
        """
        thread = (message.thread.channel, message.thread.thread_ts)
        alone = self._store.exclusive or time() - float(message.ts) < _SOON_SECONDS
        unsure = self._replies[thread] > 0 or not alone
        if thread in self._overtaken or (unsure and message.top_level and message.mentions_me):
            message = replace(message, late=True)
        may_call = message.mentions_me or message.direct or not message.top_level
        expected = may_call and self._outlets.expect()
        arriving = Counter(() if message.top_level else (thread,))
        self._replies += arriving
        try:
            ingested = await self._store.post(message, partial(self._decide, message))
        finally:
            self._replies -= arriving
        if expected and ingested.stop is None:  # what is to end is read, not claimed: only once it is written
            ingested = replace(ingested, wake=False)
        if ingested.outcome.startswith("other talk") and not message.top_level:
            self._overtaken[thread] = None
            if len(self._overtaken) > _OVERTAKEN:
                self._overtaken.popitem(last=False)
        return ingested

    def _decide(self, message: Posted, thread: Any) -> Any:
        return decide(message, thread, self._rules)

    async def _try_again(
        self,
        ack: Callable[[], Awaitable[None]],
        body: Mapping[str, Any],
        action: Mapping[str, Any],
        respond: Respond,
    ) -> None:
        """Anyone in the thread may have it tried again who might have asked there."""
        value = str(action.get("value", ""))
        known = _TURN.fullmatch(value)
        user, external = presser(body, self._me)
        refusal = refusal_of(user, self._rules, external=external)
        if refusal:
            ingested = Ingested(f"not allowed to ask: {refusal}")
        else:
            ingested = await self._store.retry(int(value)) if known else Ingested("no such turn")
        await ack()
        _log.info("try again", turn=value if known else None, outcome=ingested.outcome)
        if refusal:
            self._outlets.later(whisper(respond, NOTES[refusal]))
        if ingested.wake:
            self._outlets.wake()


class _Sound(AsyncMiddleware):
    """Quarantines and acks the clicks on which Bolt fails while it looks for their handler."""

    def __init__(self, quarantine: Callable[[Any, str], Awaitable[None]]) -> None:
        self._quarantine = quarantine

    async def async_process(  # a function would be given what Bolt reads from the click: it fails there
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002  Bolt's name
    ) -> BoltResponse:
        if req.body.get("type") == "block_actions":
            match req.body.get("actions"):
                case [{"action_id": str()}, *_]:
                    pass
                case _:
                    await self._quarantine(req.body, "a click on nothing")
                    return BoltResponse(status=200)
        await next()
        return resp


async def _nothing(body: Mapping[str, Any]) -> None:
    """Ack what nothing else wants."""
    _log.debug("event ignored", id=_id(body), reason="no use for its type")


async def _acked(ack: Callable[[], Awaitable[None]]) -> None:
    await ack()
    _log.debug("interaction ignored", reason="no use for it")


def _id(body: Any) -> str:
    """Its id, for the log; rubbish in its place may be anybody's words."""
    return _sound(body.get("event_id") if isinstance(body, Mapping) else None)


def _sound(value: Any) -> str:
    return value if isinstance(value, str) and _ID.fullmatch(value) else "?"


def _where(message: Posted | Deleted | Stopped | Muted | Invited | Uninstalled) -> dict[str, Any]:
    """Where it happened, and how much came with it; never what."""
    match message:
        case Posted():
            size = {"characters": len(message.text), "files": len(message.files)}
            return {
                "channel": _sound(message.thread.channel),
                "ts": message.ts,
                "user": _sound(message.author),
                **size,
            }
        case Deleted() | Muted():
            return {"channel": _sound(message.channel), "ts": message.ts}
        case Stopped():
            return {"channel": _sound(message.thread.channel), "user": _sound(message.by)}
        case Invited():
            return {"channel": _sound(message.channel)}
        case Uninstalled():
            return {}


def _age(body: Mapping[str, Any]) -> float | None:
    """Seconds since Slack had it to tell, by its own clock, which counts whole ones."""
    at = body.get("event_time")
    return max(0.0, time() - at) if isinstance(at, int) and 0 < at < _FAR_FUTURE else None


def _retry(headers: Mapping[str, Any]) -> int:
    value = headers.get("x-slack-retry-num") or ["0"]
    first = value[0] if isinstance(value, list | tuple) else value
    return int(first) if _COUNT.fullmatch(str(first)) else 0
