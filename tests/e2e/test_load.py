"""Many questions at once."""

from collections.abc import Callable

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene


async def test_two_hundred_questions_at_once_are_asked_together_and_all_answered(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off", LEASE_SECONDS="60", RECOVERY_SETTLE_SECONDS="10").start()
    scene = Scene(bobbin)
    people = [slack.add_person(f"Person {number}") for number in range(20)]
    channels = [slack.add_channel(f"room{number}", members=people) for number in range(8)]
    bedrock.hold()
    asked: list[tuple[str, str, str]] = []
    for number in range(200):
        person, channel = people[number % 20], channels[number % 8]
        words = f"answer {number}"
        asked.append((channel, await slack.say(person, channel, f"{bobbin.me} say exactly: {words}"), words))
        if number % 20 == 0:  # all at once, a busy machine acks them late
            await scene.acked()
    await bedrock.wait_for(lambda it: it.open == 200, 200)
    bedrock.release()
    for channel, thread, words in asked:
        assert await bobbin.answered(channel, thread) == [words]
    assert bedrock.most_open == 200
    assert len(bedrock.requests) == 200
    assert len(slack.calls("users.info")) < len(asked) / 2  # once a person, but for those that were too slow
    assert {entry.result["ok"] for entry in slack.calls() if entry.result} == {True}


async def test_under_slacks_limits_forty_questions_are_answered_whole_without_a_storm_of_refusals(
    bedrock: Bedrock, make: Callable[..., Bobbin]
) -> None:
    slack = Slack(tiers=True, ack_seconds=6)
    await slack.start()
    bobbin = make(LEASE_SECONDS="60", RECOVERY_SETTLE_SECONDS="10")
    bobbin.slack = slack
    try:
        await bobbin.start()
        people = [slack.add_person(f"Person {number}") for number in range(10)]
        channels = [slack.add_channel(f"room{number}", members=people) for number in range(5)]
        bedrock.pace = 0.05
        asked: list[tuple[str, str, str]] = []
        for number in range(40):
            person, channel = people[number % 10], channels[number % 5]
            words = (f"answer {number}, " * 30).strip()
            asked.append(
                (channel, await slack.say(person, channel, f"{bobbin.me} say exactly: {words}"), words)
            )
        for channel, thread, words in asked:
            await bobbin.answered(channel, thread, timeout=120)
            assert [shown(message).strip() for message in bobbin.answers(channel, thread)] == [words]
        refused = [
            entry.name for entry in slack.calls() if (entry.result or {}).get("error") == "ratelimited"
        ]
        assert len(refused) <= 5, refused
        assert len(bedrock.requests) == 40
        assert await bobbin.stop() == 0
    finally:
        await bobbin.close()
        await slack.close()
