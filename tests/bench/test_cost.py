"""The figures of docs/cost.md hold: measured through Bobbin, against the sandbox's Bedrock."""

import pytest

from bot.models import known
from tests.bench.cost import PACES, optimum, thread

SONNET = "us.anthropic.claude-sonnet-5-5"


@pytest.mark.parametrize("pace", PACES)
async def test_reading_a_thread_costs_at_most_a_twentieth_more_than_the_best_plan(pace):
    one = await thread(SONNET, pace, 25)
    assert sum(one.costs) <= 1.05 * one.optimum


async def test_every_five_minutes_the_cache_saves_most_and_what_is_paid_in_full_grows_with_the_thread_only():
    short, long = [await thread(SONNET, "5 min", turns) for turns in (25, 100)]
    assert sum(short.costs) <= 0.15 * sum(short.uncached)
    assert sum(long.costs) <= 0.08 * sum(long.uncached)
    assert long.full_price <= 4.2 * short.full_price


def test_the_best_plan_is_that_of_the_prices():
    claude = known("global.anthropic.claude-sonnet-5-5")
    sizes = [1000, 2000, 3000]
    # Written once each, but the last, which nobody reads again: 1000 x 1.25, 50 + 1000 x 1.25, 100 + 1000.
    assert optimum(sizes, 60, claude) * 1e6 / 2 == pytest.approx(1250 + 50 + 1250 + 100 + 1000)
    assert optimum(sizes, 7200, claude) * 1e6 / 2 == pytest.approx(6000)
