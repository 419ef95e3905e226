"""What was spent, what may still be: every model call is booked before it goes out, and settled at its end.

A call begins as an estimate: what a running one may cost is reserved by its own row, so that many at once
cannot overdraw a budget together. At its end the row says what Bedrock told. Where it told nothing (stopped,
broken off, its process killed) it stays an estimate, and is marked as one.
"""

import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from bot import signals
from bot.conversation import ContentBlock, Text
from bot.errors import (
    BadCredentials,
    BadRequest,
    BrokenStream,
    ModelBusy,
    ModelError,
    ModelUnavailable,
    NoAccess,
    OverBudget,
    StoreError,
    TooLong,
    UnknownModel,
)
from bot.ports import (
    Answer,
    Call,
    Caps,
    Model,
    Purpose,
    Request,
    Spent,
    Stop,
    Store,
    StreamEvent,
    Turn,
    Usage,
    Words,
    Workspace,
)

_log = structlog.get_logger(__name__)

TYPICAL_OUTPUT = 1000
"""Tokens that are reserved for an answer."""

_TURN_BITS = 17

# Bedrock read nothing, so it charges nothing.
_FREE = (BadCredentials, BadRequest, ModelBusy, ModelUnavailable, NoAccess, TooLong, UnknownModel)


class Ledger:
    """Books model calls. `price` gives millionths of a US dollar for a model's id and what a call used.

    `size` guesses the tokens of a block; `later` does something without anybody waiting for it.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        workspace: Workspace,
        *,
        model_id: str,
        price: Callable[[str, Usage], int],
        size: Callable[[ContentBlock], int],
        caps: Caps,
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._store = store
        self._model = model
        self._workspace = workspace
        self._model_id = model_id
        self._price = price
        self._size = size
        self._caps = caps
        self._later = later

    def metered(self, turn: Turn, purpose: Purpose = "answer") -> Model:
        """Return the model for one turn: each of its streams is booked. They raise `OverBudget`, too."""
        return _Metered(self, self._model, turn, purpose)

    async def tell(self, turn: Turn, error: OverBudget) -> None:
        """Tell who asked why they get no answer: each time they call Bobbin, else once a day."""
        if turn.summoned or await self._store.note_due(turn.thread.team, turn.asker, error.reason):
            await self._workspace.tell(turn.thread, turn.question_ts, turn.asker, error.reason, error.words)

    def estimate(self, turn: Turn, purpose: Purpose, request: Request) -> Call:
        """Return a call as it is booked before anything is known of it but its request."""
        size, output = request.size, min(TYPICAL_OUTPUT, request.max_tokens)
        if not size:
            blocks = [block for message in request.messages for block in message.content]
            size = self.size(request.system) + sum(map(self._size, blocks))
        usage = Usage(input=size, output=output)
        if request.cache is not None:  # what is not read from the cache is written to it, which costs more
            read = min(request.held, size)
            write = size - read
            usage = Usage(0, output, read, write, write if request.cache.ttl == "1h" else 0)
        model, thread = request.model or self._model_id, turn.thread
        cost = self._price(model, usage)
        number = call_id(time.time_ns(), turn.id)
        return Call(number, turn.id, thread.team, thread.channel, turn.asker, model, purpose, usage, cost)

    def size(self, text: str) -> int:
        """Guess the tokens of a text."""
        return self._size(Text(text)) if text else 0

    async def begin(self, turn: Turn, call: Call) -> None:
        """Book it. Raises `OverBudget`, `StoreError`."""
        booked = await self._store.begin_call(call, self._caps)
        if booked.refused is not None:
            signals.tell(signals.Happened("budget refused", booked.refused.budget))
            raise OverBudget(f"budget_{booked.refused.budget}", _words(booked.refused))
        for spent in booked.warn:
            self._later(self._warn(turn, spent))

    async def settle(self, call: Call, usage: Usage) -> None:
        """Book what a call came to. Where the database is out of reach, it is taken for lost later."""
        call = replace(call, usage=usage, micro_usd=self._price(call.model, usage))
        try:
            await self._store.settle_call(call)
        except StoreError as error:
            _log.error("a call was not settled: its estimate stands", call=call.id, error=str(error))

    def report(
        self, call: Call, usage: Usage, longest: int, stop_reason: str, seconds: float, first: float | None
    ) -> None:
        """Say what a call came to: one line, and one signal. `first`: seconds to its first words."""
        cost, error = self._price(call.model, usage), call.error.partition(":")[0]
        _log.info(
            "model call",
            turn=call.turn,
            model=call.model,
            purpose=call.purpose,
            state=call.state,
            error=error,
            ms=int(seconds * 1000),
            first_token_ms=None if first is None else int(first * 1000),
            tokens=usage.total,
            cached=usage.cache_read,
            output=usage.output,
            micro_usd=cost,
            request=call.request_id,
        )
        signals.tell(
            signals.ModelCalled(
                call.model,
                call.purpose,
                call.state,
                error,
                usage,
                cost,
                call.estimated,
                seconds,
                first,
                longest,
                call.request_id,
                stop_reason,
            )
        )

    async def _warn(self, turn: Turn, spent: Spent) -> None:
        reason, words = f"budget_{spent.budget}_warning", _words(spent)
        _log.warning("most of a budget is spent", budget=spent.budget, used=spent.used, cap=spent.cap)
        if spent.budget == "user":
            await self._workspace.tell(turn.thread, turn.question_ts, turn.asker, reason, words)
        else:
            await self._workspace.tell_admins(reason, words)


def call_id(now: int, turn: int) -> int:
    """Give the id of a call that begins now (Unix nanoseconds): none other has it, of whatever worker.

    The newest 131,072 turns differ in their part of it, and calls of one turn are further apart than what the
    time is rounded to, 131 microseconds: two commits at least.
    """
    return now >> _TURN_BITS << _TURN_BITS | turn & ((1 << _TURN_BITS) - 1)


class _Metered(Model):
    """A model whose calls are booked for one turn."""

    def __init__(self, ledger: Ledger, model: Model, turn: Turn, purpose: Purpose) -> None:
        self._ledger = ledger
        self._model = model
        self._turn = turn
        self._purpose = purpose

    async def chat(self, request: Request) -> Answer:
        """See `Model`."""
        text = ""
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if isinstance(event, Stop):
                    return Answer(text, event.reason, event.usage, event.request_id)
                text += event.text
        raise BrokenStream("the stream ended without a stop")

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        """See `Model`."""
        call = self._ledger.estimate(self._turn, self._purpose, request)
        usage, heard, stop_reason = Usage(), "", ""
        began, first = time.monotonic(), None
        ended = replace(call, state="stopped", estimated=False)
        try:
            await self._ledger.begin(self._turn, call)
            usage, ended, began = call.usage, replace(ended, estimated=True), time.monotonic()
            async with aclosing(self._model.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Stop):
                        usage, stop_reason = event.usage, event.reason
                        ended = replace(ended, state="done", estimated=False, request_id=event.request_id)
                    else:
                        if first is None:
                            first = time.monotonic() - began
                            ended = replace(ended, first_at=time.time_ns() // 1_000_000)
                        heard += event.text
                    yield event
        except OverBudget:
            ended = call  # there is no row to settle
            raise
        except ModelError as error:
            told = f"{type(error).__name__}: {error}"[:500]
            ended = replace(ended, state="failed", error=told, request_id=error.request_id)
            if isinstance(error.usage, Usage):
                usage, ended = error.usage, replace(ended, estimated=False)
            elif isinstance(error, _FREE) and not heard:
                usage, ended = Usage(), replace(ended, estimated=False)
            raise
        finally:
            # Also when it was cancelled before it was known to be booked: it is booked all the same.
            if ended.state != "running":
                if ended.estimated:
                    usage = replace(usage, output=self._ledger.size(heard))
                took = time.monotonic() - began
                await self._ledger.settle(ended, usage)
                self._ledger.report(ended, usage, request.max_tokens, stop_reason, took, first)


def _words(spent: Spent) -> Words:
    return {
        "cap": f"${spent.cap / 1_000_000:,.2f}",
        "percent": f"{100 * spent.used / max(spent.cap, 1):.0f} %",
        "until": datetime.fromtimestamp(spent.until, UTC),
    }
