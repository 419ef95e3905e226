"""What people do in the sandbox's Slack, each act with the events and interactions that it gives the app."""

import mimetypes
import uuid
from collections.abc import Sequence
from typing import Any

from bot.sandbox.slack.blocks import find_action
from bot.sandbox.slack.chat import stop_streams
from bot.sandbox.slack.socket_mode import SocketMode
from bot.sandbox.slack.workspace import Channel, Json, Session, Workspace, rich_text

Upload = tuple[str, bytes] | tuple[str, bytes, str]  # name, content, type where its name does not tell


class Acts:
    """People's hands. Channels, people and messages are named by their ids; text is Slack's own markup."""

    def __init__(self, workspace: Workspace, sockets: SocketMode) -> None:
        self.workspace, self._sockets = workspace, sockets

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        *,
        thread: str | None = None,
        files: Sequence[Upload] = (),
        broadcast: bool = False,
        as_bot: str | None = None,
    ) -> str:
        """Write a message, or have an old integration named `as_bot` post it; return its ts."""
        place, person = self._channel(channel), self.workspace.people[user]
        if user not in place.members:
            place.members.append(user)
        body: Json = {**person.author, "text": text, "blocks": rich_text(text)}
        if not person.bot_id:
            body["client_msg_id"] = str(uuid.uuid4())
        if as_bot:
            body = {"subtype": "bot_message", "bot_id": "B0CLASSIC", "username": as_bot, "text": text}
        if files:
            body |= {"subtype": "file_share", "files": [self._upload(user, *each) for each in files]}
        return str(self.workspace.post(place, body, thread, broadcast=broadcast)["ts"])

    def _upload(self, user: str, name: str, content: bytes, mimetype: str | None = None) -> Json:
        guess = mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = self.workspace.add_file(user, name, len(content), guess)
        external = self.workspace.people[user].external
        return {"id": file["id"], "file_access": "check_file_info"} if external else file

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
        """Press Stop, shown only while an agent works; return the ts of the streams that it stopped."""
        session = self.workspace.sessions.get((channel, thread_ts), Session())
        if not self.workspace.agent or session.status != "processing":
            raise LookupError(f"no stop button: the session of {thread_ts} is {session}")
        return stop_streams(self.workspace, self._channel(channel), thread_ts, user)

    async def press(self, user: str, channel: str, ts: str, action_id: str, value: str | None = None) -> Any:
        """Press a button; return the ack's payload, None without an ack. LookupError: no such button."""
        w, person = self.workspace, self.workspace.people[user]
        notes = [
            note for note in w.ephemerals.get(user, []) if (note["channel"], note["ts"]) == (channel, ts)
        ]
        message = notes[0] if notes else self._channel(channel).messages[ts]
        action = find_action(message.get("blocks", []), action_id, value)
        holder = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": bool(notes)}
        holder |= {"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}
        payload: Json = {"type": "block_actions", "token": "deprecated", "api_app_id": w.bot.app_id}
        payload |= {
            "user": {"id": user, "username": person.name, "name": person.name, "team_id": person.team}
        }
        payload |= {"team": {"id": w.team_id, "domain": w.domain}, "trigger_id": w.new_ts()}
        payload |= {"channel": {"id": channel, "name": self._channel(channel).name or "directmessage"}}
        payload |= {"container": holder, "state": {"values": {}}} | ({} if notes else {"message": message})
        payload |= {"actions": [{**action, "action_ts": w.new_ts()}]}
        return await self._sockets.ask("interactive", payload)

    def _channel(self, channel: str) -> Channel:
        return self.workspace.channels[channel]
