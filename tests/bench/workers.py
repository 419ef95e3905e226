"""Several workers on one PostgreSQL, beside one process on SQLite: throughput, and each part's CPU a turn."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import Section, ms, percentile, table
from tests.bench.process import MIB, family
from tests.bench.stage import BOBBIN, Stage, stage
from tests.postgres import Server

WORKERS = (1, 2, 4)
COUNT = 100
EVENTS, PACE = 10, 0.05


@dataclass(frozen=True)
class Run:
    """One run: answers a second; CPU seconds a turn of the workers, the database, the servers; seconds.

    `rss`: bytes of a worker at its end.
    """

    throughput: float
    bobbin: float
    database: float
    servers: float
    rss: float
    whole: list[float]


async def measure(place: Path) -> Section:
    """One process on SQLite, then 1, 2 and 4 workers on one server that waits for its disk."""
    server = Server.start(durable=True)
    rows = []
    async with _warm(place) as one:
        rows.append(_row("SQLite, 1", await _run(one, None)))
    for count in WORKERS:
        url = server.create(f"workers{count}")
        async with _warm(place, workers=count, DATABASE_URL=url) as several:
            rows.append(_row(f"PostgreSQL, {count}", await _run(several, server)))
    head = ["database, workers", "answers/s", "Bobbin's CPU ms/turn", "database's", "sandbox's"]
    head += ["MiB a worker", "whole answer p50 ms", "p99"]
    return Section("Several workers", f"{_TEXT}\n\n{table(head, rows)}")


_TEXT = f"""{COUNT} questions come in one moment; each answer streams for {EVENTS * PACE:g} s in {EVENTS}
deltas, and is compared with what the model said. `SLACK_PACING=off`. All
workers, the database (every commit synced) and the sandbox (Slack and Bedrock, one process for all) share
this machine's cores, and bound what they can do together: throughput tells here whether workers stand in
each other's way. How many a team needs is told by the CPU of a turn: [docs/scale.md](scale.md)."""


@asynccontextmanager
async def _warm(place: Path, **how: Any) -> AsyncIterator[Stage]:
    """Yield a bot that has answered some questions already."""
    async with stage(BOBBIN, place, **how) as one:
        await one.ask(20)
        one.clear()
        one.bedrock.events, one.bedrock.pace, one.bedrock.delay = EVENTS, PACE, 0.2
        yield one


async def _run(one: Stage, server: Server | None) -> Run:
    before, database, servers = one.usage().cpu, _used(server), time.process_time()
    walks = await one.ask(COUNT)
    bobbin, database = one.usage().cpu - before, _used(server) - database
    servers = time.process_time() - servers
    seconds = max(walk.closed for walk in walks) - min(walk.sent for walk in walks)
    one.clear()
    rss = one.usage().rss / len(one.bots)
    whole = [walk.closed - walk.sent for walk in walks]
    return Run(COUNT / seconds, bobbin / COUNT, database / COUNT, servers / COUNT, rss, whole)


def _used(server: Server | None) -> float:
    if server is None:
        return 0.0
    return family(int((server.folder / "d/postmaster.pid").read_text("ascii").split()[0]))


def _row(name: str, run: Run) -> list[object]:
    return [
        name,
        f"{run.throughput:.0f}",
        ms(run.bobbin),
        ms(run.database) if run.database else "in it",
        ms(run.servers),
        f"{run.rss / MIB:.0f}",
        ms(percentile(run.whole, 50)),
        ms(percentile(run.whole, 99)),
    ]
