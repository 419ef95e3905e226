"""The process killed or frozen at any moment: each question still gets one whole answer."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.test_policy_silence import Wavering

LONG = "Four score and seven years ago. " * 12


async def whole(bobbin: Bobbin, channel: str, thread: str) -> None:
    """Wait until the answer stands there whole; a half one may look finished while it is taken over."""
    await bobbin.slack.wait_for(
        lambda: LONG.strip() in [shown(message).strip() for message in bobbin.finished(channel, thread)]
    )


async def at_rest(bobbin: Bobbin, seconds: float = 60) -> None:
    """Wait until nothing is open or waiting."""
    async with asyncio.timeout(seconds):
        while await bobbin.rows("SELECT id FROM conversation WHERE pending_at IS NOT NULL"):  # noqa: ASYNC110  a file
            await asyncio.sleep(0.02)


async def nothing_is_left(bobbin: Bobbin, slack: Slack) -> None:
    """Stop it at rest; check that no message, session, lease or turn was left half done."""
    await at_rest(bobbin)
    assert await bobbin.stop() == 0
    for channel in slack.workspace.channels:
        for message in slack.messages(channel):
            assert message.get("streaming_state") in (None, "completed"), message
    assert {session.status for session in slack.workspace.sessions.values()} <= {"active"}
    if not bobbin.on_a_server:
        assert await bobbin.rows("PRAGMA integrity_check") == [("ok",)]
    assert await bobbin.rows("SELECT count(*) FROM turn WHERE state = 'open'") == [(0,)]
    assert await bobbin.rows("SELECT count(*) FROM conversation WHERE lease_owner IS NOT NULL") == [(0,)]


async def test_an_answer_cut_by_a_kill_is_finished_in_the_same_message(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    bedrock.pace = 0.1
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}")
    await slack.wait_for(lambda: slack.calls("chat.appendStream"))
    (half,) = bobbin.answers(channel, thread)
    await bobbin.kill()
    assert half["streaming_state"] == "in_progress"
    bedrock.pace = 0
    await bobbin.start()

    await whole(bobbin, channel, thread)
    assert [message["ts"] for message in bobbin.answers(channel, thread)] == [half["ts"]]
    await nothing_is_left(bobbin, slack)


async def test_an_answer_cut_after_the_model_ended_is_not_asked_for_again(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack.faults.add("chat.stopStream", "hang", seconds=0.5)
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}")
    await slack.wait_for(lambda: slack.calls("chat.stopStream"))
    await bobbin.kill()
    await bobbin.start()
    await whole(bobbin, channel, thread)
    assert len(bobbin.answers(channel, thread)) == 1
    assert len(bedrock.requests) == 1
    await nothing_is_left(bobbin, slack)


async def test_half_an_answer_is_finished_also_where_the_model_would_now_be_silent(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Roe")
    channel = slack.add_channel("general", members=(ann, ben))
    thread = await slack.say(ann, channel, f"{bobbin.me} hello")
    await bobbin.answered(channel, thread)
    bedrock.model, bedrock.pace = Wavering(), 0.1
    await slack.say(ben, channel, f"say exactly: {LONG}", thread=thread)
    await slack.wait_for(
        lambda: slack.calls("chat.appendStream") and len(bobbin.answers(channel, thread)) == 2
    )
    await bobbin.kill()
    bedrock.pace = 0
    await bobbin.start()
    await whole(bobbin, channel, thread)
    assert len(bobbin.answers(channel, thread)) == 2
    await nothing_is_left(bobbin, slack)


@pytest.mark.parametrize(
    ("fault", "seconds"), [("reset_after", 0.0), ("late", 0.2), ("hang", 0.2)], ids=["done", "late", "slow"]
)
@pytest.mark.parametrize("direct", [False, True], ids=["channel", "dm"])
async def test_a_message_made_but_not_recorded_before_the_kill_is_adopted(
    bobbin: Bobbin, slack: Slack, fault: str, seconds: float, *, direct: bool
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.dm(ann) if direct else slack.add_channel("general", members=(ann,))
    slack.faults.add("chat.startStream", fault, seconds=seconds)
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}")
    await slack.wait_for(lambda: slack.calls("chat.startStream"))
    await bobbin.kill()
    assert await bobbin.rows("SELECT count(*) FROM reply_part") == [(0,)]
    await slack.wait_for(lambda: bobbin.answers(channel, thread))
    (stray,) = bobbin.answers(channel, thread)
    await bobbin.start()

    await whole(bobbin, channel, thread)
    assert [message["ts"] for message in bobbin.answers(channel, thread)] == [stray["ts"]]
    await nothing_is_left(bobbin, slack)


@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "late", "http", "html"])
async def test_a_lost_answer_to_the_call_that_makes_the_message_doubles_nothing(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, fault: str
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack.faults.add("chat.startStream", fault, seconds=0.2)
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}")
    await whole(bobbin, channel, thread)
    assert len(bobbin.answers(channel, thread)) == 1
    assert len(bedrock.requests) == 1
    await nothing_is_left(bobbin, slack)


@pytest.mark.parametrize("moment", ["thinking", "opening", "streaming"])
async def test_a_process_frozen_past_its_lease_writes_one_answer(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock, moment: str
) -> None:
    bobbin = await make(LEASE_SECONDS="3", RECOVERY_SETTLE_SECONDS="1.5").start()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    bedrock.pace = 0.1
    bedrock.delay = 0.5
    if moment == "opening":
        slack.faults.add("chat.startStream", "hang", seconds=0.2)
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}")
    match moment:
        case "thinking":
            await bedrock.wait_for(lambda it: it.open == 1)
        case "opening":
            await slack.wait_for(lambda: slack.calls("chat.startStream"))
        case _:
            await slack.wait_for(lambda: slack.calls("chat.appendStream"))
    assert bobbin.process is not None
    bobbin.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(5)  # longer than the lease: what is tested is this time
    bobbin.process.send_signal(signal.SIGCONT)
    await whole(bobbin, channel, thread)
    direct = slack.dm(ann)
    after = await slack.say(ann, direct, "say exactly: and on")
    assert await bobbin.answered(direct, after) == ["and on"]
    await whole(bobbin, channel, thread)
    assert len(bobbin.answers(channel, thread)) == 1
    await nothing_is_left(bobbin, slack)
