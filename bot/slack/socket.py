"""One WebSocket of Socket Mode, for its life.

Slack's SDK has a client, of which only the writing of acks is used: it closes the old socket before it
opens the next, goes on with a ticket that is used up, and acks by whichever socket is the newest
(docs/adr/0007).
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import structlog
from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient

from bot.slack.intake import Envelope

_log = structlog.get_logger(__name__)

PING_SECONDS = 5.0
PINGS_UNANSWERED = 3
"""After so many pings without a frame of any kind a socket is silent: within 20 seconds. Pings are counted
and not seconds, so that a process that was frozen does not take its healthy socket for dead."""

_DEAF_PINGS = 2

_ACKS_SECONDS = 3.0
"""Slack waits no longer for an ack."""

_ENVELOPE_ID = re.compile(r'"envelope_id"\s*:\s*"([\w-]{1,100})"')


class Socket(AsyncBaseSocketModeClient):
    """An open socket. An ack goes out where its envelope came in."""

    def __init__(
        self, websocket: ClientWebSocketResponse, deliver: Callable[["Socket", Envelope], Awaitable[None]]
    ) -> None:
        self.logger = logging.getLogger("slack_bolt")  # for Bolt's remarks on acks: they are not ours
        self.leaving = asyncio.Event()
        """Another must take its place: Slack says so, or it is closed, or silent."""
        self.farewell = "closed"
        """Why, in Slack's words where it said so."""
        self._websocket = websocket
        self._deliver = deliver
        self.opened_at = monotonic()
        self.heard_at = monotonic()
        self._greeted = False
        self._unanswered = 0
        self._deliveries: set[asyncio.Task[None]] = set()

    @property
    def deaf(self) -> bool:
        """Whether a ping was not answered before the next was due: nothing may come in any more."""
        return self._unanswered >= _DEAF_PINGS

    async def greet(self) -> bool:
        """Wait for Slack's hello; False where it sends something else, or nothing more."""
        with suppress(ConnectionError):
            async for frame in self._websocket:
                await self._read(frame)
                if self._greeted or self.leaving.is_set():
                    break
        return self._greeted

    async def serve(self) -> None:
        """Take in what comes, until it is closed."""
        pinging = asyncio.create_task(self._ping())
        try:
            with suppress(ConnectionError):
                async for frame in self._websocket:
                    await self._read(frame)
        finally:
            pinging.cancel()
            self.leaving.set()

    async def close(self) -> None:
        """Close it once the acks that are due have gone out."""
        if self._deliveries and self.farewell != "silent":
            await asyncio.wait(self._deliveries, timeout=_ACKS_SECONDS)
        await self._websocket.close()

    async def send_message(self, message: str) -> None:
        """Send an ack, for the SDK. One that is lost brings the event again, which changes nothing."""
        try:
            await self._websocket.send_str(message)
        except ConnectionError:
            _log.info("an ack did not go out: its socket is closed")

    async def _read(self, frame: WSMessage) -> None:
        self._unanswered = 0
        self.heard_at = monotonic()
        if frame.type is WSMsgType.PING:
            await self._websocket.pong(frame.data)
        if frame.type is not WSMsgType.TEXT:
            return
        try:
            message = json.loads(frame.data)
        except (ValueError, RecursionError) as error:
            _log.warning("a frame that cannot be read", reason=type(error).__name__)
            message = _envelope(frame.data)
        match message:
            case {"type": "hello"}:
                self._greeted = True
            case {"type": "disconnect"}:
                self.farewell = str(message.get("reason"))
                self.leaving.set()
            case {"envelope_id": _}:
                delivery = asyncio.ensure_future(self._deliver(self, message))
                self._deliveries.add(delivery)
                delivery.add_done_callback(self._deliveries.discard)

    async def _ping(self) -> None:
        """Notice when nothing comes any more: a connection may die without a word to either side."""
        while self._unanswered < PINGS_UNANSWERED:
            self._unanswered += 1
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(PING_SECONDS):  # what is sent may be stuck as well
                    await self._websocket.ping()
            await asyncio.sleep(PING_SECONDS)
        _log.warning("socket silent: reconnecting", seconds=PINGS_UNANSWERED * PING_SECONDS)
        self.farewell = "silent"
        self.leaving.set()
        await self.close()


def _envelope(frame: str) -> Envelope:
    """Name the envelope of a frame that no parser takes, so that it is acked and does not come again."""
    found = _ENVELOPE_ID.search(frame)
    return {"type": "events_api", "envelope_id": found[1], "payload": None} if found else {}
