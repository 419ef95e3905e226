"""That Bobbin is at work, shown without a message: no placeholder can be left behind.

In a DM it is the agent session (with Slack's own Stop), in a channel's thread a line of words, and where
neither works 👀 on the question. What was shown is taken away on every path, also after a crash: a turn
that is taken up again clears what its dead owner may have left.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import structlog

from bot.errors import LeaseLost, SlackError, SlackGone, SlackNotAllowed, SlackRefused, SlackUnreachable
from bot.events import one_line
from bot.ports import Line, Turn
from bot.slack.api import SlackAPI, to_its_end
from bot.slack.markup import read

_log = structlog.get_logger(__name__)

EYES = "eyes"
_RENEW_SECONDS = 100.0
"""Slack takes the words away after two minutes."""
_FIRST_SECONDS = 0.15
"""Nobody sees a shorter one; and the model's request, which is built meanwhile, goes first."""
_REFUSED_SECONDS = 600.0
TITLE = 80
"""Characters of a thread's title; Slack takes 200."""


class Abilities:
    """What this workspace refused lately: not an agent, no streams. Asked again after some minutes."""

    def __init__(self) -> None:
        self._refused: dict[str, float] = {}

    def refuse(self, what: str) -> None:
        """Remember that it does not work here."""
        self._refused[what] = monotonic() + _REFUSED_SECONDS

    def has(self, what: str) -> bool:
        """Whether it is worth trying."""
        return self._refused.get(what, 0) < monotonic()


class Status:
    """The status of one turn. Never awaited before the model is asked; awaited before the last write."""

    def __init__(
        self, api: SlackAPI, abilities: Abilities, turn: Turn, *, check: Callable[[], None], me: str = ""
    ) -> None:
        self._api = api
        self._me = me
        self._abilities = abilities
        self._turn = turn
        self._check = check
        self._task: asyncio.Task[None] | None = None
        # What a dead owner of a turn may have left is taken away as if it were ours.
        self._shown = self._eyes = self._stands = turn.resumed
        self._lost = 0.0
        """When a call that shows something was given up: it may take effect yet. 0: none was."""
        self._title = ""
        self._words = ""
        self._changed = asyncio.Event()

    def meet(self, lines: Sequence[Line], names: Mapping[str, str]) -> None:
        """Learn what the thread is called: in a DM, its first question in one line."""
        if not self._turn.direct or self._turn.seq > 1 or self._turn.earlier:
            return
        asked = [
            line for line in lines if line.turn == self._turn.id and line.role == "user" and line.addressed
        ]
        words = one_line(read(asked[0].text, me=self._me, names=names), 2 * TITLE) if asked else ""
        short = words[:TITLE].rpartition(" ")[0] or words[: TITLE - 1]
        self._title = words if len(words) <= TITLE else f"{short}…"

    def show(self, words: str) -> None:
        """Begin to show it, or show this from here on; keep showing it."""
        if words != self._words:
            self._words = words
            if not self._turn.direct:  # a session has no words
                self._changed.set()
        if self._task is None:
            # Even where it ends before: its place in the line may stand there, and a title needs a session.
            self._shown = True
            self._task = asyncio.create_task(self._keep())

    def streams(self) -> None:
        """A stream has begun, which shows it too. Its end takes that away, unless a person stops it."""
        self._shown = self._stands = True

    async def settle(self) -> None:
        """Show nothing more, and wait for a call under way: none may take effect after the last write."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def clear(self, *, by_stream: bool = False, settle: float = 0) -> None:
        """Take it away, whatever was shown. `by_stream`: the end of the stream has done so.

        A call that was given up takes effect within `settle` seconds, if it ever does: it is taken away then.
        """
        await self.settle()
        if self._lost:
            await asyncio.sleep(self._lost + settle - monotonic())
        if self._shown and (self._lost or not by_stream):
            await self._set("")
        if self._eyes:
            await self._look("reactions.remove")
        self._shown = self._eyes = False
        await self._entitle()

    async def _entitle(self) -> None:
        """Give the thread its title: what Slack lists it under. The session is there by now."""
        title, self._title = self._title, ""
        if not title or not self._abilities.has(self._way):
            return
        thread = {"channel_id": self._turn.thread.channel, "thread_ts": self._turn.thread.thread_ts}
        try:
            await self._api.call("agents.sessions.rename", title=title, **thread)
        except SlackError as error:
            _log.info("a thread was not given its title", turn=self._turn.id, reason=str(error))

    @property
    def _way(self) -> str:
        return "sessions" if self._turn.direct else f"status in {self._turn.thread.channel}"

    async def _keep(self) -> None:
        await asyncio.sleep(_FIRST_SECONDS)
        self._changed.clear()
        while await self._set(self._words):
            with suppress(TimeoutError):
                async with asyncio.timeout(_RENEW_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
        self._eyes = True
        await self._look("reactions.add")

    async def _set(self, words: str) -> bool:
        """Set the status in the way of this kind of thread; False where that way is closed.

        What stands is taken away all the same: another thread may have closed it since.
        """
        stood = self._stands
        if not self._abilities.has(self._way) and (words or not stood):
            return False
        self._check()
        thread = {"channel_id": self._turn.thread.channel, "thread_ts": self._turn.thread.thread_ts}
        self._stands = bool(words)
        try:
            if self._turn.direct:
                status = "processing" if words else "active"
                await self._call("agents.sessions.setStatus", shows=bool(words), status=status, **thread)
            else:
                await self._call("assistant.threads.setStatus", shows=bool(words), status=words, **thread)
        except SlackNotAllowed as error:
            self._stands = stood
            self._abilities.refuse(self._way)
            _log.info("status is not shown in this way here", way=self._way, reason=error.code)
            return False
        except (SlackGone, SlackRefused) as error:
            _log.info("no status in this thread", turn=self._turn.id, reason=str(error))
            return False
        except SlackError as error:
            _log.warning("a status was not set", turn=self._turn.id, reason=str(error))
        return True

    async def _look(self, method: str) -> None:
        """👀 on the question, or not any more."""
        self._check()
        question: dict[str, Any] = {"channel": self._turn.thread.channel, "timestamp": self._turn.question_ts}
        try:
            await self._call(method, shows=method == "reactions.add", name=EYES, **question)
        except SlackError as error:
            _log.debug("a reaction was not changed", turn=self._turn.id, reason=str(error))

    async def _call(self, method: str, *, shows: bool, **arguments: Any) -> None:
        """Call. One under way comes to its end when cancelled meanwhile: calls must take effect in order.

        Taking it away must work; showing it is tried once: again when it would fade.
        """
        if shows:
            await to_its_end(self._show(method, arguments))
        else:
            await self._api.repeat(method, unbroken=True, **arguments)

    async def _show(self, method: str, arguments: Mapping[str, Any]) -> None:
        try:
            await self._api.call(method, **arguments)
        except SlackUnreachable:
            self._lost = monotonic()
            raise
        finally:
            await self._take_back(method, arguments)

    async def _take_back(self, method: str, arguments: Mapping[str, Any]) -> None:
        """Take away what came too late, of a process that was frozen in the middle of the call.

        Somebody else has taken the turn over, and may have ended it already.
        """
        try:
            self._check()
        except LeaseLost:
            gone = {"agents.sessions.setStatus": "active", "assistant.threads.setStatus": ""}
            if method in gone:
                await self._api.repeat(method, tries=5, **{**arguments, "status": gone[method]})
            else:
                await self._api.repeat("reactions.remove", tries=5, **arguments)
