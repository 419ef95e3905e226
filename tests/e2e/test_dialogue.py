"""What the whole thing is for: a conversation that Bedrock does not remember and Bobbin does."""

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin


async def test_one_and_one_and_three_more(bobbin: Bobbin, slack: Slack, bedrock: Bedrock) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} What's 1+1?")
    assert (await bobbin.answered(channel, thread))[0].startswith("2")
    await slack.say(ann, channel, "And 3 more added to that?", thread=thread)
    assert (await bobbin.answered(channel, thread, 2))[1].startswith("5")
    assert [message["role"] for message in bedrock.requests[-1].body["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


async def test_the_dialogue_goes_on_after_a_restart(bobbin: Bobbin, slack: Slack) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} What's 1+1?")
    await bobbin.answered(channel, thread)
    assert await bobbin.stop() == 0
    await bobbin.start()
    await slack.say(ann, channel, "And 3 more added to that?", thread=thread)
    assert (await bobbin.answered(channel, thread, 2))[1].startswith("5")
