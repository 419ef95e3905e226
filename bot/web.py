"""Health and readiness over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

Checks = Mapping[str, bool]


@asynccontextmanager
async def health_server(
    host: str, port: int, *, live: Callable[[], Checks], ready: Callable[[], Awaitable[Checks]]
) -> AsyncIterator[int]:
    """Serve GET /healthz and /readyz while inside; gives the port (0 asks for a free one).

    Each answers `{"ok": bool, "checks": {name: bool}}`, with 503 where one check fails. Raises `OSError`
    where the address is taken or not ours.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return _answer(live())

    async def readyz(_request: web.Request) -> web.Response:
        return _answer(await ready())

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.on_response_prepare.append(_without_version)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(checks: Checks) -> web.Response:
    ok = all(checks.values())
    return web.json_response({"ok": ok, "checks": dict(checks)}, status=200 if ok else 503)


async def _without_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
