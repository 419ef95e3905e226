"""What a model call is booked as, however it ends. On a real store; the model is a script of events."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from bot.conversation import Message, Text, ThreadKey
from bot.errors import BrokenStream, EmptyAnswer, ModelBusy, ModelError, OverBudget
from bot.events import Posted
from bot.ledger import TYPICAL_OUTPUT, Ledger, call_id
from bot.policy import Rules, decide
from bot.ports import (
    Answer,
    CachePoints,
    Caps,
    Request,
    Stop,
    Store,
    StreamEvent,
    TextDelta,
    Turn,
    Usage,
    Workspace,
)
from bot.window import tokens
from storage import open_store

USED = Usage(input=100, output=20, cache_read=50, cache_write=10, cache_write_1h=4)
WHOLE: Sequence[StreamEvent] = (TextDelta("Hello "), TextDelta("there"), Stop("end_turn", USED, "request-1"))
REQUEST = Request((Message("user", (Text("word " * 60),)),), "be brief", model="")
SIZE = tokens(Text("word " * 60)) + tokens(Text("be brief"))


def price(model: str, usage: Usage) -> int:
    """A dollar a token, and ten for one of an answer."""
    return 1_000_000 * (usage.input + usage.cache_read + usage.cache_write + 10 * usage.output)


class Script:
    """A model that plays events, then raises; None waits for ever."""

    def __init__(self, *events: StreamEvent | ModelError | None) -> None:
        self.events = events
        self.waiting = asyncio.Event()

    async def chat(self, request: Request) -> Answer:
        raise AssertionError("nobody asks so")

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        for event in self.events:
            if event is None:
                self.waiting.set()
                await asyncio.Event().wait()
            elif isinstance(event, ModelError):
                raise event
            else:
                yield event


class Notes:
    """A workspace that takes notes."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []

    async def tell(self, thread: ThreadKey, ts: str, user: str, reason: str, words: Any) -> None:
        self.told.append((user, reason, dict(words)))

    async def tell_admins(self, reason: str, words: Any) -> None:
        self.told.append(("admins", reason, dict(words)))


class Desk:
    """A store with turns to pay for, and a ledger."""

    def __init__(self, store: Store, **caps: int) -> None:
        self.store = store
        self.notes = Notes()
        self.later: list[Any] = []
        self.caps = Caps(**caps)
        self._asked = 0

    def ledger(self, model: Script) -> Ledger:
        return Ledger(
            self.store, model, cast(Workspace, self.notes), model_id="claude", price=price, size=tokens,
            caps=self.caps, later=lambda note: self.later.append(asyncio.ensure_future(note)),
        )  # fmt: skip

    async def turn(self, who: str = "UANN") -> Turn:
        self._asked += 1
        ts = f"{1_795_000_000 + self._asked}.000100"
        message = Posted(f"Ev{ts}", ThreadKey("T1", "D1", ts), ts, direct=True, author=who, text="hi")
        await self.store.post(message, partial(decide, message, rules=Rules()))
        (turn,) = await self.store.claim("me", 10)
        return turn

    async def hear(self, turn: Turn, *events: StreamEvent | ModelError | None) -> list[StreamEvent]:
        async with aclosing(self.ledger(Script(*events)).metered(turn).stream(REQUEST)) as stream:
            return [event async for event in stream]

    async def rows(self) -> list[dict[str, Any]]:
        from storage.connector import Query  # noqa: PLC0415

        connector: Any = self.store._connector  # type: ignore[attr-defined]
        connector._queries = {**connector._queries, "calls": "SELECT * FROM call ORDER BY id"}

        def run() -> Any:
            return [dict(row) for row in (yield Query("calls"))]

        rows: list[dict[str, Any]] = await connector.read(run)
        return rows

    async def row(self) -> dict[str, Any]:
        (row,) = await self.rows()
        return row

    async def told(self) -> list[tuple[str, str]]:
        await asyncio.gather(*self.later)
        return [(user, reason) for user, reason, _ in self.notes.told]


@pytest.fixture
async def store(tmp_path: Path):
    async with open_store(f"sqlite:///{tmp_path / 'bobbin.db'}") as opened:
        yield opened


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def figures(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("state", "estimated", "input", "cache_read", "cache_write", "cache_write_1h", "output")
    return tuple(row[name] for name in names)


async def test_a_whole_answer_is_booked_as_bedrock_told(desk: Desk):
    turn = await desk.turn()
    assert await desk.hear(turn, *WHOLE) == list(WHOLE)
    row = await desk.row()
    assert figures(row) == ("done", 0, 100, 50, 10, 4, 20)
    assert row["micro_usd"] == price("", USED)
    assert (row["turn_id"], row["team_id"], row["channel_id"]) == (turn.id, "T1", "D1")
    assert (row["user_id"], row["model"], row["purpose"]) == ("UANN", "claude", "answer")
    assert row["request_id"] == "request-1"
    assert row["finished_at"] >= row["started_at"]


async def test_chat_is_a_stream_that_is_waited_for(desk: Desk):
    ledger = desk.ledger(Script(*WHOLE))
    answer = await ledger.metered(await desk.turn(), "summary").chat(REQUEST)
    assert answer == Answer("Hello there", "end_turn", USED, "request-1")
    assert (await desk.row())["purpose"] == "summary"


async def test_it_is_booked_before_the_request_goes_out_with_an_estimate(desk: Desk):
    model = Script(None)
    turn = await desk.turn()

    async def hear() -> None:
        async with aclosing(desk.ledger(model).metered(turn).stream(REQUEST)) as stream:
            async for _ in stream:
                pass

    asking = asyncio.create_task(hear())
    await model.waiting.wait()
    assert figures(await desk.row()) == ("running", 1, SIZE, 0, 0, 0, TYPICAL_OUTPUT)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    assert figures(await desk.row()) == ("stopped", 1, SIZE, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("request_", "estimated"),
    [
        (REQUEST, (SIZE, 0, 0, 0)),
        (replace(REQUEST, size=500, held=400), (500, 0, 0, 0)),
        (replace(REQUEST, size=500, cache=CachePoints()), (0, 0, 500, 0)),
        (replace(REQUEST, size=500, held=400, cache=CachePoints()), (0, 400, 100, 0)),
        (replace(REQUEST, size=500, held=400, cache=CachePoints(ttl="1h")), (0, 400, 100, 100)),
        (replace(REQUEST, held=9999, cache=CachePoints()), (0, SIZE, 0, 0)),
    ],
)
async def test_a_call_is_estimated_as_what_the_cache_makes_of_it(
    desk: Desk, request_: Request, estimated: tuple[int, ...]
):
    used = desk.ledger(Script()).estimate(await desk.turn(), "answer", request_).usage
    assert (used.input, used.cache_read, used.cache_write, used.cache_write_1h) == estimated


def test_calls_that_begin_at_the_same_moment_in_different_workers_have_ids_of_their_own():
    now = 1_795_000_000_123_456_789
    turns = range(1_000_000, 1_100_000)
    assert len({call_id(now, turn) for turn in turns}) == len(turns)
    assert max(call_id(now, turn) for turn in turns) < call_id(now + 200_000, 1) < 2**63
    assert abs(call_id(now, 17) - now) < 2**17  # as those that were booked before, which were the time


async def test_one_that_is_cancelled_while_it_is_booked_cost_nothing(desk: Desk):
    turn = await desk.turn()
    asking = asyncio.create_task(desk.hear(turn, *WHOLE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    assert figures(await desk.row()) == ("stopped", 0, 0, 0, 0, 0, 0)


async def test_one_that_nobody_reads_to_its_end_is_estimated_from_what_came(desk: Desk):
    turn = await desk.turn()
    async with aclosing(desk.ledger(Script(*WHOLE)).metered(turn).stream(REQUEST)) as stream:
        async for _ in stream:
            break
    assert figures(await desk.row()) == ("stopped", 1, SIZE, 0, 0, 0, tokens(Text("Hello ")))


@pytest.mark.parametrize(
    ("events", "booked"),
    [
        pytest.param([ModelBusy("slow down")], ("failed", 0, 0, 0, 0, 0, 0), id="refused before it was read"),
        pytest.param(
            [TextDelta("Hello there"), BrokenStream("cut")],
            ("failed", 1, SIZE, 0, 0, 0, tokens(Text("Hello there"))),
            id="broken off",
        ),
        pytest.param(
            [TextDelta("Hello there"), ModelBusy("in the stream")],
            ("failed", 1, SIZE, 0, 0, 0, tokens(Text("Hello there"))),
            id="throttled in the middle",
        ),
    ],
)
async def test_a_failed_call_is_booked_as_far_as_it_came(desk: Desk, events: Any, booked: Any):
    with pytest.raises(ModelError):
        await desk.hear(await desk.turn(), *events)
    assert figures(await desk.row()) == booked


async def test_what_bedrock_told_of_a_failed_call_is_no_estimate(desk: Desk):
    error = EmptyAnswer("nothing")
    error.usage = USED
    with pytest.raises(EmptyAnswer):
        await desk.hear(await desk.turn(), error)
    assert figures(await desk.row()) == ("failed", 0, 100, 50, 10, 4, 20)


async def test_a_call_whose_process_died_is_lost_once_and_stays_an_estimate(store: Store, desk: Desk):
    turn = await desk.turn()
    call = desk.ledger(Script()).estimate(turn, "answer", REQUEST)
    await store.begin_call(call, Caps())
    await store.recover(0)
    row = await desk.row()
    assert figures(row) == ("lost", 1, SIZE, 0, 0, 0, TYPICAL_OUTPUT)
    await store.recover(0)
    assert await desk.row() == row


async def test_a_running_call_is_not_lost_by_a_sweep(store: Store, desk: Desk):
    call = desk.ledger(Script()).estimate(await desk.turn(), "answer", REQUEST)
    await store.begin_call(call, Caps())
    await store.sweep()
    assert (await desk.row())["state"] == "running"


# ---------------------------------------------------------------- budgets

ONE = SIZE + 10 * TYPICAL_OUTPUT
"""Dollars that one call reserves."""
REAL = price("", USED) // 1_000_000
"""What it comes to."""


async def test_a_call_for_which_a_budget_has_no_room_does_not_go_out(store: Store):
    desk = Desk(store, user=(ONE - 1) * 1_000_000)
    turn = await desk.turn()
    with pytest.raises(OverBudget) as refused:
        await desk.hear(turn, AssertionError("it was asked"))  # type: ignore[arg-type]
    assert await desk.rows() == []
    await desk.ledger(Script()).tell(turn, refused.value)
    ((user, reason, words),) = desk.notes.told
    assert (user, reason) == ("UANN", "budget_user")
    assert (words["until"].hour, words["until"].minute) == (0, 0)


async def test_running_calls_count_as_what_they_may_cost(store: Store):
    desk = Desk(store, user=(2 * ONE - 1) * 1_000_000)
    first = await desk.turn()
    await store.begin_call(desk.ledger(Script()).estimate(first, "answer", REQUEST), desk.caps)
    second = await desk.turn()
    with pytest.raises(OverBudget):
        await desk.hear(second, *WHOLE)
    third = await desk.turn("UBEN")
    await desk.hear(third, *WHOLE)


async def test_once_settled_a_call_counts_as_what_it_cost(store: Store):
    desk = Desk(store, user=(REAL + ONE) * 1_000_000)
    await desk.hear(await desk.turn(), *WHOLE)
    await desk.hear(await desk.turn(), *WHOLE)
    with pytest.raises(OverBudget):
        await desk.hear(await desk.turn(), *WHOLE)


async def test_a_workspace_has_one_budget_for_all(store: Store):
    desk = Desk(store, team=ONE * 1_000_000)
    await desk.hear(await desk.turn(), *WHOLE)
    with pytest.raises(OverBudget, match="budget") as refused:
        await desk.hear(await desk.turn("UBEN"), *WHOLE)
    assert refused.value.reason == "budget_team"
    until: Any = refused.value.words["until"]
    assert until.day == 1


async def test_a_turn_that_was_admitted_is_not_weighed_again(store: Store):
    desk = Desk(store, user=ONE * 1_000_000)
    turn = await desk.turn()
    await store.begin_call(desk.ledger(Script()).estimate(turn, "answer", REQUEST), desk.caps)
    await store.recover(0)  # its process was killed
    await desk.hear(turn, *WHOLE)
    assert [row["state"] for row in await desk.rows()] == ["lost", "done"]


async def test_a_person_is_warned_once_a_day_and_the_admins_once_a_month(store: Store):
    desk = Desk(store, user=int(1.2 * ONE) * 1_000_000, team=int(1.25 * ONE) * 1_000_000)
    await desk.hear(await desk.turn(), *WHOLE)
    assert sorted(await desk.told()) == [("UANN", "budget_user_warning"), ("admins", "budget_team_warning")]
    with suppress(OverBudget):
        await desk.hear(await desk.turn(), *WHOLE)
    assert len(await desk.told()) == 2


async def test_below_four_fifths_nobody_is_warned(store: Store):
    desk = Desk(store, user=int(1.3 * ONE) * 1_000_000)
    await desk.hear(await desk.turn(), *WHOLE)
    assert await desk.told() == []
