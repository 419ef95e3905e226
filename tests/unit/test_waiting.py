"""Who waits for a slot, on a real store; a place is shown on a board in Slack's stead."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from bot.conversation import ThreadKey
from bot.errors import SlackLimited
from bot.events import Posted
from bot.policy import Rules, decide
from bot.ports import Share, Store
from bot.waiting import Waiting
from storage import open_store


class Board:
    """What was shown, in its order."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, int | None]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.limited = False

    async def show_place(self, thread: ThreadKey, ahead: int | None) -> None:
        if self.limited:
            raise SlackLimited("assistant.threads.setStatus", 0)
        self.shown.append((thread.thread_ts, ahead))
        self.meanwhile()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path}/bobbin.db") as store:
        yield store


async def ask(store: Store, number: int) -> str:
    """Ask in a thread of its own, each by somebody else; the thread."""
    ts = f"{1_795_000_000 + number}.000100"
    message = Posted(f"Ev{number}", ThreadKey("T1", "D1", ts), ts, direct=True, author=f"U{number}", text="?")
    await store.post(message, partial(decide, message, rules=Rules()))
    return ts


async def test_nothing_is_shown_while_a_slot_is_free(store: Store):
    board = Board()
    await ask(store, 0)
    await Waiting(store, "T1", board.show_place, lambda: False).look()
    assert board.shown == []


async def test_places_are_shown_a_few_at_a_time_the_first_of_the_line_first_and_not_again(store: Store):
    board = Board()
    threads = [await ask(store, number) for number in range(7)]
    waiting = Waiting(store, "T1", board.show_place, lambda: True)
    await waiting.look()
    assert board.shown == [(thread, number) for number, thread in enumerate(threads[:5])]
    for _ in range(3):
        await waiting.look()
    assert board.shown[5:] == [(threads[5], 5), (threads[6], 6)]


async def test_a_place_that_came_over_a_turn_that_had_begun_is_taken_away(store: Store):
    board = Board()
    thread = await ask(store, 0)
    (queued,) = await store.in_line()
    waiting = Waiting(store, "T1", board.show_place, lambda: True)
    board.meanwhile = partial(waiting.claimed, queued.conversation)
    await waiting.look()
    assert board.shown == [(thread, 0), (thread, None)]


async def test_a_turn_takes_over_what_is_shown(store: Store):
    board, full = Board(), True
    await ask(store, 0)
    waiting = Waiting(store, "T1", board.show_place, lambda: full)
    await waiting.look()
    (turn,) = await store.claim("me", 1)
    waiting.claimed(turn.conversation)
    for full in (True, False):  # noqa: B007  read by the lambda
        await waiting.look()
    assert len(board.shown) == 1


async def test_where_slack_wants_fewer_calls_the_rest_is_shown_later(store: Store):
    board = Board()
    for number in range(2):
        await ask(store, number)
    waiting = Waiting(store, "T1", board.show_place, lambda: True)
    board.limited = True
    await waiting.look()
    board.limited = False
    await waiting.look()
    assert [ahead for _, ahead in board.shown] == [0, 1]


async def test_of_two_workers_each_shows_its_part_of_the_line_with_its_part_of_the_calls(store: Store):
    boards = Board(), Board()
    threads = [await ask(store, number) for number in range(12)]
    workers = [Waiting(store, "T1", board.show_place, lambda: True) for board in boards]
    for number, worker in enumerate(workers):
        worker.share(Share(number, 2))
    for rounds in range(1, 5):
        for worker in workers:
            await worker.look()
        assert len(boards[0].shown) + len(boards[1].shown) <= 5 * rounds
    assert sorted(boards[0].shown + boards[1].shown) == [(thread, n) for n, thread in enumerate(threads)]
    assert len(boards[0].shown) == len(boards[1].shown)
