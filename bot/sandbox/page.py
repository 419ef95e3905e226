"""The page's server: what happens in the sandbox's Slack, told to a browser, and what people do there.

Loopback only, and only for who has the address: its token is asked for with every request, in a cookie after
the first one. The Host is checked, so that no other site can reach it by a name of its own (DNS rebinding).

    GET  /            the page
    GET  /events      server-sent events: {key: JSON of an item that is new or changed, or null where it went}
    POST /acts/NAME   one of ACTS, its arguments as a JSON object; or `kill`: Bobbin dies
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox.slack import Slack
from bot.sandbox.slack.workspace import Json, Refused

ACTS = frozenset(("say", "edit", "delete", "react", "unreact", "stop", "press", "invite_bot"))
_TOGETHER_SECONDS = 0.04  # changes within so long are told at once
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SHOWN = "ts thread_ts user username text blocks subtype edited reactions reply_count streaming_state channel"


class Page:
    """The server. `facts` gives what is to be said of Bobbin itself, `kill` ends its process."""

    def __init__(self, slack: Slack, facts: Callable[[], Json], kill: Callable[[], None]) -> None:
        self._slack, self._facts, self._kill = slack, facts, kill
        self._token, self._hosts, self._cookie = secrets.token_urlsafe(16), set[str](), ""
        app = web.Application(middlewares=[self._guard])
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/", self._file)
        app.router.add_get(r"/page{kind:\.css|\.js}", self._file)
        app.router.add_get("/events", self._events)
        app.router.add_post("/acts/{name}", self._act)
        # Cancelling the handler is how a browser that goes away is noticed.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    async def start(self, port: int) -> str:
        """Serve, on a free port for 0; return the address, token included. OSError where it cannot."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        port = self._runner.addresses[0][1]
        self._hosts, self._cookie = {f"127.0.0.1:{port}", f"localhost:{port}"}, f"sandbox_{port}"
        return f"http://127.0.0.1:{port}/?token={self._token}"

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.query.get("token") or request.cookies.get(self._cookie, "")
        known = secrets.compare_digest(given.encode(), self._token.encode())
        if known and request.host in self._hosts:
            return await handler(request)
        words = "Open the whole address that the sandbox printed: it holds the key to this page.\n"
        return web.Response(status=403, text=words)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info.get("kind", ".html")
        response = web.FileResponse(Path(__file__).with_name(f"page{kind}"))
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        told: dict[str, str] = {}
        while True:
            change = self._slack.journal.next  # taken first: what comes meanwhile is not missed
            items = {key: json.dumps(item) for key, item in self._items().items()}
            news: dict[str, str | None] = dict.fromkeys(told.keys() - items.keys())
            news |= {key: text for key, text in items.items() if told.get(key) != text}
            if news:
                await response.write(b"data: %s\n\n" % json.dumps(news).encode())
            told = items
            await asyncio.sleep(_TOGETHER_SECONDS)
            await change.wait()

    def _items(self) -> dict[str, Any]:
        """Everything that the page shows, each item under a key of its own."""
        w = self._slack.workspace
        people = [_only(vars(p), "id display guest external bot_id") for p in w.people.values()]
        bobbin = {"connected": self._slack.connected, **self._facts()}
        items: dict[str, Any] = {"bobbin": bobbin, "people": people}
        for place in w.channels.values():
            items[f"place {place.id}"] = _only(vars(place), "id name kind members")
            for ts, message in place.messages.items():
                items[f"message {place.id} {ts}"] = _only(message, _SHOWN) | {"channel": place.id}
        for person, notes in w.ephemerals.items():
            for note in notes:
                items[f"message {person} {note['ts']}"] = _only(note, _SHOWN) | {"only": person}
        for (channel, ts), session in w.sessions.items():
            items[f"session {channel} {ts}"] = _only(vars(session), "status text")
        return items

    async def _act(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        # No other page can send JSON here: its browser asks first, and gets no answer that allows it.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if name == "kill":
            return web.json_response(self._kill())
        if name not in ACTS:
            raise web.HTTPNotFound
        try:
            result = await getattr(self._slack, name)(**await request.json())
        except (LookupError, PermissionError, Refused, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response(result)


def _only(facts: Json, names: str) -> Json:
    return {name: facts[name] for name in names.split() if name in facts}


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
