"""A short kill loop; `make chaos` runs long ones."""

import random
from pathlib import Path

import pytest

from tests.chaos import stage as stages
from tests.chaos.kills import Crowd, Tally, kill_loop
from tests.chaos.plays import one_question
from tests.chaos.stage import stage

ROUNDS = 24
"""Half of them by the socket, half in HTTP mode."""


async def test_kills_and_freezes_at_random_moments_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201  shown where the test fails: it plays it again
    tally = await kill_loop(tmp_path, rounds=ROUNDS, seed=seed, on_one_stage=ROUNDS // 2, at_once=2)
    print(*tally.lines(), sep="\n")  # noqa: T201
    assert tally.wrong == []
    assert tally.kills + tally.freezes == ROUNDS
    assert tally.changes.total() > 0
    assert tally.turns["answered"] > 0


async def test_a_stage_that_never_comes_to_rest_is_told_with_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "_QUIET_SECONDS", 0.5)
    async with stage(tmp_path / "stage") as bobbin:
        crowd, tally = Crowd(bobbin, "7/1"), Tally(7)
        bobbin.bedrock.hold()
        await bobbin.start()
        await one_question(bobbin)
        await bobbin.bedrock.wait_for(lambda bedrock: bedrock.open == 1, 20)
        await crowd.judged(tally)
    (wrong,) = tally.wrong
    assert wrong.startswith("stage 7/1: NEVER AT REST")
    assert "'open'" in wrong
