"""Crash points of a turn that is answered anew: while it runs, and again once it was answered."""

from pathlib import Path

import pytest

from tests.chaos.points import Play, answered_again, changed_meanwhile, singles
from tests.postgres import Server


@pytest.mark.timeout(300)  # on a busy machine
@pytest.mark.parametrize("play", [changed_meanwhile, answered_again])
async def test_a_kill_at_any_point_leaves_one_whole_answer_to_the_question_as_it_is(
    tmp_path: Path, server: Server | None, play: Play
) -> None:
    whole, *killed = await singles(tmp_path, play, server, every=3)
    assert whole.wrong == []
    assert {run.kills: run.wrong for run in killed if run.wrong} == {}
