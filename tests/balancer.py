"""A load balancer before several workers in HTTP mode: it asks `/readyz`, and passes requests on in turn."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import aiohttp
from aiohttp import web

_ASKS_SECONDS = 0.2
_NO_SERVER = 503


class Balancer:
    """Before workers on these ports. `url` is where Slack sends to."""

    def __init__(self, ports: Sequence[int], session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.passed_on: list[int] = []
        """The port of each request."""
        self._ready = dict.fromkeys(ports, False)
        self._session = session
        self._turn = count()
        self._seen = asyncio.Event()

    async def all_ready(self) -> None:
        """Wait until every worker is."""
        while not all(self._ready.values()):
            await self._seen.wait()

    async def watch(self) -> None:
        """Ask each worker whether it is ready, until cancelled; one that does not answer soon is not."""
        while True:
            for port in self._ready:
                self._ready[port] = await self._says(port)
            self._seen.set()
            self._seen.clear()
            await asyncio.sleep(_ASKS_SECONDS)

    async def pass_on(self, request: web.Request) -> web.Response:
        """Give a request as it is to the next worker that is ready."""
        ready = [port for port, ready in self._ready.items() if ready]
        if not ready:
            return web.Response(status=_NO_SERVER)
        port = ready[next(self._turn) % len(ready)]
        self.passed_on.append(port)
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with self._session.post(
            f"http://127.0.0.1:{port}{request.path}", data=await request.read(), headers=headers
        ) as answer:
            kind = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=await answer.read(), headers=kind)

    async def _says(self, port: int) -> bool:
        limit = aiohttp.ClientTimeout(total=1)
        try:
            async with self._session.get(f"http://127.0.0.1:{port}/readyz", timeout=limit) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def balancing(ports: Sequence[int]) -> AsyncIterator[Balancer]:
    """Yield a balancer that runs until the block ends."""
    async with aiohttp.ClientSession() as session:
        balancer = Balancer(ports, session)
        app = web.Application()
        app.router.add_post("/slack/events", balancer.pass_on)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        balancer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
        watching = asyncio.create_task(balancer.watch())
        try:
            yield balancer
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await runner.cleanup()
