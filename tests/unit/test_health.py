"""Whether loops go round, counted in ticks of the process."""

import asyncio
import time

import pytest

from bot import health
from bot.health import Pulse


async def for_ever() -> None:
    await asyncio.Event().wait()


async def ticked(pulse: Pulse, count: int) -> None:
    before = pulse._ticks
    async with asyncio.timeout(60):
        while pulse._ticks < before + count:  # noqa: ASYNC110  a tick tells nobody
            await asyncio.sleep(0)


async def test_a_loop_that_goes_round_is_well_one_that_does_not_is_stuck_and_one_that_waits_may(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(health, "TICK_SECONDS", 0.001)
    pulse = Pulse()
    tasks = [asyncio.create_task(for_ever(), name=name) for name in ("round", "stuck", "waits")]
    for task, patience in zip(tasks, (0.005, 0.005, None), strict=True):
        pulse.watch(task, patience)
    clock = asyncio.create_task(pulse.tick())
    for _ in range(4):
        await ticked(pulse, 3)
        pulse.beat("round")
    assert pulse.troubles() == {"round": "", "stuck": "it has been stuck for 0 s", "waits": ""}
    pulse.beat("stuck")
    assert not any(pulse.troubles().values())
    for task in (*tasks, clock):
        task.cancel()


async def test_a_loop_that_has_ended_is_told_with_what_ended_it():
    async def breaks() -> None:
        raise RuntimeError("their words")

    async def ends() -> None:
        pass

    pulse = Pulse()
    tasks = [
        pulse.watch(asyncio.create_task(work, name=name), 60)
        for name, work in (("breaks", breaks()), ("ends", ends()), ("cancelled", for_ever()))
    ]
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert pulse.troubles() == {
        "breaks": "it has ended (RuntimeError)",
        "ends": "it has ended",
        "cancelled": "it has ended",
    }


async def test_a_frozen_process_does_not_take_its_loops_for_stuck_once_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(health, "TICK_SECONDS", 0.01)
    pulse = Pulse()
    late: list[float] = []
    pulse.lag = late.append
    task = pulse.watch(asyncio.create_task(for_ever(), name="dispatch"), 0.05)
    clock = asyncio.create_task(pulse.tick())
    await ticked(pulse, 1)
    time.sleep(0.2)  # noqa: ASYNC251  the whole process stands still
    await ticked(pulse, 1)
    assert pulse.troubles() == {"dispatch": ""}
    assert max(late) > 0.1
    task.cancel()
    clock.cancel()
