"""What the chaos suite puts into a Bobbin process: crash points, a record of its commits, broken variants.

The product knows nothing of this. A point is passed before and after each transaction, each Slack call, each
ack and each model call; every one is noted with its time in a file that outlives the process, and at the one
that is asked for the process kills itself with SIGKILL.
"""

import asyncio
import gc
import inspect
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import closing
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

from aiohttp import web
from slack_sdk.socket_mode.response import SocketModeResponse

import bot.bedrock
import bot.condensing
import bot.slack.parts
import storage.migrate
import storage.queries
from bot.app import Process
from bot.errors import LeaseLost, SlackUnreachable
from bot.events import Edited
from bot.lease import Lease
from bot.ports import Ingested, PartKind, Request, Store, StreamEvent
from bot.slack.api import SlackAPI
from bot.slack.connection import Slack
from bot.slack.http_mode import HttpMode
from bot.slack.intake import Envelope, Intake
from bot.slack.parts import Parts
from bot.slack.socket import Socket
from bot.slack.socket_mode import SocketMode
from storage import arrivals, turns
from storage.connector import Query, Transaction
from storage.postgres import Postgres
from storage.sqlite import SQLite

BY_THE_CLOCK = ("extend", "claim", "present", "sweep", "clock")
"""Transactions that come as often as there is time: no points, but for a claim that claimed something."""
_AGAIN = "_unsynced"
"""How PostgreSQL jots: by a write, which is the same point."""


class Points:
    """Notes the points of one process, and kills it at `kill_at`: a name, and which of that name."""

    def __init__(self, record: Path, kill_at: tuple[str, int] | None) -> None:
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._kill_at = kill_at
        self._passed: Counter[str] = Counter()

    def passed(self, name: str, key: str = "") -> None:
        """Pass a point; `key` says whose it is: an event's id, a message's ts."""
        self._passed[name] += 1
        line = f"{time.time():.6f}\t{os.getpid()}\t{name}\t{self._passed[name]}\t{key}\n"
        os.write(self._record, line.encode())
        if (name, self._passed[name]) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def put_in(
    *,
    points: str,
    kill_at: tuple[str, int] | None,
    mutant: str,
    steal: tuple[str, float] | None,
    tasks: str,
    migration: str,
) -> None:
    """Put in what `ForkedBobbin` was told for this process."""
    if migration:
        be_newer(Path(points).with_name("newer.sql"), migration)
    if mutant:
        MUTANTS[mutant]()
    if steal:
        steal_first_reply(*steal)
    if tasks:
        take_census(Path(tasks))
    install(Points(Path(points), kill_at))


def install(points: Points) -> None:
    """Set the points into the classes through which everything outside is reached."""
    _around_transactions(points)
    _around_calls(points)
    _around_acks(points)
    _around_model(points)


def _around_transactions(points: Points) -> None:
    for connector in (SQLite, Postgres):
        for way in ("write", "jot"):
            _around_those_of(connector, way, points)


def _around_those_of(connector: type[Any], way: str, points: Points) -> None:
    run = getattr(connector, way)

    @wraps(run)
    async def pointed(self: Any, transaction: Any, *args: Any, **kwargs: Any) -> Any:
        name = transaction.__name__
        if name == _AGAIN:
            return await run(self, transaction, *args, **kwargs)
        if name in BY_THE_CLOCK:
            result = await run(self, transaction, *args, **kwargs)
            if name == "claim" and result:
                points.passed("after claim")
            return result
        key = _event_of(inspect.getcallargs(transaction, *args, **kwargs))
        points.passed(f"before {name}", key)
        result = await run(self, transaction, *args, **kwargs)
        points.passed(f"after {name}", key)
        return result

    setattr(connector, way, pointed)


def _event_of(told: Mapping[str, Any]) -> str:
    """The id of the event that a transaction takes in, if it does."""
    what = next((told[name] for name in ("message", "edited", "deleted", "stopped") if name in told), None)
    said = what.message if isinstance(what, Edited) else what
    return str(getattr(said, "event_id", "") or told.get("event_id", ""))


def _around_calls(points: Points) -> None:
    call = SlackAPI.call

    @wraps(call)
    async def pointed(self: SlackAPI, method: str, **arguments: Any) -> Any:
        points.passed(f"before {method}")
        try:
            return await call(self, method, **arguments)
        finally:
            points.passed(f"after {method}")

    SlackAPI.call = pointed  # type: ignore[method-assign]


def _around_acks(points: Points) -> None:
    send = Socket.send_message

    @wraps(send)
    async def pointed(self: Socket, message: str) -> None:
        points.passed("before ack")
        await send(self, message)
        points.passed("after ack")

    Socket.send_message = pointed  # type: ignore[method-assign]
    kept = HttpMode._kept

    @wraps(kept)
    async def answered(self: HttpMode, intake: Intake, envelope: Envelope) -> web.Response:
        response = await kept(self, intake, envelope)
        points.passed("before ack")  # after it there is nothing of Bobbin's
        return response

    HttpMode._kept = answered  # type: ignore[method-assign]


def _around_model(points: Points) -> None:
    stream = bot.bedrock.BedrockModel.stream

    @wraps(stream)
    async def pointed(self: Any, request: Request) -> AsyncGenerator[StreamEvent, None]:
        points.passed("before the model")
        events = stream(self, request)
        try:
            async for event in events:
                points.passed(f"model {type(event).__name__}")
                yield event
        finally:
            await events.aclose()
            points.passed("after the model")

    bot.bedrock.BedrockModel.stream = pointed  # type: ignore[method-assign]


def be_newer(script: Path, sql: str) -> None:
    """Know one migration more, which is kept in this file."""
    known = storage.migrate.migrations
    script.write_text(sql)
    storage.migrate.migrations = lambda dialect: [*known(dialect), script]


def take_census(census: Path) -> None:
    """Note twice a second how many tasks the process has, and how many blocks of memory Python has given out.

    Blocks are counted without garbage: unlike the resident size they tell what is alive, not what the
    allocator once needed.
    """
    start = Process.start

    @wraps(start)
    async def counted(self: Process, model: bot.bedrock.BedrockModel, slack: Slack, store: Store) -> None:
        await start(self, model, slack, store)
        self._loops.append(asyncio.create_task(count(), name="census"))

    async def count() -> None:
        while True:
            gc.collect()
            counts = f"{len(asyncio.all_tasks())} {sys.getallocatedblocks()}"
            await asyncio.to_thread(_replace, census, counts)
            await asyncio.sleep(0.5)

    Process.start = counted  # type: ignore[method-assign]


def _replace(file: Path, text: str) -> None:
    """Write a file that is never seen half written."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.replace(file)


# ---------------------------------------------------------------- another owner


def steal_first_reply(at: str, seconds: float) -> None:
    """After the first call of a method its turn's lease goes to another owner, and this one sleeps.

    It is not cut off in its sleep, so that it always wakes as a stale owner.
    """
    bot.slack.parts._CUT_OFF_SECONDS = 2 * seconds
    call = SlackAPI.call
    write: Any = SQLite.write
    connectors: list[SQLite] = []
    stolen: list[str] = []

    @wraps(write)
    async def known(self: SQLite, transaction: Any, *args: Any, **kwargs: Any) -> Any:
        connectors[:] = [self]
        return await write(self, transaction, *args, **kwargs)

    @wraps(call)
    async def late(self: SlackAPI, method: str, **arguments: Any) -> Any:
        answer = await call(self, method, **arguments)
        if method == at and not stolen:
            stolen.append(answer["ts"])
            await asyncio.to_thread(_steal, connectors[0]._path)
            await asyncio.sleep(seconds)
        return answer

    SQLite.write = known  # type: ignore[method-assign]
    SlackAPI.call = late  # type: ignore[method-assign]


def _steal(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:  # noqa: TID251  as another process
        connection.execute("UPDATE conversation SET fence = fence + 1, lease_until = 0 WHERE lease_until > 0")


# ---------------------------------------------------------------- broken variants


def _ack_before_commit() -> None:
    deliver = SocketMode._deliver

    async def hasty(self: SocketMode, socket: Socket, envelope: Mapping[str, Any]) -> None:
        await socket.send_socket_mode_response(SocketModeResponse(str(envelope["envelope_id"])))
        await deliver(self, socket, envelope)

    SocketMode._deliver = hasty  # type: ignore[method-assign]


def _ack_before_commit_by_requests() -> None:
    answer, kept = HttpMode._answer, HttpMode._kept
    answered: ContextVar[web.Request] = ContextVar("answered")

    async def remembered(self: HttpMode, request: web.Request, body: bytearray) -> web.Response:
        answered.set(request)
        return await answer(self, request, body)

    async def hasty(self: HttpMode, intake: Intake, envelope: Envelope) -> web.Response:
        early = web.Response()
        await early.prepare(answered.get())
        await early.write_eof()
        await kept(self, intake, envelope)
        return early

    HttpMode._answer = remembered  # type: ignore[method-assign]
    HttpMode._kept = hasty  # type: ignore[method-assign]


def _no_reconcile() -> None:
    async def nothing(self: Parts) -> None:
        return None

    Parts._stray = nothing  # type: ignore[method-assign]


def _blind_retry() -> None:
    call = SlackAPI.call

    async def stubborn(self: SlackAPI, method: str, **arguments: Any) -> Any:
        try:
            return await call(self, method, **arguments)
        except SlackUnreachable:
            if method not in ("chat.startStream", "chat.postMessage"):
                raise
            return await call(self, method, **arguments)

    SlackAPI.call = stubborn  # type: ignore[method-assign]


def _no_settle_for_a_call() -> None:
    made = Parts.__init__

    def hasty(self: Parts, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **{**named, "settle": 0.0})

    Parts.__init__ = hasty  # type: ignore[method-assign]


def _no_settle_after_a_crash() -> None:
    recover = turns.recover
    turns.recover = lambda settle: recover(0)


def _stale_owner_deletes() -> None:
    record = Parts._record

    async def tidy(self: Parts, ts: str, kind: PartKind) -> None:
        try:
            await record(self, ts, kind)
        except LeaseLost:
            await self._api.call("chat.delete", channel=self._turn.thread.channel, ts=ts)
            raise

    Parts._record = tidy  # type: ignore[method-assign]


def _no_guard() -> None:
    end = Lease.end

    def deaf(self: Lease, why: str) -> None:
        if why != "lost":
            end(self, why)

    Lease.end = deaf  # type: ignore[method-assign]
    Lease.check = lambda self: None  # type: ignore[method-assign]


def _waiting_not_computed_again() -> None:
    queries = storage.queries.load("sqlite")
    assert isinstance(queries, dict)
    queries["settle_pending"] = (
        "UPDATE conversation SET pending_at = NULL WHERE id = :conversation RETURNING pending_at"
    )


def _last_message_only() -> None:
    condensing: Any = bot.condensing
    alternate = condensing.alternate
    condensing.alternate = lambda messages: alternate(list(messages)[-1:])


def _never_merged() -> None:
    condensing: Any = bot.condensing
    condensing.alternate = tuple


def _edit_unanswered() -> None:
    def unanswered(turn: int, author: str) -> Transaction[Ingested]:
        yield Query("now")
        return Ingested("edited")

    arrivals._outdated = unanswered


MUTANTS: dict[str, Callable[[], None]] = {
    "ack before commit": _ack_before_commit,
    "ack before commit, by requests": _ack_before_commit_by_requests,
    "no reconcile": _no_reconcile,
    "blind retry of a create": _blind_retry,
    "no settle time for a call": _no_settle_for_a_call,
    "no settle time after a crash": _no_settle_after_a_crash,
    "stale owner deletes": _stale_owner_deletes,
    "no guard of the lease": _no_guard,
    "what waits is not computed again": _waiting_not_computed_again,
    "only the last message sent": _last_message_only,
    "no merge": _never_merged,
    "a changed question is not answered anew": _edit_unanswered,
}
