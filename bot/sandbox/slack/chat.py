"""chat.*: posting, changing and deleting messages, and streams: messages written while they are read.

A stream lives for a fixed time that appends do not extend (seen: about 300 s). It ends by stopStream, by that
time, by a person's stop, or with its message.
"""

import asyncio
from typing import Any

from bot.sandbox.slack.arguments import Args, is_root, method, writable
from bot.sandbox.slack.blocks import MAX_MARKDOWN, checked_blocks, checked_metadata
from bot.sandbox.slack.sessions import STATUSES, answered, show
from bot.sandbox.slack.workspace import Channel, Json, Refused, Stream, Workspace

MAX_TEXT = 40_000  # longer texts are cut, with a warning
MAX_UPDATE = 4_000  # of chat.update's text; more is refused


@method("chat.postMessage", "chat:write")
def _post(w: Workspace, a: Args) -> Json:
    channel, thread = writable(w, a), a.text("thread_ts") or None
    body, warning = content(a)
    if thread and not is_root(channel, thread):
        raise Refused("cannot_reply_to_message" if thread in channel.messages else "thread_not_found")
    message = w.post(channel, w.bot.author | body, thread, broadcast=a.flag("reply_broadcast"))
    if thread:
        answered(w, channel.id, thread)
    return {"channel": channel.id, "ts": message["ts"], "message": message, **warning}


@method("chat.postEphemeral", "chat:write", "T4")
def _post_ephemeral(w: Workspace, a: Args) -> Json:
    channel, user = writable(w, a), a.text("user")
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    return {"message_ts": w.whisper(channel.id, user, content(a)[0], a.text("thread_ts") or None)}


def content(a: Args) -> tuple[Json, Json]:
    """Return a message's text, blocks and metadata, and the warning where the text was cut."""
    markdown, text = _markdown(a), a.text("text")
    if markdown and (text or a.get("blocks")):
        raise Refused("markdown_text_conflict")
    body, warning = _cut(markdown or text)
    if a.get("blocks"):
        body["blocks"] = checked_blocks(a["blocks"])
    if a.get("metadata") is not None:
        body["metadata"] = checked_metadata(a["metadata"])
    if not (body["text"].strip() or "blocks" in body):
        raise Refused("no_text")
    return body, warning


def _markdown(a: Args) -> str:
    """Return a call's Markdown, whole or as chunks of text (Bobbin sends no other chunks)."""
    chunks = a.get("chunks") or []
    if any(chunk.get("type") != "markdown_text" or "text" not in chunk for chunk in chunks):
        raise Refused("invalid_chunks")
    text = a.text("markdown_text") + "".join(chunk["text"] for chunk in chunks)
    if len(text) > MAX_MARKDOWN:
        raise Refused("msg_too_long")
    return text


def _cut(text: str) -> tuple[Json, Json]:
    return {"text": text[:MAX_TEXT]}, {"warning": "message_truncated"} if len(text) > MAX_TEXT else {}


@method("chat.update", "chat:write", "T3")
def _update(w: Workspace, a: Args) -> Json:
    channel, message = _own(w, a, "cant_update_message")
    if message.get("streaming_state") == "in_progress":
        raise Refused("streaming_state_conflict")
    if len(a.text("text")) > MAX_UPDATE:
        raise Refused("msg_too_long")
    body, _ = content(a)  # replaces all of the old but the metadata, which goes only for {}
    if body.get("metadata") == {}:
        body["metadata"] = None
    message = w.change(channel, message["ts"], {"blocks": None} | body, editor=w.bot.id)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}


@method("chat.delete", "chat:write", "T3")
def _delete(w: Workspace, a: Args) -> Json:
    channel, message = _own(w, a, "cant_delete_message")
    if message.get("streaming_state") == "in_progress":
        raise Refused("cant_delete_message")
    w.remove(channel, message["ts"])
    return {"channel": channel.id, "ts": message["ts"]}


def _own(w: Workspace, a: Args, refusal: str) -> tuple[Channel, Json]:
    """Return a message of the app's own; Refused: message_not_found, or `refusal` for another's."""
    channel = writable(w, a)
    message = channel.messages.get(a.text("ts"))
    if message is None or message.get("bot_id") != w.bot.bot_id:
        there = message is not None and message.get("subtype") != "tombstone"
        raise Refused(refusal if there else "message_not_found")
    return channel, message


@method("chat.startStream", "chat:write", "T2")
def _start(w: Workspace, a: Args) -> Json:
    channel, thread = writable(w, a), a.text("thread_ts")
    if not is_root(channel, thread):
        raise Refused("invalid_thread_ts")
    for name in ("recipient_user_id", "recipient_team_id"):
        if channel.kind != "im" and not a.get(name):
            raise Refused(f"missing_{name}")
    if a.get("recipient_user_id") and a["recipient_user_id"] not in w.people:
        raise Refused("user_not_found")
    body, warning = _cut(_markdown(a))
    ts = w.post(channel, {**w.bot.author, **body, "streaming_state": "in_progress"}, thread)["ts"]
    w.streams[channel.id, ts] = Stream((channel.id, thread))
    asyncio.get_running_loop().call_later(w.stream_seconds, _expire, w, channel, ts)
    show(w, channel.id, thread, "processing")
    return {"channel": channel.id, "ts": ts, **warning}


@method("chat.appendStream", "chat:write", "T4")
def _append(w: Workspace, a: Args) -> Json:
    channel, message, _ = _running(w, a)
    if not (text := _markdown(a)):
        raise Refused("no_text")
    body, warning = _cut(message["text"] + text)
    w.change(channel, message["ts"], body)
    return {"channel": channel.id, "ts": message["ts"], **warning}


@method("chat.stopStream", "chat:write", "T2")
def _stop(w: Workspace, a: Args) -> Json:
    channel, message, stream = _running(w, a, stopping=True)
    status, blocks = a.text("session_status") or "active", checked_blocks(a.get("blocks") or [])
    if status not in STATUSES:
        raise Refused("invalid_status")
    body, warning = _cut(message["text"] + _markdown(a))
    if a.get("metadata") is not None:
        body["metadata"] = checked_metadata(a["metadata"])
    if blocks:
        body["blocks"] = blocks
    message = _end(w, channel, message["ts"], "by the app", **body)
    show(w, *stream.thread, status)
    return {"channel": channel.id, "ts": message["ts"], "message": message, **warning}


def _running(w: Workspace, a: Args, *, stopping: bool = False) -> tuple[Channel, Json, Stream]:
    channel, message = _own(w, a, "message_not_owned_by_app")
    stream = w.streams.get((channel.id, message["ts"]))
    if stream is None or stream.ended:
        stopped = stream is not None and stream.ended == "by a person" and not stopping
        raise Refused("stopped_by_user" if stopped else "message_not_in_streaming_state")
    return channel, message, stream


def _end(w: Workspace, channel: Channel, ts: str, how: str, state: str = "completed", **fields: Any) -> Json:
    w.streams[channel.id, ts].ended = how
    return w.change(channel, ts, fields | {"streaming_state": state})


def _expire(w: Workspace, channel: Channel, ts: str) -> None:
    """End a stream whose time is over, if it runs."""
    stream = w.streams.get((channel.id, ts))
    if stream and not stream.ended:
        _end(w, channel, ts, "by time", "errored")
        show(w, *stream.thread, "active")


def stop_streams(w: Workspace, channel: Channel, thread: str, user: str) -> list[str]:
    """Stop a thread's streams and tell the app, which has to do the rest: the session stays processing."""
    stopped = [ts for (_, ts), s in w.streams.items() if s.thread == (channel.id, thread) and not s.ended]
    for ts in stopped:
        _end(w, channel, ts, "by a person")
    event = {"type": "agent_session_stopped", "channel": channel.id, "user": user, "thread_ts": thread}
    w.send({**event, "streaming_message_ts": stopped}, channel)
    return stopped
