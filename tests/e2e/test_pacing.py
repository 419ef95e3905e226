"""Under Slack's rate limits and its streams' short life: everything is shown, whole, soon, and once."""

from collections.abc import AsyncIterator, Callable

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene

Make = Callable[..., Bobbin]

QUESTIONS = 40
ANSWER = ("A sentence of an answer that is two thousand characters long, more or less. " * 26).strip()


@pytest.fixture
async def limited() -> AsyncIterator[Slack]:
    """A Slack that refuses what is above its tiers."""
    slack = Slack(tiers=True)
    await slack.start()
    yield slack
    await slack.close()


async def test_forty_answers_at_once_are_whole_and_twenty_begin_before_the_model_has_said_one_of_them(
    bedrock: Bedrock, make: Make, limited: Slack
) -> None:
    bobbin = make(LEASE_SECONDS="60", RECOVERY_SETTLE_SECONDS="10")
    bobbin.slack = limited
    await bobbin.start()
    people = [limited.add_person(f"Person {number}") for number in range(10)]
    channels = [limited.add_channel(f"room{number}", members=people) for number in range(5)]
    bedrock.pace = 0.1
    one = await limited.say(people[0], channels[0], f"{bobbin.me} say exactly: Hello")
    await bobbin.answered(channels[0], one)
    asked: list[tuple[str, str, str]] = []
    for number in range(QUESTIONS):
        person, channel = people[number % 10], channels[number % 5]
        words = f"{number}. {ANSWER}"
        asked.append(
            (channel, await limited.say(person, channel, f"{bobbin.me} say exactly: {words}"), words)
        )
    for channel, thread, words in asked:
        await bobbin.answered(channel, thread, timeout=110)
        assert [shown(message).strip() for message in bobbin.answers(channel, thread)] == [words]
    refused = [entry.name for entry in limited.calls() if (entry.result or {}).get("error") == "ratelimited"]
    began = sorted(float(bobbin.answers(channel, thread)[0]["ts"]) for channel, thread, _ in asked)
    assert len(refused) <= 5, refused
    assert began[19] < min(call.finished_at or 0 for call in bedrock.requests[1:])
    assert len(bedrock.requests) == QUESTIONS + 1


async def test_an_answer_that_outlives_its_stream_is_shown_once_in_one_message(
    bobbin: Bobbin, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    scene.slack.workspace.stream_seconds = 3.0
    bedrock.pace = 0.1
    thread = await scene.mention(f"say exactly: {ANSWER}")
    await scene.slack.wait_for(
        lambda: [shown(each).strip() for each in scene.answers(thread)] == [ANSWER], 90
    )
    await bobbin.answered(scene.channel, thread)
    assert len(scene.slack.calls("chat.startStream")) == 1
    assert not scene.slack.calls("chat.postMessage")
    assert scene.slack.calls("chat.update")  # its stream was over before it
