"""agents.sessions.*, assistant.threads.* and views.publish: what shows beside the messages."""

import asyncio
import time

from bot.sandbox.slack.arguments import Args, is_root, method
from bot.sandbox.slack.blocks import checked_blocks
from bot.sandbox.slack.workspace import Json, Refused, Session, Workspace

STATUSES = {"processing", "active", "suspended", "closed"}
PROCESSING_SECONDS = 3600  # then a session falls back to active
TEXT_SECONDS = 120  # then the older status line goes
MAX_TITLE, MAX_PROMPTS, MAX_LINES, MAX_LINE = 200, 4, 10, 50


def show(w: Workspace, channel: str, thread: str, status: str, text: str = "") -> Session:
    """Set what a thread's one status slot shows: the last writer wins, and it times out."""
    session = w.sessions.setdefault((channel, thread), Session())
    session.status, session.text = status, text
    session.history.append((time.time(), status, text))
    shown = len(session.history)

    def lapse() -> None:
        if len(session.history) == shown:
            show(w, channel, thread, "active")

    if status == "processing":
        asyncio.get_running_loop().call_later(TEXT_SECONDS if text else PROCESSING_SECONDS, lapse)
    w.changed()
    return session


def answered(w: Workspace, channel: str, thread: str) -> None:
    """Clear the older status line, as a reply of the app does; an agent session's status stays."""
    if (session := w.sessions.get((channel, thread))) and session.text:
        show(w, channel, thread, "active")


def _key(w: Workspace, a: Args, stranger: str, missing: str = "invalid_thread_ts") -> tuple[str, str]:
    """Return channel and thread; Refused: channel_not_found, `stranger` where the app is no member, ..."""
    channel = w.channels.get(a.text("channel_id"))
    if channel is None or w.bot.id not in channel.members:
        raise Refused(stranger if channel else "channel_not_found")
    if not is_root(channel, a.text("thread_ts")):
        raise Refused("invalid_thread_ts" if a.text("thread_ts") else missing)
    return channel.id, a.text("thread_ts")


@method("agents.sessions.setStatus", "chat:write", "T3")
def _set_status(w: Workspace, a: Args) -> Json:
    if not w.agent:
        raise Refused("not_authorized")
    key = _key(w, a, "not_authorized", "thread_ts_required")
    if a.text("status") not in STATUSES:
        raise Refused("invalid_status")
    session = show(w, *key, a.text("status"))
    session.title = session.title or a.text("title")[:MAX_TITLE]
    return {"status": session.status, "agent_status": session.status, "title": session.title}


@method("agents.sessions.rename", "chat:write", "T3")
def _rename(w: Workspace, a: Args) -> Json:
    key = _key(w, a, "not_authorized", "thread_ts_required")
    if not w.agent or key not in w.sessions:
        raise Refused("session_not_found" if w.agent else "not_authorized")
    if not 1 <= len(a.text("title")) <= MAX_TITLE:
        raise Refused("invalid_name")
    w.sessions[key].title = a.text("title")
    w.changed()
    return {"title": a.text("title")}


@method("assistant.threads.setStatus", "chat:write")
def _set_thread_status(w: Workspace, a: Args) -> Json:
    key, lines = _key(w, a, "channel_not_found"), a.get("loading_messages") or []
    if "status" not in a or len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines):
        raise Refused("invalid_arguments")
    show(w, *key, "processing" if a.text("status") else "active", a.text("status"))
    return {}


@method("assistant.threads.setTitle", "assistant:write", "T4")
def _set_title(w: Workspace, a: Args) -> Json:
    w.sessions.setdefault(_key(w, a, "channel_not_found"), Session()).title = a.text("title")
    w.changed()
    return {}


@method("assistant.threads.setSuggestedPrompts", "assistant:write", "T4")
def _set_suggested_prompts(w: Workspace, a: Args) -> Json:
    prompts = a.get("prompts") or []
    if not w.agent or a.text("channel_id") not in w.channels:
        raise Refused("channel_not_found" if w.agent else "not_agent_app")
    if len(prompts) > MAX_PROMPTS or any({"title", "message"} - prompt.keys() for prompt in prompts):
        raise Refused("invalid_arguments")
    if not a.text("thread_ts"):  # with a thread the call has no visible effect
        w.prompts[a.text("channel_id")] = {"title": a.text("title"), "prompts": prompts}
        w.changed()
    return {}


@method("views.publish", tier="T4")
def _publish(w: Workspace, a: Args) -> Json:
    user, view = a.text("user_id"), a.get("view")
    old = w.homes.get(user)
    if user not in w.people:
        raise Refused("user_not_found")
    if a.get("hash") and old and a["hash"] != old["hash"]:
        raise Refused("hash_conflict")
    if not isinstance(view, dict) or view.get("type") != "home":
        raise Refused("invalid_arguments")
    # A home may have 100 blocks, not 50.
    blocks = [block for each in view.get("blocks", []) for block in checked_blocks([each])]
    facts = {"id": old["id"] if old else w.new_id("V"), "hash": w.new_ts(), "app_id": w.bot.app_id}
    w.homes[user] = {**view, **facts, "team_id": w.team_id, "blocks": blocks}
    w.changed()
    return {"view": w.homes[user]}
