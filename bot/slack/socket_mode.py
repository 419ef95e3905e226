"""Socket Mode: keeps a socket to Slack open, and acks what it brings once that is kept.

Slack ends each socket about hourly, and says so before: the next is opened first, and the old one stays
for what is still under way.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic, time

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.async_internals import send_async_response
from slack_sdk.socket_mode.response import SocketModeResponse

from bot import signals
from bot.errors import SlackError, SlackUnreachable, StoreError
from bot.slack.intake import Envelope, Intake, request_of
from bot.slack.proxies import proxy_for
from bot.slack.socket import Socket

_log = structlog.get_logger(__name__)

_HELLO_SECONDS = 10.0
_STAYS_SECONDS = 5.0
"""The old socket, after the new one's hello: what Slack sent to it is acked there."""
_SHORT_SECONDS = 1.0
_LONGEST_WAIT = 20.0

_REMEDIES: Mapping[str, str] = {
    "link_disabled": "Socket Mode was switched off: switch it on again on the app's page Socket Mode",
    "too_many_websockets": "more than ten sockets of this app are open: give each environment its own app",
}

_FAREWELLS = ("warning", "refresh_requested", "silent", "closed", *_REMEDIES)


class SocketMode:
    """The way in. `address` gives a new socket's address, good for one use, or raises `SlackError`."""

    name = "socket"

    def __init__(
        self,
        intake: Intake,
        session: aiohttp.ClientSession,
        address: Callable[[], Awaitable[str]],
    ) -> None:
        self._intake = intake
        self._session = session
        self._address = address
        self._sockets: dict[Socket, asyncio.Task[None]] = {}
        self._open = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether a socket is open, and not deaf."""
        return any(not socket.deaf for socket in self._sockets)

    @property
    def ages(self) -> tuple[float, float] | None:
        """Seconds since the newest socket was opened, and since anything came in. None: none is open."""
        if not self._sockets:
            return None
        newest = max(self._sockets, key=lambda socket: socket.opened_at)
        return monotonic() - newest.opened_at, monotonic() - newest.heard_at

    async def opened(self) -> None:
        """Wait until a socket is open."""
        await self._open.wait()

    async def keep(self) -> None:
        """Keep a socket open until cancelled, with at most one try a second, and fewer where none lasts."""
        failures = 0
        try:
            while True:
                await self._wanted.wait()
                pause = 0.0
                try:
                    socket = await self._connect()
                except (SlackError, aiohttp.ClientError, OSError, TimeoutError) as error:
                    _log.warning("no new socket: trying again", error=str(error) or type(error).__name__)
                    pause = getattr(error, "retry_after", 0.0)
                    failures += 1
                else:
                    began = monotonic()
                    self._retire_all_but(socket)
                    await socket.leaving.wait()
                    self._explain(socket.farewell)
                    signals.tell(signals.Happened("socket ended", _named(socket.farewell)))
                    lasted = monotonic() - began > _SHORT_SECONDS and socket.farewell not in _REMEDIES
                    failures = 0 if lasted else failures + 1
                    if socket.farewell == "too_many_websockets":
                        await socket.close()
                if failures:
                    backoff = min(_LONGEST_WAIT, 2.0 ** min(failures - 1, 10)) * random.uniform(1, 1.5)  # noqa: S311  spread
                    await asyncio.sleep(max(pause, backoff))
        finally:
            await self.close()

    async def leave(self) -> None:
        """See `WayIn`."""
        await self.close()

    async def close(self) -> None:
        """Close every socket once its acks have gone out: no event comes in any more."""
        self._wanted.clear()
        for farewell in self._farewells:
            farewell.cancel()
        await asyncio.gather(*(socket.close() for socket in self._sockets))

    # ------------------------------------------------------------ sockets

    async def _connect(self) -> Socket:
        """Open a socket and wait for its hello."""
        address = await self._address()
        websocket = await self._session.ws_connect(
            address,
            autoping=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            proxy=proxy_for(address),
        )
        socket = Socket(websocket, self._deliver)
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                greeted = await socket.greet()
        except BaseException:
            await websocket.close()
            raise
        if not greeted or not self._wanted.is_set():
            await websocket.close()
            self._explain(socket.farewell)
            raise SlackUnreachable(socket.farewell, "hello")
        self._sockets[socket] = asyncio.create_task(self._serve(socket))
        self._open.set()
        return socket

    async def _serve(self, socket: Socket) -> None:
        try:
            await socket.serve()
        finally:
            del self._sockets[socket]
            if not self._sockets:
                self._open.clear()

    def _retire_all_but(self, newest: Socket) -> None:
        for socket in self._sockets:
            if socket is not newest:
                task = asyncio.create_task(_retire(socket))
                self._farewells.add(task)
                task.add_done_callback(self._farewells.discard)

    @staticmethod
    def _explain(farewell: str) -> None:
        if farewell in _REMEDIES:
            _log.error("Slack refuses a socket", reason=farewell, remedy=_REMEDIES[farewell])
        else:
            _log.info("a socket ends", reason=farewell)

    # ------------------------------------------------------------ envelopes

    async def _deliver(self, socket: Socket, envelope: Envelope) -> None:
        """Give an envelope to Bolt; ack it once what it brought is kept."""
        began = time()
        try:
            response = await self._intake.take(envelope)
        except StoreError as error:
            _log.warning("an unreadable event was not kept: it is not acked", error=str(error))
            return
        if response is None:
            await socket.send_socket_mode_response(SocketModeResponse(str(envelope["envelope_id"])))
        else:
            await send_async_response(socket, request_of(envelope), response, began)


def _named(farewell: str) -> str:
    return farewell if farewell in _FAREWELLS else "other"


async def _retire(socket: Socket) -> None:
    await asyncio.sleep(_STAYS_SECONDS)
    await socket.close()
