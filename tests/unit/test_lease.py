"""The right to work on a turn; the clock is the test's."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from bot.conversation import ThreadKey
from bot.errors import LeaseLost, StoreUnavailable
from bot.lease import EDITED, Lease, term, uptime
from bot.ports import Turn

TURN = Turn(
    id=7,
    conversation=1,
    seq=1,
    fence=1,
    thread=ThreadKey("T1", "C1", "1.1"),
    direct=False,
    asker="ANN",
    question_ts="1.1",
    newest_ts="1.1",
    called_ts="1.1",
    summoned=True,
)
SECONDS = 60.0


class Beats:
    """A store's heartbeat alone. `result` is what it comes to from the next one on."""

    def __init__(self, result: str | Exception | None = None) -> None:
        self.result = result
        self.at: list[float] = []
        self.takes = 0.0

    async def extend(self, turn: Turn) -> str | None:
        assert turn is TURN
        self.at.append(now())
        await asyncio.sleep(self.takes)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def now() -> float:
    return asyncio.get_running_loop().time()


def lease(store: Any) -> Lease:
    return Lease(store, TURN, SECONDS, claimed=now())


async def hold(held: Lease, seconds: float = 3600) -> None:
    async with held:
        await asyncio.sleep(seconds)


InNoTime = Callable[..., None]


def test_is_renewed_each_quarter_and_trusted_as_long_as_that_goes_well(in_no_time: InNoTime):
    async def story() -> None:
        store, began = Beats(), now()
        async with lease(store) as held:
            for _ in range(50):
                await asyncio.sleep(10)
                held.check()
        assert [round(at - began) for at in store.at[:3]] == [15, 30, 45]
        beats = len(store.at)
        await asyncio.sleep(100)
        assert len(store.at) == beats

    in_no_time(story())


def test_is_not_trusted_later_than_six_tenths_after_the_last_good_heartbeat(in_no_time: InNoTime):
    async def story() -> None:
        store, began = Beats(), now()
        held = lease(store)
        holder = asyncio.create_task(hold(held))
        await asyncio.sleep(16)
        store.result = StoreUnavailable("the disk is full")
        await asyncio.sleep(began + 50.9 - now())
        held.check()
        await asyncio.sleep(0.2)
        with pytest.raises(LeaseLost):
            held.check()
        with pytest.raises(asyncio.CancelledError):
            await holder
        assert (held.ended, round(now() - began)) == ("lost", 60)

    in_no_time(story())


def test_what_its_claim_took_counts(in_no_time: InNoTime):
    async def story() -> None:
        began = now()
        await asyncio.sleep(0.61 * SECONDS)
        held: Any = Lease
        with pytest.raises(LeaseLost):
            held(Beats(), TURN, SECONDS, claimed=began).check()

    in_no_time(story())


def test_a_heartbeat_that_went_well_after_a_failure_counts(in_no_time: InNoTime):
    async def story() -> None:
        store = Beats(StoreUnavailable("busy"))
        async with lease(store) as held:
            await asyncio.sleep(16)
            store.result = None
            await asyncio.sleep(50)
            held.check()

    in_no_time(story())


def test_a_process_that_was_frozen_writes_nothing_when_it_wakes(in_no_time: InNoTime):
    async def story() -> None:
        loop: Any = asyncio.get_running_loop()
        async with lease(Beats()) as held:
            loop.now += 0.61 * SECONDS
            with pytest.raises(LeaseLost):
                held.check()

    in_no_time(story())


def test_a_slow_heartbeat_counts_from_when_it_began(in_no_time: InNoTime):
    async def story() -> None:
        store = Beats()
        store.takes = 20
        async with lease(store) as held:
            await asyncio.sleep(15 + 36 + 1)  # it had ended only at 35
            with pytest.raises(LeaseLost):
                held.check()

    in_no_time(story())


def test_ends_at_once_for_the_reason_that_the_store_gives(in_no_time: InNoTime):
    async def story() -> None:
        held, began = lease(Beats("stopped")), now()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(hold(held))
        assert (held.ended, round(now() - began)) == ("stopped", 15)
        held.check()  # the end may still be shown

    in_no_time(story())


def test_a_lease_that_somebody_else_took_is_lost_whatever_the_clock_says(in_no_time: InNoTime):
    async def story() -> None:
        held = lease(Beats(LeaseLost("fence")))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(hold(held))
        assert held.ended == "lost"
        with pytest.raises(LeaseLost):
            held.check()

    in_no_time(story())


def test_ended_before_it_is_held_it_ends_at_the_first_wait_and_the_first_reason_counts(in_no_time: InNoTime):
    async def story() -> None:
        held, began = lease(Beats()), now()
        held.end("deleted")
        held.end("stopped")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(hold(held))
        assert (held.ended, round(now() - began)) == ("deleted", 0)

    in_no_time(story())


@pytest.mark.parametrize("why", ["drained", "lost"])
def test_while_its_end_is_shown_the_work_can_end_here_and_only_once(in_no_time: InNoTime, why: str):
    async def story() -> None:
        held = lease(Beats())
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(slow_to_end(held))
        assert held.ended == why

    async def slow_to_end(held: Lease) -> None:
        async with held:
            held.end("stopped")
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(1)
            held.end("deleted")
            await asyncio.sleep(1)  # what tells people that it was stopped
            held.end(why)
            await asyncio.sleep(1)

    in_no_time(story())


def test_what_gives_a_turn_back_is_not_cut_off(in_no_time: InNoTime):
    async def story() -> None:
        held = lease(Beats())
        async with held:
            pass
        held.end("stopped")
        await asyncio.sleep(1)
        assert held.ended == "stopped"

    in_no_time(story())


def test_another_takes_over_only_once_the_last_write_has_settled():
    assert term(60, 15) == 60
    assert term(20, 15) == 0.6 * 20 + 15


def test_a_clock_that_stands_still_while_the_machine_sleeps_is_not_used():
    assert abs(uptime() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


def test_what_begins_anew_can_be_ended_for_any_stronger_reason(in_no_time: InNoTime):
    async def story() -> None:
        held = lease(Beats())
        async with held:
            try:
                held.end(EDITED)
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                held.end(EDITED)  # while it begins anew: it does so already
            held.again()
            assert held.ended is None
            held.check()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(ended_twice(held))
        assert held.ended == "stopped"

    async def ended_twice(held: Lease) -> None:
        async with held:
            held.end(EDITED)
            held.end("stopped")
            held.again()
            await asyncio.sleep(1)

    in_no_time(story())
