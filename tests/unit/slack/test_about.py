"""What Bobbin runs with, in words."""

import tomllib
from pathlib import Path

import pytest

import bot
from bot.insight import Kept, Standing
from bot.policy import Rules
from bot.ports import Caps
from bot.slack.about import About, model, settings, spending, usd
from bot.slack.home import home
from bot.slack.shortcuts import SHORTCUTS

STANDING = Standing(1_250_000, 3_000_000, 50_000_000, 1782777600, 1782864000, 1, 2)


def about(**more: object) -> About:
    facts = {
        "version": "1",
        "model_id": "us.anthropic.claude-sonnet-5-5",
        "region": "",
        "rules": Rules(),
        "caps": Caps(),
    }
    return About(**facts | more)  # type: ignore[arg-type]


def test_the_version_is_the_packages():
    project = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text("utf-8"))
    assert bot.__version__ == project["project"]["version"]


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        (Caps(), "No budget is set."),
        (Caps(user=2_000_000), "*Today:* $1.25 of $2.00; renewed <!date^1782777600^"),
        (
            Caps(team=100_000_000),
            "*The whole workspace this month:* 50 % of $100.00; renewed <!date^1782864000^",
        ),
        (Caps(user=0, team=0), "*The whole workspace this month:* all of $0.00"),
    ],
)
def test_what_somebody_spent_stands_beside_what_they_may(caps, said):
    assert said in spending(STANDING, caps)
    assert "*This month:* $3.00" in spending(STANDING, caps)


def test_a_little_is_not_nothing():
    assert (usd(1), usd(9_999), usd(10_000), usd(0)) == ("under $0.0001", "$0.0100", "$0.01", "$0.00")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("global.anthropic.claude-sonnet-5-5", "any region of the world"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-haiku-5-5", "European Union"),
        ("us-gov.anthropic.claude-sonnet-5-5", "GovCloud"),
    ],
)
def test_a_profile_tells_where_the_model_works(name, said):
    assert said in model(about(model_id=name))


def test_an_application_profile_tells_only_its_region():
    name = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc"
    assert model(about(model_id=name, region="eu-west-1")) == f"`{name}`. Asked in AWS region `eu-west-1`."


def test_of_many_allowed_channels_some_are_named_and_dms_are_not():
    rules = Rules(allowed_channels=frozenset({f"C{n:02}" for n in range(30)} | {"D1"}))
    (said,) = [line for line in settings(about(rules=rules), "U1") if line.startswith("*Channels")]
    assert "<#C09> and 20 more" in said
    assert "D1" not in said


def test_the_longest_home_keeps_to_slacks_limits():
    rules = Rules(
        allowed_channels=frozenset(f"C{n:010}" for n in range(500)), allowed_users=frozenset({"U1"})
    )
    facts = about(rules=rules, model_id="x" * 2000, caps=Caps(1, 1))
    view = home(facts, "U1", STANDING, Kept(10**9, 10**9, "1782770400.000100"))
    assert len(view["blocks"]) <= 100
    for block in view["blocks"]:
        if block["type"] == "section":
            assert len(block["text"]["text"]) <= 3000
    assert all(len(name) <= 24 and len(words) <= 150 for name, words in SHORTCUTS.values())
