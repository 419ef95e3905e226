"""Several workers on one database: what on SQLite follows from its one writer must hold between them too.

Each worker has a store of its own, and what could go wrong between two statements is given many chances.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot.errors import StoreInUse
from bot.events import File
from bot.ports import Call, Caps, Finish, Line, Part, Read, Share, Usage
from bot.progress import progress
from storage import copied, open_store, postgres, quiet
from storage.queries import load
from tests.contract.conftest import LEASE, Talk
from tests.pgbouncer import pooled
from tests.postgres import Server

ROUNDS = 12


@pytest.fixture
def url(emptied: Callable[[], str]) -> str:
    """SQLite's file has one process."""
    return emptied()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a lock is held for longer than Bobbin waits for it, whose event then comes again."""
    begin = postgres._BEGIN.replace("lock_timeout = '3s'", "lock_timeout = '60s'")
    assert begin != postgres._BEGIN
    monkeypatch.setattr(postgres, "_BEGIN", begin)


@pytest.fixture
async def two(url: str, talk_with: type[Talk]) -> AsyncIterator[tuple[Talk, Talk]]:
    """The same talk, heard by two workers."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_store(url, lease=LEASE)) for _ in range(2)]
        first = talk_with(stores[0])
        yield first, replace(first, store=stores[1])


async def at_once(*work: Any) -> list[Any]:
    """In an order that is another one each time."""

    async def soon(each: Any) -> Any:
        await asyncio.sleep(random.uniform(0, 0.004))
        return await each

    return await asyncio.gather(*map(soon, work))


async def waiting(talk: Talk) -> int:
    """How many transactions wait for what another one has."""
    [row] = await talk.sql(
        "SELECT count(*) AS count FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(row["count"])


async def wait(talk: Talk, count: int, unless: "asyncio.Future[Any] | None" = None) -> None:
    """Until so many wait, or this is done."""
    async with asyncio.timeout(60):
        while await waiting(talk) < count and not (unless and unless.done()):  # noqa: ASYNC110  a table
            await asyncio.sleep(0.01)


@contextmanager
def nothing_is_said_in(url: str, channel: str) -> Iterator[None]:
    """What is said there meanwhile waits, and comes in at once."""
    with psycopg.connect(url) as outside:
        hold = load("postgres")["hold_channel"]
        outside.execute(hold.encode(), {"team": "T1", "channel": channel})
        yield


async def settled(talk: Talk) -> None:
    """What waits is marked, and what is marked waits: a sweep finds nothing to mend."""
    assert await talk.sql("SELECT id FROM turn WHERE state = 'open'") == []
    waiting = await talk.sql(
        "SELECT conversation_id AS id FROM message "
        "WHERE turn_id IS NULL AND addressed = 1 AND deleted_at IS NULL"
    )
    marked = await talk.sql("SELECT id FROM conversation WHERE pending_at IS NOT NULL")
    assert {row["id"] for row in waiting} == {row["id"] for row in marked}


# ---------------------------------------------------------------- each other


async def silent(talk: Talk, seconds: int) -> None:
    """So long has no worker said anything."""
    await talk.sql("UPDATE worker SET seen_at = seen_at - :ms", ms=seconds * 1000)


async def test_each_worker_knows_how_many_they_are_and_which_it_is(two: tuple[Talk, Talk]) -> None:
    here, there = two
    assert await here.store.present("T1") == Share(0, 1)
    await there.store.present("T1")
    shares = await at_once(here.store.present("T1"), there.store.present("T1"))
    assert sorted((share.number, share.of) for share in shares) == [(0, 2), (1, 2)]
    await there.store.absent()
    assert await here.store.present("T1") == Share(0, 1)
    await there.store.present("T1")  # begun before it ended, and written after
    assert await here.store.present("T1") == Share(0, 1)


async def test_a_worker_of_another_workspace_has_limits_of_its_own(two: tuple[Talk, Talk]) -> None:
    here, there = two
    await here.store.present("T1")
    assert await there.store.present("T2") == Share(0, 1)
    assert await here.store.present("T1") == Share(0, 1)


async def test_a_worker_that_is_killed_counts_for_fifteen_seconds(two: tuple[Talk, Talk]) -> None:
    for talk in two:
        await talk.store.present("T1")
    await silent(two[0], 8)
    assert (await two[0].store.present("T1")).of == 2
    await silent(two[0], 8)
    assert await two[0].store.present("T1") == Share(0, 1)
    assert (await two[1].store.present("T1")).of == 2  # it was only frozen


async def test_workers_are_seen_by_way_of_pgbouncer(url: str, postgres: Server, tmp_path: Path) -> None:
    with pooled(postgres, url.rpartition("/")[2]) as by_way:
        async with open_store(by_way) as one, open_store(by_way) as other:
            assert (await quiet(by_way))[0] is False
            await one.present("T1")
            assert (await other.present("T1")).of == 2
            assert (await quiet(by_way))[0] is True
            with pytest.raises(StoreInUse, match="--from: a Bobbin is at work"):
                await copied(by_way, f"sqlite:///{tmp_path}/new.db", progress)
            for worker in (one, other):
                await worker.absent()
            assert (await quiet(by_way))[0] is False


async def test_what_was_missed_is_read_by_one_worker_and_by_another_where_that_one_cannot(
    two: tuple[Talk, Talk],
) -> None:
    here, there = two
    for talk in two:
        await talk.store.present("T1")
        await talk.store.heard("T1", 240)
    await here.sql("UPDATE heard SET heard_at = heard_at - 600000")
    gaps = await at_once(here.store.heard("T1", 240), there.store.heard("T1", 240))
    [gap] = [each for each in gaps if each is not None]
    reader, other = two if gaps[0] else (there, here)
    assert await other.store.heard("T1", 240) is None
    assert await reader.store.heard("T1", 240) == gap

    await reader.store.leave_gap("T1")
    assert await other.store.heard("T1", 240) == gap
    assert await reader.store.heard("T1", 240) is None

    await silent(other, 16)
    await reader.store.present("T1")
    assert await reader.store.heard("T1", 240) == gap
    await other.store.leave_gap("T1")  # it is not its own any more
    await other.store.present("T1")
    assert await other.store.heard("T1", 240) is None

    await reader.store.caught_up("T1", gap)
    assert [await talk.store.heard("T1", 240) for talk in two] == [None, None]


# ---------------------------------------------------------------- arrivals


async def test_the_twins_of_a_mention_are_one_message_in_one_turn(two: tuple[Talk, Talk]) -> None:
    here, there = two
    for at in range(ROUNDS):
        message = here.message(at, "@bobbin hello", root=at)
        twin = replace(message, event_id=here.event())
        outcomes = await at_once(here.post(message), there.post(twin), here.post(twin), there.post(message))
        assert sorted(each.outcome for each in outcomes) == ["addressed", *["duplicate"] * 3]
        [turn] = [
            turn
            for turns in await at_once(here.store.claim("a", 9), there.store.claim("b", 9))
            for turn in turns
        ]
        assert await here.read(turn) == ["@bobbin hello"]
        await here.store.finish(turn, Finish("cancelled"))


async def test_a_deletion_at_the_same_time_leaves_no_words(two: tuple[Talk, Talk]) -> None:
    here, there = two
    await here.ask(0, "@bobbin hello", "Hello!")
    for at in range(10, 10 + ROUNDS):
        edited = here.message(at, "@bobbin swordfish!", root=0)
        await at_once(here.say(at, "@bobbin swordfish", root=0), there.delete(at), there.edit(edited, at + 1))
    assert await here.sql("SELECT ts, text FROM message WHERE text LIKE '%swordfish%'") == []
    assert await here.store.claim("worker", 9) == []
    await settled(here)


async def test_an_answer_that_is_deleted_while_it_ends_is_not_kept(two: tuple[Talk, Talk]) -> None:
    here, there = two
    for at in range(0, 10 * ROUNDS, 10):
        await here.say(at, "@bobbin hello", root=at)
        turn = await here.claim()
        await at_once(here.answer(turn, "swordfish", at + 1), there.delete(at + 1))
    assert await here.sql("SELECT ts, text FROM message WHERE text = 'swordfish'") == []


async def test_what_is_deleted_while_its_thread_is_read_in_stays_away(two: tuple[Talk, Talk]) -> None:
    here, there = two
    for at in range(0, 10 * ROUNDS, 10):
        await here.say(at + 5, "@bobbin hello", root=at)
        turn = await here.claim()
        line = replace(
            (await here.store.recall(turn)).lines[0], ts=here.ts(at), text="swordfish", addressed=False
        )
        await at_once(here.store.backfill(turn, [line]), there.delete(at))
        await here.store.finish(turn, Finish("cancelled"))
    assert await here.sql("SELECT ts FROM message WHERE text = 'swordfish'") == []


async def test_what_arrives_while_a_turn_ends_is_answered_next(two: tuple[Talk, Talk]) -> None:
    """No wake-up is lost: the mark that something waits is set by both."""
    here, there = two
    await here.say(0, "@bobbin hello")
    for at in range(10, 10 * ROUNDS, 10):
        turn = await here.claim()
        more, said = await at_once(here.answer(turn, "Hello!", at + 1), there.say(at, "@bobbin more", root=0))
        assert said.wake
        del more
        assert (await here.sql("SELECT pending_at FROM conversation"))[0]["pending_at"] is not None
    await here.answer(await here.claim(), "Bye!")
    await settled(here)


async def test_what_comes_while_it_is_claimed_is_in_this_turn_or_in_the_next(two: tuple[Talk, Talk]) -> None:
    here, there = two
    for at in range(0, 10 * ROUNDS, 10):
        await here.say(at, "@bobbin one", root=at)
        claimed, _ = await at_once(here.store.claim("a", 9), there.say(at + 1, "@bobbin two", root=at))
        claimed += await here.store.claim("a", 9)  # the row was just held
        [turn] = claimed
        await here.answer(turn, "1", at + 2)
        claimed = await here.store.claim("a", 9)
        for late in claimed:
            await here.answer(late, "2", at + 3)
        assert (await here.read(turn) == ["@bobbin one"]) == bool(claimed)
    await settled(here)


async def test_a_file_is_there_for_whoever_attaches_it_and_gone_with_the_last(two: tuple[Talk, Talk]) -> None:
    here, there = two
    read, data = Read("text", "", 5, "5ha", "a.txt"), b"words"
    for at in range(0, 10 * ROUNDS, 10):
        for root in (at, at + 1):
            await here.say(root, "@bobbin read", root=root, files=(File("F1", "a.txt"),))
        one, two_ = await here.store.claim("a", 9)
        await here.store.keep_read(one, (one.question_ts, "F1"), read, data)
        await at_once(
            here.store.keep_read(two_, (two_.question_ts, "F1"), read, data),
            there.delete(float(one.question_ts) - float(here.ts(0))),
        )
        assert await here.store.file_data(["5ha"]) == {"5ha": data}
        await there.delete(float(two_.question_ts) - float(here.ts(0)))
        assert await here.store.file_data(["5ha"]) == {}
        for turn in (one, two_):
            await here.store.finish(turn, Finish("cancelled"))


async def test_a_long_thread_is_read_in_beside_what_else_its_channel_says(
    two: tuple[Talk, Talk], url: str
) -> None:
    here, there = two
    await here.say(8000, "@bobbin hello", root=0)
    turn = await here.claim()
    lines = [Line("user", here.ts(at), "BEN", f"word {at}") for at in range(1, 500)]
    with nothing_is_said_in(url, "C1"):
        reading = asyncio.ensure_future(here.store.backfill(turn, lines))
        await wait(there, 1)
        saying = asyncio.ensure_future(there.say(9000, "@bobbin and here?", root=9000))
        await wait(there, 2)
    await asyncio.gather(reading, saying)
    order = [row["ts"] for row in await here.sql("SELECT ts FROM message ORDER BY id")]
    assert len(order) == 1 + len(lines) + 1
    assert order[-1] == lines[-1].ts  # what was said came in before


async def test_each_conversation_of_one_person_has_a_place_of_its_own(
    two: tuple[Talk, Talk], url: str
) -> None:
    with nothing_is_said_in(url, "C1"):
        saying = [asyncio.ensure_future(two[at % 2].say(at, "@bobbin hello", root=at)) for at in range(12)]
        await wait(two[0], 12)
    await asyncio.gather(*saying)
    places = sorted(row["place"] for row in await two[0].sql("SELECT place FROM conversation"))
    assert [after - before for before, after in pairwise(places)] == [60_000] * 11


async def test_what_is_asked_while_old_threads_are_forgotten_is_answered(
    two: tuple[Talk, Talk], url: str
) -> None:
    here, there = two
    await here.ask(0, "@bobbin hello", "Hello!")
    await here.sql("UPDATE conversation SET created_at = 0")
    with psycopg.connect(url) as outside:
        outside.execute(
            "INSERT INTO inbox(team_id, event_id, outcome, received_at) VALUES ('T1', 'Ev', '', 0)"
        )
        asking = asyncio.ensure_future(here.post(here.message(5, "@bobbin more?", event_id="Ev")))
        await wait(there, 1)  # it has found the thread
        forgetting = asyncio.ensure_future(there.store.forget_old(1, 10))
        await wait(there, 2, unless=forgetting)
        outside.rollback()
    assert (await asking).wake
    assert (await forgetting).threads == 0
    assert await here.read(await here.claim()) == ["@bobbin hello", "Hello!", "@bobbin more?"]


# ---------------------------------------------------------------- claims


async def test_claims_of_several_workers_never_take_the_same_and_leave_nothing(
    two: tuple[Talk, Talk],
) -> None:
    for number in range(40):
        await two[number % 2].elsewhere(f"C{number}").say(0, "@bobbin hello", f"U{number % 7}")
    claims = [talk.store.claim(f"{n}", 5) for n, talk in enumerate(two * 5)]
    taken = [turn.conversation for turns in await at_once(*claims) for turn in turns]
    assert len(taken) == len(set(taken)) == 40


async def test_of_turns_that_killed_twice_one_is_tried_at_a_time_by_all_workers(
    two: tuple[Talk, Talk],
) -> None:
    turns = []
    for number in range(4):
        there = two[0].elsewhere(f"C{number}")
        await there.say(0, "@bobbin hello")
        await there.lapse(await there.claim())
        turns.append(await there.claim())
    for turn in turns:
        await two[0].lapse(turn)
    claimed = await at_once(*(talk.store.claim("w", 2) for talk in two * 3))
    assert sum(map(len, claimed)) == 1


# ---------------------------------------------------------------- budgets


async def test_two_that_reserve_at_once_do_not_overdraw_a_budget(two: tuple[Talk, Talk]) -> None:
    here = two[0]
    for at in range(20):
        await here.say(at, "@bobbin hello", root=at)
    turns = await here.store.claim("a", 20)
    calls = [
        Call(n, turn.id, "T1", "C1", "ANN", "m", "answer", Usage(1, 1), 1000) for n, turn in enumerate(turns)
    ]
    booked = await at_once(
        *(two[call.id % 2].store.begin_call(call, Caps(user=9000, team=5000)) for call in calls)
    )
    assert sum(each.refused is None for each in booked) == 5


# ---------------------------------------------------------------- stop, edit, delete


async def test_who_works_on_a_turn_learns_from_another_worker_that_it_must_end(
    two: tuple[Talk, Talk],
) -> None:
    here, there = two
    await here.say(0, "@bobbin count")
    turn = await here.claim()
    async with asyncio.timeout(60):
        await here.store.news()  # it listens
        heard = asyncio.ensure_future(here.store.news())
        await there.stop()
        await heard
    assert await here.store.asked_to_end() == [(turn.id, "stopped")]
    await here.store.finish(turn, Finish("cancelled"))
    assert await here.store.asked_to_end() == []


async def test_a_start_ends_no_other_workers_lease(two: tuple[Talk, Talk]) -> None:
    here, there = two
    await here.say(0, "@bobbin hello")
    turn = await here.claim()
    assert await there.store.recover(0) == 0
    assert await there.store.claim("b", 9) == []
    await here.store.record_part(turn, Part(here.ts(1)))


async def work(talk: Talk, done: asyncio.Event, chance: random.Random) -> None:
    """A worker: it answers; now and then it dies, and another one takes over."""
    while not done.is_set():
        await asyncio.sleep(chance.uniform(0, 0.02))
        for turn in await talk.store.claim("w", 2):
            if chance.random() < 0.2:
                await talk.lapse(turn)
            else:
                await talk.answer(turn, f"answer {turn.id}.{turn.fence}")


async def speak(talk: Talk, first: int, chance: random.Random) -> None:
    """People in three threads, who edit and delete."""
    for at in range(first, 70, 2):
        root = chance.choice([1, 2, 3])
        await talk.say(at, f"@bobbin {at}", root=root)
        if chance.random() < 0.3:
            await talk.edit(talk.message(at, f"@bobbin {at} anew", root=root), at + 0.5)
        if chance.random() < 0.2:
            await talk.delete(at)


async def test_workers_with_everything_at_once_agree_in_the_end(two: tuple[Talk, Talk]) -> None:
    chance = random.Random(7)
    here = two[0]
    done = asyncio.Event()
    workers = [asyncio.ensure_future(work(talk, done, chance)) for talk in two * 2]
    await asyncio.gather(*(speak(talk, 10 + number, chance) for number, talk in enumerate(two)))
    async with asyncio.timeout(60):
        while await here.sql("SELECT id FROM conversation WHERE pending_at IS NOT NULL"):  # noqa: ASYNC110  a table
            await asyncio.sleep(0.02)
    done.set()
    await asyncio.gather(*workers)
    await settled(here)
    by_thread: dict[int, list[int]] = {}
    for row in await here.sql("SELECT conversation_id AS id, seq FROM turn ORDER BY conversation_id, seq"):
        by_thread.setdefault(row["id"], []).append(row["seq"])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_thread.values())
    assert await here.sql("SELECT id FROM message WHERE deleted_at IS NOT NULL AND text <> ''") == []
