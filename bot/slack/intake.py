"""What Slack delivers goes to Bolt here, whichever way it came: by a socket, a request, or read again.

Between the way in and Bolt stands one thing: what Bolt answers with an error because it cannot parse it
is quarantined and acked, so that it is not delivered again and again.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.errors import StoreUnavailable

OK, _NOT_FOUND = 200, 404

Envelope = Mapping[str, Any]
"""What Slack delivers, as Socket Mode wraps it: type (events_api, interactive, slash_commands), envelope_id,
payload, and of a redelivery retry_attempt and retry_reason. A request is put into the same form."""

Quarantine = Callable[[Any, str], Awaitable[None]]


class WayIn(Protocol):
    """How events come: a socket that is kept open, or requests."""

    name: str
    """Of its loop."""

    @property
    def ages(self) -> tuple[float, float] | None:
        """Seconds since the newest socket was opened, and since anything came in; None: there is none."""
        ...

    @property
    def connected(self) -> bool:
        """Whether events can come in."""
        ...

    async def opened(self) -> None:
        """Wait until they can."""
        ...

    async def keep(self) -> None:
        """See to it that they can, until cancelled."""
        ...

    async def leave(self) -> None:
        """Have Slack send what comes now to other processes, as far as that can be done without a loss."""
        ...

    async def close(self) -> None:
        """Let nothing in any more, once what is under way has its ack."""
        ...


class Intake:
    """Gives envelopes to Bolt."""

    def __init__(self, app: AsyncApp, quarantine: Quarantine) -> None:
        self._app = app
        self._quarantine = quarantine

    async def take(self, envelope: Envelope) -> BoltResponse | None:
        """Return Bolt's answer, or None for what it cannot read: that is quarantined, and needs an ack.

        Raises `StoreError` where it could not be.
        """
        try:
            response: BoltResponse = await run_async_bolt_app(self._app, request_of(envelope))
            reason = "no handler" if response.status == _NOT_FOUND else ""
        except Exception as error:  # noqa: BLE001  Bolt reads fields before any handler, and may fail in any way
            reason = type(error).__name__
        if not reason:
            return response
        await self._quarantine(envelope.get("payload"), reason)
        return None

    async def again(self, payload: Mapping[str, Any]) -> None:
        """Take an event in as if Slack delivered it late. Raises `StoreError` where it could not be kept."""
        request = {"type": "events_api", "envelope_id": "", "payload": payload, "retry_attempt": 1}
        response = await self.take(request)
        if response is not None and response.status != OK:
            raise StoreUnavailable("an event that was read again was not kept")


def request_of(envelope: Envelope) -> SocketModeRequest:
    """Raise where an event has no type: Bolt swallows that, and answers as if a handler had failed."""
    request = SocketModeRequest.from_dict(dict(envelope))
    if request is None:
        raise TypeError
    if request.type == "events_api" and not isinstance(request.payload["event"]["type"], str):
        raise TypeError
    return request
