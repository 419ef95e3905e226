"""agents.sessions.* and assistant.threads.*: the status that shows beside the messages."""

import asyncio
import time

from bot.sandbox.slack.arguments import Args, is_root, method
from bot.sandbox.slack.workspace import Json, Refused, Session, Workspace

STATUSES = {"processing", "active", "suspended", "closed"}
PROCESSING_SECONDS = 3600  # then a session falls back to active
TEXT_SECONDS = 120  # then the older status line goes
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
    if a.text("status") not in STATUSES:
        raise Refused("invalid_status")
    session = show(w, *key, a.text("status"))
    return {"status": session.status, "agent_status": session.status}


@method("assistant.threads.setStatus", "chat:write")
def _set_thread_status(w: Workspace, a: Args) -> Json:
    key, lines = _key(w, a, "channel_not_found"), a.get("loading_messages") or []
    if "status" not in a or len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines):
        raise Refused("invalid_arguments")
    show(w, *key, "processing" if a.text("status") else "active", a.text("status"))
    return {}
