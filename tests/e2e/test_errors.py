"""Errors a person can act on: once, in the thread, with Try again."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot import errors
from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.slack.blocks import TRY_AGAIN
from tests.e2e.conftest import Bobbin
from tests.e2e.test_reply import ask, below, whole

Make = Callable[..., Bobbin]

EXPECTED = {
    "throttled_daily": "quota for the model is spent",
    "quota": "quota for the model is spent",
    "no_access": "no access to the model",
    "not_authorized": "no access to the model",
    "marketplace": "no access to the model",
    "use_case_form": "no access to the model",
    "unknown_model": "does not exist here",
    "expired_token": "credentials are missing or have expired",
    "unrecognized_client": "credentials are missing or have expired",
    "bad_signature": "credentials are missing or have expired",
    "too_long": "more than I can read at once",
    "content_filtered": "content filter",
    "guardrail_intervened": "A guardrail blocked this",
    "validation": "refused my request",
    "strange": "refused my request",
    "empty": "empty answer",
    "internal": "could not be reached",
    "malformed_model_output": "broke off",
}
"""The fault that Bedrock has, and words of the message for it."""

CLASSES = [name for name in vars(errors) if re.fullmatch(r"([A-Z][a-z]+){2,}", name)]


def visible(node: Any) -> str:
    """Every text of a message or its blocks, one a line."""
    if isinstance(node, dict):
        own = [node["text"]] if isinstance(node.get("text"), str) else []
        return "\n".join(own + [visible(value) for value in node.values() if isinstance(value, dict | list)])
    return "\n".join(map(visible, node)) if isinstance(node, list) else ""


def buttons(message: dict[str, Any]) -> list[str]:
    return [
        element["action_id"]
        for block in message.get("blocks", [])
        if block["type"] == "actions"
        for element in block["elements"]
    ]


async def failed(bobbin: Bobbin, channel: str, thread: str, seconds: float = 60) -> dict[str, Any]:
    """Wait for the one message that says what went wrong, and for its turn to be closed."""
    await bobbin.slack.wait_for(
        lambda: any(buttons(message) for message in bobbin.answers(channel, thread)), seconds
    )
    await bobbin.answered(channel, thread)
    return next(message for message in bobbin.answers(channel, thread) if buttons(message))


def said(request: Any) -> list[str]:
    """What people and Bobbin said, as a request has it."""
    return [
        re.sub(r"</?message[^>]*>", "", block["text"])
        for message in request.body["messages"]
        for block in message["content"]
        if "text" in block
    ]


# ---------------------------------------------------------------- each error


async def test_each_error_is_said_once_in_words_to_act_on(make: Make, slack: Slack) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    ann = slack.add_person("Ann Lee")
    channel = slack.dm(ann)
    threads = {fault: await slack.say(ann, channel, f"fail {fault}") for fault in EXPECTED}
    for fault, thread in threads.items():
        message = await failed(bobbin, channel, thread)
        assert len(bobbin.answers(channel, thread)) == 1, fault
        seen = visible(message)
        assert EXPECTED[fault] in seen, fault
        assert re.search(r"Error T\d+", seen), fault
        assert buttons(message) == [TRY_AGAIN], fault
        assert not re.search(r"arn:|exception|traceback|\b[45]\d\d\b|request", seen.replace(
            "refused my request", ""), re.IGNORECASE), fault  # fmt: skip
        assert not [name for name in CLASSES if name in seen], fault
        assert slack.status(channel, thread).status == "active", fault


async def test_missing_credentials_are_named(make: Make, slack: Slack, tmp_path: Path) -> None:
    bobbin = await make(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", HOME=str(tmp_path)).start()
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    assert "credentials are missing" in visible(await failed(bobbin, channel, thread))


async def test_one_message_longer_than_the_models_window_says_to_send_less(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.window = 50
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    assert "Send less of it" in visible(await failed(bobbin, channel, thread))
    assert len(bedrock.requests) == 1


async def test_a_throttled_model_is_asked_again_after_one_and_after_four_seconds(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.faults.add("throttled", times=2)
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    (answer,) = await whole(bobbin, channel, thread)
    assert answer.startswith("2")
    first, second, third = (request.started_at for request in bedrock.requests)
    assert second - first > 0.7  # each wait is spread by a fifth
    assert third - second > 3


async def test_a_thread_that_slack_does_not_let_bobbin_read_is_an_error_that_is_seen(
    bobbin: Bobbin, slack: Slack
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, "Something else.")
    slack.faults.add("conversations.replies", "invalid_cursor")
    await slack.say(ann, channel, f"{bobbin.me} What's 1+1?", thread=thread)
    assert "Try again" in visible(await failed(bobbin, channel, thread))


async def test_an_error_whose_post_is_lost_is_not_said_twice(bobbin: Bobbin, slack: Slack) -> None:
    slack.faults.add("chat.postMessage", "reset_after")
    channel, thread = await ask(bobbin, slack, "fail no_access")
    await failed(bobbin, channel, thread)
    await slack.say(slack.message(channel, thread)["user"], channel, "What's 1+1?", thread=thread)
    assert len(await whole(bobbin, channel, thread, 2)) == 2


# ---------------------------------------------------------------- try again


async def press(bobbin: Bobbin, channel: str, thread: str, message: dict[str, Any]) -> None:
    user = bobbin.slack.message(channel, thread)["user"]
    assert await bobbin.slack.press(user, channel, message["ts"], TRY_AGAIN) is not None


async def test_try_again_puts_the_answer_in_the_place_of_the_error(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.faults.add("no_access")
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    message = await failed(bobbin, channel, thread)
    await press(bobbin, channel, thread, message)
    await slack.wait_for(lambda: not buttons(slack.message(channel, message["ts"])))
    (answer,) = await whole(bobbin, channel, thread)
    assert answer.startswith("2")
    assert bobbin.answers(channel, thread)[0]["ts"] == message["ts"]
    assert "Error T" not in str(below(bobbin.answers(channel, thread)[0]))
    assert "no access" not in visible(bobbin.answers(channel, thread)[0])


async def test_try_again_pressed_twice_gives_one_answer(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.faults.add("no_access")
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    message = await failed(bobbin, channel, thread)
    await asyncio.gather(*(press(bobbin, channel, thread, message) for _ in range(2)))
    await slack.wait_for(lambda: not buttons(slack.message(channel, message["ts"])))
    user = slack.message(channel, thread)["user"]
    await slack.say(user, channel, "And 3 more added to that?", thread=thread)
    answers = await whole(bobbin, channel, thread, 2)
    assert [answer[0] for answer in answers] == ["2", "5"]
    assert len(bedrock.requests) == 3


async def test_try_again_that_fails_again_says_so_in_the_same_message(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.faults.add("no_access")
    bedrock.faults.add("expired_token")
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    message = await failed(bobbin, channel, thread)
    for expected in ("credentials", "sandbox's script"):
        await press(bobbin, channel, thread, slack.message(channel, message["ts"]))
        await slack.wait_for(lambda: expected in visible(slack.message(channel, message["ts"])))  # noqa: B023
    assert len(bobbin.answers(channel, thread)) == 1
    assert len(bedrock.requests) == 3


async def test_an_error_goes_where_its_question_is_deleted_while_it_is_tried_again(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.faults.add("no_access")
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    message = await failed(bobbin, channel, thread)
    bedrock.hold()
    await press(bobbin, channel, thread, message)
    await bedrock.wait_for(lambda it: len(it.requests) == 2)
    await slack.delete(slack.message(channel, thread)["user"], channel, thread)
    # Its button would do nothing: there is no question any more.
    await slack.wait_for(lambda: message["ts"] not in slack.workspace.channels[channel].messages)


async def test_try_again_after_newer_turns_reads_what_its_own_turn_read(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.faults.add("no_access")
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    user = slack.message(channel, thread)["user"]
    message = await failed(bobbin, channel, thread)
    await slack.say(user, channel, "What's 10+10?", thread=thread)
    await whole(bobbin, channel, thread, 2)
    assert said(bedrock.requests[-1]) == ["What's 1+1?", "What's 10+10?"]
    await press(bobbin, channel, thread, message)
    await slack.wait_for(lambda: not buttons(slack.message(channel, message["ts"])))
    assert said(bedrock.requests[-1]) == ["What's 1+1?"]
    assert visible(slack.message(channel, message["ts"])).startswith("2")
    await slack.say(user, channel, "What was said?", thread=thread)
    await whole(bobbin, channel, thread, 3)
    spoken = said(bedrock.requests[-1])
    assert [words[:13] for words in spoken[::2]] == ["What's 1+1?", "What's 10+10?", "What was said"]
    assert [words[:2] for words in spoken[1::2]] == ["2\n", "2,"]


async def test_after_an_error_the_next_message_is_answered_and_the_unanswered_one_is_read(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.faults.add("no_access")
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    await failed(bobbin, channel, thread)
    user = slack.message(channel, thread)["user"]
    await slack.say(user, channel, "And 3 more added to that?", thread=thread)
    answers = await whole(bobbin, channel, thread, 2)
    assert answers[1].startswith("2, then 5")
    assert said(bedrock.requests[-1]) == ["What's 1+1?", "And 3 more added to that?"]
    assert "no access" not in str(bedrock.requests[-1].body)


async def test_what_people_saw_of_a_broken_answer_is_read_by_the_next_turn(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.pace = 0.01
    bedrock.faults.add("content_filtered")
    channel, thread = await ask(bobbin, slack, "300 words please")
    message = await failed(bobbin, channel, thread)
    assert len(bobbin.answers(channel, thread)) == 1
    assert "the loom goes on" in visible(message)
    assert "content filter" in visible(message)
    user = slack.message(channel, thread)["user"]
    await slack.say(user, channel, "What's 1+1?", thread=thread)
    await whole(bobbin, channel, thread, 2)
    assert said(bedrock.requests[-1])[1].startswith("1. the loom goes on")
