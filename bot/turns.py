"""One turn, a walk that never turns back: read the thread, ask, stream, record, finish."""

import asyncio
import random
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog

from bot.errors import (
    BobbinError,
    BrokenStream,
    EmptyAnswer,
    LeaseLost,
    ModelBusy,
    ModelError,
    SlackError,
    SlackGone,
    SlackLimited,
    SlackUnreachable,
    StoreError,
    StreamStopped,
    TurnGaveUp,
)
from bot.events import Person
from bot.lease import Lease
from bot.policy import Rules, admission, decide
from bot.ports import Finish, Line, Model, Reply, Request, Stop, Store, Turn, Workspace
from bot.prompt import MUST_ANSWER, SILENT, messages_of, system_prompt

_log = structlog.get_logger(__name__)

DEATHS_AT_MOST = 5
"""A turn whose process died so often is not tried again."""
TURN_SECONDS = 600.0
TRIES = 3
WAITS = (1.0, 4.0, 10.0)
BUSY_SECONDS = 120.0
"""How long a throttled model is asked again, in all."""
_FEW = 3
_AGAIN_SECONDS = 15.0
"""A turn that Slack could not be told of is taken up again after so long."""

_NOTES: Mapping[str, str] = {
    "max_tokens": "The answer reached its length limit. Ask me to go on.",
    "window": "The answer stopped because the thread fills all that the model can read. Start a new thread.",
}
_ENDINGS: Mapping[str, str] = {"stopped": "Stopped.", "deleted": "Stopped: the question was deleted."}


class Silence(Exception):
    """The model says that the newest words are not for it. `stop` carries what it cost."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("silent")
        self.stop = stop


@dataclass(frozen=True, slots=True)
class Limits:
    """What a turn is held to; seconds and tokens."""

    lease_seconds: float = 60.0
    settle_seconds: float = 15.0
    max_tokens: int = 8192


class Turns:
    """Runs turns. One object for the process; each turn in a task of its own."""

    def __init__(
        self, store: Store, model: Model, workspace: Workspace, *, rules: Rules, who: str, limits: Limits
    ) -> None:
        self._store = store
        self._model = model
        self._workspace = workspace
        self._rules = rules
        self._who = who
        self._limits = limits

    def lease(self, turn: Turn) -> Lease:
        """Prepare the lease of a claimed turn."""
        return Lease(self._store, turn, self._limits.lease_seconds)

    async def run(self, turn: Turn, lease: Lease) -> None:
        """Bring a claimed turn to its end, or give it back. Raises nothing but its own cancellation."""
        opened: list[Reply] = []
        began = monotonic()
        log = _log.bind(turn=turn.id, channel=turn.thread.channel, thread=turn.thread.thread_ts)
        try:
            async with lease:
                end = await self._to_its_end(turn, lease, opened)
                await self._store.finish(turn, end)
        except asyncio.CancelledError:
            if lease.ended is None:
                raise
            _uncancel()
            log.info("turn given up here", reason=lease.ended)
            await self._let_go(turn, opened, lost=lease.ended == "lost")
        except (SlackLimited, SlackUnreachable) as error:
            log.warning("turn put off: Slack does not take the answer", error=str(error))
            await self._let_go(turn, opened, delay=_AGAIN_SECONDS)
        except LeaseLost as error:
            log.warning("turn lost", error=str(error))
            await self._let_go(turn, opened, lost=True)
        except StoreError as error:
            log.warning("turn put off: the database fails", error=str(error))
            await self._let_go(turn, opened)
        else:
            log.info("turn ended", state=end.state, why=end.reason or end.error, seconds=monotonic() - began)

    async def _to_its_end(self, turn: Turn, lease: Lease, opened: list[Reply]) -> Finish:
        """Answer, or say why not. What only time can mend is raised: Slack or the database out of reach."""
        try:
            return await self._answer(turn, lease, opened)
        except asyncio.CancelledError:
            if lease.ended is None or lease.ended not in _ENDINGS:
                raise
            _uncancel()
            return await self._end(turn, lease.ended, opened)
        except StreamStopped:
            return await self._end(turn, "stopped", opened)
        except SlackGone:
            await self._leave(turn, opened)
            return Finish("answered", reason="the thread or the reply is gone")
        except (SlackLimited, SlackUnreachable, StoreError):
            raise
        except BobbinError as error:
            return await self._fail(turn, lease, error, opened)

    async def _answer(self, turn: Turn, lease: Lease, opened: list[Reply]) -> Finish:
        if turn.stopping is not None or not turn.asker:
            await self._reopen(turn, lease, opened)
            return await self._end(turn, turn.stopping or "deleted", opened)
        if turn.backfill:
            await self._backfill(turn)
        lines = await self._store.history(turn)
        people = await self._admitted(turn, lines)
        if people is None:
            return Finish("cancelled", reason="not allowed to ask")
        reply = self._workspace.reply(turn, lines, people, lease.check)
        opened.append(reply)
        if turn.resumed:
            await reply.resume()
        if turn.deaths >= DEATHS_AT_MOST and turn.answer is None:
            raise TurnGaveUp(f"the process died {turn.deaths} times in this turn")
        if turn.answer == SILENT:
            await reply.stop("")
            return Finish("silent")
        if turn.answer is not None:
            notes = _notes(turn.stop_reason)
            return Finish("answered", turn.answer, surplus=await reply.finish(turn.answer, notes))
        try:
            answer, stop = await self._ask(turn, lines, people, reply)
        except Silence as silence:
            await self._store.record_answer(turn, SILENT, silence.stop)
            await reply.stop("")
            return Finish("silent")
        await self._store.record_answer(turn, answer, stop)
        surplus = await reply.finish(notes=_notes(stop.reason, lines, turn))
        return Finish("answered", answer, reason=stop.reason, surplus=surplus)

    async def _backfill(self, turn: Turn) -> None:
        """Read the thread. What was said since the question may have come before it, and was ignored."""
        before, since = await self._workspace.read_thread(turn.thread, turn.newest_ts)
        for message in since:
            ingested = await self._store.post(message, partial(decide, message, rules=self._rules))
            if ingested.note is not None:
                await self._workspace.tell(turn.thread, message.author, ingested.note)
        await self._store.backfill(turn, before)

    async def _reopen(self, turn: Turn, lease: Lease, opened: list[Reply]) -> None:
        """Open the reply of a turn that ends before it is answered: there is one only if it was begun."""
        if turn.resumed:
            opened.append(self._workspace.reply(turn, (), {}, lease.check))
            await opened[-1].resume()

    async def _admitted(self, turn: Turn, lines: Sequence[Line]) -> Mapping[str, Person] | None:
        """Who is in the thread; None where nobody who may ask is left among those who do."""
        unsure = {
            line.author
            for line in lines
            if line.turn == turn.id and line.addressed and (line.unsure or self._rules.guests == "refuse")
        }
        people = await self._workspace.acquaint(lines, unsure)
        refused = {user: why for user in unsure if (why := admission(people.get(user), self._rules))}
        for user, why in refused.items():
            for due in await self._store.dismiss(turn, [user], why):
                await self._workspace.tell(turn.thread, due, why)
        return None if refused and not set(turn.askers) - set(refused) else people

    # ------------------------------------------------------------ asking

    async def _ask(
        self, turn: Turn, lines: Sequence[Line], people: Mapping[str, Person], reply: Reply
    ) -> tuple[str, Stop]:
        """Ask until there is a whole answer. One voice decides about every retry: this one."""
        messages = messages_of(lines, people, self._workspace.words(lines, people))
        system = system_prompt(self._who, direct=turn.direct)
        may_be_silent = not turn.summoned and len({line.author for line in lines if line.role == "user"}) > 1
        if not messages:
            raise EmptyAnswer("nothing in the messages could be read")
        if not may_be_silent:
            reply.begin(f"is reading {len(lines)} messages…" if len(lines) > _FEW else "is thinking…")
        request = Request(messages, system, self._limits.max_tokens)
        try:
            async with asyncio.timeout(TURN_SECONDS):
                try:
                    return await self._patiently(turn, request, reply)
                except Silence:
                    if may_be_silent:
                        raise
                    firm = Request(messages, f"{self._who}\n\n{MUST_ANSWER}", self._limits.max_tokens)
                    return await self._patiently(turn, firm, reply)
        except Silence as silence:
            if may_be_silent:
                raise
            raise EmptyAnswer("silent twice, though it was called") from silence
        except TimeoutError as error:
            raise BrokenStream(f"no whole answer within {TURN_SECONDS:.0f} s") from error

    async def _patiently(self, turn: Turn, request: Request, reply: Reply) -> tuple[str, Stop]:
        began = monotonic()
        tries = 0
        while True:
            tries += 1
            try:
                return await self._once(request, reply)
            except ModelError as error:
                wait = WAITS[min(tries, len(WAITS)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311  spread
                busy = isinstance(error, ModelBusy) and monotonic() - began + wait < BUSY_SECONDS
                if not error.retry or (tries >= TRIES and not busy):
                    raise
                _log.warning("the model is asked again", turn=turn.id, tries=tries, error=str(error))
            await reply.restart()
            await asyncio.sleep(wait)

    async def _once(self, request: Request, reply: Reply) -> tuple[str, Stop]:
        """Ask once. Nothing is shown while the answer may still turn out to be the word for silence."""
        text, held = "", True
        async with aclosing(self._model.stream(request)) as events:
            async for event in events:
                if isinstance(event, Stop):
                    if text.strip() == SILENT:
                        raise Silence(event)
                    if not text.strip():
                        raise EmptyAnswer(f"no text, stopped by {event.reason}")
                    if held:
                        reply.show(text)
                    return text, event
                text += event.text
                if not held:
                    reply.show(event.text)
                elif not SILENT.startswith(text.strip()):
                    held = False
                    reply.show(text)
        raise BrokenStream("the stream ended without a stop")

    # ------------------------------------------------------------ other ends

    async def _end(self, turn: Turn, why: str, opened: Sequence[Reply]) -> Finish:
        """A person ended it: what was shown stays, and counts as what was said."""
        if not opened:
            return Finish("cancelled", reason=why)
        surplus = await self._closed(turn, opened[-1], opened[-1].stop(_ENDINGS.get(why, "Stopped.")))
        shown = opened[-1].shown
        return Finish("answered" if shown else "cancelled", shown or None, reason=why, surplus=surplus)

    async def _fail(self, turn: Turn, lease: Lease, error: BobbinError, opened: list[Reply]) -> Finish:
        """Say it once, in the thread; the messages count as heard, and the next one starts a new turn."""
        _log.warning("turn failed", turn=turn.id, kind=type(error).__name__, error=str(error))
        name = type(error).__name__
        if not opened:
            opened.append(self._workspace.reply(turn, (), {}, lease.check))
        surplus = await self._closed(turn, opened[-1], opened[-1].fail(error))
        shown = opened[-1].shown
        return Finish("failed", shown or None, error=f"{name}: {error}", surplus=surplus)

    async def _closed(self, turn: Turn, reply: Reply, closing: Awaitable[tuple[str, ...]]) -> tuple[str, ...]:
        """Show the end of a turn that ends in any case: what Slack refuses for good is only logged."""
        try:
            return await closing
        except (SlackLimited, SlackUnreachable):
            raise
        except SlackError as refusal:
            _log.error("the end could not be shown", turn=turn.id, error=str(refusal))
            await self._leave(turn, (reply,))
            return ()

    async def _let_go(
        self, turn: Turn, opened: Sequence[Reply], *, delay: float = 0, lost: bool = False
    ) -> None:
        """Stop writing, and give the turn back open: somebody takes it up again."""
        for reply in opened:
            await reply.halt()
        if lost:
            return
        uncertain = any(reply.uncertain for reply in opened)
        try:
            await self._store.release(turn, max(delay, self._limits.settle_seconds if uncertain else 0))
        except StoreError as error:
            _log.warning("a lease was not given back: it runs out", turn=turn.id, error=str(error))
        await self._leave(turn, opened)

    async def _leave(self, turn: Turn, opened: Sequence[Reply]) -> None:
        """Write no more; nothing is left that says it is being worked on."""
        for reply in opened:
            await reply.halt()
            try:
                await reply.leave()
            except BobbinError as error:
                _log.info("a reply was left as it stood", turn=turn.id, error=str(error))


def _notes(reason: str, lines: Sequence[Line] = (), turn: Turn | None = None) -> list[str]:
    unread = [file.name for line in lines if turn and line.turn == turn.id for file in line.files]
    notes = [f"I cannot open files yet, so I have not read {', '.join(unread)}."] if unread else []
    return notes + ([_NOTES[reason]] if reason in _NOTES else [])


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
