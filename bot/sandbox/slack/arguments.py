"""The table of the Web API's methods, what a call was given, and the look-ups that most begin with."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from aiohttp import web

from bot.sandbox.slack.workspace import Channel, Json, Refused, Workspace

STRUCTURED = {"blocks", "metadata", "chunks", "loading_messages", "prompts", "files", "view"}
SCOPE_OF = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


class Args(dict[str, Any]):
    """A call's arguments, whatever way they came."""

    @classmethod
    async def read(cls, request: web.Request) -> "Args":
        """Merge query, form and JSON body; Refused: invalid_json, json_not_object, invalid_arguments."""
        as_json = request.content_type == "application/json"
        try:
            body = json.loads(await request.text() or "{}") if as_json else await request.post()
        except ValueError:
            raise Refused("invalid_json") from None
        if as_json and not isinstance(body, dict):
            raise Refused("json_not_object")
        args = cls({**request.query, **body})
        try:
            args |= {
                k: json.loads(v) for k, v in args.items() if k in STRUCTURED and v and isinstance(v, str)
            }
        except ValueError:
            raise Refused("invalid_arguments") from None
        return args

    def text(self, name: str) -> str:
        """Return an argument as text, empty where it is missing."""
        return "" if self.get(name) is None else str(self[name])

    def flag(self, name: str) -> bool:
        """Return a boolean, which a query writes as 1 or true."""
        return self.text(name).lower() in ("1", "true")

    def limit(self, most: int) -> int:
        """Return the page size; Refused: invalid_limit."""
        text = self.text("limit") or str(most)
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise Refused("invalid_limit")
        return int(text)


class Method(NamedTuple):
    """What a Web API method runs, the scope it needs, and its rate tier."""

    run: Callable[..., Json]
    scope: str = ""
    tier: str = ""


METHODS: dict[str, Method] = {}
Run = TypeVar("Run", bound=Callable[..., Json])


def method(name: str, scope: str = "", tier: str = "") -> Callable[[Run], Run]:
    """Put a function into the table of methods."""

    def enter(run: Run) -> Run:
        METHODS[name] = Method(run, scope, tier)
        return run

    return enter


def readable(w: Workspace, a: Args, scope: str) -> Channel:
    """Return the channel that is asked about; Refused: channel_not_found, missing_scope (for its kind)."""
    channel = w.channels.get(a.text("channel"))
    if channel is None or (channel.kind != "channel" and w.bot.id not in channel.members):
        raise Refused("channel_not_found")
    need(w, scope and f"{SCOPE_OF[channel.kind]}:{scope}")
    return channel


def writable(w: Workspace, a: Args) -> Channel:
    """Return the channel to write in; Refused: channel_not_found, not_in_channel, is_archived."""
    place = a.text("channel")
    channel = w.direct([place]) if place in w.people else w.channels.get(place)
    if channel is None or (channel.kind != "channel" and w.bot.id not in channel.members):
        raise Refused("channel_not_found")
    if w.bot.id not in channel.members or channel.archived:
        raise Refused("is_archived" if channel.archived else "not_in_channel")
    return channel


def need(w: Workspace, scope: str) -> None:
    """Refuse, with missing_scope, what the app was not granted."""
    if scope and scope not in w.scopes:
        raise Refused("missing_scope", needed=scope, provided=",".join(sorted(w.scopes)))


def is_root(channel: Channel, ts: str) -> bool:
    """Whether a message is there and can carry a thread."""
    return ts in channel.messages and channel.messages[ts].get("thread_ts", ts) == ts
