"""Which conversation next: slots, wake-ups, the drain. On a real store; a turn here only waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient
from structlog.testing import capture_logs

from bot.conversation import ThreadKey
from bot.dispatch import Background, Dispatcher, every
from bot.errors import StoreUnavailable
from bot.events import Posted, Stopped
from bot.lease import Lease
from bot.policy import Rules, decide
from bot.ports import Finish, Ingested, Store, Turn
from bot.slack.incoming import Me
from bot.slack.listeners import Listeners, Outlets
from bot.turns import Turns
from storage import open_store


class Waiting(Turns):
    """Turns that are answered when they are told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.begun: list[str] = []
        self.answers: dict[str, asyncio.Event] = {}
        self.breaks = False

    def lease(self, turn: Turn, claimed: float) -> Lease:
        return Lease(self.store, turn, 60, claimed=claimed)

    async def run(self, turn: Turn, lease: Lease) -> None:
        ts = turn.question_ts
        self.begun.append(ts)
        if self.breaks:
            raise RuntimeError("a bug")
        try:
            async with lease:
                await self.answers.setdefault(ts, asyncio.Event()).wait()
                await self.store.finish(turn, Finish("answered", "ok"))
        except asyncio.CancelledError:
            if lease.ended == "stopped":
                await self.store.finish(turn, Finish("cancelled"))
            else:
                await self.store.release(turn)


class Desk:
    """People who ask, and a dispatcher."""

    def __init__(self, store: Store, slots: int) -> None:
        self.store = store
        self.turns = Waiting(store)
        self.dispatcher = Dispatcher(store, self.turns, team="T1", owner="me", slots=slots)
        unused: Any = None
        outlets = Outlets(
            self.dispatcher.wake, self.dispatcher.expect, unused, unused, unused, unused, unused
        )
        self.bolt = Listeners(store, Me("T1", "BOT", "B1"), Rules(), outlets).bolt(AsyncWebClient(), "xoxb-1")

    async def ask(self, at: int, thread: int | None = None, team: str = "T1") -> str:
        """Write a DM at this second, in a thread of its own; its ts."""
        ts = f"{1_795_000_000 + at}.000100"
        key = ThreadKey(team, "D1", f"{1_795_000_000 + (at if thread is None else thread)}.000100")
        message = Posted(f"Ev{at}", key, ts, direct=True, author="ANN", text="hi")
        ingested = await self.store.post(message, partial(decide, message, rules=Rules()))
        if ingested.wake:
            self.dispatcher.wake()
        return ts

    async def hear(self, at: int, text: str, thread: str = "") -> str:
        """Take in a DM as Slack tells of it; its ts."""
        ts = f"{1_795_000_000 + at}.000100"
        said = {"channel": "D1", "channel_type": "im", "user": "ANN", "ts": ts, "text": text}
        event = {"type": "message", "thread_ts": thread or ts, **said}
        body = {"type": "event_callback", "team_id": "T1", "event_id": f"Ev{at}", "event": event}
        response = await self.bolt.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode"))
        assert response.status == 200
        return ts

    def looks(self, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
        """What tells, once cleared, that the dispatcher has looked again, and waits."""
        next_due, looked = self.store.next_due, asyncio.Event()

        async def last() -> float | None:
            due = await next_due()
            looked.set()
            return due

        monkeypatch.setattr("bot.dispatch._POLL_SECONDS", 3600)
        monkeypatch.setattr(self.store, "next_due", last)
        self.dispatcher.wake()
        return looked

    def answer(self, ts: str) -> None:
        self.turns.answers[ts].set()

    async def begun(self, *expected: str) -> None:
        """Wait until just these turns were begun, in whatever order."""
        await until(lambda: len(self.turns.begun) >= len(expected))
        assert sorted(self.turns.begun) == sorted(expected)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.002)


@asynccontextmanager
async def desk(path: Path, slots: int = 10, lease: float = 60) -> AsyncIterator[Desk]:
    async with open_store(f"sqlite:///{path / 'bobbin.db'}", lease=lease) as store:
        made = Desk(store, slots)
        loop = asyncio.create_task(made.dispatcher.run())
        yield made
        await made.dispatcher.drain(0)
        await loop


async def test_every_conversation_gets_a_slot_at_once_and_one_turn_at_a_time(tmp_path: Path):
    async with desk(tmp_path) as here:
        first, second = await here.ask(1), await here.ask(2)
        await here.begun(first, second)
        more = await here.ask(3, thread=1)
        here.answer(first)
        await here.begun(first, second, more)
        assert here.dispatcher.running == 2


async def test_what_another_workspace_asks_on_the_same_database_is_left_to_its_own_bobbin(tmp_path: Path):
    async with desk(tmp_path) as here:
        await here.ask(1, team="T2")
        await here.begun(await here.ask(2))


async def test_where_slots_are_short_the_next_one_waits_for_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with desk(tmp_path, slots=2) as here:
        asked = [await here.ask(at) for at in (1, 2, 3)]
        await here.begun(*asked[:2])
        next_due, claimed = here.store.next_due, asyncio.Event()

        async def after_claiming() -> float | None:
            claimed.set()
            return await next_due()

        monkeypatch.setattr(here.store, "next_due", after_claiming)
        here.dispatcher.wake()
        await claimed.wait()
        await here.begun(*asked[:2])
        here.answer(asked[0])
        await here.begun(*asked)


async def test_a_turn_that_breaks_frees_its_slot_and_says_so(tmp_path: Path):
    async with desk(tmp_path, slots=1) as here:
        here.turns.breaks = True
        with capture_logs() as logs:
            broken = await here.ask(1)
            await until(
                lambda: "error" in [log["log_level"] for log in logs] and here.dispatcher.running == 0
            )
        told = [log for log in logs if log["log_level"] != "debug"]
        assert [(log["log_level"], str(log["exc_info"])) for log in told] == [("error", "a bug")]
        here.turns.breaks = False
        asked = await here.ask(2)
        await here.begun(broken, asked)


async def test_a_turn_that_runs_here_is_ended_at_once(tmp_path: Path):
    async with desk(tmp_path) as here:
        asked = await here.ask(1)
        await here.begun(asked)
        other = await here.ask(2)
        await here.begun(asked, other)
        await here.store.stop(Stopped("Ev", ThreadKey("T1", "D1", asked), "ANN"))
        here.dispatcher.wake()
        await until(lambda: here.dispatcher.running == 1)
        assert await here.store.claim("other", 10) == []


async def test_of_a_turn_whose_lease_a_step_of_the_clock_ended_the_stale_run_gives_way(tmp_path: Path):
    async with desk(tmp_path, lease=0.1) as here:  # by the store's clock; the run trusts its own for 60 s
        asked = await here.ask(1)
        await until(lambda: here.turns.begun[:2] == [asked, asked])
        await until(lambda: here.dispatcher.running == 1)


async def test_a_question_is_claimed_in_the_commit_that_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with desk(tmp_path) as here:
        await here.looks(monkeypatch).wait()
        with capture_logs() as logs:
            await here.begun(await here.hear(1, "hi"))
        assert "post, claim" in [log.get("transactions") for log in logs]


async def test_a_word_that_stops_is_heard_though_every_slot_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with desk(tmp_path, slots=1) as here:
        asked = await here.hear(1, "hi")
        await here.begun(asked)
        looked = here.looks(monkeypatch)
        await looked.wait()
        post = here.store.post

        async def slow(*what: Any) -> Ingested:
            await looked.wait()
            return await post(*what)

        monkeypatch.setattr(here.store, "post", slow)
        looked.clear()
        await here.hear(2, "stop", asked)
        await until(lambda: here.dispatcher.running == 0)


async def test_the_drain_lets_answers_end_and_gives_the_rest_back_open(tmp_path: Path):
    async with desk(tmp_path) as here:
        quick, slow = await here.ask(1), await here.ask(2)
        await here.begun(quick, slow)
        draining = asyncio.create_task(here.dispatcher.drain(4))
        await asyncio.sleep(0)
        here.answer(quick)
        late = await here.ask(3)
        await draining
        assert here.dispatcher.running == 0
        left = await here.store.claim("other", 10)
        assert sorted((turn.question_ts, turn.resumed, turn.deaths) for turn in left) == [
            (slow, True, 0),
            (late, False, 0),
        ]


async def test_a_claim_under_way_when_the_drain_begins_is_drained_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with desk(tmp_path) as here:
        claim, claiming, go = here.store.claim, asyncio.Event(), asyncio.Event()

        async def slow(owner: str, limit: int, team: str) -> list[Turn]:
            claiming.set()
            await go.wait()
            return await claim(owner, limit, team)

        monkeypatch.setattr(here.store, "claim", slow)
        asked = await here.ask(1)
        await claiming.wait()
        draining = asyncio.create_task(here.dispatcher.drain(5))
        await asyncio.sleep(0)
        go.set()
        await here.begun(asked)
        assert not draining.done()
        here.answer(asked)
        await draining
        assert await claim("other", 10) == []


async def test_goes_on_when_the_database_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with desk(tmp_path) as here:
        claim, failed = here.store.claim, asyncio.Event()

        async def fails(owner: str, limit: int, team: str) -> list[Turn]:
            failed.set()
            raise StoreUnavailable("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(here.store, "claim", fails)
            asked = await here.ask(1)
            await failed.wait()
        assert here.store.claim == claim
        await here.begun(asked)


async def test_a_stop_is_heard_though_nothing_can_be_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with desk(tmp_path) as here:
        asked = await here.ask(1)
        await here.begun(asked)

        async def fails(owner: str, limit: int, team: str) -> list[Turn]:
            raise StoreUnavailable("the line is locked")

        monkeypatch.setattr(here.store, "claim", fails)
        await here.store.stop(Stopped("Ev", ThreadKey("T1", "D1", asked), "ANN"))
        here.dispatcher.wake()
        await until(lambda: here.dispatcher.running == 0)


async def test_what_is_done_after_an_ack_is_kept_logged_and_ended():
    background, ended = Background(), asyncio.Event()

    async def breaks() -> None:
        raise RuntimeError("no note")

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with capture_logs() as logs:
        background.later(breaks())
        background.later(hangs())
        await background.close(0.01)
        await asyncio.wait_for(ended.wait(), 60)
    assert [str(log["exc_info"]) for log in logs] == ["no note"]


def test_a_chore_that_fails_is_tried_again(in_no_time: Callable[..., None]):
    async def story() -> None:
        done: list[float] = []

        async def chore() -> None:
            done.append(asyncio.get_running_loop().time())
            if len(done) == 1:
                raise StoreUnavailable("busy")

        with capture_logs() as logs, pytest.raises(TimeoutError):
            async with asyncio.timeout(150):
                await every(60, "sweep", chore)
        times: Any = [round(at - done[0]) for at in done]
        assert times == [0, 60, 120]
        assert [log["chore"] for log in logs] == ["sweep"]

    in_no_time(story())
