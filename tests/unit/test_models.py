from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.errors import BadConfiguration
from bot.models import UNKNOWN, Effort, default_model, known
from bot.ports import Usage


@pytest.mark.parametrize(
    ("region", "geography"),
    [
        ("us-east-1", "us"),
        ("us-west-2", "us"),
        ("us-gov-west-1", "us-gov"),
        ("eu-central-1", "eu"),
        ("ca-central-1", "ca"),
        ("ap-northeast-1", "jp"),
        ("ap-northeast-3", "jp"),
        ("ap-northeast-2", "apac"),
        ("ap-southeast-1", "apac"),
        ("ap-southeast-2", "au"),
        ("ap-southeast-4", "au"),
        ("ap-south-1", "in"),
    ],
)
def test_the_default_model_stays_in_the_regions_geography(region: str, geography: str):
    assert default_model(region) == f"{geography}.anthropic.claude-sonnet-5-5"


@pytest.mark.parametrize("region", ["sa-east-1", "me-central-1", ""])
def test_a_region_without_a_geography_has_no_default(region: str):
    with pytest.raises(BadConfiguration, match=r"BEDROCK_MODEL_ID.*for example global\."):
        default_model(region)


# As published: window, output, shortest cached prefix; dollars for input, output, cached input.
TABLE = [
    ("claude-sonnet-5-5", 1_000_000, 128_000, 512, "2", "10", "0.1"),
    ("claude-opus-5-5", 1_000_000, 128_000, 512, "4", "20", "0.2"),
    ("claude-haiku-5-5", 1_000_000, 128_000, 512, "0.1", "0.5", "0.01"),
    ("claude-fable-5", 1_000_000, 128_000, 512, "10", "50", "1"),
    ("claude-fable-5-1", 1_000_000, 128_000, 512, "10", "50", "0.25"),
    ("claude-fable-5-2", 1_000_000, 128_000, 512, "10", "50", "1"),
    ("claude-mythos-5-1", 1_000_000, 128_000, 512, "10", "50", "0.25"),
    ("claude-opus-5", 1_000_000, 128_000, 512, "5", "25", "0.5"),
    ("claude-sonnet-5", 1_000_000, 128_000, 1024, "2", "10", "0.2"),
    ("claude-opus-4-8", 1_000_000, 128_000, 1024, "5", "25", "0.5"),
    ("claude-opus-4-7", 1_000_000, 128_000, 4096, "5", "25", "0.5"),
    ("claude-opus-4-6-v1", 1_000_000, 128_000, 4096, "5", "25", "0.5"),
    ("claude-sonnet-4-6", 1_000_000, 64_000, 1024, "3", "15", "0.3"),
    ("claude-opus-4-5-20251101-v1:0", 200_000, 64_000, 4096, "5", "25", "0.5"),
    ("claude-haiku-4-5-20251001-v1:0", 200_000, 64_000, 4096, "1", "5", "0.1"),
    ("claude-sonnet-4-5-20250929-v1:0", 200_000, 64_000, 1024, "3", "15", "0.3"),
]
OLD = [
    ("claude-opus-4-1-20250805-v1:0", 32_000),
    ("claude-opus-4-20250514-v1:0", 32_000),
    ("claude-sonnet-4-20250514-v1:0", 64_000),
    ("claude-3-7-sonnet-20250219-v1:0", 64_000),
    ("claude-3-5-sonnet-20241022-v2:0", 8_192),
    ("claude-3-5-sonnet-20240620-v1:0", 4_096),
    ("claude-3-5-haiku-20241022-v1:0", 8_192),
    ("claude-3-haiku-20240307-v1:0", 4_096),
]
ACCOUNT = "arn:aws:bedrock:us-east-1:123456789012"
PROFILE = f"{ACCOUNT}:application-inference-profile/a1b2c3d4e5f6"


@pytest.mark.parametrize(("name", "window", "output", "cache_from", "came", "went", "cached"), TABLE)
def test_a_model_is_known_by_any_of_its_names(
    name: str, window: int, output: int, cache_from: int, came: str, went: str, cached: str
):
    everywhere = known(f"global.anthropic.{name}")
    assert everywhere.is_known
    assert (everywhere.window, everywhere.max_output) == (window, output)
    assert (everywhere.cache_from, everywhere.ttls) == (cache_from, ("5m", "1h"))
    prices = everywhere.prices
    assert [prices.input, prices.output, prices.input * prices.read] == [
        Decimal(came),
        Decimal(went),
        Decimal(cached),
    ]
    assert known(PROFILE, f"global.anthropic.{name}") == everywhere
    assert known(f"{ACCOUNT}:inference-profile/global.anthropic.{name}") == everywhere
    regional = replace(
        everywhere,
        prices=replace(prices, input=prices.input * Decimal("1.1"), output=prices.output * Decimal("1.1")),
    )
    for here in ("us", "eu", "jp", "au", "apac", "ca", "in"):
        assert known(f"{here}.anthropic.{name}") == regional
        assert known(f"{ACCOUNT}:inference-profile/{here}.anthropic.{name}") == regional
    assert known(f"anthropic.{name}") == regional
    assert known(f"arn:aws:bedrock:us-east-1::foundation-model/anthropic.{name}") == regional
    assert known(PROFILE, f"anthropic.{name}") == regional
    assert known(PROFILE, name) == regional


@pytest.mark.parametrize(("name", "output"), OLD)
def test_an_old_model_costs_the_same_wherever_it_is_asked(name: str, output: int):
    assert known(f"us.anthropic.{name}") == known(f"anthropic.{name}")
    assert known(f"anthropic.{name}").max_output == output
    assert "1h" not in known(f"anthropic.{name}").ttls


@pytest.mark.parametrize(
    "model_id",
    [
        PROFILE,
        f"{ACCOUNT}:imported-model/claude-like/abc",
        "us.anthropic.claude-sonnet-6-1",
        "us.anthropic.claude-sonnet-5-55",
    ],
)
def test_of_an_unknown_model_nothing_is_hoped(model_id: str):
    claude = known(model_id)
    assert claude == UNKNOWN
    assert (claude.window, claude.max_output, claude.is_known) == (200_000, 8_192, False)
    assert (claude.cache_from, claude.ttls, claude.sampling) == (4096, ("5m",), False)
    assert claude.fields("max", 100_000) == {}


@pytest.mark.parametrize(
    "model_id", ["meta.llama4-scout-17b-instruct-v1:0", f"{ACCOUNT}:imported-model/abc", ""]
)
def test_a_model_of_another_family_may_have_no_cache_and_gets_no_cache_point(model_id: str):
    assert known(model_id) == replace(UNKNOWN, ttls=())


def test_an_unknown_model_is_taken_to_cost_as_much_as_the_dearest():
    for name in (row[0] for row in (*TABLE, *OLD)):
        for profile in (f"us.anthropic.{name}", f"us-gov.anthropic.{name}"):
            assert known(profile).prices.input <= UNKNOWN.prices.input
            assert known(profile).prices.output <= UNKNOWN.prices.output


def test_an_id_that_tells_its_model_needs_no_family():
    assert known("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-opus-5-5").window == 200_000


def adaptive(effort: str) -> dict[str, Any]:
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def told(kind: str, **more: int) -> dict[str, Any]:
    return {"thinking": {"type": kind, **more}}


@pytest.mark.parametrize(
    ("name", "effort", "fields"),
    [
        ("claude-sonnet-5-5", "low", adaptive("low")),
        ("claude-sonnet-5-5", "off", told("between_tools")),
        ("claude-sonnet-5-5", "max", adaptive("xhigh")),
        ("claude-haiku-5-5", "off", told("disabled")),
        ("claude-haiku-5-5", "max", adaptive("xhigh")),
        ("claude-opus-5-5", "off", adaptive("low")),
        ("claude-opus-5-5", "max", adaptive("max")),
        ("claude-fable-5-1", "off", adaptive("low")),
        ("claude-opus-5", "off", told("disabled")),
        ("claude-sonnet-5", "low", adaptive("low")),
        ("claude-opus-4-8", "off", {}),
        ("claude-opus-4-7", "low", adaptive("low")),
        ("claude-sonnet-4-6", "xhigh", adaptive("high")),
        ("claude-haiku-4-5-20251001-v1:0", "low", {}),
        ("claude-haiku-4-5-20251001-v1:0", "off", {}),
        ("claude-haiku-4-5-20251001-v1:0", "high", told("enabled", budget_tokens=4096)),
        ("claude-haiku-4-5-20251001-v1:0", "max", told("enabled", budget_tokens=4096)),
    ],
)
def test_effort_is_what_the_model_makes_of_it(name: str, effort: Effort, fields: dict[str, Any]):
    assert known(f"us.anthropic.{name}").fields(effort, 8192) == fields


def test_no_budget_for_thinking_is_asked_that_the_answer_has_no_room_for():
    assert known("us.anthropic.claude-haiku-4-5-20251001-v1:0").fields("high", 2000) == {}


@pytest.mark.parametrize(
    ("usage", "microdollars"),
    [
        (Usage(), 0),
        (Usage(input=1_000_000), 2_000_000),
        (Usage(output=1_000_000), 10_000_000),
        (Usage(cache_read=1_000_000), 100_000),
        (Usage(cache_write=1_000_000), 2_500_000),
        (Usage(cache_write=1_000_000, cache_write_1h=1_000_000), 4_000_000),
        (Usage(cache_write=1_000_000, cache_write_1h=400_000), 1_500_000 + 1_600_000),
        (Usage(cache_read=30), 3),
        (Usage(cache_read=31), 4),
        (Usage(input=1, cache_read=1, cache_write=1), 5),
    ],
)
def test_a_call_costs_its_tokens_rounded_up_once(usage: Usage, microdollars: int):
    assert known("global.anthropic.claude-sonnet-5-5").cost(usage) == microdollars


def test_a_regional_profile_costs_a_tenth_more_and_one_of_us_gov_a_fifth():
    assert known("eu.anthropic.claude-sonnet-5-5").cost(Usage(input=1000, output=1000)) == 13_200
    assert known("us-gov.anthropic.claude-sonnet-5-5").cost(Usage(input=1000, output=1000)) == 14_400
    account = "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012"
    profile = "us-gov.anthropic.claude-sonnet-5-5"
    assert known(f"{account}:inference-profile/{profile}") == known(profile)


def test_a_long_prompt_costs_more_from_its_first_token():
    haiku = known("global.anthropic.claude-haiku-5-5")
    assert haiku.cost(Usage(input=50_000, cache_read=50_000)) == 5_000 + 500
    assert haiku.cost(Usage(input=50_000, cache_read=50_001, output=10)) == 25_000 + 2501 + 25
