"""views.*: the app's Home and its modals; the limits are in slack.toml."""

import json
import time

from bot.sandbox.slack.arguments import Args, method
from bot.sandbox.slack.blocks import DATA, checked_blocks
from bot.sandbox.slack.workspace import Json, Refused, Workspace


def made(w: Workspace, view: Json, kind: str, view_id: str = "") -> Json:
    """Return a view as Slack keeps it; Refused: invalid_arguments, view_too_large, invalid_blocks, ..."""
    limits = DATA["view"]
    fault = view.get("type") != kind
    if not fault and kind == "modal":
        title, inputs = view.get("title", {}), [b for b in view.get("blocks", []) if b.get("type") == "input"]
        fault = title.get("type") != "plain_text" or not 0 < len(title.get("text", "")) <= limits["title"]
        fault = fault or (bool(inputs) and "submit" not in view)
    if fault or len(view.get("private_metadata", "")) > limits["private_metadata"]:
        raise Refused("invalid_arguments")
    if len(json.dumps(view)) > limits["bytes"]:
        raise Refused("view_too_large")
    facts: Json = {"id": view_id or w.new_id("V"), "team_id": w.team_id, "bot_id": w.bot.bot_id}
    facts |= {"app_id": w.bot.app_id, "callback_id": "", "private_metadata": "", "hash": w.new_ts()}
    return facts | {"state": {"values": {}}} | view | {"blocks": checked_blocks(view.get("blocks"), "view")}


@method("views.publish", tier="T4")
def _publish(w: Workspace, a: Args) -> Json:
    user = a.text("user_id")
    before = w.homes.get(user, {})
    if user not in w.people:
        raise Refused("invalid_arguments")
    if a.get("hash") not in (None, before.get("hash")):
        raise Refused("hash_conflict")
    w.homes[user] = made(w, a.get("view") or {}, "home", before.get("id", ""))
    return {"view": w.homes[user]}


@method("views.open", tier="T4")
def _open(w: Workspace, a: Args) -> Json:
    trigger = a.text("trigger_id")
    if trigger not in w.triggers:
        raise Refused("invalid_trigger_id")
    user, until = w.triggers[trigger]
    if until < time.monotonic():
        raise Refused("expired_trigger_id" if until else "exchanged_trigger_id")
    view = made(w, a.get("view") or {}, "modal")
    w.triggers[trigger] = user, 0
    w.modals[user] = view
    return {"view": view}


@method("views.update", tier="T4")
def _update(w: Workspace, a: Args) -> Json:
    user = next((user for user, view in w.modals.items() if view["id"] == a.text("view_id")), "")
    if not user:
        raise Refused("not_found")
    if a.get("hash") not in (None, w.modals[user]["hash"]):
        raise Refused("hash_conflict")
    w.modals[user] = made(w, a.get("view") or {}, "modal", a.text("view_id"))
    return {"view": w.modals[user]}
