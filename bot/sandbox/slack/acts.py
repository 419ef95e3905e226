"""What people do in the sandbox's Slack, each act with the events and interactions that it gives the app."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from bot.sandbox.slack.chat import stop_streams
from bot.sandbox.slack.interactions import Interactions
from bot.sandbox.slack.workspace import File, Json, Session, rich_text


class Upload(NamedTuple):
    """A file as a person adds it; `size` is what Slack claims, where that is not the truth.

    Files of another mode than hosted (external, remote) are kept elsewhere: Slack has no bytes of them.
    """

    name: str
    content: bytes = b""
    mimetype: str = ""
    size: int | None = None
    mode: str = "hosted"


class Acts(Interactions):
    """People's hands. Channels, people and messages are named by their ids; text is Slack's own markup."""

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        *,
        thread: str | None = None,
        files: Sequence[Upload | tuple[Any, ...]] = (),
        broadcast: bool = False,
        as_bot: str | None = None,
        attachments: Sequence[Json] = (),
    ) -> str:
        """Write a message, or have an old integration named `as_bot` post it; return its ts.

        `attachments` are as Slack has them: of an integration, or of what somebody pasted or passed on.
        """
        w, place, person = self.workspace, self._channel(channel), self.workspace.people[user]
        if user not in place.members:
            place.members.append(user)
        body: Json = {**person.author, "text": text, "blocks": rich_text(text)}
        if not person.bot_id:
            body["client_msg_id"] = str(uuid.uuid4())
        if place.kind == "im" and user in w.looking_at:
            body["app_context"] = w.context(user)
        if as_bot:
            body = {"subtype": "bot_message", "bot_id": "B0CLASSIC", "username": as_bot, "text": text}
        if attachments:
            body["attachments"] = [dict(each) for each in attachments]
        if files:
            return str(
                w.share(place, [self._upload(user, Upload(*each)) for each in files], body, thread)["ts"]
            )
        return str(w.post(place, body, thread, broadcast=broadcast)["ts"])

    async def forward(
        self, user: str, channel: str, ts: str, to: str, text: str = "", *, thread: str | None = None
    ) -> str:
        """Pass a message on to another place, with a word of one's own; return the new message's ts."""
        message = self._channel(channel).messages[ts]
        author = self.workspace.people[message["user"]].name
        shared = {
            "is_share": True,
            "is_msg_unfurl": True,
            "from_url": f"{self.workspace.url}/archives/{channel}/p{ts.replace('.', '')}",
            "author_name": author,
            "channel_id": channel,
            "ts": ts,
            "text": message["text"],
            "fallback": f"{author}: {message['text']}",
            "message_blocks": [
                {"channel": channel, "ts": ts, "message": {"blocks": message.get("blocks", [])}}
            ],
            "files": message.get("files", []),
        }
        return await self.say(user, to, text, thread=thread, attachments=[shared])

    def _upload(self, user: str, given: Upload) -> File:
        size = len(given.content) if given.size is None else given.size
        file = self.workspace.add_file(user, given.name, size, given.mimetype, given.content)
        if given.mode != "hosted":
            del file.facts["url_private_download"]
            elsewhere = f"https://drive.example.com/{file.facts['id']}"
            file.facts |= {"mode": given.mode, "is_external": True, "url_private": elsewhere}
        return file

    async def delete_file(self, user: str, file_id: str) -> str:
        """Delete an own file; where it was shared its tombstone stays. Return its id."""
        w, file = self.workspace, self.workspace.files[file_id]
        if file.facts["user"] != user and not w.people[user].admin:
            raise PermissionError(f"{user} may not delete {file_id}")
        file.deleted, file.content = True, None
        for channel, places in [each for shares in file.facts["shares"].values() for each in shares.items()]:
            for ts in [place["ts"] for place in places if place["ts"] in self._channel(channel).messages]:
                files = self._channel(channel).messages[ts]["files"]
                rest = [
                    {"id": file_id, "mode": "tombstone"} if each["id"] == file_id else each for each in files
                ]
                w.change(self._channel(channel), ts, {"files": rest})
        return file_id

    async def open_home(self, user: str) -> str:
        """Open the app's Home; return the DM's id. What it shows is `Slack.home`."""
        view = self.workspace.homes.get(user)
        return self._opened(user, "home", {"view": view} if view else {})

    async def open_messages_tab(self, user: str, looking_at: str | None = None) -> str:
        """Open the app's messages, perhaps beside a channel, which what is written there then names too."""
        w = self.workspace
        w.looking_at.pop(user, None)
        if looking_at:
            w.looking_at[user] = looking_at
        return self._opened(user, "messages", {"context": w.context(user)} if w.agent else {})

    def _opened(self, user: str, tab: str, more: Json) -> str:
        dm = self.workspace.direct([user])
        self.workspace.send(
            {"type": "app_home_opened", "user": user, "channel": dm.id, "tab": tab, **more}, dm
        )
        return dm.id

    async def edit(self, user: str, channel: str, ts: str, text: str) -> str:
        """Change a message's text; return its ts."""
        fields = {"text": text, "blocks": rich_text(text)}
        return str(self.workspace.change(self._channel(channel), ts, fields, editor=user)["ts"])

    async def delete(self, user: str, channel: str, ts: str) -> str:
        """Delete an own message, or as an admin any; return its ts."""
        place = self._channel(channel)
        if place.messages[ts].get("user") != user and not self.workspace.people[user].admin:
            raise PermissionError(f"{user} may not delete {ts}")
        self.workspace.remove(place, ts)
        return ts

    async def unfurl(self, channel: str, ts: str) -> str:
        """Attach a link's preview, as Slack does a moment after a message; return its ts."""
        preview = {"id": 1, "from_url": "https://example.com/", "title": "Example", "fallback": "Example"}
        return str(self.workspace.change(self._channel(channel), ts, {"attachments": [preview]})["ts"])

    async def react(self, user: str, channel: str, ts: str, name: str) -> str:
        """Add a reaction; return its name."""
        self.workspace.react(self._channel(channel), ts, user, name, add=True)
        return name

    async def unreact(self, user: str, channel: str, ts: str, name: str) -> str:
        """Take a reaction back; return its name."""
        self.workspace.react(self._channel(channel), ts, user, name, add=False)
        return name

    async def join(self, user: str, channel: str) -> str:
        """Join a channel; return its id."""
        self.workspace.join(self._channel(channel), user)
        return channel

    async def invite_bot(self, user: str, channel: str) -> str:
        """Invite the app into a channel; return its id."""
        self.workspace.join(self._channel(channel), self.workspace.bot.id, inviter=user)
        return channel

    async def archive(self, channel: str) -> str:
        """Archive a channel; return its id."""
        self._channel(channel).archived = True
        self.workspace.changed()
        return channel

    async def stop(self, user: str, channel: str, thread_ts: str) -> list[str]:
        """Press Stop, shown only while an agent works; return the ts of the streams that it stopped.

        A status line of assistant.threads.setStatus has its place, and hides it.
        """
        session = self.workspace.sessions.get((channel, thread_ts), Session())
        if not self.workspace.agent or session.status != "processing" or session.text:
            raise LookupError(f"no stop button: the session of {thread_ts} is {session}")
        return stop_streams(self.workspace, self._channel(channel), thread_ts, user)
