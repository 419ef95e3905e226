"""`/bobbin`, and the same words after a mention, through the process: private, and without the model."""

from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.books import spend
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, system

Make = Callable[..., Bobbin]


def notes(scene: Scene, user: str) -> list[str]:
    """What this person was told privately."""
    return [note["text"] for note in scene.slack.ephemerals(user)]


async def command(scene: Scene, words: str, *, by: str = "", channel: str = "") -> dict[str, Any]:
    """Type `/bobbin …`; the ack that it was answered with."""
    answer = await scene.slack.command(by or scene.ann, channel or scene.channel, f"/bobbin {words}")
    assert answer is not None
    return dict(answer)


async def test_every_word_is_answered_at_once_and_privately(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    await spend(bobbin, scene.ann, 0.25)
    said = {
        "": "*In a channel* mention me",
        "help": "*In a channel* mention me",
        "usage": "*Today:* $0.25",
        "Status.": "ready; being written: 0 answers; waiting: 0 threads.",
        "mute": "write `@Bobbin mute` there",
        "stop": "write `stop` in its thread",
        "forget": "Delete a message, and its words are off my disk",
        "fly me to the moon": "I know no such command",
        "instructions": "This channel has no instructions of its own.",
        "model": "This channel has no model of its own.",
    }
    for words, begin in said.items():
        answer = await command(scene, words)
        assert begin in answer["text"], words
        assert answer["response_type"] == "ephemeral"
    assert len(notes(scene, scene.ann)) == len(said)
    assert scene.slack.messages(scene.channel) == []
    assert scene.requests == []


async def test_the_status_tells_the_model_what_waits_and_what_is_written(
    make: Make, bedrock: Bedrock
) -> None:
    bobbin = await make(MAX_CONCURRENT_ANSWERS="1", BUDGET_USER_DAILY_USD="1").start()
    scene = Scene(bobbin)
    bedrock.hold()
    first = await scene.mention("one")
    await bedrock.wait_for(lambda it: it.open == 1)
    second = await scene.mention("two", by=scene.ben)
    await scene.acked()
    said = (await command(scene, "status"))["text"]
    assert "being written: 1 answer; waiting: 1 thread." in said
    assert "`us.anthropic.claude-sonnet-5-5`. Asked in AWS region `us-east-1`." in said
    assert "of $1.00" in said
    bedrock.release()
    await scene.answered(first)
    await scene.answered(second)


async def test_an_admin_sets_what_holds_for_a_channel_and_everybody_sees_it(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    scene.slack.workspace.people[scene.ann].admin = True
    refused = await command(scene, "instructions Be rude.", by=scene.ben)
    assert refused["text"].startswith("Only admins")
    assert refused["response_type"] == "ephemeral"

    answer = await command(scene, "instructions Answer <!channel> in Spanish, &lt;b&gt;.")
    assert answer["response_type"] == "in_channel"
    (shown,) = scene.slack.messages(scene.channel)
    assert shown["text"].startswith("Ann Lee has set the instructions of this channel:")
    assert "<" not in shown["text"]
    await scene.answered(await scene.mention("Hello", by=scene.ben))
    assert system(scene.requests[-1]).rstrip().endswith("in Spanish, <b>.")
    assert "set by Ann Lee" in (await command(scene, "instructions", by=scene.ben))["text"]

    opus = "us.anthropic.claude-opus-5-5"
    await command(scene, f"model {opus}")
    assert f"`{opus}` (chosen for this channel)." in (await command(scene, "status"))["text"]
    await scene.answered(await scene.mention("Hello"))
    assert scene.requests[-1].model_id == opus
    # What is said later in a thread counts.
    await scene.answered(await scene.mention("model default"))
    assert "This channel has no model" in (await command(scene, "model"))["text"]

    for words, begin in {
        "model gpt-x": "I know no model",
        f"instructions {'x' * 4001}": "These instructions have 4,001 characters",
    }.items():
        assert (await command(scene, words))["text"].startswith(begin)


async def test_what_is_set_for_a_channel_is_not_set_in_a_dm(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    answer = await command(scene, "model default", channel=scene.slack.dm(scene.ann))
    assert answer["text"].startswith("That is set for a channel")


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        ("help", "*In a channel* mention me"),
        ("Usage?", "*Today:*"),
        ("status", "*Bobbin 0.1.0:* ready"),
        ("forget", "I keep the messages"),
    ],
)
async def test_after_a_mention_the_same_word_is_answered_privately_in_its_thread(
    bobbin: Bobbin, words: str, begin: str
) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    await scene.mention(words, by=scene.ben, thread=thread)
    await scene.slack.wait_for(lambda: notes(scene, scene.ben))
    (note,) = scene.slack.ephemerals(scene.ben)
    assert note["text"].startswith(begin)
    assert note["thread_ts"] == thread
    await scene.heard()
    assert len(scene.requests) == 1
    assert len(scene.answers(thread)) == 1
    assert len(notes(scene, scene.ben)) == 1


async def test_it_is_a_question_where_more_is_said_or_nobody_is_mentioned(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    await scene.say("help", thread=thread)
    await scene.answered(thread, 2)
    await scene.mention("help me with this", thread=thread)
    await scene.answered(thread, 3)
    assert notes(scene, scene.ann) == []


async def test_the_word_alone_calls_bobbin_into_no_thread(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.mention("help")
    await scene.slack.wait_for(lambda: notes(scene, scene.ann))
    await scene.say("Did that help?", by=scene.ben, thread=thread)
    await scene.heard()
    assert scene.answers(thread) == []
    assert scene.requests == []


async def test_in_a_dm_the_word_needs_no_mention(bobbin: Bobbin, slack: Slack) -> None:
    scene = Scene(bobbin)
    await slack.say(scene.ann, slack.dm(scene.ann), "usage")
    await slack.wait_for(lambda: notes(scene, scene.ann))
    assert notes(scene, scene.ann)[0].startswith("*Today:*")
    await scene.heard(scene.ben)
    assert scene.requests == []


async def test_who_may_not_ask_is_told_so_instead(make: Make) -> None:
    bobbin = make()
    scene = Scene(bobbin)
    bobbin.settings["ALLOWED_USERS"] = scene.ben
    await bobbin.start()
    await scene.mention("usage")
    await scene.slack.wait_for(lambda: notes(scene, scene.ann))
    assert notes(scene, scene.ann) == ["I am not set up to answer you. Whoever runs me can allow it."]
