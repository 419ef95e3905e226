"""agents.sessions.* and assistant.threads.*: the status that shows beside the messages."""

import asyncio
import time

from bot.sandbox.slack.arguments import Args, is_root, method
from bot.sandbox.slack.workspace import Json, Refused, Session, Workspace

STATUSES = {"processing", "active", "suspended", "closed"}
PROCESSING_SECONDS = 3600  # then a session falls back to active
TEXT_SECONDS = 120  # then the older status line goes
MAX_TITLE, MAX_PROMPTS = 200, 4
MAX_LINES, MAX_LINE = 10, 50  # of loading_messages


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
    if a.text("status") not in STATUSES or len(a.text("title")) > MAX_TITLE:
        raise Refused("invalid_status")
    fresh, session = key not in w.sessions, show(w, *key, a.text("status"))
    if fresh:
        session.title = a.text("title")
    return {"status": session.status, "agent_status": session.status, "title": session.title}


@method("assistant.threads.setStatus", "chat:write")
def _set_thread_status(w: Workspace, a: Args) -> Json:
    key, lines = _key(w, a, "channel_not_found"), a.get("loading_messages") or []
    if "status" not in a or len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines):
        raise Refused("invalid_arguments")
    show(w, *key, "processing" if a.text("status") else "active", a.text("status"))
    return {}


@method("agents.sessions.rename", "chat:write", "T3")
def _rename(w: Workspace, a: Args) -> Json:
    key = _key(w, a, "not_authorized")
    if key not in w.sessions:
        raise Refused("session_not_found")
    return _entitle(w, key, a.text("title"))


@method("assistant.threads.setTitle", "assistant:write", "T4")
def _set_title(w: Workspace, a: Args) -> Json:
    return _entitle(w, _key(w, a, "channel_not_found"), a.text("title"))


def _entitle(w: Workspace, key: tuple[str, str], title: str) -> Json:
    if not 0 < len(title) <= MAX_TITLE:
        raise Refused("invalid_name")
    w.sessions.setdefault(key, Session()).title = title
    w.changed()
    return {"title": title}


@method("assistant.threads.setSuggestedPrompts", "assistant:write", "T4")
def _set_prompts(w: Workspace, a: Args) -> Json:
    channel, prompts = w.channels.get(a.text("channel_id")), a.get("prompts")
    if not w.agent:
        raise Refused("not_agent_app")
    if channel is None or channel.kind != "im":
        raise Refused("channel_not_found")
    texts = [text for each in prompts or [] for text in (each.get("title"), each.get("message"))]
    if not 0 < len(texts) <= 2 * MAX_PROMPTS or not all(texts):
        raise Refused("invalid_arguments")
    if not a.text("thread_ts"):  # with it nothing becomes visible
        w.prompts[channel.id] = {"title": a.text("title"), "prompts": prompts}
        w.changed()
    return {}
