"""Who may work on what: claims, their order, leases that end, processes that die."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from bot.errors import LeaseLost, StoreError
from bot.ports import Finish, Part, Stop, Turn, Usage
from storage import open_store
from storage.queries import load
from tests.contract.conftest import LEASE

MINUTE_MS = 60_000
STOP = Stop("end_turn", Usage(1, 1))


async def die(talk: Any, turn: Turn) -> Any:
    """Let the turn's owner die, and claim it again."""
    await talk.lapse(turn)
    return await talk.claim()


async def begin(talk: Any, channel: str, who: str = "ANN", **more: Any) -> Any:
    """Ask in a channel of its own."""
    there = talk.elsewhere(channel, **more)
    await there.say(0, "@bobbin hello", who)
    return there


# ---------------------------------------------------------------- one turn at a time


async def test_a_claim_freezes_what_is_read_and_what_comes_later_waits_for_the_next_turn(talk):
    await talk.say(0, "@bobbin one")
    first = await talk.claim()
    await talk.say(1, "two", "BEN")
    await talk.say(2, "three", "CLEO")
    assert await talk.read(first) == ["@bobbin one"]
    assert await talk.store.claim("another", 10) == []
    assert await talk.answer(first, "1", 3)
    second = await talk.claim()
    assert (second.seq, second.asker, second.askers) == (first.seq + 1, "CLEO", ("BEN", "CLEO"))
    assert (second.question_ts, second.newest_ts) == (talk.ts(2), talk.ts(2))
    assert await talk.read(second) == ["@bobbin one", "1", "two", "three"]
    assert not await talk.answer(second, "2, 3", 4)


async def test_the_database_itself_allows_one_open_turn_per_conversation(talk):
    """In one process the lease hides a second turn: so past the lease."""
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    again = "INSERT INTO turn(conversation_id, seq, state, fence, started_at) VALUES (:id, 9, :state, 1, 0)"
    with pytest.raises(StoreError):
        await talk.sql(again, id=turn.conversation, state="open")
    await talk.sql(again, id=turn.conversation, state="answered")


async def test_claims_at_once_never_take_the_same(talk):
    for number in range(20):
        await begin(talk, f"C{number}")
    claimed = await asyncio.gather(*(talk.store.claim(f"worker {n}", 3) for n in range(10)))
    taken = [turn.conversation for turns in claimed for turn in turns]
    assert len(taken) == len(set(taken)) == 20


async def test_no_more_is_claimed_than_wanted(talk):
    for number in range(3):
        await begin(talk, f"C{number}")
    assert [len(await talk.store.claim("worker", 2)) for _ in range(3)] == [2, 1, 0]


# ---------------------------------------------------------------- the order


async def test_who_waits_longest_is_first(talk):
    for number in range(4):
        await begin(talk, f"C{number}", f"U{number}")
    claimed = [turn.thread.channel for turn in await talk.store.claim("worker", 4)]
    assert claimed == ["C0", "C1", "C2", "C3"]


async def test_somebody_with_one_conversation_does_not_wait_for_somebody_with_fifty(talk):
    for number in range(50):
        await begin(talk, f"C{number}", "HOG")
    await begin(talk, "C50", "BEN")
    assert [turn.asker for turn in await talk.store.claim("worker", 2)] == ["HOG", "BEN"]


async def test_somebodys_five_hundred_questions_do_not_double_the_wait_of_the_others(talk):
    for number in range(500):
        await begin(talk, f"C{number}", "HOG")
    await talk.store.claim("worker", 2)
    for number in range(20):
        await begin(talk, f"D{number}", f"U{number}")
    asked = [turn.asker for turn in await talk.store.claim("worker", 40)]
    assert max(asked.index(f"U{number}") for number in range(20)) < 2 * 20


async def test_somebody_with_much_running_lets_others_go_first(talk):
    for number in range(20):
        await begin(talk, f"C{number}", "HOG")
    await talk.store.claim("worker", 10)
    await begin(talk, "C20", "BEN")
    await begin(talk, "C21", "BEN")
    asked = [turn.asker for turn in await talk.store.claim("worker", 4)]
    assert asked[0] == "BEN"
    assert Counter(asked) == {"HOG": 2, "BEN": 2}


async def test_a_stream_of_newcomers_starves_nobody(talk):
    for number in range(2):
        await begin(talk, f"C{number}", "HOG")
    await talk.claim_one()
    await talk.sql("UPDATE conversation SET place = place - :ms", ms=5 * MINUTE_MS)
    await begin(talk, "C2", "BEN")
    assert (await talk.claim_one()).asker == "HOG"


async def test_an_answered_conversation_in_which_more_waits_goes_to_the_end(talk):
    first = await begin(talk, "C0", "ANN")
    turn = await first.claim()
    await first.say(1, "@bobbin more")
    await begin(talk, "C1", "BEN")
    await first.answer(turn, "hello", 2)
    assert [turn.asker for turn in await talk.store.claim("worker", 2)] == ["BEN", "ANN"]


async def test_who_waits_for_a_slot_is_told_apart_from_who_does_not(talk):
    for number in range(3):
        await begin(talk, f"C{number}", "HOG")
    held = await talk.store.claim("worker", 1)
    await begin(talk, "C3", "BEN")
    await begin(talk, "C0", team="T2")
    line = await talk.store.in_line()
    assert [(each.thread.team, each.thread.channel, each.ahead, each.summoned) for each in line] == [
        ("T1", "C3", 0, True),
        ("T2", "C0", 0, True),
        ("T1", "C1", 1, True),
        ("T1", "C2", 2, True),
    ]
    await talk.elsewhere("C1").delete(0)
    waited = [each.conversation for each in line]
    assert await talk.store.idle([*waited, held[0].conversation]) == [line[2].conversation]
    assert [each.thread.channel for each in await talk.store.in_line()] == ["C3", "C0", "C2"]


async def test_a_second_message_does_not_cost_a_conversation_its_place(talk):
    await begin(talk, "C0", "HOG")
    await (await begin(talk, "C1", "ANN")).say(1, "@bobbin more", "HOG")
    await begin(talk, "C2", "BEN")
    claimed = [turn.thread.channel for turn in await talk.store.claim("worker", 2)]
    assert claimed == ["C0", "C1"]


async def test_a_busy_workspace_does_not_hold_up_a_quiet_one(talk):
    for number in range(20):
        await begin(talk, f"C{number}", f"U{number}", team="T1")
    await begin(talk, "C0", team="T2")
    assert [turn.thread.team for turn in await talk.store.claim("worker", 2)] == ["T1", "T2"]
    await begin(talk, "C1", team="T2")
    assert [turn.thread.team for turn in await talk.store.claim("worker", 2)] == ["T1", "T2"]


async def test_a_claim_reads_no_more_where_the_line_is_longer(talk, url):
    if not url.startswith("sqlite:"):
        pytest.skip("this reads SQLite's plans")
    plan = await talk.sql("EXPLAIN QUERY PLAN " + load("sqlite")["claimable"], now=0, limit=1, team="T1")
    read_whole = [row["detail"].split(maxsplit=1)[1] for row in plan if row["detail"].startswith("SCAN ")]
    assert "conversation USING INDEX conversation_leased" in read_whole
    assert {table.split()[0] for table in read_whole} & {"c", "r"} == set()


# ---------------------------------------------------------------- leases


async def test_a_lease_that_is_kept_up_is_not_taken_over(talk):
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    assert LEASE - 20 < await talk.store.next_due() <= LEASE
    await talk.lapse(turn)
    assert await talk.store.extend(turn) is None
    assert await talk.store.claim("another", 10) == []


async def test_a_turn_whose_owner_died_is_taken_over_with_its_input_and_parts(talk):
    await talk.say(0, "@bobbin one")
    dead = await talk.claim()
    await talk.store.record_part(dead, Part(talk.ts(1)))
    await talk.say(2, "two")
    await talk.lapse(dead)
    turn = await talk.claim()
    assert (turn.id, turn.fence, turn.deaths, turn.resumed) == (dead.id, dead.fence + 1, 1, True)
    assert turn.parts == (Part(talk.ts(1)),)
    assert await talk.read(turn) == ["@bobbin one"]


async def test_a_whole_answer_is_not_asked_for_again_after_a_death(talk):
    await talk.say(0, "@bobbin one")
    turn = await talk.claim()
    await talk.store.record_answer(turn, "1", STOP)
    again = await die(talk, turn)
    assert (again.answer, again.stop_reason) == ("1", "end_turn")


async def test_a_stale_owner_can_write_nothing_and_what_it_posted_is_an_orphan(talk):
    await talk.say(0, "@bobbin one")
    stale = await talk.claim()
    turn = await die(talk, stale)
    with pytest.raises(LeaseLost):
        await talk.store.record_part(stale, Part(talk.ts(1)))
    with pytest.raises(LeaseLost):
        await talk.store.record_answer(stale, "stale", STOP)
    with pytest.raises(LeaseLost):
        await talk.store.finish(stale, Finish("answered", "stale"))
    with pytest.raises(LeaseLost):
        await talk.store.extend(stale)
    with pytest.raises(LeaseLost):
        await talk.store.backfill(stale, [])
    await talk.store.release(stale)
    assert await talk.store.extend(turn) is None
    assert await talk.store.accounted(talk.thread()) == {talk.ts(1)}
    assert await talk.store.orphans() == []
    await talk.answer(turn, "1", 2)
    assert await talk.store.orphans() == await talk.store.orphans(turn.id) == [("T1", "C1", talk.ts(1))]
    assert await talk.store.orphans(turn.id + 1) == []
    await talk.store.forget_orphan("T1", "C1", talk.ts(1))
    assert await talk.store.orphans() == []


async def test_what_the_new_owner_has_found_and_made_its_own_is_no_orphan_of_the_stale_one(talk):
    await talk.say(0, "@bobbin one")
    stale = await talk.claim()
    turn = await die(talk, stale)
    await talk.store.record_part(turn, Part(talk.ts(1)))  # it stood in the thread
    with pytest.raises(LeaseLost):
        await talk.store.record_part(stale, Part(talk.ts(1)))
    await talk.store.finish(turn, Finish("answered", "1"))
    assert await talk.store.orphans() == []


async def test_a_lease_ends_by_itself(url, talk_with):
    async with open_store(url, lease=0.5) as store:
        talk = talk_with(store)
        await talk.say(0, "@bobbin one")
        turn = await talk.claim()
        claimed: list[Turn] = []
        async with asyncio.timeout(60):
            while not claimed:
                await asyncio.sleep(await store.next_due() or 0)
                claimed = await store.claim("another", 1)
        assert (claimed[0].id, claimed[0].deaths) == (turn.id, 1)


# ---------------------------------------------------------------- giving back


async def test_a_turn_that_was_given_back_has_seen_no_death(talk):
    await talk.say(0, "@bobbin one")
    await talk.store.release(await talk.claim())
    turn = await talk.claim()
    assert (turn.deaths, turn.resumed) == (0, True)


async def test_a_turn_that_was_put_off_is_not_claimed_before(talk):
    assert await talk.store.next_due() is None
    await talk.say(0, "@bobbin one")
    assert await talk.store.next_due() is None
    await talk.store.release(await talk.claim(), delay=30)
    assert await talk.store.claim("worker", 10) == []
    assert 10 < await talk.store.next_due() <= 30
    await talk.sql("UPDATE conversation SET not_before = not_before - 30000")
    assert await talk.store.next_due() is None
    await talk.claim()


# ---------------------------------------------------------------- deaths


@pytest.fixture
def alone(url):
    """On a server another worker may live: a dead one's leases run out."""
    if not url.startswith("sqlite:"):
        pytest.skip("several processes may work on this database")


async def test_of_turns_that_killed_twice_one_is_tried_at_a_time_beside_the_healthy(talk):
    turns = [await die(talk, await (await begin(talk, f"C{number}")).claim()) for number in range(3)]
    await begin(talk, "C3")
    for turn in turns:
        await talk.lapse(turn)
    claimed = await talk.store.claim("worker", 10)
    assert [(turn.thread.channel, turn.deaths) for turn in claimed] == [("C0", 2), ("C3", 0)]
    assert await talk.store.claim("worker", 10) == []
    await talk.store.finish(claimed[0], Finish("failed"))
    assert [turn.thread.channel for turn in await talk.store.claim("worker", 10)] == ["C1"]


async def test_a_risky_turn_waits_for_one_that_runs_even_if_that_one_asked_later(talk):
    risky = [await die(talk, await (await begin(talk, f"C{number}")).claim()) for number in range(2)]
    for turn in risky:
        await talk.lapse(turn)
    await talk.store.release(await talk.claim(), delay=30)
    younger = await talk.claim()
    await talk.sql("UPDATE conversation SET not_before = 0")
    assert await talk.store.claim("worker", 10) == []
    await talk.store.finish(younger, Finish("failed"))
    assert (await talk.claim()).thread.channel == "C0"


async def test_a_risky_turn_that_must_wait_holds_up_nobody(talk):
    """Even where only one can be claimed, and the risky ones are the first in line."""
    risky = [await die(talk, await (await begin(talk, f"C{number}")).claim()) for number in range(2)]
    for turn in risky:
        await talk.lapse(turn)
    await begin(talk, "C2")
    claimed = [(await talk.claim_one()).thread.channel for _ in range(2)]
    assert claimed == ["C0", "C2"]
    assert await talk.store.claim("worker", 1) == []


async def test_one_death_is_no_reason_to_wait(talk):
    turns = [await (await begin(talk, f"C{number}")).claim() for number in range(3)]
    for turn in turns:
        await talk.lapse(turn)
    assert [turn.deaths for turn in await talk.store.claim("worker", 10)] == [1, 1, 1]


async def test_at_the_start_of_the_only_process_every_owner_is_dead(talk, alone):
    stale = [await (await begin(talk, f"C{number}")).claim() for number in range(2)]
    await begin(talk, "C2")
    assert await talk.store.recover(15) == 2
    with pytest.raises(LeaseLost):
        await talk.store.extend(stale[0])
    # What may still be under way to Slack is waited for; who has posted nothing yet is not held up.
    assert [turn.thread.channel for turn in await talk.store.claim("worker", 10)] == ["C2"]
    assert 1 < await talk.store.next_due() <= 15
    await talk.sql("UPDATE conversation SET not_before = 0")
    claimed = await talk.store.claim("worker", 10)
    assert [(turn.deaths, turn.resumed) for turn in claimed] == [(1, True), (1, True)]
    assert all(turn.fence > before.fence for turn, before in zip(claimed, stale, strict=True))


async def test_recovering_twice_counts_one_death(talk, alone):
    await talk.say(0, "@bobbin one")
    await talk.claim()
    await talk.store.recover(0)
    await talk.store.recover(0)
    assert (await talk.claim()).deaths == 1


async def test_everything_is_there_again_after_a_restart(url, talk_with):
    async with open_store(url) as store:
        talk = talk_with(store)
        await talk.ask(0, "@bobbin 1+1?", "2")
        await talk.say(5, "and 3 more?")
    async with open_store(url) as store:
        talk = talk_with(store)
        assert await talk.read(await talk.claim()) == ["@bobbin 1+1?", "2", "and 3 more?"]
