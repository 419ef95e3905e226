"""chat.*: posting, changing and deleting messages."""

from bot.sandbox.slack.arguments import Args, is_root, method, writable
from bot.sandbox.slack.blocks import MAX_MARKDOWN, checked_blocks, checked_metadata
from bot.sandbox.slack.sessions import answered
from bot.sandbox.slack.workspace import Channel, Json, Refused, Workspace

MAX_TEXT = 40_000  # longer texts are cut, with a warning
MAX_UPDATE = 4_000  # of chat.update's text; more is refused


@method("chat.postMessage", "chat:write")
def _post(w: Workspace, a: Args) -> Json:
    channel, thread = writable(w, a), a.text("thread_ts") or None
    body, warning = _content(a)
    if thread and not is_root(channel, thread):
        raise Refused("cannot_reply_to_message" if thread in channel.messages else "thread_not_found")
    message = w.post(channel, w.bot.author | body, thread, broadcast=a.flag("reply_broadcast"))
    if thread:
        answered(w, channel.id, thread)
    return {"channel": channel.id, "ts": message["ts"], "message": message, **warning}


def _content(a: Args) -> tuple[Json, Json]:
    """Return a message's text, blocks and metadata, and the warning where the text was cut."""
    markdown, text = a.text("markdown_text"), a.text("text")
    if markdown and (text or a.get("blocks")):
        raise Refused("markdown_text_conflict")
    if len(markdown) > MAX_MARKDOWN:
        raise Refused("msg_too_long")
    body: Json = {"text": (markdown or text)[:MAX_TEXT]}
    if a.get("blocks"):
        body["blocks"] = checked_blocks(a["blocks"])
    if a.get("attachments"):
        body["attachments"] = a["attachments"]
    if a.get("metadata") is not None:
        body["metadata"] = checked_metadata(a["metadata"])
    if not (body["text"].strip() or "blocks" in body or "attachments" in body):
        raise Refused("no_text")
    return body, {"warning": "message_truncated"} if len(text) > MAX_TEXT else {}


def own_message(w: Workspace, channel: Channel, ts: str, refusal: str) -> Json:
    """Return a message of the app's own; Refused: message_not_found, or `refusal` for another's."""
    message = channel.messages.get(ts)
    if message is None or message.get("bot_id") != w.bot.bot_id:
        there = message is not None and message.get("subtype") != "tombstone"
        raise Refused(refusal if there else "message_not_found")
    return message


@method("chat.update", "chat:write", "T3")
def _update(w: Workspace, a: Args) -> Json:
    channel = writable(w, a)
    message = own_message(w, channel, a.text("ts"), "cant_update_message")
    if message.get("streaming_state") == "in_progress":
        raise Refused("streaming_state_conflict")
    if len(a.text("text")) > MAX_UPDATE:
        raise Refused("msg_too_long")
    body, _ = _content(a)  # replaces all of the old but the metadata, which goes only for {}
    if body.get("metadata") == {}:
        body["metadata"] = None
    gone = {"blocks": None, "attachments": None}
    message = w.change(channel, message["ts"], gone | body, editor=w.bot.id)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}


@method("chat.delete", "chat:write", "T3")
def _delete(w: Workspace, a: Args) -> Json:
    channel = writable(w, a)
    message = own_message(w, channel, a.text("ts"), "cant_delete_message")
    w.remove(channel, message["ts"])
    return {"channel": channel.id, "ts": message["ts"]}


@method("chat.postEphemeral", "chat:write", "T4")
def _post_ephemeral(w: Workspace, a: Args) -> Json:
    channel, user = writable(w, a), a.text("user")
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    return {"message_ts": w.whisper(channel.id, user, _content(a)[0], a.text("thread_ts") or None)}
