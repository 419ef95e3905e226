"""Crash points that a turn has now and then: posts, two messages, a file, an error, Stop, silence, requests.

Each play is killed at the points for which it is there; at all of them by `make chaos WHAT=points`.
"""

from pathlib import Path

import pytest

from tests.chaos.plays import OTHERS, Play
from tests.chaos.points import reached, singles
from tests.postgres import Server


@pytest.mark.parametrize("play", OTHERS, ids=lambda play: play.name)
async def test_a_kill_at_a_point_of_its_own_leaves_a_play_with_its_right_end(
    tmp_path: Path, server: Server | None, play: Play
) -> None:
    _, *killed = runs = await singles(tmp_path, play, server, names=play.own)
    assert {run.kills: run.wrong for run in runs if run.wrong} == {}
    assert {name for run in killed if run.happened for name, _ in run.kills} >= play.own
    assert reached(killed) >= 0.8
