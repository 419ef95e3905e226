"""👍 and 👎 below each answer: kept with its turn, one of each person, with a word of why on 👎."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, running
from tests.e2e.test_crashes import at_rest

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "We are met on a great battle-field of that war. " * 30
DISCLAIMER = "Answers are written by Claude, an AI, and can be wrong."
GIVEN = (
    "SELECT user_id, good, why, version FROM feedback f JOIN turn t ON t.id = f.turn_id "
    "JOIN conversation c ON c.id = t.conversation_id WHERE c.channel_id = '{}' ORDER BY user_id"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with running(tmp_path_factory.mktemp("feedback"), SLACK_PACING="off") as bobbin:
        yield bobbin


@pytest.fixture
def scene(shared: Bobbin) -> Scene:
    return Scene(shared)


async def judge(scene: Scene, user: str, ts: str, value: str) -> None:
    """Press it."""
    assert await scene.slack.press(user, scene.channel, ts, "feedback", value) == {}


async def given(scene: Scene) -> list[tuple[Any, ...]]:
    """What was kept: who, good, why, of which version."""
    return await scene.bobbin.rows(GIVEN.format(scene.channel))


async def thanked(scene: Scene, user: str, count: int = 1) -> None:
    """Wait until this person was thanked privately so often."""
    await scene.slack.wait_for(
        lambda: sum("Thank you" in note["text"] for note in scene.slack.ephemerals(user)) == count
    )


def rows(message: dict[str, Any]) -> list[str]:
    """The kinds of blocks below a message's text."""
    return [block["type"] for block in message.get("blocks") or [] if block["type"] != "markdown"]


async def test_the_last_part_of_an_answer_alone_can_be_judged(scene: Scene) -> None:
    thread = await scene.joined("Please write 4000 words.")
    *before, last = scene.answers(thread)
    assert before
    assert [rows(message) for message in before] == [[] for _ in before]
    assert rows(last) == ["context", "context_actions"]
    assert DISCLAIMER in str(last["blocks"])


async def test_the_row_stays_when_a_message_is_rewritten(scene: Scene) -> None:
    thread = await scene.joined("say exactly: the first")
    (answer,) = scene.answers(thread)
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: {LONG}")
    await scene.heard()
    await scene.slack.shortcut(scene.ann, "answer_again", scene.channel, answer["ts"])
    await scene.shows(thread, [LONG.strip()])
    await at_rest(scene.bobbin)
    (answer,) = scene.answers(thread)
    assert rows(answer) == ["context", "context_actions"]
    assert scene.slack.calls("chat.update")


async def test_an_answer_that_was_stopped_can_be_judged(scene: Scene) -> None:
    scene.bedrock.pace = 0.2
    thread = await scene.mention(f"say exactly: {LONG}")
    await scene.slack.wait_for(lambda: scene.answers(thread))
    await scene.say("stop", thread=thread)
    await scene.slack.wait_for(lambda: "Stopped." in str(scene.answers(thread)))
    scene.bedrock.pace = 0
    assert rows(scene.answers(thread)[0]) == ["context", "context_actions"]


async def test_an_error_cannot_be_judged(scene: Scene) -> None:
    thread = await scene.mention("fail validation")
    await scene.slack.wait_for(lambda: scene.answers(thread))
    assert "context_actions" not in rows(scene.answers(thread)[0])


async def test_a_good_word_is_kept_and_thanked_for_privately(scene: Scene) -> None:
    thread = await scene.joined()
    await judge(scene, scene.ben, scene.answers(thread)[0]["ts"], "up")
    await thanked(scene, scene.ben)
    assert await given(scene) == [(scene.ben, 1, "", 1)]
    assert scene.slack.ephemerals(scene.ben)[0]["thread_ts"] == thread
    assert not scene.slack.modal(scene.ben)
    assert not scene.slack.ephemerals(scene.ann)


async def test_on_a_bad_word_a_modal_asks_why(scene: Scene) -> None:
    thread = await scene.joined()
    await judge(scene, scene.ann, scene.answers(thread)[0]["ts"], "down")
    await scene.slack.wait_for(lambda: scene.slack.modal(scene.ann))
    assert await given(scene) == [(scene.ann, 0, "", 1)]
    view = scene.slack.modal(scene.ann)["id"]
    assert await scene.slack.submit(scene.ann, view, {"feedback_why": " It is 2,\nnot 3. "}) == {}
    await thanked(scene, scene.ann)
    assert await given(scene) == [(scene.ann, 0, "It is 2,\nnot 3.", 1)]
    assert not scene.slack.modal(scene.ann)


async def test_a_reason_need_not_be_given_and_has_its_limit(scene: Scene) -> None:
    thread = await scene.joined()
    ts = scene.answers(thread)[0]["ts"]
    await judge(scene, scene.ann, ts, "down")
    await scene.slack.wait_for(lambda: scene.slack.modal(scene.ann))
    view = scene.slack.modal(scene.ann)["id"]
    with pytest.raises(ValueError, match="2001 characters"):
        await scene.slack.submit(scene.ann, view, {"feedback_why": "x" * 2001})
    await scene.slack.submit(scene.ann, view)
    await thanked(scene, scene.ann)
    assert await given(scene) == [(scene.ann, 0, "", 1)]


async def test_the_newest_word_of_each_person_counts(scene: Scene) -> None:
    thread = await scene.joined()
    ts = scene.answers(thread)[0]["ts"]
    await judge(scene, scene.ann, ts, "down")
    await scene.slack.wait_for(lambda: scene.slack.modal(scene.ann))
    await scene.slack.submit(scene.ann, scene.slack.modal(scene.ann)["id"], {"feedback_why": "Wrong."})
    await judge(scene, scene.ann, ts, "up")
    await judge(scene, scene.ben, ts, "up")
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ben))
    assert await given(scene) == sorted([(scene.ann, 1, "", 1), (scene.ben, 1, "", 1)])


async def test_a_word_on_a_new_answer_names_its_version(scene: Scene) -> None:
    thread = await scene.joined()
    ts = scene.answers(thread)[0]["ts"]
    await scene.slack.shortcut(scene.ann, "answer_again", scene.channel, ts)
    await at_rest(scene.bobbin)
    assert len(scene.requests) == 2
    await judge(scene, scene.ann, ts, "up")
    assert await given(scene) == [(scene.ann, 1, "", 2)]


async def test_who_comes_too_late_for_the_modal_is_thanked_all_the_same(scene: Scene) -> None:
    thread = await scene.joined()
    scene.slack.faults.add("views.open", "expired_trigger_id")
    await judge(scene, scene.ann, scene.answers(thread)[0]["ts"], "down")
    await thanked(scene, scene.ann)
    assert await given(scene) == [(scene.ann, 0, "", 1)]
