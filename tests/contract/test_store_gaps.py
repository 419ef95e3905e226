"""Since when a workspace is heard, and which threads to read again after a break."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.errors import SlackUnreachable
from bot.recovery import Gaps


async def put_back(talk: Any, seconds: float) -> None:
    await talk.sql("UPDATE heard SET heard_at = heard_at - :ms RETURNING team_id", ms=seconds * 1000)


async def test_the_first_time_nothing_was_missed(talk):
    assert await talk.store.heard("T1", 240) is None
    assert await talk.store.heard("T1", 240) is None


async def test_a_short_break_is_none(talk):
    await talk.store.heard("T1", 240)
    await put_back(talk, 239)
    assert await talk.store.heard("T1", 240) is None


async def test_a_long_break_is_told_from_its_beginning_until_it_is_caught_up_with(talk):
    await talk.store.heard("T1", 240)
    await put_back(talk, 600)
    gap = await talk.store.heard("T1", 240)
    assert gap is not None
    assert await talk.store.heard("T1", 240) == gap
    assert await talk.store.heard("T2", 240) is None
    await talk.store.caught_up("T1", gap)
    assert await talk.store.heard("T1", 240) is None


async def test_a_second_break_while_the_first_is_read_is_not_forgotten(talk):
    await talk.store.heard("T1", 240)
    await put_back(talk, 600)
    first = await talk.store.heard("T1", 240)
    await put_back(talk, 600)
    both = await talk.store.heard("T1", 240)
    assert both.began == first.began
    await talk.store.caught_up("T1", first)
    assert await talk.store.heard("T1", 240) == both
    await talk.store.caught_up("T1", both)
    assert await talk.store.heard("T1", 240) is None


async def test_channels_are_all_in_which_bobbin_is_used_the_newest_first(talk):
    await talk.say(100, "@bobbin old", root=100)
    await talk.elsewhere("C9", team="T2").say(300, "@bobbin elsewhere", root=300)
    await talk.elsewhere("C2").say(200, "@bobbin", root=200)
    await talk.say(150, "@bobbin again", root=150)
    assert await talk.store.channels("T1", 10) == ["C2", talk.thread(100).channel]
    assert await talk.store.channels("T1", 1) == ["C2"]


async def test_lively_are_threads_with_talk_since_and_all_of_dms_the_newest_first(talk):
    await talk.say(0, "@bobbin old")
    await talk.say(100, "@bobbin lively", root=100)
    await talk.say(200, "more", root=100)
    await talk.say(150, "@bobbin lively too", root=150)
    direct = talk.elsewhere("D1", direct=True)
    await direct.say(10, "@bobbin in a DM", root=10)
    await talk.elsewhere("C9", team="T2").say(300, "@bobbin elsewhere", root=300)
    found = await talk.store.lively("T1", talk.ts(50), 10)
    assert found == [talk.thread(100), talk.thread(150), direct.thread(10)]
    assert await talk.store.lively("T1", talk.ts(50), 2) == found[:2]


@pytest.fixture
def gaps(talk):
    """What looks for gaps in this store, and what it read: (channel, since, thread)."""
    read: list[tuple[str, str, str]] = []
    refusals: list[Exception] = []

    async def listening() -> None:
        pass

    async def take(channel: str, since: str, thread: str) -> int:
        if refusals:
            raise refusals.pop()
        read.append((channel, since, thread))
        return 0

    return Gaps(talk.store, "T1", listening=listening, read=take), read, refusals


async def test_after_a_gap_at_most_fifty_threads_are_read_and_their_channels_from_before_its_beginning(
    talk, gaps
):
    finder, read, _ = gaps
    for at in range(60):
        await talk.elsewhere(f"C{at % 7}").say(at, "@bobbin hello", root=at)
    await finder.note()
    await put_back(talk, 600)
    began = (await talk.sql("SELECT heard_at FROM heard"))[0]["heard_at"] / 1000
    await finder.note()
    # The talk of this suite is of a time of its own: only the bound is looked at.
    await talk.sql("UPDATE conversation SET last_ts = '2' || last_ts RETURNING id")
    await finder.catch_up()
    assert len([thread for _, _, thread in read if not thread]) == 7
    assert len([thread for _, _, thread in read if thread]) == 50
    assert {since for _, since, _ in read} == {f"{began - 60:.6f}"}


async def test_words_older_than_a_day_are_not_looked_for(talk, gaps):
    finder, read, _ = gaps
    direct = talk.elsewhere("D1", direct=True)
    await direct.say(0, "@bobbin hello")
    await finder.note()
    await put_back(talk, 5 * 24 * 3600)
    await finder.note()
    await finder.catch_up()
    now = await talk.now() / 1000
    assert all(abs(float(since) - (now - 24 * 3600)) < 60 for _, since, _ in read)
    assert len(read) == 2


async def test_where_slack_is_out_of_reach_the_gap_stays_for_the_next_time(talk, gaps):
    finder, read, refusals = gaps
    direct = talk.elsewhere("D1", direct=True)
    await direct.say(0, "@bobbin hello")
    await finder.note()
    await put_back(talk, 600)
    await finder.note()
    refusals.append(SlackUnreachable("http_503", "conversations.history"))
    with capture_logs() as log:
        await finder.catch_up()
    assert [line["log_level"] for line in log if line["log_level"] != "debug"] == ["info", "warning"]
    assert len(read) == 1  # one place out of reach is in nobody's way
    assert await talk.sql("SELECT reader FROM heard") == [{"reader": ""}]  # or for another worker
    await finder.note()
    await finder.catch_up()
    assert len(read) == 2  # what was read is not read once more
    assert await talk.store.heard("T1", 240) is None
