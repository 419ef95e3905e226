"""Crash points of a turn, each with one whole answer in the end (all, and pairs of them: `make chaos`)."""

import random
from pathlib import Path

import pytest

from tests.chaos.plays import PEOPLE, QUESTION, Play
from tests.chaos.points import pairs, reached, singles
from tests.postgres import Server

_SAMPLED = 32
"""Of the pairs, every so many-th first and second point."""
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


@pytest.mark.parametrize(("play", "every"), [(QUESTION, 6), (PEOPLE, 18)], ids=["question", "people"])
async def test_a_kill_at_any_point_leaves_each_question_with_one_whole_answer(
    tmp_path: Path, server: Server | None, play: Play, every: int
) -> None:
    whole, *killed = runs = await singles(tmp_path, play, server, every=every)
    assert {run.kills: run.wrong for run in runs if run.wrong} == {}
    assert {name for name, _ in whole.passed} >= needed(server)
    assert reached(killed) >= 0.9


async def test_a_kill_at_any_point_of_the_recovery_from_another_leaves_one_whole_answer(
    tmp_path: Path, server: Server | None
) -> None:
    seed = random.randrange(_SAMPLED**2)
    print(f"seed {seed}")  # noqa: T201  shown where the test fails
    whole, *killed = runs = await pairs(tmp_path, QUESTION, server, every=_SAMPLED, seed=seed)
    assert {run.kills: run.wrong for run in runs if run.wrong} == {}
    assert whole.passed
    assert any(len(run.kills) == run.happened > 1 for run in killed)
    assert reached(killed) >= 0.8
