"""Health and readiness over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

Checks = Mapping[str, bool | str]
"""What is checked, and whether it is well; or, as a text, what is wrong with it, empty: nothing."""


@asynccontextmanager
async def health_server(
    host: str, port: int, *, live: Callable[[], Checks], ready: Callable[[], Awaitable[Checks]]
) -> AsyncIterator[int]:
    """Serve GET /healthz and /readyz while inside; gives the port (0 asks for a free one).

    Each answers `{"ok": bool, "checks": {name: bool}}`, with 503 and `"reasons": {name: text}` where one
    check fails. Raises `OSError` where the address is taken or not ours.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return _answer(live())

    async def readyz(_request: web.Request) -> web.Response:
        return _answer(await ready())

    async with _served(host, port, {"/healthz": healthz, "/readyz": readyz}) as serving:
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
    host: str, port: int, routes: Mapping[str, Callable[[web.Request], Awaitable[web.Response]]]
) -> AsyncIterator[int]:
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_get(path, handler)
    app.on_response_prepare.append(_without_version)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(checks: Checks) -> web.Response:
    well = {name: check is True or check == "" for name, check in checks.items()}
    answer: dict[str, object] = {"ok": all(well.values()), "checks": well}
    if reasons := {name: check for name, check in checks.items() if isinstance(check, str) and check}:
        answer["reasons"] = reasons
    return web.json_response(answer, status=200 if answer["ok"] else 503)


async def _without_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
