"""The bench measures what it says."""

import time
from pathlib import Path

import aiosqlite
import pytest

from bot.conversation import ThreadKey
from storage import open_store
from tests.bench import filled, page
from tests.bench.figures import Promise, Section, percentile, ratio
from tests.bench.limits import best
from tests.bench.plot import curves
from tests.bench.stage import BOBBIN, FLOOR, stage


@pytest.mark.parametrize("name", [BOBBIN, FLOOR])
async def test_each_question_is_followed_on_its_whole_way(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as one:
        before = one.usage()
        walks = await one.ask(3)
        for walk in walks:
            way = [walk.sent, walk.asked, walk.first, walk.shown, walk.closed]
            assert way == sorted(way)
            assert walk.first <= walk.last <= walk.closed
            assert walk.calls > 1
        assert one.usage().cpu > before.cpu
        assert one.usage().rss > 2**20


async def test_a_filled_database_is_one_that_the_store_goes_on_with(tmp_path: Path) -> None:
    now = int(time.time()) - 24 * 3600
    small, large = tmp_path / "small.db", tmp_path / "large.db"
    await filled.play(small, now)
    await filled.multiply(small, large, 3)
    async with aiosqlite.connect(large) as database:
        for table, count in {"message": 3000, "turn": 1500, "conversation": 150, "inbox": 1500}.items():
            [(found,)] = await database.execute_fetchall(f"SELECT count(*) FROM {table}")
            assert found == count, table
        [(joined,)] = await database.execute_fetchall(
            "SELECT count(*) FROM message m JOIN conversation c ON c.id = m.conversation_id "
            "JOIN turn t ON t.id = m.turn_id AND t.conversation_id = c.id WHERE m.ts >= c.thread_ts"
        )
        assert joined == 3000
        [(thread,)] = await database.execute_fetchall("SELECT min(thread_ts) FROM conversation")
        assert not await database.execute_fetchall("PRAGMA foreign_key_check")
    async with open_store(f"sqlite:///{large}") as store:
        await filled.said(store, ThreadKey(filled.TEAM, filled.CHANNEL, thread), f"{time.time():.6f}")
        [turn] = await store.claim("test", 1)
        assert len((await store.recall(turn)).lines) == 21


def test_the_best_client_streams_what_it_may_and_posts_the_rest_as_fast_as_channels_take_it() -> None:
    assert best(22, 1) == [0.0] * 22
    assert best(30, 2)[22:] == [0, 0, 0, 0, 0, 0, 1, 1]  # bursts of three in each, then one a second


def test_percentiles_are_values_that_were_measured_and_ratios_tell_their_spread() -> None:
    assert [percentile(range(1, 101), each) for each in (50, 95, 99)] == [50, 95, 99]
    assert percentile([7], 99) == 7
    assert str(ratio([2, 6, 4], [1, 2, 4])) == "2.00 (1.00–3.00)"


def test_a_part_takes_the_place_of_its_last_one_and_its_promises_stand_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tmp_path / "performance.md"
    shown.write_text(page.PAGE.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(page, "PAGE", shown)
    monkeypatch.setattr(page, "DOCS", tmp_path)
    promise = Promise("a new figure", "≤ 1", "0.5", held=True)
    for text in ("first", "second"):
        page.write(
            "load", Section("Load", f"the {text} figures of this load", [promise], {"a.svg": "<svg/>"})
        )
    written = shown.read_text("utf-8")
    assert "the first figures of this load" not in written
    assert "the second figures of this load" in written
    assert written.count(promise.row) == 2
    assert written.index(promise.row) < written.index("the second figures of this load")
    assert (tmp_path / "a.svg").exists()


def test_each_decade_of_a_plot_is_as_long_as_the_next() -> None:
    drawn = curves({"a": [(10, 1), (100, 2), (1000, 3)]}, "title", ("messages", "ms"))
    [points] = [line for line in drawn.splitlines() if "polyline" in line]
    xs = [float(each.partition(",")[0]) for each in points.split('"')[1].split()]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
