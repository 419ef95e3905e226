"""What only several workers on one PostgreSQL can suffer; and of what is played in files, a part there.

All of it there: `CHAOS_DATABASE=postgres .venv/bin/python -m pytest tests/chaos`.
"""

import asyncio
import random
from pathlib import Path

from tests.chaos.faults import UNDISTURBED, played, pool
from tests.chaos.kills import Tally
from tests.chaos.plays import QUESTION
from tests.chaos.points import reached, singles
from tests.chaos.test_points import needed
from tests.chaos.test_poison import given_up
from tests.chaos.test_slack_faults import UNPACED_ROWS
from tests.chaos.workers import releases, restarts, worker_kills
from tests.postgres import Server

ROUNDS = 10
RESTARTS = 2


def seed() -> int:
    """One that is told before it is used: shown where the test fails, it plays it again."""
    drawn = random.randrange(10**6)
    print(f"seed {drawn}")  # noqa: T201
    return drawn


def well(tally: Tally) -> None:
    """Nothing was lost, nothing doubled, and there was something to answer."""
    print(*tally.lines(), sep="\n")  # noqa: T201
    assert tally.wrong == []
    assert tally.turns["answered"] > 0


async def test_workers_that_are_killed_and_frozen_lose_nothing_and_double_nothing(
    tmp_path: Path, postgres: Server
) -> None:
    tally = await worker_kills(tmp_path, postgres, rounds=ROUNDS, seed=seed(), workers=2)
    well(tally)
    assert tally.kills + tally.freezes == ROUNDS


async def test_a_server_that_is_restarted_under_its_workers_loses_nothing_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    server = await asyncio.to_thread(Server.start)
    tally = await restarts(tmp_path / "stage", server, times=RESTARTS, seed=seed(), workers=2)
    well(tally)
    assert tally.kills == RESTARTS


async def test_a_release_worker_by_worker_with_a_migration_and_back_loses_nothing_and_doubles_nothing(
    tmp_path: Path, postgres: Server
) -> None:
    well(await releases(tmp_path / "stage", postgres, seed=seed()))


async def test_a_kill_at_any_point_leaves_one_whole_answer(tmp_path: Path, postgres: Server) -> None:
    whole, *killed = await singles(tmp_path, QUESTION, postgres, every=8)
    assert whole.wrong == []
    assert {name for name, _ in whole.passed} >= needed(postgres)
    assert {run.kills: run.wrong for run in killed if run.wrong} == {}
    assert reached(killed) >= 0.8  # of so few


async def test_a_message_that_kills_the_process_in_mid_answer_is_given_up(
    tmp_path: Path, postgres: Server
) -> None:
    await given_up(tmp_path, postgres, "venom")


async def test_calls_of_which_nobody_knows_whether_they_made_a_message_double_none(
    tmp_path: Path, postgres: Server
) -> None:
    rows = {
        name: row
        for name, row in UNPACED_ROWS.items()
        if "first part, in a channel" in name and "startStream" in name
    }
    async with pool(tmp_path, 5, UNDISTURBED, postgres) as bobbins:
        ends = await played(bobbins, rows, 0.015)
    assert {name: error for name, error in ends.items() if error is not None} == {}
