"""Socket Mode: Slack's events over a WebSocket, through Bolt's own handler.

Between the socket and Bolt stands one thing: what Bolt answers with an error because it cannot parse it
is quarantined and acked, so that it is not delivered again and again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import time
from typing import Any

import structlog
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.errors import StoreError

_log = structlog.get_logger(__name__)

PING_SECONDS = 5
"""Without an answer to four pings the socket counts as dead."""

_NOT_FOUND = 404
_OPENED_POLL_SECONDS = 0.02

Quarantine = Callable[[Any, str], Awaitable[None]]


class Socket(AsyncSocketModeHandler):
    """The connection to Slack. Make it inside a running loop."""

    def __init__(self, app: AsyncApp, app_token: str, url: str | None, quarantine: Quarantine) -> None:
        super().__init__(app, app_token, ping_interval=PING_SECONDS)
        self.client.wss_uri = url
        self._quarantine = quarantine

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        """Give an envelope to Bolt; ack it once what it brought is kept."""
        began = time()
        try:
            _must_have_a_type(req)
            response = await run_async_bolt_app(self.app, req)
            reason = "no handler" if response.status == _NOT_FOUND else ""
        except Exception as error:  # noqa: BLE001  Bolt reads fields before any handler, and may fail in any way
            reason = type(error).__name__
        if not reason:
            await send_async_response(client, req, response, began)
            return
        try:
            await self._quarantine(req.payload, reason)
        except StoreError as error:
            _log.warning("an unreadable event was not kept: it is not acked", error=str(error))
            return
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=req.envelope_id))

    async def keep(self) -> None:
        """Open the socket and keep it open, until cancelled.

        The SDK reconnects by itself, but goes on with the same address, whose ticket is good for one use:
        after a failure it is made to ask for a new one.
        """
        opening = asyncio.ensure_future(self.client.connect())  # type: ignore[no-untyped-call]
        try:
            while True:
                await asyncio.sleep(PING_SECONDS)
                if not await self.connected():
                    self.client.wss_uri = None
        finally:
            opening.cancel()

    async def opened(self) -> None:
        """Wait until the socket is open."""
        while not await self.connected():  # noqa: ASYNC110  the SDK tells nobody
            await asyncio.sleep(_OPENED_POLL_SECONDS)

    async def connected(self) -> bool:
        """Whether the socket is open."""
        return bool(await self.client.is_connected())

    async def close(self) -> None:
        """Close the socket: no event comes in any more."""
        await self.client.close()  # type: ignore[no-untyped-call]
        session = getattr(self.client, "aiohttp_client_session", None)
        if session is not None and not session.closed:
            await session.close()


def _must_have_a_type(request: SocketModeRequest) -> None:
    """Raise where an event has none: Bolt swallows that, and answers as if a handler had failed."""
    if request.type == "events_api" and not isinstance(request.payload["event"]["type"], str):
        raise TypeError
