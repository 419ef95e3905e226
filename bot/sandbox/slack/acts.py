"""What people do in the sandbox's Slack, each act with the events and interactions that it gives the app."""

import mimetypes
import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from bot.sandbox.slack import streams
from bot.sandbox.slack.blocks import find_action
from bot.sandbox.slack.socket_mode import SocketMode
from bot.sandbox.slack.workspace import Channel, Json, Session, Workspace, rich_text

RESPONSE_USES = 5  # of a response_url, within its 30 minutes

Upload = tuple[str, bytes] | tuple[str, bytes, str]  # name, content, type where its name does not tell


class Acts:
    """People's hands. Channels, people and messages are named by their ids; text is Slack's own markup."""

    def __init__(self, workspace: Workspace, sockets: SocketMode) -> None:
        self.workspace, self._sockets = workspace, sockets
        self._response_urls: dict[str, tuple[Channel, str, str, int]] = {}

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
        """Write a message, in a thread where its root is given; return its ts.

        `as_bot` is the name under which an old integration posts it instead (subtype bot_message).
        """
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
        file = self.workspace.add_file(user, name, content, guess)
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
        return streams.stop_by_person(self.workspace, self._channel(channel), thread_ts, user)

    async def expire_stream(self, channel: str, ts: str) -> str:
        """Let a stream's time be over now; return its ts."""
        streams.expire(self.workspace, self._channel(channel), ts)
        return ts

    async def open_home(self, user: str, tab: str = "home") -> str:
        """Open the app's home or messages tab; return the DM's id."""
        dm, home = self.workspace.direct([user]).id, self.workspace.homes.get(user)
        view = {"view": home} if tab == "home" and home else {}
        self.workspace.send({"type": "app_home_opened", "user": user, "channel": dm, "tab": tab, **view})
        return dm

    async def press(self, user: str, channel: str, ts: str, action_id: str, value: str | None = None) -> Any:
        """Press a button of a message or a private note; return the ack's payload, None without an ack.

        LookupError where the message shows no such button.
        """
        place, notes = self._channel(channel), self.workspace.ephemerals.get(user, [])
        note = next((note for note in notes if (note["channel"], note["ts"]) == (channel, ts)), None)
        message = note or place.messages[ts]
        action = find_action(message.get("blocks", []), action_id, value)
        holder = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": bool(note)}
        holder |= {"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}
        payload = self._interaction("block_actions", user, place, ts)
        payload |= {"container": holder, "state": {"values": {}}}
        payload |= {"actions": [{**action, "action_ts": payload["action_ts"]}]}
        return await self._sockets.ask("interactive", payload)

    async def shortcut(self, user: str, callback_id: str, channel: str | None = None, ts: str = "") -> Any:
        """Use a shortcut on a message, or a global one; return the ack's payload, None without ack."""
        place = self._channel(channel) if channel else None
        payload = self._interaction("message_action" if place else "shortcut", user, place, ts)
        return await self._sockets.ask("interactive", {**payload, "callback_id": callback_id})

    def _interaction(self, kind: str, user: str, channel: Channel | None, ts: str) -> Json:
        w, person = self.workspace, self.workspace.people[user]
        who = {"id": user, "username": person.name, "name": person.name, "team_id": person.team}
        payload: Json = {"type": kind, "token": "deprecated", "api_app_id": w.bot.app_id, "user": who}
        payload |= {"team": {"id": w.team_id, "domain": w.domain}, "trigger_id": w.new_ts()}
        payload["action_ts"] = w.new_ts()
        if channel:
            payload["channel"] = {"id": channel.id, "name": channel.name or "directmessage"}
            payload |= {"message_ts": ts, "response_url": self._response_url(channel, user, ts)}
            payload |= {"message": channel.messages[ts]} if ts in channel.messages else {}
        return payload

    async def command(self, user: str, channel: str, command: str, text: str = "") -> Any:
        """Type a slash command; return the ack's payload (shown to the person), None without ack."""
        place, w = self._channel(channel), self.workspace
        payload: Json = {"token": "deprecated", "team_id": w.team_id, "team_domain": w.domain}
        payload |= {"channel_id": channel, "channel_name": place.name or "directmessage", "command": command}
        payload |= {"user_id": user, "user_name": w.people[user].name, "text": text}
        payload |= {
            "api_app_id": w.bot.app_id,
            "response_url": self._response_url(place, user, ""),
            "trigger_id": w.new_ts(),
        }
        answer = await self._sockets.ask("slash_commands", payload)
        if answer:
            self._respond(place, user, "", answer)
        return answer

    def _response_url(self, channel: Channel, user: str, ts: str) -> str:
        key = uuid.uuid4().hex
        self._response_urls[key] = (channel, user, ts, RESPONSE_USES)
        return f"{self.workspace.url}/response/{key}"

    async def respond(self, request: web.Request) -> web.Response:
        """Take what the app sends to a response_url, five times at most."""
        key = request.match_info["key"]
        if key not in self._response_urls:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        channel, user, ts, uses = self._response_urls.pop(key)
        if uses > 1:
            self._response_urls[key] = (channel, user, ts, uses - 1)
        self._respond(channel, user, ts, await request.json())
        return web.Response(text="ok")

    def _respond(self, place: Channel, user: str, ts: str, answer: Json) -> None:
        w = self.workspace
        body: Json = {name: answer[name] for name in ("text", "blocks") if name in answer}
        if answer.get("delete_original") or answer.get("replace_original"):
            if ts in place.messages and answer.get("delete_original"):
                w.remove(place, ts)
            elif ts in place.messages:
                w.change(place, ts, {"blocks": None, **body}, editor=w.bot.id)
                return
            w.ephemerals[user] = [note for note in w.ephemerals.get(user, []) if note["ts"] != ts]
        if not body or answer.get("delete_original"):
            w.changed()
        elif answer.get("response_type") == "in_channel":
            w.post(place, {**w.bot.author, "text": "", **body}, answer.get("thread_ts"))
        else:
            w.whisper(place.id, user, {"text": "", **body}, answer.get("thread_ts"))

    def _channel(self, channel: str) -> Channel:
        return self.workspace.channels[channel]
