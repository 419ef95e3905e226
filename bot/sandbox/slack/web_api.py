"""The Web API's door: who calls, what may be called how often, and the faults on the way."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from bot.sandbox.faults import Faults
from bot.sandbox.slack import chat, files, reading, sessions, views
from bot.sandbox.slack.arguments import METHODS, Args, Method, need
from bot.sandbox.slack.faults import Fault, Limits, cut
from bot.sandbox.slack.journal import Entry, Journal
from bot.sandbox.slack.workspace import Json, Refused, Workspace

__all__ = ["WebApi", "chat", "files", "reading", "sessions", "views"]  # imported to fill METHODS


class WebApi:
    """Answers `/api/{method}` for one workspace."""

    bot_token, app_token = "xoxb-sandbox", "xapp-sandbox"

    def __init__(
        self, workspace: Workspace, journal: Journal, ticket: Callable[[], str], *, tiers: bool
    ) -> None:
        self.faults = Faults(Fault)
        self._workspace, self._journal, self._limits = workspace, journal, Limits() if tiers else None
        connect = Method(lambda _w, _a: {"url": ticket()}, tier="T3")
        self._methods = {**METHODS, "apps.connections.open": connect}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call, or have a fault befall it."""
        name, bad = request.match_info["method"], None
        try:
            args = await Args.read(request)
        except Refused as refused:
            args, bad = Args(request.query), refused.answer
        token = _bearer(request) or args.pop("token", "")
        entry = self._journal.add("call", name, args)
        fault: Fault = self.faults.take(lambda each: each.befalls(name)) or Fault(name)
        if spoiled := await fault.spoil(request):
            self._finish(entry, {"ok": False, "fault": fault.kind})
            return spoiled
        match fault.kind:
            case "" | "hang":
                pass
            case "late":
                asyncio.get_running_loop().call_later(fault.seconds, self._carry_out, entry, token)
                return cut(request)
            case "reset_after":
                self._carry_out(entry, token, bad)
                return cut(request)
            case "http_after" | "malformed":
                self._carry_out(entry, token, bad)
                status = fault.status if fault.kind == "http_after" else 200
                return web.Response(status=status, text='{"ok": tru', content_type="application/json")
            case code:
                bad = {"ok": False, "error": code, "retry_after": fault.retry_after}
        answer = self._carry_out(entry, token, bad)
        headers = {"x-oauth-scopes": ",".join(sorted(self._workspace.scopes))} if name == "auth.test" else {}
        if answer.get("error") != "ratelimited":
            return web.json_response(answer, headers=headers)
        headers["Retry-After"] = str(answer["retry_after"])
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)

    def _carry_out(self, entry: Entry, token: str, bad: Json | None = None) -> Json:
        """Run the method; its effect is complete when this returns."""
        try:
            return self._finish(entry, bad or {"ok": True, **self._run(entry, token)})
        except Refused as refused:
            return self._finish(entry, refused.answer)

    def _run(self, entry: Entry, token: str) -> Json:
        if token not in (self.bot_token, self.app_token):
            raise Refused("invalid_auth" if token else "not_authed")
        if entry.name not in self._methods:
            raise Refused("unknown_method", req_method=entry.name)
        if (entry.name == "apps.connections.open") != (token == self.app_token):
            raise Refused("not_allowed_token_type")
        method = self._methods[entry.name]
        need(self._workspace, method.scope)
        channel = str(entry.data.get("channel"))
        if self._limits and (wait := self._limits.refuse(entry.name, method.tier, channel)):
            raise Refused("ratelimited", retry_after=wait)
        return method.run(self._workspace, Args(entry.data))

    def _finish(self, entry: Entry, answer: Json) -> Json:
        entry.result = answer
        self._journal.changed()
        return answer


def _bearer(request: web.Request) -> str:
    """Return the token of the Authorization header, or nothing."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
