"""One Slack workspace: people, channels, messages, and the events that their changes give the app. No I/O."""

import mimetypes
import random
import re
import time
import uuid
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
COUNTS = ("thread_ts", "reply_count", "reply_users", "reply_users_count", "latest_reply")
SCOPES = (  # granted to the app at first
    "app_mentions:read assistant:write channels:history groups:history im:history mpim:history channels:read "
    "groups:read im:read mpim:read chat:write commands files:read files:write reactions:read reactions:write "
    "users:read"
)


class Refused(Exception):
    """A call that Slack answers with `ok: false` and this error code."""

    def __init__(self, error: str, **extra: Any) -> None:
        super().__init__(error)
        self.answer: Json = {"ok": False, "error": error, **extra}


@dataclass
class Person:
    """A person, or the user of a bot (then `bot_id` and `app_id` are set)."""

    id: str
    name: str
    display: str
    team: str
    external: bool = False
    guest: bool = False
    admin: bool = False
    bot_id: str = ""
    app_id: str = ""

    @property
    def author(self) -> Json:
        """The fields that name this person as a message's author."""
        fields: Json = {"user": self.id, "team": self.team}
        if self.bot_id:
            fields |= {"bot_id": self.bot_id, "app_id": self.app_id}
            fields["bot_profile"] = {"id": self.bot_id, "app_id": self.app_id, "name": self.name}
        return fields | ({"user_team": self.team, "source_team": self.team} if self.external else {})


@dataclass
class Channel:
    """A place to talk; `kind` is an event's channel_type: channel, group (private), im, mpim."""

    id: str
    name: str
    kind: str
    members: list[str]
    archived: bool = False
    messages: dict[str, Json] = field(default_factory=dict)
    replies: dict[str, list[str]] = field(default_factory=dict)
    missed_mentions: list[Json] = field(default_factory=list)

    def thread(self, root: str) -> list[Json]:
        """Return the messages of a thread, oldest first, the root included."""
        return [self.messages[ts] for ts in [root, *self.replies.get(root, [])] if ts in self.messages]


@dataclass
class Session:
    """The agent session of a thread; `text` is the status line of the older assistant.threads.setStatus."""

    status: str = "active"
    text: str = ""
    title: str = ""
    history: list[tuple[float, str, str]] = field(default_factory=list)  # since 1970 in s, status, text


@dataclass
class File:
    """A file: what Slack says of it, and its bytes; None until they are uploaded, and once it is deleted."""

    facts: Json
    content: bytes | None
    deleted: bool = False


@dataclass
class Stream:
    """A message being streamed in a thread (channel, ts); `ended` says how it ended."""

    thread: tuple[str, str]
    ended: str = ""


class Workspace:
    """The state of one workspace with one app in it; each change gives its events to `emit`."""

    def __init__(self, emit: Callable[[Json, Channel | None], object], changed: Callable[[], None]) -> None:
        self._emit, self.changed = emit, changed
        self._last_micros = self._last_id = 0
        self.team_id, self.domain, self.url = "T0SANDBOX", "sandbox", ""
        self.agent = True  # the app is declared an agent: it has sessions
        self.manifest: Json = {}  # none: anything can be chosen, declared or not
        self.stream_seconds, self.trigger_seconds = 300.0, 3.0
        self.scopes = set(SCOPES.split())
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.sessions: dict[tuple[str, str], Session] = {}
        self.streams: dict[tuple[str, str], Stream] = {}
        self.ephemerals: dict[str, list[Json]] = {}
        self.files: dict[str, File] = {}
        self.homes: dict[str, Json] = {}  # by person, as are the next two
        self.modals: dict[str, Json] = {}
        self.looking_at: dict[str, str] = {}
        self.prompts: dict[str, Json] = {}  # by DM: the answer's `title` and `prompts`
        self.triggers: dict[str, tuple[str, float]] = {}  # whose, until when (monotonic); 0: used
        self.bot = self.people[self.add_person("bobbin", bot=True)]

    def new_id(self, prefix: str) -> str:
        """Return an id of Slack's look."""
        self._last_id += 1
        return f"{prefix}0SBX{self._last_id:06d}"

    def new_ts(self) -> str:
        """Return the time as Slack writes it, later than any before."""
        self._last_micros = max(self._last_micros + 1, time.time_ns() // 1000)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def add_person(
        self, name: str, *, display: str = "", external_team: str = "", bot: bool = False, **roles: Any
    ) -> str:
        """Add a person, perhaps of another team, or a bot; roles: guest, admin. Return the user id."""
        team, external = external_team or self.team_id, bool(external_team)
        person = Person(self.new_id("U"), name, display or name, team, external=external, **roles)
        if bot:
            person.bot_id, person.app_id = self.new_id("B"), self.new_id("A")
        self.people[person.id] = person
        self.changed()
        return person.id

    def add_channel(self, name: str, kind: str, members: Sequence[str]) -> Channel:
        """Add a channel, with no events about its members."""
        channel = Channel(self.new_id("D" if kind == "im" else "C"), name, kind, list(dict.fromkeys(members)))
        self.channels[channel.id] = channel
        self.changed()
        return channel

    def direct(self, users: Sequence[str]) -> Channel:
        """Return the app's DM with one person, or its group DM with several, opened where there was none."""
        members, kind = {self.bot.id, *users}, "im" if len(users) == 1 else "mpim"
        there = (c for c in self.channels.values() if c.kind == kind and set(c.members) == members)
        name = "" if kind == "im" else "mpdm"
        return next(there, None) or self.add_channel(name, kind, [*users, self.bot.id])

    def shared(self, channel: Channel) -> bool:
        """Whether people of another organisation are in a channel."""
        return any(self.people[user].external for user in channel.members)

    def send(self, event: Json, channel: Channel | None = None) -> None:
        """Give the app an event as it is now, unless it happened in a channel the app is not in."""
        self.changed()
        if channel is None or self.bot.id in channel.members:
            self._emit(deepcopy({**event, "event_ts": event.get("event_ts") or self.new_ts()}), channel)

    def post(
        self, channel: Channel, body: Json, thread: str | None = None, *, broadcast: bool = False
    ) -> Json:
        """Store a message and tell the app: of it, of a mention in it, of its root's new count."""
        ts = self.new_ts()
        message: Json = {"type": "message", **body, "ts": ts}
        channel.messages[ts] = message
        if thread:
            root = channel.messages[thread]
            message |= {"thread_ts": thread, "parent_user_id": root.get("user")}
            channel.replies.setdefault(thread, []).append(ts)
            self._count_replies(channel, root, message.get("user"))
            if broadcast:
                message |= {"subtype": "thread_broadcast", "root": deepcopy(root)}
        told: list[Json] = [{**message, "channel": channel.id, "channel_type": channel.kind, "event_ts": ts}]
        if self._mentions_bot(channel, message):
            mention = {**told[0], "type": "app_mention"}
            del mention["channel_type"]
            told.append(mention)
            if self.bot.id not in channel.members:
                channel.missed_mentions.append(deepcopy(mention))
        for event in random.sample(told, len(told)):
            self.send(event, channel)
        return message

    def _mentions_bot(self, channel: Channel, message: Json) -> bool:
        spoken = message.get("subtype") in (None, "file_share", "thread_broadcast", "bot_message")
        named = any(f"<@{self.bot.id}{end}" in message["text"] for end in ">|")
        return spoken and named and channel.kind != "im" and message.get("user") != self.bot.id

    def _count_replies(self, channel: Channel, root: Json, user: str | None = None) -> None:
        replies = channel.replies[root["ts"]]
        users = list(dict.fromkeys([*root.get("reply_users", []), *([user] if user else [])]))
        counts = [root["ts"], len(replies), users, len(users), replies[-1]] if replies else [None] * 5
        self.change(channel, root["ts"], dict(zip(COUNTS, counts, strict=True)))

    def change(self, channel: Channel, ts: str, fields: Json, editor: str | None = None) -> Json:
        """Change a stored message (a field of None goes); with an editor it is marked as edited."""
        before = channel.messages[ts]
        edited = {"edited": {"user": editor, "ts": self.new_ts()}} if editor else {}
        message = {name: value for name, value in (before | fields | edited).items() if value is not None}
        channel.messages[ts] = message
        self._tell_hidden(channel, "message_changed", message=message, previous_message=before)
        return message

    def _tell_hidden(self, channel: Channel, subtype: str, **fields: Any) -> None:
        ts = self.new_ts()
        event: Json = {"type": "message", "subtype": subtype, "hidden": True, "channel": channel.id, "ts": ts}
        self.send({**event, "channel_type": channel.kind, "event_ts": ts, **fields}, channel)

    def remove(self, channel: Channel, ts: str) -> None:
        """Delete a message; a root that has replies leaves a tombstone, as long as it has them."""
        message = channel.messages[ts]
        self.streams.pop((channel.id, ts), None)
        if channel.replies.get(ts):
            tomb = {"type": "message", "subtype": "tombstone", "hidden": True, "user": "USLACKBOT", "ts": ts}
            tomb |= {"text": "This message was deleted."} | {name: message[name] for name in COUNTS}
            channel.messages[ts] = tomb
            self._tell_hidden(channel, "message_changed", message=tomb, previous_message=message)
            return
        del channel.messages[ts]
        self._tell_hidden(channel, "message_deleted", deleted_ts=ts, previous_message=message)
        if root := channel.messages.get(message.get("thread_ts", "")):
            channel.replies[root["ts"]].remove(ts)
            if root.get("subtype") == "tombstone" and not channel.replies[root["ts"]]:
                self.remove(channel, root["ts"])
            else:
                self._count_replies(channel, root)

    def whisper(self, channel: str, user: str, body: Json, thread: str | None = None) -> str:
        """Show a note to one person only; return its ts."""
        note = {"type": "message", "channel": channel, **self.bot.author, **body, "ts": self.new_ts()}
        self.ephemerals.setdefault(user, []).append(note | ({"thread_ts": thread} if thread else {}))
        self.changed()
        return str(note["ts"])

    def join(self, channel: Channel, user: str, inviter: str | None = None) -> None:
        """Let someone into a channel; for the app, its inviter's last mention of it comes after it."""
        channel.members.append(user)
        kind, by = "group" if channel.kind == "group" else "channel", {"inviter": inviter} if inviter else {}
        text = f"<@{user}> has joined the channel"
        self.post(channel, {"subtype": f"{kind}_join", "user": user, "text": text, **by})
        event = {"type": "member_joined_channel", "user": user, "channel": channel.id, "team": self.team_id}
        self.send({**event, "channel_type": kind[0].upper(), **by}, channel)
        if user == self.bot.id:
            for mention in [each for each in channel.missed_mentions if each.get("user") == inviter][-1:]:
                self.send(mention, channel)
            channel.missed_mentions.clear()

    def react(self, channel: Channel, ts: str, user: str, name: str, *, add: bool) -> None:
        """Add or take back a reaction; Refused: message_not_found, already_reacted, no_reaction."""
        if ts not in channel.messages:
            raise Refused("message_not_found")
        message = channel.messages[ts]
        users = {each["name"]: each["users"] for each in message.get("reactions", [])}
        if add == (user in users.get(name, [])):
            raise Refused("already_reacted" if add else "no_reaction")
        users[name] = [other for other in users.get(name, []) if other != user] + ([user] if add else [])
        message["reactions"] = [{"name": n, "users": us, "count": len(us)} for n, us in users.items() if us]
        event: Json = {"type": f"reaction_{'added' if add else 'removed'}", "user": user, "reaction": name}
        event["item"] = {"type": "message", "channel": channel.id, "ts": ts}
        self.send({**event, "item_user": message.get("user")}, channel)

    def context(self, user: str) -> Json:
        """Return what a person looks at beside the app's messages."""
        seen = self.looking_at.get(user)
        entity = {"type": "slack#/types/channel_id", "value": seen, "team_id": self.team_id}
        return {"entities": [entity]} if seen else {}

    def named(self, text: str) -> str:
        """Return a command's text as it is sent with `should_escape`: its mentions with their names."""
        return re.sub(r"<@(\w+)>", lambda at: f"<@{at[1]}|{self.people[at[1]].name}>", text)

    def trigger(self, user: str) -> str:
        """Return a trigger_id, with which the app may open one modal for a person, soon."""
        self.triggers[trigger := f"{self.new_ts()}.sandbox"] = (user, time.monotonic() + self.trigger_seconds)
        return trigger

    def add_file(self, user: str, name: str, size: int, mimetype: str, content: bytes | None) -> File:
        """Add a file of the size that is claimed; its name tells its type where that is empty."""
        file_id, kind = self.new_id("F"), name.rpartition(".")[2]
        mimetype = mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
        base = f"{self.url}/files-pri/{self.team_id}-{file_id}"
        facts: Json = {"id": file_id, "name": name, "title": name, "mimetype": mimetype, "filetype": kind}
        facts |= {"user": user, "size": size, "mode": "hosted", "is_external": False}
        facts |= {"file_access": "visible", "url_private": f"{base}/{name}"}
        facts["url_private_download"] = f"{base}/download/{name}"
        return self.files.setdefault(file_id, File(facts, content))

    def share(self, channel: Channel, files: Sequence[File], body: Json, thread: str | None = None) -> Json:
        """Post files, and note where each is. What a stranger's file is, only files.info tells."""
        shown = [file.facts for file in files]
        if self.people[body["user"]].external:
            shown = [{"id": facts["id"], "file_access": "check_file_info"} for facts in shown]
        more = {"subtype": "file_share", "upload": False, "files": deepcopy(shown)}
        message = self.post(channel, body | more, thread)
        reach = "public" if channel.kind == "channel" else "private"
        where = {"ts": message["ts"]} | ({"thread_ts": thread} if thread else {})
        for file in files:
            shares = file.facts.setdefault("shares", {}).setdefault(reach, {})
            shares.setdefault(channel.id, []).append(where)
        return message


_TAG = re.compile(r"<@(\w+)(?:\|[^<>]*)?>|<(https?://[^<>|]+)(?:\|([^<>]*))?>")


def rich_text(text: str) -> list[Json]:
    """Return the blocks that Slack gives a message: people and links in it are elements of their own."""
    elements: list[Json] = []
    end = 0
    for tag in _TAG.finditer(text):
        elements += _words(text[end : tag.start()])
        link: Json = {"type": "link", "url": tag[2]} | ({"text": tag[3]} if tag[3] else {})
        elements.append({"type": "user", "user_id": tag[1]} if tag[1] else link)
        end = tag.end()
    section = {"type": "rich_text_section", "elements": [*elements, *_words(text[end:])]}
    return [{"type": "rich_text", "block_id": uuid.uuid4().hex[:5], "elements": [section]}]


def _words(text: str) -> list[Json]:
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return [{"type": "text", "text": plain}] if plain else []
