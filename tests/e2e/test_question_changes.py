"""A question that changes: its answer begins anew, or a new one is offered; one that goes ends its turn."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import pytest_asyncio

from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, running, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "Four score and seven years ago our fathers brought forth a nation. " * 20
OTHER = "We are met on a great battle-field of that war. " * 30
OFFER = "You changed a question that I have answered."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with running(tmp_path_factory.mktemp("changes"), SLACK_PACING="off") as bobbin:
        yield bobbin
        assert not [line for line in bobbin.log if "turn broke" in line["event"]]


@pytest.fixture
def scene(shared: Bobbin) -> Scene:
    return Scene(shared)


async def growing(scene: Scene, text: str = LONG) -> str:
    """A thread in which an answer is being shown."""
    scene.bedrock.pace = 0.2
    thread = await scene.mention(f"say exactly: {text}")
    await scene.slack.wait_for(lambda: scene.answers(thread))
    return thread


async def change(scene: Scene, thread: str, text: str) -> None:
    """Change the question, and wait until the model is asked again."""
    before = len(scene.requests)
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} {text}")
    await scene.bedrock.wait_for(lambda _: len(scene.requests) > before)
    scene.bedrock.pace = 0


def offers(scene: Scene, user: str) -> list[dict[str, Any]]:
    """What this person was offered."""
    return [note for note in scene.slack.ephemerals(user) if OFFER in note["text"]]


# ---------------------------------------------------------------- while it is answered


async def test_a_question_changed_before_the_first_word_is_answered_as_it_is_now(scene: Scene) -> None:
    thread = await scene.mention("wait 60")
    await scene.asked()
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: the new question")
    assert await scene.answered(thread) == ["the new question"]
    assert len(scene.requests) == 2
    assert words(scene.requests[1]) == ["say exactly: the new question"]
    assert not offers(scene, scene.ann)


async def test_a_question_changed_while_its_answer_grows_is_answered_in_the_same_message(
    scene: Scene,
) -> None:
    thread = await growing(scene)
    (half,) = scene.answers(thread)
    await change(scene, thread, "say exactly: something else")
    await scene.shows(thread, ["something else"])
    assert await scene.end() == "answered"
    assert [message["ts"] for message in scene.answers(thread)] == [half["ts"]]
    rows = "SELECT text FROM message WHERE role = 'assistant' AND channel_id = '{}'"
    assert await scene.bobbin.rows(rows.format(scene.channel)) == [("something else",)]


async def test_a_new_answer_that_is_longer_grows_into_the_same_message(scene: Scene) -> None:
    thread = await growing(scene)
    await change(scene, thread, f"say exactly: {OTHER}")
    await scene.shows(thread, [OTHER.strip()])


async def test_a_question_may_be_changed_again_and_again(scene: Scene) -> None:
    thread = await scene.mention("wait 60")
    await scene.asked()
    for number in range(5):
        await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} wait 6{number} please")
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: at last")
    assert await scene.answered(thread) == ["at last"]
    await scene.heard()
    assert len(scene.answers(thread)) == 1


async def test_typing_that_is_put_right_does_not_disturb_the_answer(scene: Scene) -> None:
    thread = await scene.mention("wait 2 and tell me abuot tea")
    await scene.asked()
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} Wait 2, and tell me about tea!")
    await scene.answered(thread)
    await scene.heard()
    assert len(scene.requests) == 1


async def test_stop_right_after_a_change_stops(scene: Scene) -> None:
    thread = await growing(scene)
    await change(scene, thread, "wait 60 now")
    await scene.say("stop", thread=thread)
    await scene.slack.wait_for(lambda: "Stopped." in str(scene.answers(thread)))
    assert (await scene.end(), len(scene.answers(thread))) == ("answered", 1)


async def test_a_change_just_before_a_kill_is_what_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path, SLACK_PACING="off") as bobbin:
        scene = Scene(bobbin)
        thread = await growing(scene)
        (half,) = scene.answers(thread)
        await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: {OTHER}")
        await scene.acked()
        await bobbin.kill()
        scene.bedrock.pace = 0
        await bobbin.start()
        await scene.shows(thread, [OTHER.strip()])
        assert [message["ts"] for message in scene.answers(thread)] == [half["ts"]]


# ---------------------------------------------------------------- once it is answered


async def test_a_change_in_words_is_offered_a_new_answer_to_its_author_alone(scene: Scene) -> None:
    thread = await scene.joined("What's 1+1?")
    (before,) = scene.answers(thread)
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} What's 2+2?")
    await scene.slack.wait_for(lambda: offers(scene, scene.ann))
    assert not offers(scene, scene.ben)
    assert len(scene.requests) == 1
    (note,) = offers(scene, scene.ann)
    assert note["thread_ts"] == thread
    await scene.slack.press(scene.ann, scene.channel, note["ts"], "answer_again")
    await scene.slack.wait_for(lambda: [shown(m)[0] for m in scene.answers(thread)] == ["4"])
    assert [message["ts"] for message in scene.answers(thread)] == [before["ts"]]
    await scene.slack.wait_for(lambda: not offers(scene, scene.ann))


@pytest.mark.parametrize("text", ["what's 1+1, my freind", "What's 1+1,  my friend?!"], ids=["slip", "signs"])
async def test_a_change_in_typing_offers_nothing(scene: Scene, text: str) -> None:
    thread = await scene.joined("What's 1+1, my friend?")
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} {text}")
    await scene.heard()
    assert not offers(scene, scene.ann)


async def test_a_change_of_an_older_question_offers_nothing(scene: Scene) -> None:
    thread = await scene.joined("What's 1+1?")
    await scene.mention("And 3 more?", thread=thread)
    await scene.answered(thread, 2)
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} What's 2+2?")
    await scene.heard()
    assert not offers(scene, scene.ann)


async def test_a_change_after_ten_minutes_offers_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as bobbin:
        scene = Scene(bobbin)
        thread = await scene.joined("What's 1+1?")
        await scene.heard()
        assert await bobbin.stop() == 0
        async with aiosqlite.connect(bobbin.folder / "bobbin.db") as database:
            await database.execute("UPDATE turn SET finished_at = finished_at - 600001")
            await database.commit()
        await bobbin.start()
        await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} What's 2+2?")
        await scene.heard()
        assert not offers(scene, scene.ann)


async def test_deleting_a_question_that_is_being_answered_ends_its_turn(scene: Scene) -> None:
    thread = await scene.joined()
    question = await scene.mention("wait 60", thread=thread)
    await scene.asked(2)
    await scene.slack.delete(scene.ann, scene.channel, question)
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 0)
    assert await scene.end() == "cancelled"
    assert len(scene.answers(thread)) == 1
