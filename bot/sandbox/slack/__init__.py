"""A small, faithful Slack on loopback: Web API, Socket Mode or requests, and people to act as.

    slack = Slack()
    await slack.start()
    ann = slack.add_person("ann", display="Ann Lee")
    general = slack.add_channel("general", members=[ann])
    root = await slack.say(ann, general, f"<@{slack.bot_user_id}> hello")
    await slack.wait_for(lambda: len(slack.thread(general, root)) == 2)
    await slack.close()

The rules are Slack's documented ones; undocumented limits say where they were seen.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from bot.sandbox.slack.acts import Acts, Upload
from bot.sandbox.slack.files import FileServer, login
from bot.sandbox.slack.journal import Entry, Journal
from bot.sandbox.slack.socket_mode import SocketMode, callback
from bot.sandbox.slack.web_api import WebApi
from bot.sandbox.slack.workspace import Channel, Json, Session, Workspace

__all__ = ["Slack", "Upload"]


class Slack(Acts):
    """One workspace with one app in it. `tiers`: calls above Slack's rate limits are refused."""

    bot_token, app_token = WebApi.bot_token, WebApi.app_token

    def __init__(
        self, *, ack_seconds: float = 3, redelivery: Sequence[float] = (0, 60, 300), tiers: bool = False
    ) -> None:
        self.journal = Journal()
        sockets = SocketMode(self.journal, ack_seconds, redelivery)
        w = Workspace(self.deliver_raw, self.journal.changed)
        super().__init__(w, sockets, self.journal)
        self._api = WebApi(w, self.journal, sockets.ticket, tiers=tiers)
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/api/{method}", self._api.handle)
        files = FileServer(w, self.journal, self._api.faults, self.bot_token)
        app.router.add_get("/link/", sockets.handle)
        app.router.add_get(f"/files-pri/{w.team_id}-{{id}}/{{name:.*}}", files.download)
        app.router.add_get("/login", login)
        for by in ("POST", "PUT"):
            app.router.add_route(by, "/upload/{id}", files.upload)
        app.router.add_post("/respond/{key}", self.respond)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self.faults, self.log, self.add_person = self._api.faults, self.journal.log, w.add_person
        self.team_id, self.bot_user_id, self.bot_id = w.team_id, w.bot.id, w.bot.bot_id
        self.hold, self.release, self.shuffle = sockets.hold, sockets.release, sockets.shuffle
        self.half_open, self.disconnect = sockets.half_open, sockets.disconnect
        self.deliver_again, self.lose = sockets.again, sockets.lose
        self.requests, self.signing_secret = sockets.requests, sockets.requests.signing_secret

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Serve on loopback, on a free port unless one is given."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=1024).start()
        address = f"{host}:{self._runner.addresses[0][1]}"
        self.workspace.url, self._sockets.url = f"http://{address}", f"ws://{address}"

    async def close(self) -> None:
        """Close the sockets, then the server."""
        await self._sockets.close()
        await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """The Web API's base address, ends in /api/."""
        return f"{self.workspace.url}/api/"

    @property
    def connected(self) -> int:
        """How many sockets the app has open; with a verified address for requests, one more."""
        return len(self._sockets.open) + bool(self.requests.url)

    def add_channel(
        self, name: str, *, private: bool = False, members: Sequence[str] = (), bot_member: bool = True
    ) -> str:
        """Add a channel, with no events about its members; return its id."""
        everyone = [*members, *([self.bot_user_id] if bot_member else [])]
        return self.workspace.add_channel(name, "group" if private else "channel", everyone).id

    def add_group_dm(self, members: Sequence[str]) -> str:
        """Open the app's group DM with several people; return its id."""
        return self.workspace.direct(members).id

    def dm(self, user: str) -> str:
        """Open the app's DM with a person; return its id."""
        return self.workspace.direct([user]).id

    def deliver_raw(self, event: Json, channel: Channel | None = None, event_id: str = "") -> str:
        """Deliver any event, however wrong; return its event_id."""
        event_id = event_id or self.workspace.new_id("Ev")
        self._sockets.event(callback(self.workspace, event, event_id, channel))
        return event_id

    def deliver_twice(self, *, on: bool = True) -> None:
        """Send every envelope twice, or no longer."""
        self._sockets.twice = on

    def thread(self, channel: str, root_ts: str) -> list[Json]:
        """Return a thread's messages, oldest first."""
        return [dict(message) for message in self._channel(channel).thread(root_ts)]

    def messages(self, channel: str) -> list[Json]:
        """Return all messages of a channel, oldest first, replies included."""
        every = self._channel(channel).messages
        return [dict(every[ts]) for ts in sorted(every)]

    def message(self, channel: str, ts: str) -> Json:
        """Return one message; KeyError where it is not, or no longer."""
        return dict(self._channel(channel).messages[ts])

    def ephemerals(self, user: str) -> list[Json]:
        """Return the notes that only this person was shown, each with its channel."""
        return [dict(note) for note in self.workspace.ephemerals.get(user, [])]

    def home(self, user: str) -> Json:
        """Return the Home that was published to a person, {} where none was."""
        return dict(self.workspace.homes.get(user, {}))

    def modal(self, user: str) -> Json:
        """Return the modal that a person sees, {} where none is open."""
        return dict(self.workspace.modals.get(user, {}))

    def prompts(self, user: str) -> Json:
        """Return what is suggested in a person's DM, `title` and `prompts`, {} where nothing is."""
        return dict(self.workspace.prompts.get(self.dm(user), {}))

    def content(self, file_id: str) -> bytes | None:
        """Return a file's bytes; None until they are uploaded, and once it is deleted."""
        return self.workspace.files[file_id].content

    def status(self, channel: str, thread_ts: str) -> Session:
        """Return the session of a thread: `status`, `text`, their `history`, and `title`."""
        return self.workspace.sessions.get((channel, thread_ts), Session())

    def calls(self, method: str | None = None) -> list[Entry]:
        """Return the Web API calls, of one method or all, in the order of their arrival."""
        return [entry for entry in self.log if entry.kind == "call" and method in (None, entry.name)]

    async def wait_for(self, predicate: Callable[[], Any], timeout: float = 60) -> Any:  # noqa: ASYNC109 - its error says more
        """Return the predicate's first true value; TimeoutError, with the log's end, otherwise."""
        try:
            async with asyncio.timeout(timeout):
                while not (value := predicate()):
                    await self.journal.next.wait()
        except TimeoutError:
            raise TimeoutError(f"not so after {timeout} s; the log:\n{self.journal.tail()}") from None
        return value
