"""What is chosen from a message's menu, through the process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, read

Make = Callable[..., Bobbin]


@pytest.fixture
async def slack(slack: Slack) -> Slack:
    """How soon an ack comes is not what is tested."""
    slack._sockets._ack_seconds = 60
    return slack


def notes(scene: Scene, user: str) -> list[str]:
    """What this person was told privately."""
    return [note["text"] for note in scene.slack.ephemerals(user)]


async def choose(scene: Scene, shortcut: str, ts: str, *, by: str = "", channel: str = "") -> None:
    """Choose it from a message's menu."""
    answer = await scene.slack.shortcut(by or scene.ann, shortcut, channel or scene.channel, ts)
    assert answer == {}


async def told(scene: Scene, user: str, count: int = 1) -> str:
    """Wait for so many private notes; the last."""
    await scene.slack.wait_for(lambda: len(notes(scene, user)) == count)
    return notes(scene, user)[-1]


async def in_dm(scene: Scene, user: str) -> tuple[dict[str, Any], str]:
    """Wait for the answer in the newest thread of somebody's DM: how that begins, and the answer."""
    dm = scene.slack.dm(user)
    roots = [
        message for message in scene.slack.messages(dm) if message.get("thread_ts") in (None, message["ts"])
    ]
    answers = await scene.bobbin.answered(dm, roots[-1]["ts"], 2)
    return roots[-1], answers[-1]


# ---------------------------------------------------------------- what did you read?


async def test_who_asked_learns_what_an_answer_was_made_of(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined("Hello")
    await scene.say("And <b> now?", by=scene.ben, thread=thread)
    await scene.answered(thread, 2)
    (first, second) = [message["ts"] for message in scene.answers(thread)]
    await choose(scene, "what_did_you_read", second, by=scene.ben)
    said = await told(scene, scene.ben)
    usage, asked = scene.requests[-1].usage, scene.requests[-1].request_id
    assert said.startswith("*For this answer I read 3 messages* from <!date^")
    assert ", 1 earlier answer of mine among them." in said
    assert "*By:* Ann Lee, Ben Roe" in said
    total = sum(
        usage.get(name, 0) for name in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    )
    cached, written = usage.get("cacheReadInputTokens", 0), usage["outputTokens"]
    assert f"*Tokens:* {total:,} read, {cached:,} from the cache; {written:,} written." in said
    assert "*Cost:* $0." in said
    assert f"*Request:* `{asked}`" in said
    assert scene.slack.ephemerals(scene.ben)[0]["thread_ts"] == thread

    await choose(scene, "what_did_you_read", first, by=scene.ben)
    assert await told(scene, scene.ben, 2) == "Only whoever asked can see what I read for an answer."
    await choose(scene, "what_did_you_read", thread)
    assert (await told(scene, scene.ann)).startswith("Choose this on one of my answers")


async def test_files_are_named_with_why_one_was_not_read(bobbin: Bobbin, slack: Slack) -> None:
    scene = Scene(bobbin)
    thread = await scene.mention("Read", files=[("a.txt", b"words"), ("plan.key", b"\x00\x01")])
    await scene.answered(thread)
    await choose(scene, "what_did_you_read", scene.answers(thread)[0]["ts"])
    said = await told(scene, scene.ann)
    assert "*Files:* a.txt" in said
    assert "*Files that I did not read:* plan.key (I can't read this kind of file)" in said


async def test_a_message_of_bobbins_that_is_no_answer_was_made_of_nothing(bobbin: Bobbin) -> None:
    scene = Scene(bobbin, bot_member=False)
    await scene.slack.invite_bot(scene.ann, scene.channel)
    welcome = await scene.slack.wait_for(
        lambda: next((each for each in scene.slack.messages(scene.channel) if "bot_id" in each), None)
    )
    await choose(scene, "what_did_you_read", welcome["ts"])
    assert await told(scene, scene.ann) == "I do not know what this message was made of."


async def test_a_condensed_thread_says_how_much_was_read_as_a_summary(make: Make) -> None:
    bobbin = await make(CONTEXT_WINDOW_TOKENS="12000", MAX_OUTPUT_TOKENS="1000").start()
    scene = Scene(bobbin)
    thread = await scene.joined("word " * 4000)
    for number in range(2, 5):
        await scene.say("word " * 4000, thread=thread)
        await scene.answered(thread, number)
    await choose(scene, "what_did_you_read", scene.answers(thread)[-1]["ts"])
    assert "*Condensed:* the oldest " in await told(scene, scene.ann)


# ---------------------------------------------------------------- about a thread, in a DM


async def talk(scene: Scene) -> tuple[str, str]:
    """A thread that did not call Bobbin."""
    root = await scene.say("We ship on Friday &amp; not before", by=scene.ben)
    reply = await scene.say("Who writes the notes?", thread=root)
    return root, reply


async def test_catch_me_up_answers_in_a_dm_with_a_link_back(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    root, reply = await talk(scene)
    # Pressed twice by a finger that slipped, it is asked once.
    choices = (scene.slack.shortcut(scene.ann, "catch_me_up", scene.channel, reply) for _ in range(2))
    assert await asyncio.gather(*choices) == [{}, {}]
    opening, _ = await in_dm(scene, scene.ann)
    link = scene.slack.calls("chat.getPermalink")[-1].result["permalink"]  # type: ignore[index]
    assert opening["text"] == f"You asked me to catch you up on <{link}|this thread>."
    (asked,) = scene.requests
    heard = read(asked)
    assert heard[:2] == [("Ben Roe", "We ship on Friday & not before"), ("Ann Lee", "Who writes the notes?")]
    assert heard[2][1].startswith("Catch me up on the thread above")
    dm = scene.slack.dm(scene.ann)
    title = await scene.slack.wait_for(lambda: scene.slack.status(dm, opening["ts"]).title)
    assert title.startswith("Catch me up on the thread above")
    assert scene.answers(root) == []  # nobody else sees a thing
    assert notes(scene, scene.ann) == []

    await scene.slack.say(scene.ann, dm, "And who is meant?", thread=opening["ts"])
    await bobbin.answered(dm, opening["ts"], 3)
    assert [words for _, words in read(scene.requests[-1])][:2] == [words for _, words in heard[:2]]
    assert "about" not in str(scene.slack.calls("conversations.replies")[-1].data)


async def test_a_question_is_asked_privately_about_a_message(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    _, reply = await talk(scene)
    await choose(scene, "ask_privately", reply)
    await scene.slack.wait_for(lambda: scene.slack.modal(scene.ann))
    modal = scene.slack.modal(scene.ann)
    await scene.slack.submit(scene.ann, modal["id"], {"ask_privately": "Is <!channel> meant?\nReally?"})
    opening, _ = await in_dm(scene, scene.ann)
    assert opening["text"].endswith("|this thread>:\n&gt; Is &lt;!channel&gt; meant?\n&gt; Really?")
    (asked,) = scene.requests
    assert [who for who, _ in read(asked)] == ["Ben Roe", "Ann Lee", "Ann Lee"]
    assert "Is <!channel> meant?\nReally?" in read(asked)[2][1]
    assert scene.slack.modal(scene.ann) == {}


async def test_own_answers_in_that_thread_stay_bobbins_own(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined("say exactly: forty-two")
    await choose(scene, "catch_me_up", thread, by=scene.ben)
    await in_dm(scene, scene.ben)
    assert [message["role"] for message in scene.requests[-1].body["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


async def test_what_is_deleted_or_edited_there_is_so_in_the_private_conversation_too(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    root, reply = await talk(scene)
    await choose(scene, "catch_me_up", root)
    opening, _ = await in_dm(scene, scene.ann)
    await scene.slack.edit(scene.ben, scene.channel, root, "We ship on Monday")
    await scene.slack.delete(scene.ann, scene.channel, reply)
    await scene.heard(scene.ben)
    dm = scene.slack.dm(scene.ann)
    await scene.slack.say(scene.ann, dm, "And now?", thread=opening["ts"])
    await bobbin.answered(dm, opening["ts"], 3)
    heard = [words for _, words in read(scene.requests[-1])]
    assert heard[0] == "We ship on Monday"
    assert "Who writes the notes?" not in heard
    kept = await bobbin.rows(
        "SELECT count(*) FROM message WHERE role = 'user' AND text LIKE '%writes the notes%'"
    )
    assert kept == [(0,)]


async def test_two_conversations_about_one_thread_do_not_meet(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    root, _ = await talk(scene)
    for count, person in enumerate((scene.ann, scene.ben), start=1):
        await choose(scene, "catch_me_up", root, by=person)
        await in_dm(scene, person)
        assert len(read(scene.requests[-1])) == 3
        assert len(scene.requests) == count


async def test_a_kill_while_it_is_asked_loses_and_doubles_nothing(bobbin: Bobbin, bedrock: Bedrock) -> None:
    scene = Scene(bobbin)
    root, _ = await talk(scene)
    bedrock.hold()
    await choose(scene, "catch_me_up", root)
    await bedrock.wait_for(lambda it: it.open == 1)
    await bobbin.kill()
    bedrock.release()
    await bobbin.start()
    _, answer = await in_dm(scene, scene.ann)
    assert answer
    assert len(scene.slack.messages(scene.slack.dm(scene.ann))) == 2
    assert len(read(scene.requests[-1])) == 3


@pytest.mark.parametrize("shortcut", ["catch_me_up", "ask_privately"])
@pytest.mark.parametrize("private", [False, True])
async def test_where_bobbin_is_no_member_it_says_so_privately(
    bobbin: Bobbin, shortcut: str, *, private: bool
) -> None:
    scene = Scene(bobbin)
    closed = scene.slack.add_channel("closed", private=private, members=[scene.ann], bot_member=False)
    ts = await scene.slack.say(scene.ann, closed, "psst")
    await choose(scene, shortcut, ts, channel=closed)
    assert "Invite me" in await told(scene, scene.ann)
    assert scene.slack.messages(scene.slack.dm(scene.ann)) == []


async def test_who_may_not_ask_or_not_there_is_told_so(make: Make) -> None:
    bobbin = make()
    scene = Scene(bobbin)
    other = scene.slack.add_channel("other", members=[scene.ann])
    bobbin.settings |= {"ALLOWED_USERS": scene.ann, "ALLOWED_CHANNELS": scene.channel}
    await bobbin.start()
    root, _ = await talk(scene)
    await choose(scene, "catch_me_up", root, by=scene.ben)
    assert await told(scene, scene.ben) == "I am not set up to answer you. Whoever runs me can allow it."
    elsewhere = await scene.slack.say(scene.ann, other, "Hello")
    await choose(scene, "catch_me_up", elsewhere, channel=other)
    assert (await told(scene, scene.ann)).startswith("I am not set up to answer in this channel.")
    assert scene.requests == []


async def test_a_trigger_that_expired_is_asked_for_again(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    root, _ = await talk(scene)
    scene.slack.workspace.trigger_seconds = 0
    await choose(scene, "ask_privately", root)
    assert await told(scene, scene.ann) == "Slack gave me too little time. Please choose it once more."


async def test_what_slack_refuses_for_now_is_said_and_leaves_nothing(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    root, reply = await talk(scene)
    scene.slack.faults.add("conversations.replies", "ratelimited", times=2)
    await choose(scene, "catch_me_up", root)
    await choose(scene, "catch_me_up", root)
    assert (
        await told(scene, scene.ann, 2) == "That did not work just now. Please choose it again in a moment."
    )
    await choose(scene, "ask_privately", reply)
    await scene.slack.wait_for(lambda: scene.slack.modal(scene.ann))
    await scene.slack.delete(scene.ben, scene.channel, root)
    await scene.slack.delete(scene.ann, scene.channel, reply)
    modal = scene.slack.modal(scene.ann)
    answer = await scene.slack.submit(scene.ann, modal["id"], {"ask_privately": "Why?"})
    assert answer["response_action"] == "errors"
    assert answer["errors"] == {"ask_privately": "This message is not there any more."}
    assert scene.slack.messages(scene.slack.dm(scene.ann)) == []


async def test_a_budget_that_is_spent_is_told_of_in_the_dm(make: Make) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="0.0001").start()
    scene = Scene(bobbin)
    root, _ = await talk(scene)
    await choose(scene, "catch_me_up", root)
    assert "Your budget for today" in await told(scene, scene.ann)
    assert [shown(each) for each in scene.slack.messages(scene.slack.dm(scene.ann))][1:] == []
