"""Crash points of a turn that is answered anew: while it runs, and again once it was answered."""

from pathlib import Path

import pytest

from tests.chaos.plays import AGAIN, CHANGED, Play
from tests.chaos.points import reached, singles
from tests.postgres import Server


@pytest.mark.parametrize("play", [CHANGED, AGAIN], ids=lambda play: play.name)
async def test_a_kill_at_any_point_leaves_one_whole_answer_to_the_question_as_it_is(
    tmp_path: Path, server: Server | None, play: Play
) -> None:
    _, *killed = runs = await singles(tmp_path, play, server, every=18)
    assert {run.kills: run.wrong for run in runs if run.wrong} == {}
    assert reached(killed) >= 0.9
