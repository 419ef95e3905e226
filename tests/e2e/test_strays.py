"""Messages that a call has made of which nothing is recorded: whose they are, and that none is left."""

from collections.abc import Callable

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.books import change
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.test_crashes import LONG, at_rest, nothing_is_left, whole
from tests.e2e.test_policy_silence import Wavering

SETTLE = "2"


@pytest.fixture
async def bobbin(make: Callable[..., Bobbin]) -> Bobbin:
    """A Bobbin that takes a lost call for settled soon."""
    return await make(RECOVERY_SETTLE_SECONDS=SETTLE).start()


async def comes_late(slack: Slack, channel: str, thread: str, person: str, text: str = "Four score") -> None:
    """Carry out a call to begin a stream whose answer nobody waits for any more."""
    client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    await client.chat_startStream(
        channel=channel,
        thread_ts=thread,
        markdown_text=text,
        recipient_user_id=person,
        recipient_team_id=slack.team_id,
    )


async def killed_as_it_began(
    bobbin: Bobbin,
    channel: str,
    person: str,
    words: str,
    *,
    thread: str | None = None,
    fault: str = "reset_before",
) -> str:
    """Ask; kill the process in its call that begins the answer; the thread.

    The model is in the middle of the answer then. The call does not reach Slack, unless `fault` lets it.
    """
    slack, before = bobbin.slack, len(bobbin.slack.calls("chat.startStream"))
    slack.faults.add("chat.startStream", fault)
    bobbin.bedrock.pace = 1
    said = await slack.say(person, channel, words, thread=thread)
    await slack.wait_for(lambda: len(slack.calls("chat.startStream")) > before)
    await bobbin.kill()
    await bobbin.bedrock.wait_for(lambda it: it.open == 0)
    bobbin.bedrock.pace = 0
    return thread or said


@pytest.mark.parametrize("killed", [True, False], ids=["of a killed process", "of this one"])
async def test_what_comes_after_the_settle_time_is_deleted_once_the_answer_stands(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, *, killed: bool
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    words = f"{bobbin.me} say exactly: {LONG}"
    if killed:
        thread = await killed_as_it_began(bobbin, channel, ann, words)
        bedrock.pace = 1
        await bobbin.start()
    else:
        slack.faults.add("chat.startStream", "reset_before")
        bedrock.pace = 1
        thread = await slack.say(ann, channel, words)
    await slack.wait_for(lambda: bobbin.answers(channel, thread))  # what was lost was made anew
    await comes_late(slack, channel, thread, ann)
    bedrock.pace = 0
    await slack.wait_for(lambda: len(bobbin.answers(channel, thread)) == 1)
    await whole(bobbin, channel, thread)
    await at_rest(bobbin)
    assert "came after all" in (await bobbin.run("why", f"{channel}/{thread}"))[1]
    await nothing_is_left(bobbin, slack)


async def test_what_comes_late_is_deleted_too_where_the_model_then_keeps_silent(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Roe")
    channel = slack.add_channel("general", members=(ann, ben))
    thread = await slack.say(ann, channel, f"{bobbin.me} hello")
    await bobbin.answered(channel, thread)
    bedrock.model = Wavering()
    await killed_as_it_began(bobbin, channel, ben, f"say exactly: {LONG}", thread=thread)
    bedrock.hold()
    await bobbin.start()
    await bedrock.wait_for(lambda it: it.open == 1)  # the thread was searched
    await comes_late(slack, channel, thread, ben)
    bedrock.release()
    await slack.wait_for(lambda: len(bobbin.answers(channel, thread)) == 1)
    await nothing_is_left(bobbin, slack)
    assert await bobbin.rows("SELECT state FROM turn WHERE seq = 2") == [("silent",)]


async def test_what_comes_late_is_not_taken_for_what_a_lost_call_of_ones_own_made(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await killed_as_it_began(bobbin, channel, ann, f"{bobbin.me} say exactly: {LONG}")
    bedrock.hold()
    await bobbin.start()
    await bedrock.wait_for(lambda it: it.open == 1)  # the thread was searched
    await comes_late(slack, channel, thread, ann, "Nothing that was asked. ")
    slack.faults.add("chat.startStream", "reset_after")
    bedrock.pace = 0.1
    bedrock.release()
    await whole(bobbin, channel, thread)
    await slack.wait_for(lambda: len(bobbin.answers(channel, thread)) == 1)
    await nothing_is_left(bobbin, slack)


async def test_a_question_that_is_changed_while_the_thread_is_searched_leaves_nothing_of_the_first_try(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    words = f"{bobbin.me} say exactly: never mind. {'And so on. ' * 20}"
    thread = await killed_as_it_began(bobbin, channel, ann, words, fault="reset_after")
    read = len(slack.calls("conversations.replies"))
    slack.faults.add("conversations.replies", "hang", seconds=1)
    await bobbin.start()
    await slack.wait_for(lambda: len(slack.calls("conversations.replies")) > read)
    await slack.edit(ann, channel, thread, f"{bobbin.me} say exactly: {LONG}")
    await whole(bobbin, channel, thread)
    assert len(bobbin.answers(channel, thread)) == 1
    await nothing_is_left(bobbin, slack)


async def test_a_question_whose_words_are_gone_before_they_are_read_fails_nothing(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(RECOVERY_SETTLE_SECONDS="6", LEASE_SECONDS="60").start()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await killed_as_it_began(bobbin, channel, ann, f"{bobbin.me} say exactly: {LONG}")
    read, asked = len(slack.calls("conversations.replies")), len(bedrock.requests)
    slack.faults.add("conversations.replies", "hang", seconds=5)
    await bobbin.start()
    await slack.wait_for(lambda: len(slack.calls("conversations.replies")) > read)
    # Another worker takes the deletion in: this one learns of it by its next heartbeat.
    await change(bobbin, "UPDATE message SET text = '', files = '[]', deleted_at = 1 WHERE role = 'user'")
    await change(bobbin, "UPDATE turn SET stop_asked = 'deleted'")
    await at_rest(bobbin)
    assert await bobbin.rows("SELECT state, error, stop_reason FROM turn") == [("cancelled", "", "deleted")]
    assert bobbin.answers(channel, thread) == []
    assert len(bedrock.requests) == asked
    await nothing_is_left(bobbin, slack)


async def test_the_end_stands_below_a_message_that_is_full_where_no_further_one_was_begun(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack.faults.add("chat.startStream", "ratelimited", after=1, times=None, retry_after=1)
    bedrock.pace = 0.002
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG * 200}")
    await slack.wait_for(lambda: len(slack.calls("chat.startStream")) == 2)
    bedrock.pace = 1  # it has more to say
    await slack.say(ann, channel, "stop", thread=thread)
    await slack.wait_for(lambda: "Stopped." in str(bobbin.answers(channel, thread)))
    first, second = bobbin.answers(channel, thread)
    assert shown(first).startswith(LONG)
    assert shown(second) == "Stopped."
    await nothing_is_left(bobbin, slack)
