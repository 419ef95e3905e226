"""The reply when the model's stream breaks, and when Slack fails, loses answers or refuses."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.test_reply import FOOTER, ask, below, half_shown, slowly, whole, words_of, written

Make = Callable[..., Bobbin]


def whole_answer(bedrock: Bedrock) -> list[str]:
    return words_of([bedrock.requests[-1].answer])


async def closed(bobbin: Bobbin, count: int = 1) -> dict[str, Any]:
    """Wait for the log to say that so many turns ended, which may come after the last change in Slack."""
    async with asyncio.timeout(60):
        while True:
            ends = [line for line in bobbin.log if line.get("event") == "turn ended"]
            if len(ends) >= count:
                return ends[-1]
            await asyncio.sleep(0.05)


# ---------------------------------------------------------------- the model's stream breaks


@pytest.mark.parametrize("fault", ["reset", "cut", "stall", "bad_crc", "internal", "model_stream_error"])
async def test_a_stream_that_breaks_after_visible_text_is_written_anew_in_the_same_message(
    make: Make, slack: Slack, bedrock: Bedrock, fault: str
) -> None:
    bobbin = await make(SLACK_PACING="off", BEDROCK_IDLE_SECONDS="5").start()
    bedrock.faults.add(fault, after_events=50, seconds=60)
    channel, thread = await ask(bobbin, slack, "300 words please")
    await slowly(bedrock, half_shown(bobbin, slack, channel, thread))
    first = bobbin.answers(channel, thread)[0]["ts"]
    (answer,) = await whole(bobbin, channel, thread)
    assert bobbin.answers(channel, thread)[0]["ts"] == first
    assert words_of([answer]) == whole_answer(bedrock)
    assert len(bedrock.requests) == 2
    assert below(bobbin.answers(channel, thread)[0]) == [FOOTER]
    assert slack.status(channel, thread).status == "active"


async def test_a_stream_that_breaks_again_and_again_ends_in_one_message_with_an_error(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.faults.add("cut", after_events=50, times=3)
    channel, thread = await ask(bobbin, slack, "300 words please")
    await slowly(bedrock, half_shown(bobbin, slack, channel, thread))
    await whole(bobbin, channel, thread)
    await slack.wait_for(lambda: "Error T" in str(below(bobbin.answers(channel, thread)[0])))
    await closed(bobbin)
    assert len(bobbin.answers(channel, thread)) == 1
    assert "the loom goes on" in shown(bobbin.answers(channel, thread)[0])
    assert len(bedrock.requests) == 3
    assert slack.status(channel, thread).status == "active"
    (button,) = [
        block for block in bobbin.answers(channel, thread)[0]["blocks"] if block["type"] == "actions"
    ]
    await slack.press(
        slack.message(channel, thread)["user"],
        channel,
        bobbin.answers(channel, thread)[0]["ts"],
        button["elements"][0]["action_id"],
    )
    await slack.wait_for(lambda: below(bobbin.answers(channel, thread)[0]) == [FOOTER])
    (answer,) = await whole(bobbin, channel, thread)
    assert words_of([answer]) == whole_answer(bedrock)


# ---------------------------------------------------------------- Slack fails


HTTP = {"kind": "http", "status": 500}
HTML = {"kind": "html"}
RESET_BEFORE, RESET_AFTER = {"kind": "reset_before"}, {"kind": "reset_after"}
HANG = {"kind": "hang", "seconds": 3.3}  # longer than a call may take
LATE = {"kind": "late", "seconds": 0.2}
LIMITED = {"kind": "ratelimited", "retry_after": 1}
INTERNAL = {"kind": "internal_error"}
EXPIRED = {"kind": "message_not_in_streaming_state"}
FAULTS: dict[str, list[dict[str, Any]]] = {
    "chat.startStream": [HTTP, HTML, RESET_AFTER, HANG, LATE, LIMITED],
    "chat.appendStream": [HTTP, HTML, RESET_BEFORE, RESET_AFTER, HANG, LIMITED, EXPIRED],
    "chat.stopStream": [HTTP, HTML, RESET_AFTER, HANG, LIMITED],
    "chat.postMessage": [HTTP, HTML, RESET_AFTER, HANG, LATE, LIMITED],
    "chat.update": [HTTP, RESET_AFTER, HANG, INTERNAL],
}


@pytest.mark.parametrize("method", FAULTS)
async def test_a_call_that_fails_never_makes_a_second_message_nor_loses_a_word(
    make: Make, slack: Slack, bedrock: Bedrock, method: str
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.pace = 0.01
    if not method.endswith("Stream"):
        slack.faults.add("chat.startStream", "unknown_method", times=None)
    for number, fault in enumerate(FAULTS[method], start=1):
        slack.faults.add(method, **fault)
        channel, thread = await ask(bobbin, slack, "200 words please")
        (answer,) = await whole(bobbin, channel, thread)
        assert words_of([answer]) == whole_answer(bedrock), fault
        await closed(bobbin, number)
        assert len(bobbin.answers(channel, thread)) == 1, fault
        assert below(bobbin.answers(channel, thread)[0])[-1] == FOOTER, fault
        assert slack.status(channel, thread).status == "active", fault
        assert len(bedrock.requests) == number, fault


async def test_stopped_while_nobody_knows_whether_a_message_was_made_it_is_the_turns_own(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off", RECOVERY_SETTLE_SECONDS="6").start()
    slack.faults.add("chat.startStream", "ratelimited", retry_after=1)  # so it is posted at its end
    slack.faults.add("chat.postMessage", "reset_after")
    channel, thread = await ask(bobbin, slack, "say exactly: one two three")
    await slack.wait_for(lambda: bobbin.answers(channel, thread))
    await slack.say(slack.message(channel, thread)["user"], channel, "stop", thread=thread)
    await closed(bobbin)
    (answer,) = bobbin.answers(channel, thread)
    assert (shown(answer), below(answer)[0].partition(".")[0]) == ("one two three", "Stopped")
    assert await bobbin.rows("SELECT ts FROM reply_part") == [(answer["ts"],)]
    assert await bobbin.rows("SELECT text FROM message WHERE role = 'assistant'") == [("one two three",)]


# ---------------------------------------------------------------- people and admins


@pytest.mark.parametrize("way", ["stream", "updates"])
async def test_a_reply_that_a_person_deletes_in_mid_answer_is_not_posted_again(
    make: Make, slack: Slack, bedrock: Bedrock, way: str
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.pace = 0.2
    if way == "updates":
        slack.faults.add("chat.startStream", "unknown_method", times=None)
    admin = slack.add_person("Root", admin=True)
    channel, thread = await ask(bobbin, slack, "600 words please")
    await half_shown(bobbin, slack, channel, thread)
    await slack.delete(admin, channel, bobbin.answers(channel, thread)[0]["ts"])
    end = await closed(bobbin)
    assert end["state"] in ("answered", "cancelled")
    assert bobbin.answers(channel, thread) == []
    assert len(bedrock.requests) == 1
    assert slack.status(channel, thread).status == "active"
    bedrock.pace = 0
    await slack.say(slack.message(channel, thread)["user"], channel, "What's 1+1?", thread=thread)
    (answer,) = await whole(bobbin, channel, thread)
    assert answer.startswith("2")


async def test_a_channel_that_is_archived_in_mid_answer_ends_the_turn(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.pace = 0.2
    channel, thread = await ask(bobbin, slack, "600 words please")
    await half_shown(bobbin, slack, channel, thread)
    await slack.archive(channel)
    end = await closed(bobbin)
    assert end["state"] == "failed"
    assert len(bobbin.answers(channel, thread)) == 1
    assert len(bedrock.requests) == 1
    assert slack.status(channel, thread).status == "active"


@pytest.mark.parametrize("times", [2, None])
async def test_an_answer_that_slack_refuses_becomes_an_error_and_is_not_tried_for_ever(
    make: Make, slack: Slack, bedrock: Bedrock, times: int | None
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    slack.faults.add("chat.startStream", "unknown_method", times=None)
    slack.faults.add("chat.postMessage", "msg_blocks_too_long", times=times)
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    end = await closed(bobbin)
    assert end["state"] == "failed"
    assert slack.status(channel, thread).status == "active"
    errors = [shown(message) for message in bobbin.answers(channel, thread)]
    assert errors == ([] if times is None else ["Slack did not let me show the answer. Press *Try again*."])
    assert len(written(slack)) <= 4


@pytest.mark.parametrize("stuck", [("chat.appendStream", "chat.update"), ("chat.startStream",)], ids="+".join)
async def test_a_slack_that_fails_for_long_is_not_called_in_a_hot_loop(
    make: Make, slack: Slack, bedrock: Bedrock, stuck: tuple[str, ...]
) -> None:
    bobbin = await make(RECOVERY_SETTLE_SECONDS="1").start()
    for method in stuck:
        slack.faults.add(method, "http", status=500, times=None)
    channel, thread = await ask(bobbin, slack, "300 words please")
    await slowly(bedrock, slack.wait_for(lambda: slack.calls(stuck[0])), 0.05)
    before, began = len(slack.calls()), time.monotonic()
    await asyncio.sleep(4)  # the measure is calls a second
    assert len(slack.calls()) - before < 5 * (time.monotonic() - began)
    slack.faults.clear()
    (answer,) = await whole(bobbin, channel, thread)
    assert words_of([answer]) == whole_answer(bedrock)
