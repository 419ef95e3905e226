"""The dialogue tells a Bobbin that remembers from one that does not: broken variants of the code fail it."""

import sys
from collections.abc import Callable

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin

START = """
import sys
import bot.condensing
from bot.__main__ import main

alternate = bot.condensing.alternate
{}
sys.exit(main())
"""
LAST_MESSAGE_ONLY = "bot.condensing.alternate = lambda messages: alternate(list(messages)[-1:])"
NEVER_MERGED = "bot.condensing.alternate = tuple"


async def dialogue(bobbin: Bobbin, slack: Slack) -> None:
    """Two questions, with a restart and a pleasantry in between. Raises where the second goes wrong."""
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} What's 1+1?")
    assert (await bobbin.answered(channel, thread))[0].startswith("2")
    assert await bobbin.stop() == 0
    await bobbin.start()
    await slack.say(ann, channel, "Thanks!", thread=thread)
    await slack.wait_for(lambda: any(line.get("outcome") == "message" for line in bobbin.log))
    await slack.say(ann, channel, "And 3 more added to that?", thread=thread)
    second = (await bobbin.answered(channel, thread, 2))[1]
    assert second.startswith("5"), second


async def test_the_code_as_it_is_passes_the_dialogue(make: Callable[..., Bobbin], slack: Slack) -> None:
    bobbin = make()
    bobbin.command = [sys.executable, "-c", START.format("")]
    await dialogue(await bobbin.start(), slack)


@pytest.mark.parametrize(
    ("mutant", "why", "refusal"),
    [
        (LAST_MESSAGE_ONLY, "More than what", ""),
        (NEVER_MERGED, "The model refused my request", "must alternate between user and assistant"),
    ],
    ids=["last message only", "never merged"],
)
async def test_a_broken_variant_fails_the_dialogue(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock, mutant: str, why: str, refusal: str
) -> None:
    bobbin = make()
    bobbin.command = [sys.executable, "-c", START.format(mutant)]
    with pytest.raises(AssertionError, match=why):
        await dialogue(await bobbin.start(), slack)
    assert refusal in (bobbin.folder / "bobbin.log").read_text()
