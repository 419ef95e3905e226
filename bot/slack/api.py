"""Slack's Web API as Bobbin calls it: the methods it uses, and its errors renamed at this border.

One try a call: whether to call again is decided where it is known what a second call would do. The SDK's
own retry is off, since it would make a message twice.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from time import monotonic
from typing import Any, TypeVar

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot import signals, trail
from bot.errors import (
    SlackError,
    SlackGone,
    SlackLimited,
    SlackNotAllowed,
    SlackRefused,
    SlackTokenRefused,
    SlackUnreachable,
    StreamClosed,
    StreamStopped,
)
from bot.slack.pacing import Pacer

_log = structlog.get_logger(__name__)

T = TypeVar("T")

METHODS: Mapping[str, str] = {
    "agents.sessions.rename": "chat:write",
    "agents.sessions.setStatus": "chat:write",
    "apps.connections.open": "",
    "assistant.threads.setStatus": "chat:write",
    "assistant.threads.setSuggestedPrompts": "assistant:write",
    "auth.test": "",
    "chat.appendStream": "chat:write",
    "chat.delete": "chat:write",
    "chat.getPermalink": "",
    "chat.postEphemeral": "chat:write",
    "chat.postMessage": "chat:write",
    "chat.startStream": "chat:write",
    "chat.stopStream": "chat:write",
    "chat.update": "chat:write",
    "conversations.history": "channels:history",
    "conversations.info": "channels:read groups:read",
    "conversations.replies": "channels:history",
    "files.completeUploadExternal": "files:write",
    "files.getUploadURLExternal": "files:write",
    "files.info": "files:read",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
    "users.info": "users:read",
    "views.open": "",
    "views.publish": "",
}
"""Every method that Bobbin calls, and the bot scope it needs (apps.connections.open: an app token)."""

_BY_APP_TOKEN = ("apps.connections.open",)

_GONE = ("message_not_found", "thread_not_found", "invalid_thread_ts", "cannot_reply_to_message")
_TOKEN = (
    "account_inactive",
    "invalid_auth",
    "not_allowed_token_type",
    "not_authed",
    "token_expired",
    "token_revoked",
)
_NOT_ALLOWED = (
    "access_denied",
    "cant_delete_message",
    "cant_update_message",
    "channel_is_limited_access",
    "channel_not_found",
    "channel_type_not_supported",
    "edit_window_closed",
    "ekm_access_denied",
    "feature_disabled",
    "is_archived",
    "is_inactive",
    "messages_tab_disabled",
    "missing_scope",
    "no_permission",
    "not_agent_app",
    "not_authorized",
    "not_in_channel",
    "org_login_required",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_locked",
    "restricted_action_thread_only_channel",
    "team_access_not_granted",
    "thread_locked",
    "unknown_method",
    "user_not_in_channel",
)
_LIMITED = ("message_limit_exceeded", "rate_limited", "ratelimited")
_UNREACHABLE = (
    "fatal_error",
    "internal_error",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
)

ERRORS: Mapping[str, type[SlackError]] = {
    **dict.fromkeys(_GONE, SlackGone),
    **dict.fromkeys(_TOKEN, SlackTokenRefused),
    **dict.fromkeys(_NOT_ALLOWED, SlackNotAllowed),
    **dict.fromkeys(_UNREACHABLE, SlackUnreachable),
    "message_not_in_streaming_state": StreamClosed,
    "stopped_by_user": StreamStopped,
}
"""Slack's codes in Bobbin's words; any other is `SlackRefused`."""

# What the SDK lets through; an AttributeError is its word for an answer that is no JSON object.
_LOST = (TimeoutError, aiohttp.ClientError, SlackClientError, OSError, ValueError, AttributeError)
_STEPS: Mapping[type[SlackError], trail.What] = {SlackLimited: "limited", SlackUnreachable: "unreachable"}
_SERVER_ERROR = 500
_TOO_MANY = 429
_RETRY_AFTER_SECONDS = 5.0  # where a 429 does not say


class SlackAPI:
    """Calls Slack, and tells the pacer of every call. Raises only `SlackError`s."""

    def __init__(self, client: AsyncWebClient, pacer: Pacer) -> None:
        self._client = client
        self.pacer = pacer
        self.refused = False
        """Whether the bot token was refused at the last call: nothing can be shown."""

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Call one of `METHODS` once; the answer's fields."""
        began, outcome = monotonic(), "ok"
        try:
            return await self._called(method, arguments)
        except SlackError as error:
            outcome = type(error).__name__
            wait = f" for {error.retry_after:g} s" if isinstance(error, SlackLimited) else ""
            trail.note(_STEPS.get(type(error), "refused"), f"{error}{wait}")
            raise
        except BaseException:
            outcome = "cut off"
            raise
        finally:
            seconds = monotonic() - began
            signals.tell(signals.SlackCalled(method, outcome, seconds))
            _log.debug("slack call", method=method, outcome=outcome, ms=int(seconds * 1000))

    async def _called(self, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.pacer.called(method, arguments.get("channel", ""))
        function = getattr(self._client, method.replace(".", "_"))
        try:
            response = await function(**arguments)
        except SlackApiError as error:
            raise self._renamed(method, error) from error
        except _LOST as error:
            raise SlackUnreachable(type(error).__name__, method) from error
        data = response.data
        if not isinstance(data, dict):
            raise SlackUnreachable("unreadable_answer", method)
        self.refused = self.refused and method in _BY_APP_TOKEN
        return data

    async def repeat(
        self, method: str, *, tries: int = 5, unbroken: bool = False, **arguments: Any
    ) -> Mapping[str, Any]:
        """Call until it works; only for calls whose repetition changes nothing.

        `unbroken`: where this is cancelled, a call under way comes to its end first.
        """
        for attempt in range(1, tries + 1):
            try:
                call = self.call(method, **arguments)
                return await (to_its_end(call) if unbroken else call)
            except SlackLimited as error:
                if attempt == tries:
                    raise
                await asyncio.sleep(error.retry_after)
            except SlackUnreachable:
                if attempt == tries:
                    raise
                await asyncio.sleep(0.5 * 2 ** (attempt - 1) * self.pacer.jitter())
        raise AssertionError("unreachable")

    def _renamed(self, method: str, error: SlackApiError) -> SlackError:
        response = error.response
        status = getattr(response, "status_code", getattr(response, "status", 0))
        data = getattr(response, "data", None)
        code = data.get("error", "") if isinstance(data, dict) else ""
        if status == _TOO_MANY or code in _LIMITED:
            seconds = _retry_after(getattr(response, "headers", {}))
            self.pacer.limited(method, seconds)
            return SlackLimited(method, seconds)
        if status >= _SERVER_ERROR or not code:
            return SlackUnreachable(f"http_{status}", method)
        renamed = ERRORS.get(code, SlackRefused)(code, method)
        if isinstance(renamed, SlackTokenRefused):
            self.refused = self.refused or method not in _BY_APP_TOKEN
            _log.error(
                "Slack refuses the token: set a valid one and start me again", method=method, reason=code
            )
        elif code == "missing_scope":
            needed = str(data.get("needed") or METHODS[method]) if isinstance(data, dict) else ""
            _log.warning("a scope is missing: add it, install the app again", method=method, scope=needed)
        return renamed


async def to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """Do it whole: who is cancelled meanwhile waits for its end first."""
    task = asyncio.create_task(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(1.0, float(headers.get("Retry-After", _RETRY_AFTER_SECONDS)))
    except ValueError:
        return _RETRY_AFTER_SECONDS
