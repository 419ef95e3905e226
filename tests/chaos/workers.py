"""Several workers on one PostgreSQL: killed, frozen, restarted by a release; or the server is restarted."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tests.chaos.forked import ForkedBobbin
from tests.chaos.kills import FROZEN, LEASE, ROUNDS_ON_ONE_STAGE, Crowd, Tally, befall
from tests.chaos.stage import stage
from tests.postgres import Server

RESTART_SECONDS = 5.0
_WAITING_AT_MOST = 8
_OUTLIVES_A_RESTART = "4"
"""Seconds of a lease: with a shorter one each restart would count as the death of whatever runs."""
_NOBODY_DIES = "15"
"""Where none is to run out: what a busy machine lets run out is done again, which makes it busier still."""


async def worker_kills(folder: Path, server: Server, *, rounds: int, seed: int, workers: int = 3) -> Tally:
    """Play so many rounds, one stage after the other: in each, one of the workers is killed or frozen."""
    tally = Tally(seed)
    for number, left in enumerate(range(rounds, 0, -ROUNDS_ON_ONE_STAGE)):
        count = min(left, ROUNDS_ON_ONE_STAGE)
        tally.add(await _killed(folder / str(number), server, count, f"{seed}/{number}", workers))
    return tally


async def _killed(folder: Path, server: Server, rounds: int, seed: str, workers: int) -> Tally:
    tally = Tally(0)
    async with _crew(folder, server, workers, LEASE_SECONDS=str(LEASE)) as crew:
        crowd = Crowd(crew[0], seed)
        for number in range(rounds):
            chance = random.Random(f"{seed}/{number}")
            befall(crew[0], chance)
            await crowd.speak()
            await asyncio.sleep(chance.uniform(0, 0.8))
            worker = chance.choice(crew)
            assert worker.process is not None
            if chance.random() < FROZEN:
                worker.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(LEASE * 1.2)
                worker.process.send_signal(signal.SIGCONT)
                tally.freezes += 1
                continue
            worker.process.kill()
            await worker.process.wait()
            tally.kills += 1
            await worker.start()
        await crowd.judged(tally)
    return tally


async def restarts(folder: Path, server: Server, *, times: int, seed: int, workers: int = 3) -> Tally:
    """Restart the server every few seconds, by a shutdown or a crash, while people ask."""
    tally = Tally(seed)
    async with _crew(folder, server, workers, LEASE_SECONDS=_OUTLIVES_A_RESTART) as crew:
        crowd = Crowd(crew[0], str(seed))
        for number in range(times):
            chance = random.Random(f"{seed}/{number}")
            how = chance.choice(["fast", "immediate"])
            waiting = asyncio.ensure_future(asyncio.sleep(RESTART_SECONDS))
            while not waiting.done():
                await _speak(crowd, crew[0])
                await asyncio.wait([waiting], timeout=chance.uniform(0.2, 1))
            await asyncio.to_thread(server.halt, how)
            await asyncio.to_thread(server.go)
            tally.kills += 1
        await crowd.judged(tally)
    return tally


NEWER = """
ALTER TABLE turn ADD COLUMN newer text NOT NULL DEFAULT '';
ALTER TABLE conversation ADD COLUMN newer bigint;
CREATE TABLE newer (id bigint PRIMARY KEY);
"""
"""A migration that expands, of a version that there is not."""


async def releases(folder: Path, server: Server, *, seed: int) -> Tally:
    """Restart one of two workers after the other while people ask; then with one more migration, and back.

    The one that is left goes on with the code from before the migration, and it answers.
    """
    chance = random.Random(seed)
    tally = Tally(seed)
    async with _crew(folder, server, 2, DRAIN_SECONDS="1", LEASE_SECONDS=_NOBODY_DIES) as crew:
        one, other = crew
        one.bedrock.pace = 0.05  # some answers end while their worker drains, others are given back
        crowd = Crowd(one, str(seed))
        talking = asyncio.create_task(_talk(crowd, one, chance))
        for worker, migration, left in (
            (one, "", other), (other, "", one), (one, NEWER, other), (other, NEWER, one), (one, "", other),
        ):  # fmt: skip
            await _answers(left)
            assert await worker.stop() == 0
            worker.migration = migration
            await worker.start()
            await _answers(left)
            tally.kills += 1
        await _answers(one)
        assert await one.rows("SELECT count(*) FROM newer") == [(0,)]
        talking.cancel()
        with suppress(asyncio.CancelledError):
            await talking
        await crowd.judged(tally)
    return tally


async def _speak(crowd: Crowd, worker: ForkedBobbin) -> None:
    """But for when so many wait for an answer that a slow machine would never get to the end of them."""
    ((waiting,),) = await worker.rows("SELECT count(*) FROM conversation WHERE pending_at IS NOT NULL")
    if waiting < _WAITING_AT_MOST:
        await crowd.speak()


async def _talk(crowd: Crowd, worker: ForkedBobbin, chance: random.Random) -> None:
    while True:
        await _speak(crowd, worker)
        await asyncio.sleep(chance.uniform(0.3, 1))


async def _answers(worker: ForkedBobbin) -> None:
    """Wait until this worker has answered somebody from now on."""

    def answered() -> int:
        return sum(line["event"] == "turn ended" and line["state"] == "answered" for line in worker.log)

    before = answered()
    async with asyncio.timeout(60):
        while answered() == before:  # noqa: ASYNC110  a file
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _crew(
    folder: Path, server: Server, workers: int, **settings: str
) -> AsyncIterator[list[ForkedBobbin]]:
    async with AsyncExitStack() as stack:
        bobbin = await stack.enter_async_context(stage(folder, server, SLACK_PACING="off", **settings))
        bobbin.bedrock.pace, bobbin.bedrock.delay = 0.01, 0.05
        crew = [bobbin, *(bobbin.colleague(number) for number in range(1, workers))]
        for worker in crew:
            stack.push_async_callback(worker.close)
            await worker.start()
        yield crew
