"""Which words order something for a channel."""

import pytest

from bot.policy import Order, order_of


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("instructions", Order("instructions")),
        ("Instructions?", Order("instructions")),
        ("instructions:", Order("instructions")),
        ("instructions Answer in Spanish.", Order("instructions", "Answer in Spanish.")),
        ("instructions: Be brief.\nBe kind.", Order("instructions", "Be brief.\nBe kind.")),
        ("INSTRUCTIONS\nBe brief.", Order("instructions", "Be brief.")),
        ("instructions none", Order("instructions", "")),
        ("instructions None of your jokes", Order("instructions", "None of your jokes")),
        ("model", Order("model")),
        ("model: default", Order("model", "")),
        ("model us.anthropic.claude-opus-5-5", Order("model", "us.anthropic.claude-opus-5-5")),
        ("model the sales of next year", None),
        ("models", None),
        ("instructional videos", None),
        ("show me the instructions", None),
        ("", None),
    ],
)
def test_an_order_is_the_whole_message_and_begins_with_its_name(words: str, order: Order | None):
    assert order_of(words) == order
