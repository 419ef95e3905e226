"""The checker sees: each broken variant of the design breaks a promise, where the design itself keeps it."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.forked import ForkedBobbin
from tests.chaos.history import violations
from tests.chaos.hooks import MUTANTS
from tests.chaos.points import Play, one_question
from tests.chaos.stage import all_quiet, stage

CAUGHT = {
    "ack before commit": "LOST|ACK before commit",
    "no reconcile": "TWICE",
    "blind retry of a create": "TWICE",
    "no settle time": "TWICE",
    "stale owner deletes": "MISSING",
    "only the last message sent": "FORGOT",
    "no merge": "ROLES",
}


_WAITING = "SELECT count(*) FROM message WHERE addressed = 1 AND turn_id IS NULL"


async def in_a_dm(bobbin: ForkedBobbin) -> int:
    """Ask where one event alone brings the question: a mention comes as two."""
    ann = bobbin.slack.add_person("Ann Lee")
    await bobbin.slack.say(ann, bobbin.slack.dm(ann), "What is the plan?")
    return 1


async def dies_once(bobbin: ForkedBobbin, at: str, ask: Play = one_question) -> None:
    """Ask once; the process dies at a point, and is started again."""
    bobbin.kill_at = (at, 1)
    await bobbin.start()
    await ask(bobbin)
    assert bobbin.process is not None
    await bobbin.process.wait()
    bobbin.kill_at = None
    await bobbin.start()


async def play(mutant: str, bobbin: ForkedBobbin, *, broken: bool) -> int:
    """What the variant cannot survive; how many turns end."""
    slack = bobbin.slack
    match mutant:
        case "ack before commit":
            await dies_once(bobbin, "before post", in_a_dm)
            return await one_question(bobbin) + (0 if broken else 1)
        case "no reconcile":
            await dies_once(bobbin, "before record_part")
            return 1
        case "blind retry of a create":
            slack.faults.add("chat.startStream", "reset_after")
        case "no settle time":
            slack.faults.add("chat.startStream", "late", seconds=0.25)
            await bobbin.start()
            await one_question(bobbin)
            await slack.wait_for(lambda: slack.workspace.streams)
            return 1
        case "stale owner deletes":
            bobbin.steal = 5.0  # meanwhile the next owner has found the message
            await bobbin.start()
            await one_question(bobbin)
            async with asyncio.timeout(20):
                while not any(point[2:4] == ("after record_part", 2) for point in bobbin.passed()):  # noqa: ASYNC110  a file
                    await asyncio.sleep(0.05)
            return 1 + await one_question(bobbin)
    await bobbin.start()
    if mutant not in ("only the last message sent", "no merge"):
        return await one_question(bobbin)
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
        while await bobbin.rows(_WAITING) != [(2,)]:  # they are one turn's  # noqa: ASYNC110  a file
            await asyncio.sleep(0.05)
    bobbin.bedrock.release()
    return 3


@pytest.mark.parametrize("broken", [False, True], ids=["as it is", "broken"])
@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_broken_variant_breaks_a_promise_and_the_code_as_it_is_does_not(
    tmp_path: Path, mutant: str, *, broken: bool
) -> None:
    async with stage(tmp_path / "stage", SLACK_PACING="off", LEASE_SECONDS="6") as bobbin:
        bobbin.mutant = mutant if broken else ""
        await all_quiet(bobbin, await play(mutant, bobbin, broken=broken))
        wrong = await violations(bobbin)
        if broken:
            kinds = {kind for kind in CAUGHT[mutant].split("|") if any(kind in each for each in wrong)}
            assert kinds == set(CAUGHT[mutant].split("|")), wrong
        else:
            assert wrong == []
