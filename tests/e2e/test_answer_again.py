"""*Answer again*: the newest answer of a thread is written anew, in its place, for whoever asked."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, running, words
from tests.e2e.test_crashes import at_rest, nothing_is_left

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERSIONS = (
    "SELECT version, text FROM answer_version v JOIN turn t ON t.id = v.turn_id WHERE t.conversation_id = {}"
)
KEPT = "SELECT text FROM message WHERE role = 'assistant' AND channel_id = '{}' ORDER BY ts"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with running(tmp_path_factory.mktemp("again"), SLACK_PACING="off") as bobbin:
        yield bobbin
        assert not [line for line in bobbin.log if "turn broke" in line["event"]]


@pytest.fixture
def scene(shared: Bobbin) -> Scene:
    return Scene(shared)


async def again(scene: Scene, ts: str, *, by: str = "") -> None:
    """Choose the shortcut on a message."""
    assert await scene.slack.shortcut(by or scene.ann, "answer_again", scene.channel, ts) == {}


async def told(scene: Scene, user: str, words: str) -> None:
    """Wait until this person is told so privately."""
    await scene.slack.wait_for(lambda: any(words in note["text"] for note in scene.slack.ephemerals(user)))


async def asked_for(scene: Scene, text: str = "say exactly: the first") -> tuple[str, str]:
    """A thread with an answer, whose question is another one by now; the answer's ts."""
    thread = await scene.joined(text)
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: the second")
    await scene.heard()
    return thread, scene.answers(thread)[0]["ts"]


async def versions(scene: Scene) -> list[tuple[int, str]]:
    rows = await scene.bobbin.rows(f"SELECT id FROM conversation WHERE channel_id = '{scene.channel}'")
    return [(int(row[0]), str(row[1])) for row in await scene.bobbin.rows(VERSIONS.format(rows[0][0]))]


async def test_an_answer_is_written_anew_in_its_message_and_the_earlier_one_is_kept(scene: Scene) -> None:
    thread, ts = await asked_for(scene)
    await again(scene, ts)
    await scene.shows(thread, ["the second"])
    await at_rest(scene.bobbin)
    assert [message["ts"] for message in scene.answers(thread)] == [ts]
    assert words(scene.requests[1]) == ["say exactly: the second"]
    assert [message["role"] for message in scene.requests[1].body["messages"]] == ["user"]
    assert (await versions(scene))[0][1].startswith("the first")
    assert await scene.bobbin.rows(KEPT.format(scene.channel)) == [("the second",)]
    await scene.say("And what did I say first?", thread=thread)
    await scene.answered(thread, 2)
    assert "the first" not in str(scene.requests[2].body)


async def test_an_answer_may_be_written_anew_many_times(scene: Scene) -> None:
    thread, ts = await asked_for(scene)
    for number in range(2, 5):
        await again(scene, ts)
        await at_rest(scene.bobbin)
        assert len(scene.requests) == number
    assert await scene.answered(thread) == ["the second"]
    assert [version for version, _ in await versions(scene)] == [1, 2, 3]


async def test_what_the_new_answer_has_no_use_for_is_deleted(scene: Scene) -> None:
    thread = await scene.mention("Please write 4000 words.")
    await scene.answered(thread, 2)
    await at_rest(scene.bobbin)
    first, *rest = scene.answers(thread)
    assert rest
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: short")
    await scene.heard()
    await again(scene, rest[-1]["ts"])
    await scene.shows(thread, ["short"])
    await scene.heard()
    assert await scene.bobbin.rows(f"SELECT ts FROM reply_part WHERE channel_id = '{scene.channel}'") == [
        (first["ts"],)
    ]


async def test_only_whoever_asked_may(scene: Scene) -> None:
    thread, ts = await asked_for(scene)
    await again(scene, ts, by=scene.ben)
    await told(scene, scene.ben, "Only whoever asked")
    await at_rest(scene.bobbin)
    assert len(scene.requests) == 1
    assert len(scene.answers(thread)) == 1


async def test_an_older_answer_is_left_as_it_is(scene: Scene) -> None:
    thread, ts = await asked_for(scene)
    await scene.mention("say exactly: newer", thread=thread)
    await scene.answered(thread, 2)
    await again(scene, ts)
    await told(scene, scene.ann, "newest question")
    await at_rest(scene.bobbin)
    assert len(scene.requests) == 2


async def test_what_is_no_answer_cannot_be_written_anew(scene: Scene) -> None:
    thread, ts = await asked_for(scene)
    await again(scene, thread)
    await told(scene, scene.ann, "no answer of mine")
    await scene.slack.delete(scene.slack.add_person("Admin", admin=True), scene.channel, ts)
    await scene.heard()
    assert not await versions(scene)


async def test_while_it_is_written_anew_it_is_not_asked_for_once_more(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} wait 60")
    await scene.heard()
    ts = scene.answers(thread)[0]["ts"]
    await again(scene, ts)
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    await again(scene, ts)
    await told(scene, scene.ann, "still at it")
    await scene.say("stop", thread=thread)
    await scene.heard()


async def test_stopped_before_a_new_word_the_earlier_answer_stands(scene: Scene) -> None:
    thread = await scene.joined("say exactly: the first")
    (before,) = [shown(message) for message in scene.answers(thread)]
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} wait 60")
    await scene.heard()
    await again(scene, scene.answers(thread)[0]["ts"])
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    await scene.say("stop", thread=thread)
    await scene.slack.wait_for(lambda: "Stopped." in str(scene.answers(thread)))
    await scene.heard()
    (answer,) = scene.answers(thread)
    assert shown(answer) == before
    await scene.say("say exactly: going on", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "going on"
    assert "the first" in str(scene.requests[-1].body)


async def test_where_the_model_fails_the_earlier_answer_stands_with_the_error_below_it(scene: Scene) -> None:
    thread = await scene.joined("say exactly: the first")
    (before,) = [shown(message) for message in scene.answers(thread)]
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} fail validation")
    await scene.heard()
    ts = scene.answers(thread)[0]["ts"]
    await again(scene, ts)
    await scene.slack.wait_for(lambda: "Try again" in str(scene.answers(thread)))
    (answer,) = scene.answers(thread)
    assert shown(answer) == before
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: the third")
    await scene.acked()
    await scene.slack.press(scene.ann, scene.channel, ts, "try_again")
    await scene.shows(thread, ["the third"])


@pytest.mark.parametrize("moment", ["asked", "growing"])
async def test_a_kill_while_it_is_written_anew_loses_nothing(tmp_path: Path, moment: str) -> None:
    long = "We are met on a great battle-field of that war. " * 30
    async with running(tmp_path, SLACK_PACING="off") as bobbin:
        scene = Scene(bobbin)
        thread = await scene.joined("say exactly: the first")
        await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: {long}")
        await scene.heard()
        scene.bedrock.pace = 0.2
        ts = scene.answers(thread)[0]["ts"]
        await again(scene, ts)
        if moment == "growing":
            await scene.slack.wait_for(lambda: "We are met" in shown(scene.answers(thread)[0]))
        await bobbin.kill()
        scene.bedrock.pace = 0
        await bobbin.start()
        await scene.shows(thread, [long.strip()])
        assert [message["ts"] for message in scene.answers(thread)] == [ts]
        assert [version for version, _ in await versions(scene)] == [1]
        await nothing_is_left(bobbin, scene.slack)


async def test_a_spent_budget_leaves_the_answer_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, BUDGET_USER_DAILY_USD="0.018") as bobbin:
        scene = Scene(bobbin)
        thread = await scene.joined("say exactly: the first")
        (before,) = [shown(message) for message in scene.answers(thread)]

        def done() -> int:
            return len(scene.requests) + len(scene.slack.ephemerals(scene.ann))

        for _ in range(20):  # some of them may come while the one before is still being answered
            before_it = done()
            await again(scene, scene.answers(thread)[0]["ts"])
            await scene.slack.wait_for(lambda: done() > before_it)  # noqa: B023
            await scene.heard(scene.ben)
            if "is spent" in str(scene.slack.ephemerals(scene.ann)):
                break
        await told(scene, scene.ann, "is spent")
        await at_rest(bobbin)
        assert [shown(message) for message in scene.answers(thread)] == [before]
        states = "SELECT state FROM turn JOIN conversation c ON c.id = conversation_id AND channel_id = '{}'"
        assert await bobbin.rows(states.format(scene.channel)) == [("answered",)]
