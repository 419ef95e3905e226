"""Socket Mode: tickets, sockets, and envelopes that are sent again until they are acknowledged.

An app that has given an address for requests gets them there instead, by the same schedule.
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Sequence

from aiohttp import WSMsgType, web

from bot.sandbox.slack.journal import Journal
from bot.sandbox.slack.requests import Requests
from bot.sandbox.slack.workspace import Channel, Json, Workspace

MAX_SOCKETS = 10
PING_SECONDS = 10.0


class SocketMode:
    """Delivers to one app over the sockets that it opened.

    Each envelope goes to one random socket. An event without an ack within `ack_seconds` is sent again
    after each of `redelivery` (seconds). With no socket open the first try fails at once, the next waits.
    """

    def __init__(self, journal: Journal, ack_seconds: float, redelivery: Sequence[float]) -> None:
        self.url, self.twice = "", False
        self._journal, self._ack_seconds, self._redelivery = journal, ack_seconds, redelivery
        self.requests = Requests(journal, ack_seconds)
        self._tickets: set[str] = set()
        self.open: list[web.WebSocketResponse] = []
        self._dead: set[web.WebSocketResponse] = set()
        self._acks: dict[str, tuple[str, asyncio.Future[Json]]] = {}
        self._events: dict[str, Json] = {}
        self._held: list[str] | None = None
        self._order: tuple[random.Random, float] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def ticket(self) -> str:
        """Return the address of a socket that can be opened once."""
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return f"{self.url}/link/?ticket={ticket}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket for its life."""
        if request.query.get("ticket") not in self._tickets:
            return web.Response(status=403, text="ticket unknown or used")
        self._tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse(autoping=False)
        try:
            await socket.prepare(request)
        except ConnectionError:  # whoever asked was killed meanwhile, and gets no answer
            return web.Response()
        if len(self.open) >= MAX_SOCKETS:
            await self._write(socket, _farewell("too_many_websockets"))
            await socket.close()
            return socket
        facts = {"num_connections": len(self.open) + 1, "debug_info": {"host": "sandbox"}}
        await self._write(socket, {"type": "hello", **facts})
        self.open.append(socket)
        self._journal.add("socket", "opened", {"connected": len(self.open)})
        pings = asyncio.ensure_future(self._ping(socket))
        try:
            await self._listen(socket)
        finally:
            pings.cancel()
            self.open.remove(socket)
            self._journal.add("socket", "closed", {"connected": len(self.open)})
        return socket

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if socket in self._dead:
                continue
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                ack = json.loads(message.data)
                name, waiting = self._acks.get(ack.get("envelope_id"), ("unknown", None))
                in_time = waiting is not None and not waiting.done()
                self._journal.add("ack", name, {**ack, "in_time": in_time, "socket": id(socket)})
                if waiting is not None and in_time:
                    waiting.set_result(ack.get("payload") or {})

    async def _ping(self, socket: web.WebSocketResponse) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            if socket not in self._dead:
                await socket.ping(b"sandbox")

    async def _write(self, socket: web.WebSocketResponse, frame: Json) -> None:
        try:
            if socket not in self._dead and not socket.closed:
                await socket.send_json(frame)
        except ConnectionError:
            pass  # the socket is going; the ack will be missing

    def event(self, payload: Json) -> None:
        """Deliver an event's envelope in the background; it is kept for `again`."""
        self._events[payload["event_id"]] = payload
        if self._held is None:
            self.again(payload["event_id"])
        else:
            self._held.append(payload["event_id"])

    def again(self, event_id: str) -> None:
        """Deliver an event, perhaps once more: with its own id in a new envelope."""
        if not self._closed:
            task = asyncio.ensure_future(self._deliver(self._events[event_id]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def hold(self) -> None:
        """Keep events back until `release`."""
        self._held = self._held or []

    def release(self) -> None:
        """Deliver what was held."""
        held, self._held = self._held or [], None
        for event_id in held:
            self.again(event_id)

    def lose(self) -> None:
        """Forget what was held, as Slack does after its last try."""
        self._held = None

    def shuffle(self, seed: int | None, spread: float = 0.2) -> None:
        """Delay each event by up to `spread` seconds, so that they overtake each other; None ends it."""
        self._order = None if seed is None else (random.Random(seed), spread)

    async def _deliver(self, payload: Json) -> None:
        if self._order:
            await asyncio.sleep(self._order[0].uniform(0, self._order[1]))
        for attempt, wait in enumerate([0, *self._redelivery]):
            if attempt:
                await asyncio.sleep(wait)
                while not (self.open or self.requests.url):
                    await self._journal.next.wait()
            answer, again = await self._send("events_api", payload, attempt)
            if answer is not None:
                return
            if not again:
                break
        self._journal.add("undelivered", str(payload["event"].get("type")), {"event_id": payload["event_id"]})

    async def ask(self, kind: str, payload: Json, *, attempt: int = 0) -> Json | None:
        """Send it once; return the ack's payload, or None where no ack came in time."""
        return (await self._send(kind, payload, attempt))[0]

    async def _send(self, kind: str, payload: Json, attempt: int) -> tuple[Json | None, bool]:
        """The same; and whether what failed may be sent again."""
        event = payload.get("event")
        named = event if isinstance(event, dict) and event else payload
        name = str(named.get("type") or payload.get("command"))
        if not self.requests.url:
            return (await self._frame(kind, name, payload, attempt)), True
        again = [
            asyncio.ensure_future(self.requests.ask(kind, name, payload, attempt)) for _ in range(self.twice)
        ]
        answer = await self.requests.ask(kind, name, payload, attempt)  # begun in this round of the loop
        await asyncio.gather(*again)
        return answer

    async def _frame(self, kind: str, name: str, payload: Json, attempt: int) -> Json | None:
        if not self.open:
            return None
        envelope_id = str(uuid.uuid4())
        acked: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._acks[envelope_id] = (name, acked)
        frame: Json = {"type": kind, "envelope_id": envelope_id, "payload": payload}
        frame["accepts_response_payload"] = kind == "slash_commands" or name == "view_submission"
        if kind == "events_api":
            frame |= {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
        facts: Json = {"envelope_id": envelope_id, "event_id": payload.get("event_id"), "payload": payload}
        for _ in range(1 + self.twice):
            socket = random.choice(self.open)
            self._journal.add("delivery", name, {**facts, "attempt": attempt, "socket": id(socket)})
            await self._write(socket, frame)
        try:
            return await asyncio.wait_for(acked, self._ack_seconds)
        except TimeoutError:
            return None

    def half_open(self) -> None:
        """Turn the present sockets dead: open, but nothing is sent or answered any more."""
        self._dead.update(self.open)

    async def disconnect(self, reason: str | None) -> None:
        """Say why (warning: and no more), then close the sockets; None closes them without a word."""
        for socket in list(self.open):
            if reason:
                await self._write(socket, _farewell(reason))
            if reason != "warning":
                await socket.close()

    async def close(self) -> None:
        """Close the sockets and forget what was not delivered."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.disconnect(None)
        await self.requests.close()


def _farewell(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}


def callback(w: Workspace, event: Json, event_id: str, channel: Channel | None) -> Json:
    """Return the callback that carries an event."""
    installed = {"enterprise_id": None, "team_id": w.team_id, "user_id": w.bot.id, "is_bot": True}
    body: Json = {"type": "event_callback", "token": "deprecated", "team_id": w.team_id, "event": event}
    body |= {"api_app_id": w.bot.app_id, "event_id": event_id, "event_time": int(time.time())}
    body |= {"event_context": f"4-{event_id}", "context_team_id": w.team_id, "context_enterprise_id": None}
    body["is_ext_shared_channel"] = channel is not None and w.shared(channel)
    return body | {"authorizations": [{**installed, "is_enterprise_install": False}]}
