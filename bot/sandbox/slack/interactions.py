"""What people press, choose and fill in of the app's own, each told to it as an interaction."""

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.sandbox.slack.arguments import Args
from bot.sandbox.slack.blocks import filled, find_action
from bot.sandbox.slack.chat import content
from bot.sandbox.slack.journal import Journal
from bot.sandbox.slack.socket_mode import SocketMode
from bot.sandbox.slack.views import made
from bot.sandbox.slack.workspace import Channel, Json, Refused, Workspace

RESPONSES, RESPONSE_SECONDS = 5, 1800  # what a response_url is good for


@dataclass
class Reply:
    """What a response_url stands for: where and to whom it answers, and what it can replace."""

    user: str
    channel: Channel
    original: str = ""
    left: int = RESPONSES


class Interactions:
    """Each act returns the payload of the app's ack, None where no ack came in time.

    A response_url takes 5 answers within 30 minutes; `response_seconds` makes that shorter.
    """

    def __init__(self, workspace: Workspace, sockets: SocketMode, journal: Journal) -> None:
        self.workspace, self._sockets, self._journal = workspace, sockets, journal
        self.response_seconds: float = RESPONSE_SECONDS
        self._replies: dict[str, tuple[Reply, float]] = {}

    async def press(self, user: str, channel: str, ts: str, action_id: str, value: str | None = None) -> Any:
        """Press a button of a message or a note. LookupError: no such button is shown there."""
        place, note = self._channel(channel), self._note(user, ts)
        message = note or place.messages[ts]
        action = find_action(message.get("blocks", []), action_id, value)
        holder = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": bool(note)}
        holder |= {"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}
        payload = self._payload("block_actions", user) | self._place(user, place, ts) | {"container": holder}
        payload |= {"state": {"values": {}}} | ({} if note else {"message": message})
        return await self._ask(payload | {"actions": [{**action, "action_ts": self.workspace.new_ts()}]})

    async def press_view(self, user: str, view: str, action_id: str, value: str | None = None) -> Any:
        """Press a button of the Home or the modal that a person sees. LookupError: it is not there."""
        shown = self._view(user, view)
        action = find_action(shown["blocks"], action_id, value) | {"action_ts": self.workspace.new_ts()}
        payload = self._payload("block_actions", user) | {"container": {"type": "view", "view_id": view}}
        return await self._ask(payload | {"view": shown, "actions": [action]})

    async def shortcut(self, user: str, callback_id: str, channel: str, ts: str) -> Any:
        """Choose a shortcut from a message's menu. LookupError: the app declares no such shortcut."""
        self._declared("shortcuts", "callback_id", callback_id)
        place = self._channel(channel)
        if user not in place.members:
            raise PermissionError(f"{user} does not see {channel}")
        payload = self._payload("message_action", user) | self._place(user, place)
        payload |= {"callback_id": callback_id, "message_ts": ts, "message": place.messages[ts]}
        return await self._ask(payload | {"action_ts": self.workspace.new_ts()})

    async def command(self, user: str, channel: str, text: str) -> Any:
        """Type a slash command, e.g. "/bobbin usage"; the ack's payload is shown as an answer."""
        w, place, person = self.workspace, self._channel(channel), self.workspace.people[user]
        name, _, rest = text.partition(" ")
        self._declared("slash_commands", "command", name)
        at = self._place(user, place)
        payload: Json = {"token": "deprecated", "api_app_id": w.bot.app_id, "team_id": w.team_id}
        payload |= {"team_domain": w.domain, "channel_id": channel, "channel_name": at["channel"]["name"]}
        payload |= {"user_id": user, "user_name": person.name, "command": name, "text": w.named(rest.strip())}
        payload |= {"response_url": at["response_url"], "trigger_id": w.trigger(user)}
        answer = await self._sockets.ask("slash_commands", payload)
        if answer:
            self._respond(Reply(user, place), answer)
        return answer

    async def submit(self, user: str, view: str, values: dict[str, str] | None = None) -> Any:
        """Send a modal with texts by action_id; it closes unless the ack says errors or update.

        LookupError: no such modal or field. ValueError: a text that its field does not take.
        """
        w, shown = self.workspace, self._view(user, view)
        shown = shown | {"state": {"values": filled(shown["blocks"], values or {})}}
        answer = await self._ask(self._payload("view_submission", user) | {"view": shown})
        action = "errors" if answer is None else answer.get("response_action", "clear")
        if answer and action == "update":
            w.modals[user] = made(w, answer["view"], "modal", view)
        elif action != "errors" and w.modals.get(user, {}).get("id") == view:
            del w.modals[user]
        w.changed()
        return answer

    async def dismiss(self, user: str, view: str) -> Any:
        """Close a modal without sending it; the app is told where it asked for that (notify_on_close)."""
        shown = self._view(user, view)
        del self.workspace.modals[user]
        self.workspace.changed()
        if shown.get("notify_on_close"):
            return await self._ask(self._payload("view_closed", user) | {"view": shown, "is_cleared": False})
        return None

    async def respond(self, request: web.Request) -> web.Response:
        """Take an answer to a response_url."""
        reply, until = self._replies.get(request.match_info["key"], (None, 0.0))
        if reply is None or not reply.left or time.monotonic() > until:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        reply.left -= 1
        try:
            self._respond(reply, await Args.read(request))
        except Refused as refused:
            return web.json_response(refused.answer, status=400)
        return web.Response(text="ok")

    def _respond(self, reply: Reply, answer: Json) -> None:
        w, a = self.workspace, Args(answer)
        self._journal.add("response", reply.user, answer)
        note = self._note(reply.user, reply.original)
        if a.flag("delete_original"):
            w.ephemerals[reply.user].remove(note) if note else w.remove(reply.channel, reply.original)
            w.changed()
            return
        body, thread = content(a)[0], a.text("thread_ts") or None
        if a.flag("replace_original") and note:
            note.pop("blocks", None)
            note.update(body)
        elif a.flag("replace_original"):
            w.change(reply.channel, reply.original, {"blocks": None} | body, editor=w.bot.id)
        elif a.text("response_type") == "in_channel":
            w.post(reply.channel, w.bot.author | body, thread)
        else:
            w.whisper(reply.channel.id, reply.user, body, thread)
        w.changed()

    def _payload(self, kind: str, user: str) -> Json:
        w, person = self.workspace, self.workspace.people[user]
        who = {"id": user, "username": person.name, "name": person.name, "team_id": person.team}
        payload: Json = {"type": kind, "token": "deprecated", "api_app_id": w.bot.app_id, "user": who}
        payload |= {"team": {"id": w.team_id, "domain": w.domain}, "trigger_id": w.trigger(user)}
        return payload | {"enterprise": None, "is_enterprise_install": False}

    def _place(self, user: str, channel: Channel, original: str = "") -> Json:
        """Return where it happens, with an address that answers there."""
        names = {"im": "directmessage", "group": "privategroup"}
        key = uuid.uuid4().hex
        self._replies[key] = Reply(user, channel, original), time.monotonic() + self.response_seconds
        where = {"id": channel.id, "name": names.get(channel.kind, channel.name)}
        return {"channel": where, "response_url": f"{self.workspace.url}/respond/{key}"}

    async def _ask(self, payload: Json) -> Json | None:
        return await self._sockets.ask("interactive", json.loads(json.dumps(payload)))

    def _declared(self, kind: str, field: str, name: str) -> None:
        features = self.workspace.manifest.get("features")
        if features and name not in [each[field] for each in features.get(kind, [])]:
            raise LookupError(f"the manifest declares no {name!r} in {kind}")

    def _view(self, user: str, view: str) -> Json:
        for views in (self.workspace.homes, self.workspace.modals):
            if user in views and views[user]["id"] == view:
                return views[user]
        raise LookupError(f"{user} sees no view {view}")

    def _note(self, user: str, ts: str) -> Json | None:
        return next((note for note in self.workspace.ephemerals.get(user, []) if note["ts"] == ts), None)

    def _channel(self, channel: str) -> Channel:
        return self.workspace.channels[channel]
