"""The page's server: what happens in the sandbox's Slack, told to a browser, and what people do there.

Loopback only, and only for who has the address: its token is asked for with every request, in a cookie after
the first one. The Host is checked, so that no other site can reach it by a name of its own (DNS rebinding).

    GET  /                  the page
    GET  /events            server-sent events: {key: JSON of an item, new or changed, or null where it went}
    GET  /files/ID          a file's bytes, to be kept
    GET  /beneath/KIND/N    in a list: entry N of Slack's journal, or request N that Bedrock was sent, whole
    POST /acts/NAME         one of ACTS, its arguments as a JSON object (a file is its name and its bytes in
                            base64); or a trouble by its name
"""

import asyncio
import inspect
import json
import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox.bedrock import Asked
from bot.sandbox.bedrock_rules import DATA
from bot.sandbox.slack import Slack
from bot.sandbox.slack.workspace import Json, Refused

_ACTS = "say edit delete delete_file react unreact stop press press_view shortcut command submit dismiss"
ACTS = frozenset(f"{_ACTS} invite_bot open_home open_messages_tab deliver_again deliver_twice".split())
_MOST_BYTES = 64 * 2**20  # of one request
_TOGETHER_SECONDS, _LOOK_SECONDS = 0.04, 0.5  # changes within so long are told at once; what tells nothing
_NEWEST = 150  # of what happens beneath, so many of each kind are told
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_BRIEF = "event_id envelope_id attempt in_time ok error connected allowed"
_SHOWN = "ts thread_ts user username text blocks subtype edited reactions reply_count streaming_state channel"
Trouble = Mapping[str, Callable[[], object]]


class Page:
    """The server. `facts` gives what is to be said of Bobbin itself, its log's `lines` among it.

    `requests` are what Bedrock was asked, `trouble` what can be done to all of them, by name.
    """

    def __init__(
        self, slack: Slack, facts: Callable[[], Json], requests: Sequence[Asked], trouble: Trouble
    ) -> None:
        self._slack, self._facts, self._requests, self._trouble = slack, facts, requests, trouble
        self._token, self._hosts, self._cookie = secrets.token_urlsafe(16), set[str](), ""
        app = web.Application(middlewares=[self._guard], client_max_size=_MOST_BYTES)
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/", self._file)
        app.router.add_get(r"/page{kind:\.css|\.js}", self._file)
        app.router.add_get("/events", self._events)
        app.router.add_get("/files/{id}", self._download)
        app.router.add_get(r"/beneath/{kind:entry|asked}/{n:\d{1,9}}", self._beneath)
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

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file = self._slack.workspace.files.get(request.match_info["id"])
        if file is None or file.content is None:
            raise web.HTTPNotFound
        as_is = f"attachment; filename*=UTF-8''{quote(file.facts['name'])}"
        return web.Response(body=file.content, headers={"Content-Disposition": as_is})

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
            with suppress(TimeoutError):
                await asyncio.wait_for(change.wait(), _LOOK_SECONDS)

    async def _beneath(self, request: web.Request) -> web.Response:
        found: Sequence[Any] = self._requests if request.match_info["kind"] == "asked" else self._slack.log
        whole = [vars(each) for each in found[int(request.match_info["n"]) :][:1]]
        return web.json_response(text=json.dumps(whole, default=str))

    def _items(self) -> dict[str, Any]:
        """Everything that the page shows, each item under a key of its own."""
        w = self._slack.workspace
        bobbin = {"connected": self._slack.connected, "prices": DATA["prices"], **self._facts()}
        items: dict[str, Any] = {f"log {n}": line for n, line in _newest(bobbin.pop("lines"))}
        items |= {"bobbin": bobbin, "people": [vars(person) for person in w.people.values()]}
        for place in w.channels.values():
            items[f"place {place.id}"] = _only(vars(place), "id name kind members")
            for ts, message in place.messages.items():
                files = [w.files[file["id"]].facts | file for file in message.get("files", [])]
                shown = {"channel": place.id, "files": [_only(file, "id name size mode") for file in files]}
                items[f"message {place.id} {ts}"] = _only(message, _SHOWN) | shown
        for person, notes in w.ephemerals.items():
            for note in notes:
                items[f"message {person} {note['ts']}"] = _only(note, _SHOWN) | {"only": person}
        for (channel, ts), session in w.sessions.items():
            items[f"session {channel} {ts}"] = _only(vars(session), "status text title")
        for kind, each in (("home", w.homes), ("modal", w.modals), ("prompts", w.prompts)):
            items |= {f"{kind} {key}": item for key, item in each.items()}
        features = w.manifest.get("features", {})
        items["menu"] = {kind: features.get(kind, []) for kind in ("shortcuts", "slash_commands")}
        for n, entry in _newest(self._slack.log):
            event = (entry.data.get("payload") or {}).get("event") or {}
            brief = {"at": entry.at, "kind": entry.kind, "name": entry.name}
            brief |= {"event": _only(event, "subtype user text")}
            items[f"entry {n}"] = brief | _only(entry.data | (entry.result or {}), _BRIEF)
        for n, asked in _newest(self._requests):
            sent = [(each["role"], each["content"]) for each in asked.body.get("messages", [])]
            blocks = [*asked.body.get("system", []), *(block for _, content in sent for block in content)]
            counted = {"roles": [role for role, _ in sent], "marks": sum("cachePoint" in it for it in blocks)}
            items[f"asked {n}"] = counted | {"at": asked.started_at, "usage": asked.usage}
            items[f"asked {n}"] |= _only(vars(asked), "model_id ended fault")
        return items

    async def _act(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        # No other page can send JSON here: its browser asks first, and gets no answer that allows it.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if name in self._trouble:
            self._trouble[name]()
            return web.json_response(None)
        if name not in ACTS:
            raise web.HTTPNotFound
        try:
            given = await request.json()
            if "files" in given:
                given["files"] = [(name, b64decode(content)) for name, content in given["files"]]
            result = getattr(self._slack, name)(**given)
            result = await result if inspect.isawaitable(result) else result
        except (LookupError, PermissionError, Refused, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response(result)


def _only(facts: Json, names: str) -> Json:
    return {name: facts[name] for name in names.split() if name in facts}


def _newest(each: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(each))[-_NEWEST:]


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
