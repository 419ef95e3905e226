"""Slots are short: who waits is told so, and nobody's flood is everybody's wait."""

from collections.abc import Callable

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, words

FLOOD, SLOTS = 120, 2


async def test_a_flood_of_one_persons_questions_holds_up_the_others_by_no_more_than_the_slots(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(MAX_CONCURRENT_ANSWERS=str(SLOTS), SLACK_PACING="off", LEASE_SECONDS="60").start()
    scene = Scene(bobbin)
    bedrock.hold()
    for number in range(FLOOD):
        await slack.say(scene.ann, slack.dm(scene.ann), f"say exactly: flood {number}")
        if number % 20 == 0:  # all at once, a busy machine acks them late
            await scene.acked()
    await scene.acked()
    await bedrock.wait_for(lambda it: it.open == SLOTS)
    others = [slack.add_person(f"Person {number}") for number in range(6)]
    threads = [await scene.mention(f"say exactly: {number}", by=each) for number, each in enumerate(others)]
    talk = await scene.say("Ask the bot?", by=scene.ben)
    aside = await scene.mention("say exactly: never", by=scene.ben, thread=talk)
    await scene.acked()

    # They see how many are ahead of them: who came before them, and none of Ann's that wait.
    shown = ["queued, next in line", *(f"queued, {number} ahead" for number in range(1, len(others)))]
    await slack.wait_for(lambda: [slack.status(scene.channel, each).text for each in threads] == shown)
    # Whose question is gone does not wait any more, and nothing says so.
    await slack.wait_for(lambda: slack.status(scene.channel, talk).text.startswith("queued, "))
    await slack.delete(scene.ben, scene.channel, aside)
    await slack.wait_for(lambda: slack.status(scene.channel, talk).status == "active")

    bedrock.release()
    for number, thread in enumerate(threads):
        assert await scene.answered(thread) == [str(number)]
    asked = [words(each)[-1] for each in scene.requests]
    served = max(asked.index(f"say exactly: {number}") for number in range(len(others)))
    alone = SLOTS + len(others)
    assert served + 1 <= 2 * alone, asked[:20]
    assert "say exactly: never" not in asked
    assert slack.status(scene.channel, threads[-1]).status == "active"
    await bobbin.close()
