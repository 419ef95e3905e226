"""Every fault of Bedrock through the running process: each has its one right end in the thread.

What asking again helps against ends in one whole answer, in one message; the rest is said once, with
*Try again*, after the number of calls that is due. The waits between the tries are cut short here;
tests/e2e/test_errors.py has them as they are.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot import errors
from bot.errors import ModelError
from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.slack.blocks import TRY_AGAIN
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_errors import buttons, visible
from tests.e2e.test_reply import Says, below
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAITS, BUSY_SECONDS = (0.02, 0.05, 0.1), 4
START = f"""
import socket, sys
from pathlib import Path
import bot.asking
from bot.__main__ import main

bot.asking.WAITS, bot.asking.BUSY_SECONDS = {WAITS}, {BUSY_SECONDS}
resolve = socket.getaddrinfo

def getaddrinfo(host, *more, **options):
    if host == "localhost" and Path("no-dns").exists():
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return resolve(host, *more, **options)

socket.getaddrinfo = getaddrinfo
sys.exit(main())
"""
"""Cuts the waits short; `localhost` has no address while there is a file `no-dns`."""

WORDS = "marmalade is made of oranges"
LONG = f"{WORDS} and it takes the whole morning. " * 8
"""What is asked for and answered: none of it may be in the log."""


@asynccontextmanager
async def impatient(folder: Path, **settings: str) -> AsyncIterator[Bobbin]:
    """A Bobbin that hardly waits between its tries, between servers of its own.

    With the lease as in earnest: a machine that stands still must not cost a call more.
    """
    slack = Slack(redelivery=(0, 0.3, 0.6))
    await slack.start()
    async with Bedrock() as bedrock:
        bobbin = Bobbin(slack, bedrock, folder, SLACK_PACING="off", LEASE_SECONDS="60", **settings)
        bobbin.command = [sys.executable, "-c", START]
        try:
            yield await bobbin.start()
        finally:
            await bobbin.close()
    await slack.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with impatient(tmp_path_factory.mktemp("bedrock")) as bobbin:
        yield bobbin


@pytest_asyncio.fixture(loop_scope="module")
async def scene(shared: Bobbin) -> AsyncIterator[Scene]:
    yield Scene(shared)
    shared.bedrock.faults.clear()
    shared.bedrock.pace = 0


async def ended(scene: Scene, thread: str) -> dict[str, Any]:
    """Wait for the end of the turn; its one message, with nothing left half done and no word in the log."""
    left = f"""SELECT 1 FROM conversation WHERE channel_id = '{scene.channel}'
        AND (pending_at IS NOT NULL OR lease_owner IS NOT NULL)"""
    async with asyncio.timeout(60):
        while not scene.answers(thread) or await scene.bobbin.rows(left):  # noqa: ASYNC110  a file
            await asyncio.sleep(0.02)
    [message] = scene.answers(thread)
    assert message.get("streaming_state") in (None, "completed")
    assert scene.slack.status(scene.channel, thread).status == "active"
    await scene.bedrock.wait_for(lambda it: it.open == 0)  # it learns a moment later that nobody listens
    assert "marmalade" not in (scene.bobbin.folder / "bobbin.log").read_text()
    return message


async def outcome(scene: Scene) -> tuple[str, str]:
    """How the one turn ended, and the kind of its error."""
    [(state, error)] = await scene.bobbin.rows(f"""SELECT state, error FROM turn
        WHERE conversation_id = (SELECT id FROM conversation WHERE channel_id = '{scene.channel}')""")
    return state, error.partition(":")[0]


async def is_answered(scene: Scene, words: str, calls: int) -> None:
    """Ask for these words: they come whole, after so many calls."""
    thread = await scene.mention(f"say exactly: {words}")
    message = await ended(scene, thread)
    assert shown(message).strip() == words.strip()
    assert not buttons(message)
    assert await outcome(scene) == ("answered", "")
    assert len(scene.requests) == calls


async def is_told(scene: Scene, words: str, error: type[ModelError]) -> dict[str, Any]:
    """Ask for these words: this error is said instead, once."""
    thread = await scene.mention(f"say exactly: {words}")
    message = await ended(scene, thread)
    assert error.said.replace("*", "_") in visible(message)
    assert buttons(message) == [TRY_AGAIN]
    assert await outcome(scene) == ("failed", error.__name__)
    return message


# ---------------------------------------------------------------- what passes

PASSES: dict[str, type[ModelError]] = {
    "throttled": errors.ModelBusy,
    "throttled_tokens": errors.ModelBusy,
    "not_ready": errors.ModelBusy,
    "model_timeout": errors.ModelUnavailable,
    "model_error": errors.ModelUnavailable,
    "model_stream_error": errors.BrokenStream,
    "internal": errors.ModelUnavailable,
    "unavailable": errors.ModelUnavailable,
    "reset": errors.ModelUnavailable,
    "empty": errors.EmptyAnswer,
    "malformed_model_output": errors.BrokenStream,
    "malformed_tool_use": errors.BrokenStream,
}
"""Faults of a whole answer that asking again may help against, and what is said where it does not."""


@pytest.mark.parametrize("fault", [*PASSES, "cut"])
async def test_a_fault_that_passes_is_not_seen(scene: Scene, fault: str) -> None:
    scene.bedrock.faults.add(fault)
    await is_answered(scene, WORDS, calls=2)


@pytest.mark.parametrize("fault", PASSES)
async def test_a_fault_that_stays_is_said_once_the_tries_are_used_up(scene: Scene, fault: str) -> None:
    scene.bedrock.faults.add(fault, times=None)
    await is_told(scene, WORDS, PASSES[fault])
    if PASSES[fault] is errors.ModelBusy:  # asked for as long as patience lasts, and never in haste
        times = [asked.started_at for asked in scene.requests]
        assert len(times) > len(WAITS)
        assert time.time() - times[0] > BUSY_SECONDS / 2
        waits = zip(pairwise(times), chain(WAITS, repeat(WAITS[-1])), strict=False)
        assert all(later - earlier > 0.8 * wait for (earlier, later), wait in waits)
    else:
        # A connection that is cut at once may be an old one of the pool: each try is made on another too.
        assert len(scene.requests) == (6 if fault == "reset" else 3)


INSIDE = ["throttled", "internal", "unavailable", "model_stream_error", "strange", "bad_crc", "cut", "reset"]


@pytest.mark.parametrize("after_events", [0, 1, 8], ids=["first", "after the start", "in mid-answer"])
@pytest.mark.parametrize("fault", INSIDE)
async def test_a_stream_that_breaks_is_written_anew_in_the_same_message(
    scene: Scene, fault: str, after_events: int
) -> None:
    scene.bedrock.faults.add(fault, after_events=after_events)
    await is_answered(scene, LONG, calls=2)


async def test_a_throttled_stream_with_words_in_it_is_written_anew_in_the_same_message(scene: Scene) -> None:
    scene.bedrock.faults.add("throttled", after_events=10, times=2)
    scene.bedrock.pace = 0.05
    await is_answered(scene, LONG, calls=3)


@pytest.mark.parametrize("after_events", range(9))
async def test_a_connection_reset_at_any_event_leaves_one_whole_answer(
    scene: Scene, after_events: int
) -> None:
    # Start, two events of reasoning and their end, text and its end, stop, metadata.
    scene.bedrock.faults.add("reset", after_events=after_events)
    thread = await scene.mention("say exactly: m")
    assert shown(await ended(scene, thread)) == "m"
    calls = len(scene.requests)
    assert calls == 2 or (after_events == 8 and calls == 1)  # after the last event nothing is missing


@pytest_asyncio.fixture(loop_scope="module")
async def short(tmp_path: Path) -> AsyncIterator[Scene]:
    """Where the model is given up soon: alone, for a machine that stands still may be taken for silence."""
    async with impatient(tmp_path, BEDROCK_IDLE_SECONDS="3") as bobbin:
        yield Scene(bobbin)


async def test_a_silent_stream_is_given_up_wherever_it_falls_silent(short: Scene) -> None:
    moments = (None, 0, 8)
    for after_events in moments:
        short.bedrock.faults.add("stall", after_events=after_events, seconds=60)
    threads = [await short.mention(f"say exactly: {LONG}{number}") for number, _ in enumerate(moments)]
    for number, thread in enumerate(threads):
        assert shown(await ended(short, thread)) == f"{LONG}{number}"
    assert len(short.requests) == 2 * len(moments)


async def test_a_model_that_stays_silent_is_an_error(short: Scene) -> None:
    short.bedrock.faults.add("stall", times=None, seconds=60)
    await is_told(short, WORDS, errors.ModelUnavailable)
    assert len(short.requests) == 3


# ---------------------------------------------------------------- what does not pass

STAYS: dict[str, type[ModelError]] = {
    "throttled_daily": errors.QuotaSpent,
    "quota": errors.QuotaSpent,
    "no_access": errors.NoAccess,
    "not_authorized": errors.NoAccess,
    "marketplace": errors.NoAccess,
    "agreement": errors.NoAccess,
    "use_case_form": errors.NoAccess,
    "expired_token": errors.BadCredentials,
    "unrecognized_client": errors.BadCredentials,
    "bad_signature": errors.BadCredentials,
    "unsigned": errors.BadCredentials,
    "unknown_model": errors.UnknownModel,
    "unknown_operation": errors.UnknownModel,
    "validation": errors.BadRequest,
    "not_json": errors.BadRequest,
    "strange": errors.BadRequest,
    "too_long": errors.TooLong,
    "content_filtered": errors.Refused,
    "guardrail_intervened": errors.Blocked,
}


@pytest.mark.parametrize("fault", STAYS)
async def test_a_fault_that_does_not_pass_is_said_at_once(scene: Scene, fault: str) -> None:
    scene.bedrock.faults.add(fault, times=None)
    await is_told(scene, WORDS, STAYS[fault])
    assert len(scene.requests) == 1


@pytest.mark.parametrize("fault", ["validation", "too_long"])
@pytest.mark.parametrize("after_events", [0, 14], ids=["first", "in mid-answer"])
async def test_a_stream_that_is_refused_is_said_at_once_below_what_was_shown(
    scene: Scene, fault: str, after_events: int
) -> None:
    scene.bedrock.faults.add(fault, after_events=after_events)
    scene.bedrock.pace = 0.4  # some is shown before, however slow the machine is
    message = await is_told(scene, LONG, STAYS[fault])
    assert len(scene.requests) == 1
    assert bool("marmalade" in visible(message)) == bool(after_events)


# ---------------------------------------------------------------- what is no fault

REASONS = {
    "end_turn": "",
    "stop_sequence": "",
    "tool_use": "",
    "brand_new_reason": "",
    "max_tokens": "The answer reached its length limit",
    "model_context_window_exceeded": "I cannot read or write more at once",
}


@pytest.mark.parametrize("reason", REASONS)
async def test_why_an_answer_ended_is_said_where_people_can_act_on_it(scene: Scene, reason: str) -> None:
    if reason != "end_turn":  # as every other answer ends
        scene.bedrock.faults.add(reason)
    thread = await scene.mention(f"say exactly: {WORDS}")
    message = await ended(scene, thread)
    assert shown(message) == WORDS
    assert len(scene.requests) == 1
    *notes, _ = below(message)
    assert len(notes) == bool(REASONS[reason])
    assert all(REASONS[reason] in note for note in notes)


async def test_every_stop_reason_that_aws_documents_is_in_a_table() -> None:
    import botocore.session  # noqa: PLC0415  slow, and nothing else here needs it

    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    assert set(service.shape_for("StopReason").enum) <= {*REASONS, *STAYS, *PASSES}


@pytest.mark.parametrize("after_events", [0, 1, 6, 8])
async def test_an_event_that_nobody_has_seen_yet_is_passed_over(scene: Scene, after_events: int) -> None:
    scene.bedrock.faults.add("unknown_event", after_events=after_events)
    await is_answered(scene, LONG, calls=1)


# ---------------------------------------------------------------- nobody there


@pytest.mark.parametrize("gone", ["nobody listens", "no address"])
async def test_a_bedrock_out_of_reach_is_said_and_try_again_works_once_it_is_back(
    tmp_path: Path, gone: str
) -> None:
    port, no_dns = free_port(), tmp_path / "no-dns"
    async with impatient(tmp_path, AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://localhost:{port}") as bobbin:
        scene = Scene(bobbin)
        back = Bedrock()
        if gone == "no address":
            no_dns.touch()
            await back.start(port)
        message = await is_told(scene, WORDS, errors.ModelUnavailable)
        assert not back.requests
        if gone == "no address":
            no_dns.unlink()
        else:
            await back.start(port)
        await scene.slack.press(scene.ann, scene.channel, message["ts"], TRY_AGAIN)
        await scene.slack.wait_for(lambda: not buttons(scene.slack.message(scene.channel, message["ts"])))
        assert shown(await ended(scene, message["thread_ts"])) == WORDS
        assert len(back.requests) == 1
        await back.close()


async def test_the_longest_answer_that_a_model_can_give_goes_on_in_further_messages(tmp_path: Path) -> None:
    """Some 100,000 tokens: nothing of it is lost, doubled or out of order."""
    marks = [f"w{number:06}" for number in range(50_000)]
    text = "\n\n".join(" ".join(marks[start : start + 50]) for start in range(0, len(marks), 50))
    async with impatient(tmp_path) as bobbin:
        scene = Scene(bobbin)
        scene.bedrock.model = Says(text)
        thread = await scene.mention("Tell me everything.")
        await scene.slack.wait_for(
            lambda: " ".join(map(shown, scene.bobbin.finished(scene.channel, thread))).split() == marks, 90
        )
        await at_rest(bobbin)
        assert " ".join(map(shown, scene.answers(thread))).split() == marks
        assert len(scene.requests) == 1
