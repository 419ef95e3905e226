"""Edits and deletions through the running process: the history follows, and deleted words leave the disk."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, read, running, words

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with running(tmp_path_factory.mktemp("edits"), SLACK_PACING="off") as bobbin:
        yield bobbin


@pytest.fixture
def scene(shared: Bobbin) -> Scene:
    return Scene(shared)


async def _busy(scene: Scene, text: str = "wait 60") -> str:
    """A thread in which an answer is under way until somebody says stop."""
    thread = await scene.mention(text)
    await scene.asked()
    return thread


# ---------------------------------------------------------------- edits


async def test_an_edit_of_a_waiting_message_is_what_is_answered(scene: Scene) -> None:
    thread = await _busy(scene)
    waiting = await scene.say("say exactly: the old", thread=thread)
    await scene.slack.edit(scene.ann, scene.channel, waiting, "say exactly: the new")
    await scene.acked()
    await scene.say("stop", thread=thread)
    assert (await scene.answered(thread))[-1] == "the new"
    assert "the old" not in str(scene.requests[-1].body["messages"])
    assert len(scene.requests) == 2


async def test_the_history_follows_an_edit_of_an_answered_message(scene: Scene) -> None:
    thread = await scene.joined("What's 1+1?")
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} What's 2+2?")
    await scene.heard()
    assert len(scene.answers(thread)) == len(scene.requests) == 1
    await scene.say("And 3 more added to that?", thread=thread)
    assert (await scene.answered(thread, 2))[1].startswith("7")
    assert words(scene.requests[1])[0] == "What's 2+2?"


async def test_the_newest_of_two_edits_counts_in_whatever_order_they_come(scene: Scene) -> None:
    thread = await scene.joined()
    said = await scene.say("Thanks!", thread=thread)
    await scene.acked()
    scene.slack.hold()
    await scene.slack.edit(scene.ann, scene.channel, said, "the first edit")
    await scene.slack.edit(scene.ann, scene.channel, said, "the second edit")
    scene.slack._sockets._held.reverse()  # type: ignore[union-attr]
    scene.slack.release()
    await scene.acked()
    await scene.say("And now?", thread=thread)
    await scene.answered(thread, 2)
    assert words(scene.requests[1])[1] == "the second edit"


async def test_a_mention_added_to_a_message_that_was_ignored_is_answered(scene: Scene) -> None:
    thread = await scene.say("say exactly: oh, you meant me")
    await scene.heard()
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: oh, you meant me")
    assert await scene.answered(thread) == ["oh, you meant me"]
    await scene.say("say exactly: going on", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "going on"


async def test_a_mention_added_to_the_first_message_reads_the_replies_below_it(scene: Scene) -> None:
    thread = await scene.say("Where is the printer?")
    await scene.say("On the third floor.", by=scene.ben, thread=thread)
    await scene.heard()
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} Where is the printer?")
    await scene.answered(thread)
    await scene.heard()
    assert [words(asked) for asked in scene.requests] == [["On the third floor.", "Where is the printer?"]]


async def test_a_mention_added_to_a_message_of_history_is_answered(scene: Scene) -> None:
    thread = await scene.joined()
    said = await scene.say(f"<@{scene.ben}> say exactly: for me after all", thread=thread)
    await scene.heard()
    assert len(scene.requests) == 1
    await scene.slack.edit(scene.ann, scene.channel, said, f"{scene.me} say exactly: for me after all")
    assert (await scene.answered(thread, 2))[1] == "for me after all"
    assert words(scene.requests[1]) == ["Hello", "say exactly: for me after all"]


async def test_a_mention_added_to_an_answered_message_is_answered_like_a_new_one(scene: Scene) -> None:
    thread = await scene.joined()
    said = await scene.say("say exactly: the first", thread=thread)
    await scene.answered(thread, 2)
    await scene.slack.edit(scene.ann, scene.channel, said, f"{scene.me} say exactly: the second")
    assert (await scene.answered(thread, 3))[1:] == ["the first", "the second"]
    assert [said for who, said in read(scene.requests[2]) if who] == ["Hello", "say exactly: the second"]


async def test_a_mention_added_while_silence_is_chosen_is_answered_after_all(scene: Scene) -> None:
    thread = await scene.joined()
    said = await scene.say("wait 5, say exactly: [[silent]]", by=scene.ben, thread=thread)
    await scene.asked(2)
    await scene.slack.edit(scene.ben, scene.channel, said, f"{scene.me} say exactly: not silent")
    assert (await scene.answered(thread, 2))[1] == "not silent"


async def test_an_edit_of_an_unknown_old_message_is_no_new_question(scene: Scene) -> None:
    now = int(scene.slack.workspace.new_ts().split(".")[0])
    outcomes = {}
    for age in (11 * 60, 9 * 60):
        ts = f"{now - age}.000100"
        text = f"say exactly: {age}"
        scene.slack.workspace.channels[scene.channel].messages[ts] = {
            "type": "message",
            "user": scene.ann,
            "text": text,
            "ts": ts,
        }
        await scene.slack.edit(scene.ann, scene.channel, ts, f"{scene.me} {text}")
        await scene.heard()
        if age < 10 * 60:
            await scene.answered(ts)
        outcomes[age] = [asked for asked in scene.requests if text in str(asked.body)]
    assert [len(asked) for asked in outcomes.values()] == [0, 1]


async def test_an_edit_of_bobbins_own_message_and_of_nothing_are_ignored(scene: Scene) -> None:
    thread = await scene.joined()
    own = str(scene.answers(thread)[0]["ts"])
    place = scene.slack.workspace.channels[scene.channel]
    scene.slack.workspace.change(place, own, {"text": f"{scene.me} changed"}, editor=scene.slack.bot_user_id)
    await scene.slack.edit(scene.ann, scene.channel, thread, f"{scene.me} Hello")
    await scene.heard()
    assert len(scene.answers(thread)) == len(scene.requests) == 1


# ---------------------------------------------------------------- deletions


async def _off_the_disk(scene: Scene, secret: str) -> None:
    """Wait until no file of the database holds the words, which is a chore of every few seconds."""

    def found() -> list[str]:
        files = scene.bobbin.folder.glob("bobbin.db*")
        return [file.name for file in files if secret.encode() in file.read_bytes()]

    async with asyncio.timeout(60):
        while found():  # noqa: ASYNC110  no event tells what is on a disk
            await asyncio.sleep(0.1)


async def test_a_deleted_waiting_message_is_not_answered(scene: Scene) -> None:
    thread = await _busy(scene)
    waiting = await scene.say("never mind", thread=thread)
    await scene.acked()
    await scene.slack.delete(scene.ann, scene.channel, waiting)
    await scene.acked()
    await scene.say("stop", thread=thread)
    await scene.heard()
    assert len(scene.requests) == 1
    await scene.mention("what was said?", thread=thread)
    await scene.answered(thread)
    assert words(scene.requests[1]) == ["wait 60", "what was said?"]


async def test_the_words_of_a_deleted_answered_message_leave_history_and_disk(scene: Scene) -> None:
    thread = await scene.joined()
    said = await scene.say("say exactly: forgotten? The secret is plum", thread=thread)
    await scene.answered(thread, 2)
    await scene.slack.delete(scene.ann, scene.channel, said)
    answer = str(scene.answers(thread)[1]["ts"])
    admin = scene.slack.add_person("Admin", admin=True)
    await scene.slack.delete(admin, scene.channel, answer)
    await _off_the_disk(scene, "The secret is plum")
    await scene.say("And now?", thread=thread)
    await scene.answered(thread, 2)
    assert words(scene.requests[2]) == ["Hello", "And now?"]
    assert "plum" not in str(scene.requests[2].body)


@pytest.mark.parametrize("top_level", [True, False], ids=["first message", "reply"])
async def test_deleting_the_only_question_cancels_its_turn(scene: Scene, *, top_level: bool) -> None:
    text = "wait 60, the secret of fig"
    if top_level:
        thread = question = await _busy(scene, text)
    else:
        thread = await scene.joined()
        question = await scene.say(text, thread=thread)
        await scene.asked(2)
    answers = len(scene.answers(thread))
    await scene.slack.delete(scene.ann, scene.channel, question)
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 0)
    assert await scene.end() == "cancelled"
    await scene.heard()
    assert len(scene.answers(thread)) == answers
    if not top_level:  # otherwise its thread is gone, and what was shown there with it
        assert not scene.slack.status(scene.channel, thread).text
        await _off_the_disk(scene, "the secret of fig")


async def test_deleting_one_of_two_questions_leaves_the_other_its_answer(scene: Scene) -> None:
    thread = await _busy(scene)
    first = await scene.say("wait 2", thread=thread)
    await scene.say("wait 2, say exactly: still here", by=scene.ben, thread=thread)
    await scene.acked()
    await scene.say("stop", thread=thread)
    await scene.asked(2)
    await scene.slack.delete(scene.ann, scene.channel, first)
    assert (await scene.answered(thread))[-1] == "still here"


async def test_a_thread_goes_on_without_its_deleted_first_message(scene: Scene) -> None:
    thread = await scene.joined("What's 1+1?")
    await scene.slack.delete(scene.ann, scene.channel, thread)
    assert scene.slack.message(scene.channel, thread)["subtype"] == "tombstone"
    await scene.say("say exactly: going on", by=scene.ben, thread=thread)
    assert (await scene.answered(thread, 2))[-1] == "going on"
    assert words(scene.requests[-1]) == ["say exactly: going on"]


async def test_a_message_deleted_before_it_arrives_is_never_answered(scene: Scene) -> None:
    scene.slack.hold()
    thread = await scene.mention("the secret of early")
    await scene.slack.delete(scene.ann, scene.channel, thread)
    scene.slack.deliver_again(scene.slack._sockets._held.pop())  # type: ignore[union-attr]
    await scene.acked()
    scene.slack.release()
    await scene.heard()
    assert not scene.requests
    await _off_the_disk(scene, "the secret of early")


async def test_deleted_words_leave_the_disk_of_a_process_that_was_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as bobbin:
        scene = Scene(bobbin)
        thread = await scene.joined()
        said = await scene.say("What's 2+2? The secret is kiwi", thread=thread)
        await scene.answered(thread, 2)
        await scene.slack.delete(scene.ann, scene.channel, said)
        await scene.acked()
        await bobbin.kill()
        await bobbin.start()
        await _off_the_disk(scene, "The secret is kiwi")
