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
    StoreUnavailable,
    StreamStopped,
    TurnGaveUp,
)
from bot.events import Person, storable
from bot.lease import Lease
from bot.policy import Rules, admission, decide
from bot.ports import Finish, Line, Model, Reply, Request, Stop, Store, Turn, Workspace
from bot.prompt import MUST_ANSWER, SILENT, messages_of, one_line, system_prompt

_log = structlog.get_logger(__name__)

DEATHS_AT_MOST = 5
"""A turn whose process died so often is not tried again."""
TURN_SECONDS = 600.0
TRIES = 3
WAITS = (1.0, 4.0, 10.0)
BUSY_SECONDS = 120.0
"""How long a throttled model is asked again, in all."""
_LEAVE_SECONDS = 1.0
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
        reply = self._workspace.reply(turn, lease.check)
        began = monotonic()
        log = _log.bind(turn=turn.id, channel=turn.thread.channel, thread=turn.thread.thread_ts)
        try:
            async with lease:
                end = await self._to_its_end(turn, lease, reply)
                lease.close()
                await self._store.finish(turn, end)
            log.info("turn ended", state=end.state, why=end.reason or end.error, seconds=monotonic() - began)
        except asyncio.CancelledError:
            if lease.ended is None:
                raise
            _uncancel()
            log.info("turn given up here", reason=lease.ended)
            await self._give_back(turn, reply, lost=lease.ended == "lost")
        except LeaseLost as error:
            log.warning("turn lost", error=str(error))
            await self._give_back(turn, reply, lost=True)
        except (SlackLimited, SlackUnreachable, StoreError) as error:
            log.warning("turn put off", error=str(error))
            await self._give_back(turn, reply, delay=_AGAIN_SECONDS)
        finally:
            await reply.halt()

    async def _to_its_end(self, turn: Turn, lease: Lease, reply: Reply) -> Finish:
        """Answer, or say why not. What only time can mend is raised: Slack or the database out of reach."""
        try:
            return await self._answer(turn, reply)
        except asyncio.CancelledError:
            if lease.ended is None or lease.ended not in _ENDINGS:
                raise
            _uncancel()
            return await self._end(turn, lease.ended, reply)
        except StreamStopped:
            return await self._end(turn, "stopped", reply)
        except SlackGone:
            await self._leave(turn, reply)
            return Finish("cancelled", reason="the thread or the reply is gone")
        except (SlackLimited, SlackUnreachable, StoreUnavailable, LeaseLost):
            raise
        except BobbinError as error:
            return await self._fail(turn, error, reply)

    async def _answer(self, turn: Turn, reply: Reply) -> Finish:
        if turn.resumed:
            await reply.resume()
        if turn.stopping is not None or not turn.asker:
            return await self._end(turn, turn.stopping or "deleted", reply)
        if turn.summoned:
            reply.begin("is reading the thread…" if turn.backfill else "is thinking…")
        if turn.backfill:
            await self._backfill(turn)
        lines = await self._store.history(turn)
        people = await self._admitted(turn, lines)
        if people is None:
            await self._leave(turn, reply)
            return Finish("cancelled", reason="not allowed to ask")
        reply.meet(lines, people)
        if turn.answer == SILENT:
            return await self._silent(reply)
        if turn.answer is not None:
            surplus = await reply.finish(turn.answer, _notes(turn.stop_reason, lines, turn))
            return Finish("answered", turn.answer, surplus=surplus)
        if turn.deaths >= DEATHS_AT_MOST:
            raise TurnGaveUp(f"the process died {turn.deaths} times in this turn")
        try:
            answer, stop = await self._ask(turn, lines, people, reply)
        except Silence as silence:
            await self._store.record_answer(turn, SILENT, silence.stop)
            return await self._silent(reply)
        await self._store.record_answer(turn, answer, stop)
        surplus = await reply.finish(notes=_notes(stop.reason, lines, turn))
        return Finish("answered", answer, reason=stop.reason, surplus=surplus)

    async def _backfill(self, turn: Turn) -> None:
        """Read the thread. What was said since the question may have come before it, and was ignored."""
        before, since = await self._workspace.read_thread(turn.thread, turn.called_ts)
        for message in since:
            ingested = await self._store.post(message, partial(decide, message, rules=self._rules))
            if ingested.note is not None:
                await self._workspace.tell(turn.thread, message.ts, message.author, ingested.note)
        await self._store.backfill(turn, before)

    async def _admitted(self, turn: Turn, lines: Sequence[Line]) -> Mapping[str, Person] | None:
        """Who is in the thread; None where nobody who may ask is left among those who do."""
        unsure = {
            line.author
            for line in lines
            if line.turn == turn.id and line.addressed and (line.unsure or self._rules.guests == "refuse")
        } - self._rules.allowed_bots
        people = await self._workspace.acquaint(lines, unsure)
        refused = {user: why for user in unsure if (why := admission(people.get(user), self._rules))}
        for user, why in refused.items():
            for due in await self._store.dismiss(turn, [user], why):
                await self._workspace.tell(turn.thread, turn.question_ts, due, why)
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
            reply.begin("is thinking…")
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
        # What no database can keep must not be shown either: what people see and what is kept are one.
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
                delta = storable(event.text)
                text += delta
                if not held:
                    reply.show(delta)
                elif not SILENT.startswith(text.strip()):
                    held = False
                    reply.show(text)
        raise BrokenStream("the stream ended without a stop")

    # ------------------------------------------------------------ other ends

    async def _silent(self, reply: Reply) -> Finish:
        await reply.stop("")
        return Finish("silent")

    async def _end(self, turn: Turn, why: str, reply: Reply) -> Finish:
        """A person ended it: what was shown stays, and counts as what was said."""
        surplus = await self._closed(turn, reply, reply.stop(_ENDINGS.get(why, "Stopped.")))
        shown = reply.shown
        return Finish("answered" if shown else "cancelled", shown or None, reason=why, surplus=surplus)

    async def _fail(self, turn: Turn, error: BobbinError, reply: Reply) -> Finish:
        """Say it once, in the thread; the messages count as heard, and the next one starts a new turn."""
        name = type(error).__name__
        _log.warning("turn failed", turn=turn.id, kind=name, error=str(error))
        surplus = await self._closed(turn, reply, reply.fail(error))
        return Finish("failed", reply.shown or None, error=f"{name}: {error}", surplus=surplus)

    async def _closed(self, turn: Turn, reply: Reply, closing: Awaitable[tuple[str, ...]]) -> tuple[str, ...]:
        """Show the end of a turn that ends in any case: what Slack refuses for good is only logged."""
        try:
            return await closing
        except (SlackLimited, SlackUnreachable):
            raise
        except SlackError as refusal:
            _log.warning("the end could not be shown", turn=turn.id, error=str(refusal))
            await self._leave(turn, reply)
            return ()

    async def _give_back(self, turn: Turn, reply: Reply, *, delay: float = 0, lost: bool = False) -> None:
        """Stop writing, and give the turn back open: somebody takes it up again."""
        await reply.halt()
        if lost:
            return
        await self._leave(turn, reply)
        settle = self._limits.settle_seconds if reply.uncertain else 0
        try:
            await self._store.release(turn, max(delay, settle))
        except StoreError as error:
            _log.warning("a lease was not given back: it runs out", turn=turn.id, error=str(error))

    async def _leave(self, turn: Turn, reply: Reply) -> None:
        """Write no more; nothing is left that says it is being worked on, as far as a second allows."""
        await reply.halt()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await reply.leave()
        except (BobbinError, TimeoutError) as error:
            _log.info("a reply was left as it stood", turn=turn.id, error=str(error))


def _notes(reason: str, lines: Sequence[Line] = (), turn: Turn | None = None) -> list[str]:
    unread = [one_line(file.name) for line in lines if turn and line.turn == turn.id for file in line.files]
    notes = [f"I cannot open files yet, so I have not read {', '.join(unread)}."] if unread else []
    return notes + ([_NOTES[reason]] if reason in _NOTES else [])


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
