"""Crash points of a turn, each with one whole answer in the end (all, and pairs of them: `make chaos`)."""

from pathlib import Path

import pytest

from tests.chaos.plays import PEOPLE, QUESTION, Play
from tests.chaos.points import reached, singles
from tests.postgres import Server

NEEDED = {
    "before post", "after post", "before ack", "after ack", "after claim", "before the model", "model Stop",
    "before begin", "after begin", "before settle", "after settle",
    "before chat.startStream", "after chat.startStream", "before record_part", "after record_part",
    "before chat.appendStream", "after chat.appendStream", "before record_answer", "after record_answer",
    "before chat.stopStream", "after chat.stopStream", "before finish", "after finish", "before recover",
}  # fmt: skip


def needed(server: Server | None) -> set[str]:
    """On a server nobody knows at the start whose leases are dead."""
    return NEEDED if server is None else NEEDED - {"before recover"}


@pytest.mark.timeout(300)  # on a busy machine
@pytest.mark.parametrize(("play", "every"), [(QUESTION, 1), (PEOPLE, 4)], ids=["question", "people"])
async def test_a_kill_at_any_point_leaves_each_question_with_one_whole_answer(
    tmp_path: Path, server: Server | None, play: Play, every: int
) -> None:
    whole, *killed = runs = await singles(tmp_path, play, server, every=every)
    assert {run.kills: run.wrong for run in runs if run.wrong} == {}
    assert {name for name, _ in whole.passed} >= needed(server)
    assert reached(killed) >= 0.9
    if every == 1:
        assert {name for run in killed if run.happened for name, _ in run.kills} >= needed(server)
