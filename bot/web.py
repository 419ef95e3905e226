"""What is served over HTTP: health and readiness, and in HTTP mode Slack's requests.

Whoever may reach the port may be slow, broken or hostile: headers must come within seconds and are few,
nothing is unpacked, and no more connections than a number are held at once. Where all places are taken, who
comes gets that of whoever has asked nothing for the longest.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from time import monotonic
from types import MappingProxyType
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from bot.errors import PortTaken

Checks = Mapping[str, bool | str]
"""What is checked, and whether it is well; or, as a text, what is wrong with it, empty: nothing."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONNECTIONS = 1000
FIRST_SECONDS = 10.0
"""A connection that has brought no whole head of a request by then is closed."""
_IDLE_SECONDS = 75.0
"""Longer than load balancers keep an idle connection: they close it first, and lose no request."""
_RECENT_SECONDS = 1.0
_LIMITS: Mapping[str, Any] = {
    "keepalive_timeout": _IDLE_SECONDS,
    "lingering_time": 1.0,  # of a body that was not read: who gets an answer before its end should see it
    "max_headers": 64,
    "max_field_size": 4096,
    "auto_decompress": False,
}


async def listen(stack: AsyncExitStack, variable: str, server: AbstractAsyncContextManager[int]) -> None:
    """Serve until the stack ends. Raises `PortTaken`, which names the variable that says where."""
    try:
        await stack.enter_async_context(server)
    except OSError as error:
        raise PortTaken(f"{variable}: it cannot be listened on: {error.strerror}") from error


@asynccontextmanager
async def health_server(
    host: str,
    port: int,
    *,
    live: Callable[[], Checks],
    ready: Callable[[], Awaitable[Checks]],
    events: Handler | None = None,
) -> AsyncIterator[int]:
    """Serve while inside: GET /healthz and /readyz, POST /slack/events; gives the port (0: a free one).

    The first two answer `{"ok": bool, "checks": {name: bool}}`, with 503 and `"reasons": {name: text}` where
    one check fails. Raises `OSError` where the address is taken or not ours.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return _answer(live())

    recent = _recent(ready)

    async def readyz(_request: web.Request) -> web.Response:
        return _answer(await recent())

    posts = {"/slack/events": events} if events else {}
    async with _served(host, port, {"/healthz": healthz, "/readyz": readyz}, posts) as serving:
        yield serving


@asynccontextmanager
async def metrics_server(
    host: str, port: int, scrape: Callable[[], Awaitable[bytes]], content_type: str
) -> AsyncIterator[int]:
    """Serve GET /metrics while inside; gives the port. Raises `OSError` as `health_server` does."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=await scrape(), headers={hdrs.CONTENT_TYPE: content_type})

    async with _served(host, port, {"/metrics": metrics}) as serving:
        yield serving


@asynccontextmanager
async def _served(
    host: str, port: int, gets: Mapping[str, Handler], posts: Mapping[str, Handler] = MappingProxyType({})
) -> AsyncIterator[int]:
    door = _Door()
    app = web.Application(middlewares=[door.greet])
    for path, handler in gets.items():
        app.router.add_get(path, handler)
    for path, handler in posts.items():
        app.router.add_post(path, handler)
    app.on_response_prepare.append(_without_version)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, logger=_logger(), **_LIMITS)
    await runner.setup()
    assert runner.server is not None  # noqa: S101  it is, after the setup
    door.server = runner.server
    try:
        listening = await asyncio.get_running_loop().create_server(
            lambda: _Guest(door), host, port, backlog=1024
        )
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
    finally:
        await runner.cleanup()
        door.close()


class _Door:
    """Lets connections in: so many at once, and none that stands there without a word.

    Between two requests nobody can tell a load balancer's connection from one that only keeps a place, so it
    may stay for as long as no other needs the place.
    """

    server: web.Server

    def __init__(self) -> None:
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle | None] = {}
        """Those whose next request has not come, the longest first; with a timer where it is the first."""

    def meet(self, transport: asyncio.BaseTransport) -> None:
        """Hand a new connection to the server, if there is room or somebody to make room."""
        if max(len(self.server.connections), len(self._silent)) >= CONNECTIONS and not self._make_room():
            transport.close()
            return
        protocol = self.server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        later = asyncio.get_running_loop().call_later
        self._silent[protocol] = later(FIRST_SECONDS, self._turn_out, protocol)

    @web.middleware
    async def greet(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A request has come."""
        self._forget(request.protocol)
        try:
            return await handler(request)
        finally:
            self._silent[request.protocol] = None

    def close(self) -> None:
        """Forget everybody."""
        for protocol in list(self._silent):
            self._forget(protocol)

    def _make_room(self) -> bool:
        """Forget who is gone; where it is full all the same, turn out who has been silent for the longest."""
        connected = set(self.server.connections)
        for protocol in self._silent.keys() - connected:
            self._forget(protocol)
        if len(connected) < CONNECTIONS:
            return True
        longest = next(iter(self._silent), None)
        if longest is not None:
            self._turn_out(longest)
        return longest is not None

    def _forget(self, protocol: web.RequestHandler) -> None:
        if timer := self._silent.pop(protocol, None):
            timer.cancel()

    def _turn_out(self, protocol: web.RequestHandler) -> None:
        self._forget(protocol)
        protocol.force_close()


class _Guest(asyncio.Protocol):
    """A connection that is being made: only once it is made does it count among the others."""

    def __init__(self, door: _Door) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.meet(transport)


def _logger() -> logging.Logger:
    """The log without what is no HTTP: it is refused, and may be anybody's words."""
    logger = logging.getLogger("bot.web.server")
    logger.addFilter(_ours)
    return logger


def _ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not isinstance(error, HttpProcessingError)


def _recent(ready: Callable[[], Awaitable[Checks]]) -> Callable[[], Awaitable[Checks]]:
    """The same, asked at most once a second: it writes to the disk and calls Slack, and anybody may ask."""
    one_at_a_time = asyncio.Lock()
    known: Checks = {}
    until = 0.0

    async def answer() -> Checks:
        nonlocal known, until
        async with one_at_a_time:
            if monotonic() >= until:
                known = await ready()
                until = monotonic() + _RECENT_SECONDS
            return known

    return answer


def _answer(checks: Checks) -> web.Response:
    well = {name: check is True or check == "" for name, check in checks.items()}
    answer: dict[str, object] = {"ok": all(well.values()), "checks": well}
    if reasons := {name: check for name, check in checks.items() if isinstance(check, str) and check}:
        answer["reasons"] = reasons
    return web.json_response(answer, status=200 if answer["ok"] else 503)


async def _without_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
