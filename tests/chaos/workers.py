"""Several workers on one PostgreSQL: killed and frozen in turn, or the server itself restarted under them."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.chaos.forked import ForkedBobbin
from tests.chaos.kills import FAULTS, FAULTY, FROZEN, LEASE, ROUNDS_ON_ONE_STAGE, Crowd, Tally
from tests.chaos.stage import stage
from tests.postgres import Server

RESTART_SECONDS = 5.0
_OUTLIVES_A_RESTART = 4.0
"""Seconds of a lease: with a shorter one each restart would count as the death of whatever runs."""


async def worker_kills(folder: Path, server: Server, *, rounds: int, seed: int, workers: int = 3) -> Tally:
    """Play so many rounds, one stage after the other: in each, one of the workers is killed or frozen."""
    tally = Tally(seed)
    for number, left in enumerate(range(rounds, 0, -ROUNDS_ON_ONE_STAGE)):
        url = server.create(f"stage_{number}")
        count = min(left, ROUNDS_ON_ONE_STAGE)
        tally.add(await _killed(folder / str(number), url, count, f"{seed}/{number}", workers))
    return tally


async def _killed(folder: Path, url: str, rounds: int, seed: str, workers: int) -> Tally:
    chance = random.Random(seed)
    tally = Tally(0)
    async with _crew(folder, url, workers) as crew:
        bobbin = crew[0]
        crowd = Crowd(bobbin, chance)
        for _ in range(rounds):
            if chance.random() < FAULTY:
                method, kind, more = chance.choice(FAULTS)
                bobbin.slack.faults.add(method, kind, **more)
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
        await _judged(bobbin, crowd, tally, seed)
    return tally


async def restarts(folder: Path, server: Server, *, times: int, seed: int, workers: int = 3) -> Tally:
    """Restart the server every few seconds, by a shutdown or a crash, while people ask."""
    chance = random.Random(seed)
    tally = Tally(seed)
    url = server.create("restarts")
    async with _crew(folder, url, workers, _OUTLIVES_A_RESTART) as crew:
        crowd = Crowd(crew[0], chance)
        for _ in range(times):
            waiting = asyncio.ensure_future(asyncio.sleep(RESTART_SECONDS))
            while not waiting.done():
                await crowd.speak()
                await asyncio.wait([waiting], timeout=chance.uniform(0.2, 1))
            await asyncio.to_thread(server.halt, chance.choice(["fast", "immediate"]))
            await asyncio.to_thread(server.go)
            tally.kills += 1
        await _judged(crew[0], crowd, tally, str(seed))
    return tally


@asynccontextmanager
async def _crew(
    folder: Path, url: str, workers: int, lease: float = LEASE
) -> AsyncIterator[list[ForkedBobbin]]:
    settings = {"LEASE_SECONDS": str(lease), "SLACK_PACING": "off", "DATABASE_URL": url}
    async with AsyncExitStack() as stack:
        bobbin = await stack.enter_async_context(stage(folder, **settings))
        bobbin.bedrock.pace, bobbin.bedrock.delay = 0.01, 0.05
        crew = [bobbin, *(bobbin.colleague(number) for number in range(1, workers))]
        for worker in crew:
            stack.push_async_callback(worker.close)
            await worker.start()
        yield crew


_WAITING = """
    SELECT c.id, c.pending_at, c.not_before, c.lease_owner, c.lease_until, c.fence,
        t.id, t.state, t.claims, t.deaths,
        CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now
    FROM conversation c LEFT JOIN turn t ON t.conversation_id = c.id AND t.state = 'open'
    WHERE c.pending_at IS NOT NULL"""


async def _judged(bobbin: ForkedBobbin, crowd: Crowd, tally: Tally, seed: str) -> None:
    bobbin.slack.faults.clear()
    try:
        await crowd.answered()
    except TimeoutError:
        tally.wrong = [f"stage {seed}: NEVER AT REST: {row}" for row in await bobbin.rows(_WAITING)]
        tally.wrong += ["NEVER AT REST"]
        return
    await crowd.judged(tally, seed)
