"""A short kill loop; `make chaos` runs long ones."""

import random
from pathlib import Path

from tests.chaos.kills import kill_loop

ROUNDS = 24


async def test_kills_and_freezes_at_random_moments_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    tally = await kill_loop(tmp_path, rounds=ROUNDS, seed=random.randrange(10**6), at_once=2)
    print(*tally.lines(), sep="\n")  # noqa: T201  shown where the test fails: the seed plays it again
    assert tally.wrong == []
    assert tally.kills + tally.freezes == ROUNDS
    assert tally.changes.total() > 0
    assert tally.turns["answered"] + tally.turns["cancelled"] == tally.turns.total()
