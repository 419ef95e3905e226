"""auth.*, conversations.*, users.* and reactions.*: reading the workspace, and marking messages."""

import base64
import re
from collections.abc import Sequence
from typing import Any

from bot.sandbox.slack.arguments import SCOPE_OF, Args, method, readable, writable
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


def _newer(messages: list[Json], oldest: str) -> list[Json]:
    """Return the messages after a ts, which may be written short ("0")."""
    seconds, _, fraction = oldest.partition(".")
    return [message for message in messages if message["ts"] > f"{seconds:0>10}.{fraction:0<6}"]


def _shown(message: Json, a: Args) -> Json:
    """Return a message as it is read back: of its metadata only the type, unless all was asked for."""
    if "metadata" not in message or a.flag("include_all_metadata"):
        return message
    return message | {"metadata": {"event_type": message["metadata"].get("event_type")}}


@method("conversations.replies", tier="T3")
def _replies(w: Workspace, a: Args) -> Json:
    channel = readable(w, a, "history")
    message = channel.messages.get(a.text("ts"))
    if message is None:
        raise Refused("thread_not_found")
    root, *rest = channel.thread(message.get("thread_ts", a.text("ts")))
    size = max(1, a.limit(1000) - 1)  # the root is on every page
    found, paging = _page(_newer(rest, a.text("oldest")), a, size)
    return {"messages": [_shown(message, a) for message in (root, *found)], **paging}


@method("conversations.history", tier="T3")
def _history(w: Workspace, a: Args) -> Json:
    every = [message for _, message in sorted(readable(w, a, "history").messages.items(), reverse=True)]
    top = [
        m for m in every if m.get("thread_ts", m["ts"]) == m["ts"] or m.get("subtype") == "thread_broadcast"
    ]
    found, paging = _page(_newer(top, a.text("oldest")), a, a.limit(999))
    return {"messages": [_shown(message, a) for message in found], **paging}


@method("conversations.info", tier="T3")
def _info(w: Workspace, a: Args) -> Json:
    c = readable(w, a, "read")
    kinds = {f"is_{kind}": c.kind == kind for kind in SCOPE_OF}
    facts: Json = {"id": c.id, "name": c.name, **kinds, "is_private": c.kind != "channel"}
    facts |= {"is_archived": c.archived, "is_member": w.bot.id in c.members, "is_ext_shared": w.shared(c)}
    return {"channel": facts}


@method("chat.getPermalink")
def _permalink(w: Workspace, a: Args) -> Json:
    channel, ts = readable(w, a, ""), a.text("message_ts")
    if ts not in channel.messages:
        raise Refused("message_not_found")
    thread = channel.messages[ts].get("thread_ts", ts)
    within = f"?thread_ts={thread}&cid={channel.id}" if thread != ts else ""
    link = f"https://{w.domain}.slack.com/archives/{channel.id}/p{ts.replace('.', '')}{within}"
    return {"channel": channel.id, "permalink": link}


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
