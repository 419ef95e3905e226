"""conversations.*, users.*, bots.*, files.*, reactions.* and the like: reading the workspace."""

import base64
import re
from collections.abc import Sequence
from typing import Any

from bot.sandbox.slack.arguments import Args, method, readable, writable
from bot.sandbox.slack.workspace import Json, Refused, Workspace


@method("auth.test")
def _auth_test(w: Workspace, _: Args) -> Json:
    team = {"url": f"https://{w.domain}.slack.com/", "team": "Sandbox", "team_id": w.team_id}
    me = {"user": w.bot.name, "user_id": w.bot.id, "bot_id": w.bot.bot_id, "is_enterprise_install": False}
    return {**team, **me}


def _page(items: Sequence[Any], a: Args, size: int) -> tuple[list[Any], Json]:
    """Return the items from the cursor on, and the answer's has_more and next_cursor."""
    try:
        start = int(base64.b64decode(a.text("cursor"), validate=True).removeprefix(b"next:") or 0)
    except ValueError:
        raise Refused("invalid_cursor") from None
    more = start + size < len(items)
    cursor = base64.b64encode(b"next:%d" % (start + size)).decode() if more else ""
    return list(items[start : start + size]), {"has_more": more, "response_metadata": {"next_cursor": cursor}}


def _within(messages: list[Json], a: Args) -> list[Json]:
    """Return the messages between oldest and latest, which count themselves only if inclusive."""
    edges = [a.text(edge).partition(".")[::2] for edge in ("oldest", "latest")]
    oldest, latest = ("{:0>10}.{:0<6}".format(*edge) for edge in edges)
    after, before = oldest if a.text("oldest") else "", latest if a.text("latest") else "~"
    within = {after, before} if a.flag("inclusive") else set()
    return [message for message in messages if after < message["ts"] < before or message["ts"] in within]


def _shown(messages: list[Json], a: Args) -> list[Json]:
    """Return messages as they are read back: of metadata only its type, unless all was asked for."""
    if a.flag("include_all_metadata"):
        return messages
    types = [{"event_type": message.get("metadata", {}).get("event_type")} for message in messages]
    return [m | {"metadata": t} if "metadata" in m else m for m, t in zip(messages, types, strict=True)]


@method("conversations.replies", tier="T3")
def _replies(w: Workspace, a: Args) -> Json:
    channel = readable(w, a, "history")
    message = channel.messages.get(a.text("ts"))
    if message is None:
        raise Refused("thread_not_found")
    root, *rest = channel.thread(message.get("thread_ts", a.text("ts")))
    found, paging = _page(_within(rest, a), a, max(1, a.limit(1000, 1000) - 1))  # the root is on every page
    return {"messages": _shown([root, *found], a), **paging}


@method("conversations.history", tier="T3")
def _history(w: Workspace, a: Args) -> Json:
    channel = readable(w, a, "history")
    if w.bot.id not in channel.members:
        raise Refused("not_in_channel")
    roots = [m for m in channel.messages.values() if m.get("thread_ts", m["ts"]) == m["ts"] or "root" in m]
    found, paging = _page(_within(roots, a)[::-1], a, a.limit(100, 999))
    return {"messages": _shown(found, a), **paging}


@method("users.info", "users:read", "T4")
def _user_info(w: Workspace, a: Args) -> Json:
    person = w.people.get(a.text("user"))
    if person is None:
        raise Refused("user_not_found")
    profile = {"display_name": person.display, "real_name": person.display, "team": person.team}
    facts: Json = {"id": person.id, "team_id": person.team, "name": person.name, "real_name": person.display}
    facts |= {"tz": "Etc/UTC", "is_bot": bool(person.bot_id), "deleted": False, "profile": profile}
    roles = {"is_admin": person.admin, "is_owner": False, "is_restricted": person.guest}
    roles["is_ultra_restricted"] = False
    return {"user": facts | ({"is_stranger": True} if person.external else roles)}


@method("files.info", "files:read", "T4")
def _file_info(w: Workspace, a: Args) -> Json:
    if a.text("file") not in w.files:
        raise Refused("file_not_found")
    return {"file": w.files[a.text("file")][0]}


@method("reactions.add", "reactions:write", "T3")
def _react(w: Workspace, a: Args, *, add: bool = True) -> Json:
    name = a.text("name").strip(":")
    if not re.fullmatch(r"[a-z0-9_+'-]+", name):
        raise Refused("invalid_name")
    w.react(writable(w, a), a.text("timestamp"), w.bot.id, name, add=add)
    return {}


@method("reactions.remove", "reactions:write", "T2")
def _unreact(w: Workspace, a: Args) -> Json:
    return _react(w, a, add=False)
