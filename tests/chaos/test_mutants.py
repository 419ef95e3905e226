"""The checker sees: each broken variant of the design breaks a promise, where the design itself keeps it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.chaos.forked import ForkedBobbin
from tests.chaos.history import violations
from tests.chaos.hooks import MUTANTS
from tests.chaos.plays import changed_meanwhile, one_question
from tests.chaos.stage import all_quiet, stage
from tests.e2e.conftest import by_requests

_WAITING = "SELECT count(*) FROM message WHERE addressed = 1 AND turn_id IS NULL"


Ask = Callable[[ForkedBobbin], Awaitable[int]]


async def in_a_dm(bobbin: ForkedBobbin) -> int:
    """Ask where one event alone brings the question: a mention comes as two."""
    ann = bobbin.slack.add_person("Ann Lee")
    await bobbin.slack.say(ann, bobbin.slack.dm(ann), "Who makes the plan?")
    return 1


async def dies_once(bobbin: ForkedBobbin, at: str, ask: Ask = one_question) -> None:
    """Ask once; the process dies at a point, and is started again."""
    bobbin.kill_at = (at, 1)
    await bobbin.start()
    await ask(bobbin)
    assert bobbin.process is not None
    await bobbin.process.wait()
    bobbin.kill_at = None
    await bobbin.start()


async def acked_and_killed(bobbin: ForkedBobbin, *, broken: bool) -> int:
    await dies_once(bobbin, "before post", in_a_dm)
    return await one_question(bobbin) + (not broken)


async def acked_and_killed_by_requests(bobbin: ForkedBobbin, *, broken: bool) -> int:
    bobbin.settings |= by_requests(bobbin.slack)
    return await acked_and_killed(bobbin, broken=broken)


async def killed_before_its_record(bobbin: ForkedBobbin, *, broken: bool) -> int:
    await dies_once(bobbin, "before record_part")
    return 1


async def answer_lost(bobbin: ForkedBobbin, *, broken: bool) -> int:
    bobbin.slack.faults.add("chat.startStream", "reset_after")
    await bobbin.start()
    return await one_question(bobbin)


async def effect_late(bobbin: ForkedBobbin, *, broken: bool) -> int:
    """What comes before the answer stands is found when it does, though nothing is waited for."""
    bobbin.slack.faults.add("chat.startStream", "late", seconds=4 if broken else 0.25)
    await bobbin.start()
    await one_question(bobbin)
    await bobbin.slack.wait_for(lambda: bobbin.slack.workspace.streams)
    return 1


async def killed_and_effect_late(bobbin: ForkedBobbin, *, broken: bool) -> int:
    """Where nothing is waited for, the second message must be there when the first one comes."""
    bobbin.slack.faults.add("chat.startStream", "late", seconds=4 if broken else 0.25)
    await dies_once(bobbin, "after chat.startStream")
    await bobbin.slack.wait_for(lambda: all(each.result for each in bobbin.slack.calls("chat.startStream")))
    return 1


async def stolen(bobbin: ForkedBobbin, *, broken: bool) -> int:
    bobbin.steal = ("chat.startStream", 5.0)  # meanwhile the next owner has found the message
    await bobbin.start()
    await one_question(bobbin)
    async with asyncio.timeout(60):
        while not any(point[2:4] == ("after record_part", 2) for point in bobbin.passed()):  # noqa: ASYNC110  a file
            await asyncio.sleep(0.05)
    return 1 + await one_question(bobbin, "And who makes it?")


async def stolen_in_mid_answer(bobbin: ForkedBobbin, *, broken: bool) -> int:
    """The next owner's answer is short, and stands when the stale one goes on with its own."""
    bobbin.steal = ("chat.appendStream", 5.0)
    bobbin.bedrock.pace, bobbin.model.sentences = 0.05, 300
    await bobbin.start()
    await one_question(bobbin)
    await bobbin.bedrock.wait_for(lambda bedrock: bool(bedrock.requests))
    bobbin.model.sentences = 6
    if broken:
        await all_quiet(bobbin, 1)
        places = bobbin.slack.workspace.channels.values()
        await bobbin.slack.wait_for(lambda: any("Call 1 " in str(place.messages) for place in places), 60)
    return 1


async def two_at_once(bobbin: ForkedBobbin, *, broken: bool) -> int:
    """Two questions below another one, which are one turn's."""
    await bobbin.start()
    slack = bobbin.slack
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} What is the plan?")
    await all_quiet(bobbin, 1)
    bobbin.bedrock.hold()
    await slack.say(ann, channel, f"{bobbin.me} And who makes it?", thread=thread)
    await bobbin.bedrock.wait_for(lambda bedrock: len(bedrock.requests) == 2, 20)
    for words in ("Until when?", "And where?"):
        await slack.say(ann, channel, f"{bobbin.me} {words}", thread=thread)
    async with asyncio.timeout(20):
        while await bobbin.rows(_WAITING) != [(2,)]:  # noqa: ASYNC110  a file
            await asyncio.sleep(0.05)
    bobbin.bedrock.release()
    return 3


async def asked_meanwhile(bobbin: ForkedBobbin, *, broken: bool) -> int:
    return await two_at_once(bobbin, broken=broken) - broken


async def changed(bobbin: ForkedBobbin, *, broken: bool) -> int:
    bobbin.bedrock.pace = 0.2
    await bobbin.start()
    return await changed_meanwhile(bobbin)


CAUGHT = {
    "ack before commit": (acked_and_killed, "LOST|ACK before commit"),
    "ack before commit, by requests": (acked_and_killed_by_requests, "LOST|ACK before commit"),
    "no reconcile": (killed_before_its_record, "TWICE"),
    "blind retry of a create": (answer_lost, "TWICE"),
    "no settle time for a call": (effect_late, "TWICE"),
    "no settle time after a crash": (killed_and_effect_late, "TWICE"),
    "stale owner deletes": (stolen, "MISSING"),
    "no guard of the lease": (stolen_in_mid_answer, "WRONG"),
    "what waits is not computed again": (asked_meanwhile, "LOST|at rest"),
    "only the last message sent": (two_at_once, "FORGOT"),
    "no merge": (two_at_once, "ROLES"),
    "a changed question is not answered anew": (changed, "OUTDATED"),
}
"""What each variant cannot survive, which returns how many turns end; and what is said of it."""


@pytest.mark.parametrize("broken", [False, True], ids=["as it is", "broken"])
@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_broken_variant_breaks_a_promise_and_the_code_as_it_is_does_not(
    tmp_path: Path, mutant: str, *, broken: bool
) -> None:
    async with stage(tmp_path / "stage", SLACK_PACING="off", LEASE_SECONDS="6") as bobbin:
        bobbin.mutant = mutant if broken else ""
        play, kinds = CAUGHT[mutant]
        await all_quiet(bobbin, await play(bobbin, broken=broken))
        wrong = await violations(bobbin)
        if broken:
            assert all(any(kind in each for each in wrong) for kind in kinds.split("|")), wrong
        else:
            assert wrong == []
