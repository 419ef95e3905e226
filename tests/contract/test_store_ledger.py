"""The ledger and what admins set for channels, on every database."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.events import Person
from bot.ports import Booked, Call, Caps, ChannelSetting, Finish, Spending, Store, Usage
from storage import open_store, spending
from tests.contract.conftest import Talk

ESTIMATE = Usage(input=300, output=1000)
USED = Usage(input=100, output=20, cache_read=50, cache_write=10, cache_write_1h=4)
DAY = 24 * 3600 * 1000


def call(number: int, turn: int, **more: object) -> Call:
    whole = Call(number, turn, "T1", "C1", "ANN", "claude", "answer", ESTIMATE, 1000)
    return replace(whole, **more)  # type: ignore[arg-type]


async def turn_of(talk: Talk, at: float = 0) -> int:
    await talk.say(at, "@bobbin hi", root=at)
    return (await talk.claim()).id


async def test_a_call_is_running_with_its_estimate_and_settled_as_what_it_was(talk: Talk) -> None:
    turn = await turn_of(talk)
    assert await talk.store.begin_call(call(1, turn), Caps()) == Booked()
    (row,) = await talk.sql("SELECT * FROM call")
    assert (row["state"], row["estimated"], row["input"], row["output"]) == ("running", 1, 300, 1000)
    assert row["finished_at"] is None
    done = call(1, turn, usage=USED, micro_usd=7, state="done", estimated=False, request_id="r1")
    await talk.store.settle_call(done)
    (row,) = await talk.sql("SELECT * FROM call")
    assert (row["state"], row["estimated"], row["micro_usd"], row["request_id"]) == ("done", 0, 7, "r1")
    assert (row["input"], row["cache_read"], row["cache_write"], row["cache_write_1h"], row["output"]) == (
        100, 50, 10, 4, 20,
    )  # fmt: skip
    assert row["finished_at"] >= row["started_at"]


async def test_a_call_that_was_refused_leaves_no_row_and_settling_it_makes_none(talk: Talk) -> None:
    turn = await turn_of(talk)
    booked = await talk.store.begin_call(call(1, turn), Caps(user=999))
    assert booked.refused is not None
    assert (booked.refused.budget, booked.refused.used, booked.refused.cap) == ("user", 0, 999)
    await talk.store.settle_call(call(1, turn, state="done"))
    assert await talk.sql("SELECT * FROM call") == []


async def test_a_lost_call_is_settled_by_its_owner_should_it_live(talk: Talk) -> None:
    turn = await turn_of(talk)
    await talk.store.begin_call(call(1, turn), Caps())
    await talk.store.recover(0)
    await talk.store.settle_call(call(1, turn, usage=USED, micro_usd=7, state="done", estimated=False))
    (row,) = await talk.sql("SELECT state, estimated, micro_usd FROM call")
    assert row == {"state": "done", "estimated": 0, "micro_usd": 7}


async def test_a_call_that_runs_for_an_hour_is_lost(talk: Talk) -> None:
    turn = await turn_of(talk)
    await talk.store.begin_call(call(1, turn), Caps())
    await talk.store.begin_call(call(2, turn), Caps())
    await talk.sql("UPDATE call SET started_at = started_at - 3600001 WHERE id = 1")
    await talk.store.sweep()
    assert await talk.sql("SELECT id, state FROM call ORDER BY id") == [
        {"id": 1, "state": "lost"},
        {"id": 2, "state": "running"},
    ]


async def test_what_was_spent_outlives_its_turn(talk: Talk) -> None:
    turn = await turn_of(talk)
    await talk.store.begin_call(call(1, turn), Caps())
    await talk.sql("DELETE FROM conversation")
    assert await talk.sql("SELECT turn_id, micro_usd FROM call") == [{"turn_id": None, "micro_usd": 1000}]


@pytest.mark.parametrize(("budget", "back"), [("user", DAY), ("team", 31 * DAY)])
async def test_a_budget_counts_from_the_begin_of_its_day_or_month(talk: Talk, budget: str, back: int) -> None:
    caps = Caps(**{budget: 1500})
    await talk.store.begin_call(call(1, await turn_of(talk)), caps)
    second = call(2, await turn_of(talk, 10))
    refused = (await talk.store.begin_call(second, caps)).refused
    assert refused is not None
    assert (refused.budget, refused.used) == (budget, 1000)
    now = await talk.now() // 1000
    assert now < refused.until <= now + back // 1000
    await talk.sql("UPDATE call SET started_at = started_at - :back", back=back)
    assert (await talk.store.begin_call(second, caps)).refused is None


async def test_days_that_are_over_are_summed_up_once_and_count_as_before(talk: Talk) -> None:
    now = datetime.now(UTC)
    month = int(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
    midnight = int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
    days = [month - 1, *range(month, midnight + 1, DAY)]  # the last moment of the month before, each of this
    await talk.sql(
        "INSERT INTO spent_day(team_id, day, micro_usd) VALUES('T1', :day, 500)", day=month - 3 * DAY
    )
    turn, another = await turn_of(talk), await turn_of(talk, 1)
    for number, at in enumerate(days, 1):
        await talk.store.begin_call(call(number, turn, micro_usd=number), Caps())
        await talk.sql("UPDATE call SET started_at = :at WHERE id = :id", at=at, id=number)
    spent = sum(range(2, len(days) + 1))
    for _ in range(2):
        booked = await talk.store.begin_call(call(99, another, micro_usd=1), Caps(team=spent))
        assert booked.refused is not None
        assert booked.refused.used == spent
        await talk.store.sweep()
        await talk.store.sweep()
        closed = await talk.sql(
            "SELECT day, micro_usd FROM spent_day WHERE day >= :month ORDER BY day", month=month
        )
        over = [(at, number) for number, at in enumerate(days, 1) if month <= at < midnight - DAY]
        assert [(row["day"], row["micro_usd"]) for row in closed] == over


async def test_another_persons_and_another_workspaces_calls_do_not_count(talk: Talk) -> None:
    caps = Caps(user=1500, team=2500)
    await talk.store.begin_call(call(1, await turn_of(talk)), caps)
    other = call(2, await turn_of(talk, 10), user="BEN")
    assert (await talk.store.begin_call(other, caps)).refused is None
    elsewhere = call(3, await turn_of(talk, 20), team="T2")
    assert (await talk.store.begin_call(elsewhere, caps)).refused is None


async def test_of_many_at_once_no_more_are_admitted_than_the_budget_has_room_for(talk: Talk) -> None:
    turns = [await turn_of(talk, at) for at in range(20)]
    begun = (talk.store.begin_call(call(1 + at, turn), Caps(team=5000)) for at, turn in enumerate(turns))
    booked = await asyncio.gather(*begun)
    assert sum(each.refused is None for each in booked) == 5


async def test_a_turn_that_called_before_is_admitted(talk: Talk) -> None:
    turn = await turn_of(talk)
    await talk.store.begin_call(call(1, turn), Caps(user=1000))
    assert (await talk.store.begin_call(call(2, turn), Caps(user=1000))).refused is None


async def test_a_turn_that_failed_and_is_tried_again_is_weighed_again(talk: Talk) -> None:
    await talk.say(0, "@bobbin hi")
    failed = await talk.claim()
    await talk.store.begin_call(call(1, failed.id), Caps(user=1000))
    await talk.store.finish(failed, Finish("failed", error="x"))
    await talk.store.retry(failed.id)
    again = await talk.claim()
    assert again.id == failed.id
    assert (await talk.store.begin_call(call(2, again.id), Caps(user=1000))).refused is not None


async def test_a_warning_is_due_once_in_a_budgets_time(talk: Talk) -> None:
    caps = Caps(user=3700, team=3700)

    async def warned(number: int) -> list[tuple[str, int]]:
        booked = await talk.store.begin_call(call(number, await turn_of(talk, 10 * number)), caps)
        assert booked.refused is None
        return [(spent.budget, spent.used) for spent in booked.warn]

    assert [await warned(1), await warned(2)] == [[], []]
    assert await warned(3) == [("user", 3000), ("team", 3000)]
    await talk.sql("UPDATE call SET micro_usd = 300")
    await talk.store.begin_call(call(4, await turn_of(talk, 40)), caps)
    assert await warned(5) == []
    # As the next day and month see it.
    await talk.sql("DELETE FROM call")
    await talk.sql("UPDATE note SET given_at = given_at - :back", back=31 * DAY)
    assert [await warned(6), await warned(7)] == [[], []]
    assert await warned(8) == [("user", 3000), ("team", 3000)]


# ---------------------------------------------------------------- what was spent


async def test_what_was_spent_is_read_beside_a_running_process(url: str, talk: Talk) -> None:
    await talk.store.learn("T1", [Person("ANN", "Ann Lee")])
    first, second = await turn_of(talk), await turn_of(talk, 10)
    await talk.store.begin_call(call(1, first), Caps())
    await talk.store.settle_call(call(1, first, usage=USED, micro_usd=7, state="done", estimated=False))
    await talk.store.begin_call(call(2, second, user="BEN", channel="C2", model="opus"), Caps())
    ann = (1, 0, 100, 50, 10, 20, 7, 0)
    ben = (1, 1, 300, 0, 0, 1000, 1000, 1000)
    assert await spending(url, "user", 0) == [Spending("ANN", "Ann Lee", *ann), Spending("BEN", "", *ben)]
    assert await spending(url, "channel", 0) == [Spending("C1", "", *ann), Spending("C2", "", *ben)]
    assert await spending(url, "model", 0) == [Spending("claude", "", *ann), Spending("opus", "", *ben)]
    today = datetime.fromtimestamp(await talk.now() / 1000, UTC)
    both = tuple(one + other for one, other in zip(ann, ben, strict=True))
    assert await spending(url, "day", 0) == [Spending(f"{today:%Y-%m-%d}", "", *both)]
    assert await spending(url, "day", 4_000_000_000_000) == []


async def test_what_was_spent_is_read_where_no_process_runs(url: str, talk_with: type[Talk]) -> None:
    async with open_store(url) as store:
        turn = await turn_of(talk_with(store))
        await store.begin_call(call(1, turn), Caps())
    assert [row.calls for row in await spending(url, "day", 0)] == [1]
    async with open_store(url, lock_seconds=0):
        assert [row.calls for row in await spending(url, "day", 0)] == [1]


# ---------------------------------------------------------------- what admins set


async def test_a_turn_is_claimed_with_what_holds_for_its_channel(talk: Talk) -> None:
    await talk.store.set_channel("T1", "C1", ChannelSetting("instructions", "Be brief.", "ANN", talk.ts(1)))
    await talk.store.set_channel("T1", "C1", ChannelSetting("model", "opus", "BEN", talk.ts(2)))
    await talk.say(10, "@bobbin hi")
    turn = await talk.claim()
    assert (turn.instructions, turn.model) == ("Be brief.", "opus")
    await talk.elsewhere("C2").say(10, "@bobbin hi")
    turn = await talk.claim()
    assert (turn.instructions, turn.model) == ("", "")


async def test_the_newest_message_sets_it_in_whatever_order_they_are_carried_out(talk: Talk) -> None:
    newer = ChannelSetting("instructions", "Be brief.", "ANN", talk.ts(9))
    await talk.store.set_channel("T1", "C1", newer)
    await talk.store.set_channel("T1", "C1", replace(newer, value="Be long.", ts=talk.ts(5)))
    await talk.store.set_channel("T1", "C1", newer)
    assert await talk.store.channel_settings("T1", "C1") == {"instructions": newer}
    gone = replace(newer, value="", ts=talk.ts(11))
    await talk.store.set_channel("T1", "C1", gone)
    assert await talk.store.channel_settings("T1", "C1") == {"instructions": gone}


async def test_what_is_set_now_counts_whatever_the_clocks_say(talk: Talk) -> None:
    ahead = ChannelSetting("instructions", "Be brief.", "ANN", talk.ts(3e9))
    for said, held in (
        (ahead, True),
        (replace(ahead, value="Be long.", ts=""), True),
        (replace(ahead, value="Be late.", ts=talk.ts(9)), False),
    ):
        assert await talk.store.set_channel("T1", "C1", said) == held
    assert (await talk.store.channel_settings("T1", "C1"))["instructions"].value == "Be long."
    assert await talk.store.set_channel("T1", "C2", replace(ahead, ts=""))
    [here] = (await talk.store.channel_settings("T1", "C2")).values()
    assert abs(float(here.ts) * 1000 - await talk.now()) < 60_000


async def test_who_was_learned_to_be_an_admin_is_known_as_one_until_it_changes(store: Store) -> None:
    await store.learn("T1", [Person("ANN", "Ann", admin=True), Person("BEN", "Ben")])
    await store.learn("T2", [Person("CEM", "Cem", admin=True)])
    assert await store.admins("T1") == ["ANN"]
    assert (await store.people("T1", ["ANN"]))["ANN"].admin
    await store.learn("T1", [Person("ANN", "Ann"), Person("BEN", "Ben", admin=True)])
    assert await store.admins("T1") == ["BEN"]
