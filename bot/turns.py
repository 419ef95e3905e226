"""One turn, a walk that never turns back: read the thread, ask, stream, record, finish."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from bot import signals, trail
from bot.asking import Silence, patiently, show, whole
from bot.attachments import Attachments
from bot.channels import Channels
from bot.condensing import Condenser, Frame
from bot.errors import (
    POSTPONING,
    BadRequest,
    BobbinError,
    BrokenStream,
    EmptyAnswer,
    LeaseLost,
    OverBudget,
    SlackError,
    SlackGone,
    StoreError,
    StreamStopped,
    TooLong,
    TurnGaveUp,
)
from bot.events import Person
from bot.lease import EDITED, Lease
from bot.ledger import Ledger
from bot.models import Claude
from bot.policy import Rules, admission, decide
from bot.ports import Finish, History, Line, Reply, Request, Stop, Store, Turn, Workspace
from bot.prompt import MUST_ANSWER, SILENT, system_prompt
from bot.remarks import ENDINGS, THINKING, doing, remarks
from bot.telling import tell
from bot.window import Window

_log = structlog.get_logger(__name__)

DEATHS_AT_MOST = 5
"""A turn whose process died so often is not tried again."""
TURN_SECONDS = 600.0
_LEAVE_SECONDS, _CLOSE_SECONDS = 1.0, 20.0
"""What a reply may take to leave nothing unfinished: of a turn that goes on, and of one that ends."""
_AGAIN_SECONDS = 15.0
"""A turn that Slack could not be told of is taken up again after so long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a turn is held to; seconds and tokens."""

    lease_seconds: float = 60.0
    settle_seconds: float = 15.0
    max_tokens: int = 8192
    window: int = 200_000


class Turns:
    """Runs turns. One object for the process; each turn in a task of its own."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        workspace: Workspace,
        channels: Channels,
        *,
        claude: Callable[[str], Claude],
        rules: Rules,
        who: str,
        limits: Limits,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._workspace = workspace
        self._channels = channels
        self._claude = claude
        self._rules = rules
        self._who = who
        self._limits = limits

    def lease(self, turn: Turn, claimed: float) -> Lease:
        """Prepare the lease of a turn whose claim began then, by `lease.uptime`."""
        return Lease(self._store, turn, self._limits.lease_seconds, claimed=claimed)

    async def run(self, turn: Turn, lease: Lease) -> None:
        """Bring a claimed turn to its end, or give it back. Raises nothing but its own cancellation."""
        path = trail.begin(turn.id)
        where = turn.thread
        structlog.contextvars.bind_contextvars(turn=turn.id)
        log = _log.bind(team=where.team, channel=where.channel, thread=where.thread_ts)
        signals.tell(signals.Claimed(turn.id, where.channel, where.thread_ts, turn.how, turn.waited))
        log.debug("turn claimed", how=turn.how, waited_ms=int(turn.waited * 1000), deaths=turn.deaths)
        reply = self._workspace.reply(turn, lease.check)
        try:
            async with lease:
                end = await self._to_its_end(turn, lease, reply)
                lease.close()
                if end.state == "cancelled":  # an error's button would do nothing any more
                    errors = tuple(part.ts for part in turn.parts if part.kind == "error")
                    end = replace(end, surplus=end.surplus + errors)
                await self._store.finish(turn, end)
            tell(log, turn, end, path)
            if end.surplus or turn.resumed:
                await self._tidy(turn)
        except asyncio.CancelledError:
            if lease.ended is None:
                raise
            _uncancel()
            log.info("turn given up here", reason=lease.ended)
            trail.note("given back", lease.ended)
            await self._give_back(turn, reply, lost=lease.ended == "lost")
        except LeaseLost as error:
            log.warning("turn lost", error=str(error))
            if await self._is_forgotten(turn):  # nobody goes on with what it has shown
                await self._leave(turn, reply)
            await self._give_back(turn, reply, lost=True)
        except (*POSTPONING, StoreError) as error:
            log.warning("turn put off", error=str(error), seconds=_AGAIN_SECONDS)
            trail.note("put off", f"{type(error).__name__}: {error}")
            await self._give_back(turn, reply, delay=_AGAIN_SECONDS)
        finally:
            await reply.halt()

    async def _to_its_end(self, turn: Turn, lease: Lease, reply: Reply) -> Finish:
        """Answer, or say why not. What puts a turn off is raised: Slack or the database out of reach, …"""
        try:
            return await self._newest_answer(turn, lease, reply)
        except asyncio.CancelledError:
            if lease.ended is None or lease.ended not in ENDINGS:
                raise
            _uncancel()
            return await self._end(turn, lease.ended, reply)
        except StreamStopped:
            return await self._end(turn, "stopped", reply)
        except OverBudget as error:
            trail.note("over budget", error.reason)
            await self._leave(turn, reply)
            await self._ledger.tell(turn, error)
            # Where an error stands in the thread, its button stays good for another day.
            failed = any(part.kind == "error" for part in turn.parts)
            return Finish("failed" if failed else "cancelled", reason=str(error))
        except SlackGone:
            await self._leave(turn, reply)
            return Finish("cancelled", reason="the thread or the reply is gone")
        except (*POSTPONING, LeaseLost):
            raise
        except BobbinError as error:
            return await self._fail(turn, error, reply)

    async def _newest_answer(self, turn: Turn, lease: Lease, reply: Reply) -> Finish:
        """Answer; begin anew, in the same messages, as often as the question is changed meanwhile."""
        outdated = False
        while True:
            try:
                if outdated:
                    lease.again()
                    turn = await self._store.restart(turn)
                    await reply.restart(outdated=True)
                async with lease.heeding():
                    return await self._answer(turn, reply)
            except asyncio.CancelledError:
                if lease.ended != EDITED:
                    raise
                _uncancel()
                _log.info("the question was changed: answering anew", turn=turn.id)
                trail.note("anew")
                outdated = True

    async def _answer(self, turn: Turn, reply: Reply) -> Finish:
        if (end := await self._answered_already(turn)) is not None:
            return end
        if turn.resumed or turn.doubtful:
            await reply.resume()
        if turn.stopping is not None or not turn.asker:
            return await self._end(turn, turn.stopping or "deleted", reply)
        history = await self._read(turn, reply)
        lines = history.lines
        people = await self._admitted(turn, lines)
        if people is None:
            await self._leave(turn, reply)
            return Finish("cancelled", reason="not allowed to ask")
        if history.summary:  # who spoke there is named as before, and so are those of the same name
            people = await self._store.people(turn.thread.team, history.summary.authors) | dict(people)
        reply.meet(lines, people)
        files = Attachments(turn, self._store, self._workspace)
        await files.gather(lines)
        obeyed = await self._channels.obey(turn, lines, people)
        if obeyed is not None and obeyed.all:
            return await self._obeyed(turn, obeyed.said, reply)
        told = [obeyed.said] if obeyed is not None and obeyed.said else []
        answer, reason = turn.answer, turn.stop_reason
        if answer is None:
            answer, reason, history = await self._asked(turn, history, people, files, reply)
        if answer == SILENT:
            return Finish("silent", surplus=await reply.stop(""))
        surplus = await reply.finish(turn.answer, told + files.notes + remarks(reason, history, turn))
        return Finish("answered", answer, reason=reason, surplus=surplus)

    async def _read(self, turn: Turn, reply: Reply) -> History:
        """Read what was said, in Slack too where that is not done yet; who called sees that it is read."""
        if turn.summoned:
            reply.begin("is reading the thread…" if turn.backfill else THINKING)
        if turn.backfill:
            await self._backfill(turn)
        history = await self._store.recall(turn)
        if turn.summoned:
            reply.begin(doing(history.lines))
        return history

    async def _asked(
        self, turn: Turn, history: History, people: Mapping[str, Person], files: Attachments, reply: Reply
    ) -> tuple[str, str, History]:
        """Ask, and record the whole answer and why it ended; `SILENT`: none. And what was read."""
        if turn.deaths >= DEATHS_AT_MOST:
            raise TurnGaveUp(f"the process died {turn.deaths} times in this turn")
        condenser = self._condenser(turn, history, people, files, reply)
        try:
            async with asyncio.timeout(TURN_SECONDS):
                answer, stop = await self._ask(turn, condenser, files, reply)
        except Silence as silence:
            answer, stop = SILENT, silence.stop
        except TimeoutError as error:
            raise BrokenStream(f"no whole answer within {TURN_SECONDS:.0f} s") from error
        trail.mark("whole")
        await self._store.record_answer(turn, answer, stop)
        return answer, stop.reason, condenser.history

    async def _answered_already(self, turn: Turn) -> Finish | None:
        """How a turn ended that a restored database does not know the end of; nothing is written for it."""
        if not turn.doubtful:
            return None
        return await self._store.reconcile(turn, await self._workspace.seen(turn))

    async def _backfill(self, turn: Turn) -> None:
        """Read the thread. What was said since the question may have come before it, and was ignored."""
        before, since = await self._workspace.read_thread(turn.about or turn.thread, turn.called_ts)
        trail.note("read", f"{len(before) + len(since)} messages")
        for message in since if turn.about is None else ():
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

    def _condenser(
        self, turn: Turn, history: History, people: Mapping[str, Person], files: Attachments, reply: Reply
    ) -> Condenser:
        async def ask(request: Request) -> str:
            if turn.summoned:
                reply.begin("is condensing the thread…")
            notes = await patiently(partial(whole, self._ledger.metered(turn, "summary"), request), turn.id)
            if turn.summoned:
                reply.begin(THINKING)
            return notes

        claude = self._claude(turn.model)
        frame = Frame(
            system_prompt(self._who, direct=turn.direct, instructions=turn.instructions),
            claude,
            Window.of(claude.window, self._limits.window, self._limits.max_tokens),
            turn.model,
        )
        return Condenser(self._store, self._workspace, turn, history, people, files, frame, ask)

    async def _ask(
        self, turn: Turn, condenser: Condenser, files: Attachments, reply: Reply
    ) -> tuple[str, Stop]:
        """Ask what fits the window until there is a whole answer, or raise `Silence` where that is allowed.

        It is not where words of the turn stand already: they must come to an end. Bedrock counts for itself:
        what it finds too long is condensed further.
        """
        history = condenser.history
        speakers = {line.author for line in history.lines if line.role == "user"}
        speakers.update(history.summary.authors if history.summary else ())
        may_be_silent = not turn.summoned and len(speakers) > 1
        if not may_be_silent:
            reply.begin(doing(condenser.history.lines))
        request = await condenser.fitting()
        if not request.messages:
            raise EmptyAnswer("nothing in the messages could be read")
        told = system_prompt(self._who, direct=True, instructions=turn.instructions)
        firm = f"{told}\n\n{MUST_ANSWER}"
        model = self._ledger.metered(turn)
        while True:
            try:
                return await patiently(partial(show, model, request, reply), turn.id, reply.restart)
            except TooLong:
                await condenser.condense()
                request = condenser.request()[0]
            except BadRequest:
                if not await files.refuse():
                    raise
                request = condenser.request()[0]
            except Silence as silence:
                if may_be_silent and not reply.stands:
                    raise
                if request.system == firm:
                    raise EmptyAnswer("silent twice, though words were due") from silence
                request = replace(request, system=firm, cache=None)

    # ------------------------------------------------------------ other ends

    async def _obeyed(self, turn: Turn, said: str, reply: Reply) -> Finish:
        if not said:
            await self._leave(turn, reply)
            return Finish("cancelled", reason="not an admin")
        return Finish("answered", said, surplus=await reply.say(said))

    async def _end(self, turn: Turn, why: str, reply: Reply) -> Finish:
        """A person ended it: what was shown stays, and counts as what was said."""
        surplus = await self._closed(turn, reply, reply.stop(ENDINGS.get(why, "Stopped.")))
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
        except POSTPONING:
            raise
        except SlackError as refusal:
            _log.warning("the end could not be shown", turn=turn.id, error=str(refusal))
            trail.note("not shown", str(refusal))
            await self._leave(turn, reply)
            return ()

    async def _give_back(self, turn: Turn, reply: Reply, *, delay: float = 0, lost: bool = False) -> None:
        """Stop writing, and give the turn back open: somebody takes it up again."""
        await reply.halt()
        if lost:
            signals.tell(signals.Happened("lease lost"))
            await self._tidy(turn)
            return
        await self._leave(turn, reply, goes_on=True)
        settle = self._limits.settle_seconds if reply.uncertain else 0
        try:
            await self._store.release(turn, max(delay, settle))
        except StoreError as error:
            _log.warning("a lease was not given back: it runs out", turn=turn.id, error=str(error))

    async def _is_forgotten(self, turn: Turn) -> bool:
        try:
            return await self._store.extend(turn) == "forgotten"
        except StoreError:
            return False

    async def _tidy(self, turn: Turn) -> None:
        """Delete the messages that show nothing of a closed turn's answer; the sweep does what fails here.

        Of two owners, the one that comes later finds also what the other made.
        """
        try:
            for team, channel, ts in await self._store.orphans(turn.id):
                await self._workspace.delete(channel, ts)
                await self._store.forget_orphan(team, channel, ts)
        except (SlackError, StoreError) as error:
            _log.info("a message that shows nothing is not deleted yet", turn=turn.id, error=str(error))

    async def _leave(self, turn: Turn, reply: Reply, *, goes_on: bool = False) -> None:
        """Write no more; nothing is left that says it is being worked on, as far as the time allows."""
        await reply.halt()
        settle = self._limits.settle_seconds
        try:
            async with asyncio.timeout(_LEAVE_SECONDS if goes_on else settle + _CLOSE_SECONDS):
                await reply.leave(settle=0 if goes_on else settle)
        except (BobbinError, TimeoutError) as error:
            _log.info("a reply was left as it stood", turn=turn.id, error=str(error))


def _uncancel() -> None:
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
