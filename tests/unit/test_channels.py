"""Which words order something for a channel, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from bot.channels import Channels
from bot.policy import Order, order_of
from bot.ports import ChannelSetting
from storage import open_store


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


async def test_who_comes_too_late_is_not_told_that_it_was_set(tmp_path: Path):
    no_slack: Any = None
    async with open_store(f"sqlite:///{tmp_path / 'bobbin.db'}") as store:
        channels = Channels(store, no_slack, known=lambda _: True)
        newer = ChannelSetting("instructions", "Be brief.", "ANN", "1795000009.000100")
        for _ in range(2):  # a turn that is worked on again says the same again
            assert (await channels.set("T1", "C1", newer)).startswith("ANN has set the instructions")
        older = ChannelSetting("instructions", "Be long.", "BEN", "1795000005.000100")
        assert (await channels.set("T1", "C1", older)).endswith("nothing was changed.")
        assert "Be brief." in await channels.show("T1", "C1", "instructions")
