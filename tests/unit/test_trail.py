"""Notes on the way of a turn: whose they are, and when they are written."""

import asyncio
from collections.abc import Iterator

import pytest

from bot import trail


@pytest.fixture(autouse=True)
def nowhere() -> Iterator[None]:
    token = trail._current.set(None)
    yield
    trail._current.reset(token)


def told() -> list[tuple[str, str]]:
    with trail.to_write() as steps:
        return [(step.what, step.detail) for step in steps]


def test_outside_of_a_turn_nothing_is_noted():
    trail.note("anew")
    trail.mark("whole")
    assert told() == []


async def test_the_tasks_of_a_turn_note_for_it_and_those_of_another_do_not():
    async def turn(number: int) -> list[tuple[str, str]]:
        trail.begin(number)
        await asyncio.create_task(asyncio.to_thread(trail.note, "limited", f"of {number}"))
        return told()

    assert await asyncio.gather(*(asyncio.create_task(turn(number)) for number in (1, 2))) == [
        [("limited", "of 1")],
        [("limited", "of 2")],
    ]


def fails() -> None:
    with trail.to_write() as steps:
        assert len(steps) == 1
        trail.note("condensed")
        raise ValueError("no")


def test_what_could_not_be_written_is_written_with_the_next_write_before_what_came_since():
    trail.begin(1)
    trail.note("anew")
    with pytest.raises(ValueError, match="no"):
        fails()
    assert told() == [("anew", ""), ("condensed", "")]
    assert told() == []


def test_of_a_storm_only_the_beginning_is_kept():
    trail.begin(1)
    for number in range(3 * trail.MOST):
        trail.note("limited", str(number))
    assert [detail for _, detail in told()] == [str(number) for number in range(trail.MOST)]


def test_a_mark_is_the_first_moment():
    path = trail.begin(1)
    trail.mark("first token")
    first = path.marks["first token"]
    trail.mark("first token")
    assert path.marks == {"first token": first}
