"""chat.startStream, appendStream, stopStream: a message written while it is read.

A stream lives for a fixed time that appends do not extend (seen: about 300 s). It ends by stopStream, by that
time, by a person's stop, or with its message.
"""

import asyncio

from bot.sandbox.slack.arguments import Args, is_root, method, writable
from bot.sandbox.slack.blocks import (
    MAX_BLOCKS,
    MAX_MARKDOWN,
    checked_blocks,
    checked_chunks,
    checked_metadata,
)
from bot.sandbox.slack.chat import MAX_TEXT, own_message
from bot.sandbox.slack.sessions import STATUSES, show
from bot.sandbox.slack.workspace import Channel, Json, Refused, Stream, Workspace


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
    stream = Stream((channel.id, thread))
    fields, warning = _grown({**w.bot.author, "text": "", "streaming_state": "in_progress"}, stream, a)
    ts = w.post(channel, fields, thread)["ts"]
    w.streams[channel.id, ts] = stream
    asyncio.get_running_loop().call_later(w.stream_seconds, expire, w, channel, ts)
    show(w, *stream.thread, "processing")
    return {"channel": channel.id, "ts": ts, **warning}


@method("chat.appendStream", "chat:write", "T4")
def _append(w: Workspace, a: Args) -> Json:
    channel, message, stream = _running(w, a)
    if not (a.get("markdown_text") or a.get("chunks")):
        raise Refused("no_text")
    fields, warning = _grown(message, stream, a)
    w.change(channel, message["ts"], fields)
    return {"channel": channel.id, "ts": message["ts"], **warning}


@method("chat.stopStream", "chat:write", "T2")
def _stop(w: Workspace, a: Args) -> Json:
    channel, message, stream = _running(w, a, stopping=True)
    status, blocks = a.text("session_status") or "active", checked_blocks(a.get("blocks") or [])
    if status not in STATUSES:
        raise Refused("invalid_status")
    metadata = {} if a.get("metadata") is None else {"metadata": checked_metadata(a["metadata"])}
    fields, warning = _grown(message, stream, a)
    if shown := (fields.get("blocks", []) + blocks)[:MAX_BLOCKS]:
        fields["blocks"] = shown
    _end(w, channel, message["ts"], fields | metadata | {"streaming_state": "completed"})
    show(w, *stream.thread, status)
    return {"channel": channel.id, "ts": message["ts"], "message": channel.messages[message["ts"]], **warning}


def _running(w: Workspace, a: Args, *, stopping: bool = False) -> tuple[Channel, Json, Stream]:
    channel = writable(w, a)
    message = own_message(w, channel, a.text("ts"), "message_not_owned_by_app")
    stream = w.streams.get((channel.id, message["ts"]))
    if stream is None or stream.ended:
        stopped = stream is not None and stream.ended == "by a person" and not stopping
        raise Refused("stopped_by_user" if stopped else "message_not_in_streaming_state")
    return channel, message, stream


def _grown(message: Json, stream: Stream, a: Args) -> tuple[Json, Json]:
    """Return a message's fields with a call's text or chunks added, and the warning where they were cut."""
    text, chunks = a.text("markdown_text"), checked_chunks(a.get("chunks") or [])
    mode = "chunks" if chunks else "text" if text else ""
    if text and chunks:
        raise Refused("markdown_text_conflict")
    if len(text) > MAX_MARKDOWN:
        raise Refused("msg_too_long")
    if mode and stream.mode and mode != stream.mode:
        raise Refused("streaming_mode_mismatch")
    stream.mode = stream.mode or mode
    text += "".join(chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text")
    added = [
        each for chunk in chunks if chunk["type"] == "blocks" for each in checked_blocks(chunk["blocks"])
    ]
    whole, blocks = message["text"] + text, [*message.get("blocks", []), *added][:MAX_BLOCKS]
    fields = message | {"text": whole[:MAX_TEXT]} | ({"blocks": blocks} if blocks else {})
    return fields, {"warning": "message_truncated"} if len(whole) > MAX_TEXT else {}


def _end(w: Workspace, channel: Channel, ts: str, fields: Json, how: str = "by the app") -> None:
    w.streams[channel.id, ts].ended = how
    w.change(channel, ts, fields)


def expire(w: Workspace, channel: Channel, ts: str) -> None:
    """End a stream whose time is over, if it runs."""
    stream = w.streams.get((channel.id, ts))
    if stream and not stream.ended:
        _end(w, channel, ts, {"streaming_state": "errored"}, "by time")
        show(w, *stream.thread, "active")


def stop_by_person(w: Workspace, channel: Channel, thread: str, user: str) -> list[str]:
    """Stop a thread's streams and tell the app, which has to do the rest: the session stays processing."""
    stopped = [ts for (_, ts), s in w.streams.items() if s.thread == (channel.id, thread) and not s.ended]
    for ts in stopped:
        _end(w, channel, ts, {"streaming_state": "completed"}, "by a person")
    event = {"type": "agent_session_stopped", "channel": channel.id, "user": user, "thread_ts": thread}
    w.send({**event, "streaming_message_ts": stopped}, channel)
    return stopped
