"""Three faults at random, in at once. A failure names its seed: CHAOS_SEED replays it alone.

The same few each time; with CHAOS_ROUNDS so many new ones. Most are of Slack, of methods that are called
where they are put in; some are of Bedrock, and of half of the triples one is of the database (not where it is
on a server, which has its faults in `test_postgres_faults.py`). One of each three lasts for a while.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from bot.sandbox.slack.faults import Fault
from tests.chaos.faults import (
    CALLS_A_SECOND,
    FAULTS,
    STUCK_SECONDS,
    UNDISTURBED,
    Ground,
    long_text,
    played,
    pool,
)
from tests.chaos.history import violations
from tests.chaos.test_database_faults import FAULTS as OF_DATABASE
from tests.chaos.test_database_faults import START, TRIES_A_SECOND
from tests.e2e.conftest import Bobbin, shown
from tests.postgres import Server

CALLED = {
    "": ("users.info", "conversations.replies", "agents.sessions.setStatus"),
    "stream": ("chat.startStream", "chat.appendStream", "chat.stopStream"),
    "post": ("chat.postMessage", "chat.update"),
    "status": ("assistant.threads.setStatus",),
    "eyes": ("reactions.add", "reactions.remove"),
}
"""The methods that are called, whatever the way, and in each way."""
FOR_EACH = ("users.info", *CALLED["stream"], *CALLED["post"])
"""Those that are called for either question."""
OF_BEDROCK = ("internal", "unavailable", "throttled", "reset", "cut")
ENDS_OTHERWISE = (("conversations.replies", "unknown error"), ("reactions.remove", "unknown error"))
"""Each has an end of its own (test_slack_faults.py)."""
NEW = int(os.environ.get("CHAOS_ROUNDS", "0"))  # noqa: TID251  how long to try is no setting of Bobbin's
ROUNDS = NEW or 12
SEED = os.environ.get("CHAOS_SEED")  # noqa: TID251  the same


@dataclass(frozen=True)
class Drawn:
    """A fault of a method, of Bedrock or of the database: its kind, and whether it lasts for a while.

    `after`: so many calls are left out, of Bedrock so many events; of the database, whether it begins only
    in mid-answer.
    """

    of: str
    kind: str
    after: int
    lasts: bool


def drawn(chance: random.Random, ways: list[str], *, database: bool) -> list[Drawn]:
    """Three faults that can be met in these ways; one of them lasts, as one of the database always does."""
    first = ["the database"] if database and chance.random() < 0.5 else []
    others = ["Bedrock", *(name for way in ways for name in CALLED[way])]
    names = first + chance.sample(others, 3 - len(first))
    lasting = names[0] if names[0] != "Bedrock" else names[1]
    return [_drawn_of(name, chance, lasts=name == lasting) for name in names]


def _drawn_of(name: str, chance: random.Random, *, lasts: bool) -> Drawn:
    if name == "the database":
        return Drawn(name, chance.choice(("full", "read-only")), chance.randrange(2), lasts)
    if name == "Bedrock":
        return Drawn(name, chance.choice(OF_BEDROCK), chance.choice((0, 5)), lasts)
    # For a while, what nobody knows ends a turn as an error.
    kinds = [each for each in FAULTS if (name, each) not in ENDS_OTHERWISE]
    kind = chance.choice([each for each in kinds if not (lasts and each == "unknown error")])
    return Drawn(name, kind, chance.randrange(2) if name in FOR_EACH else 0, lasts)


async def lifted(ground: Ground, fault: Fault) -> None:
    """Lift a fault some seconds after its first call: whoever is stuck in it has called without haste."""
    before = len(ground.slack.calls(fault.method))
    await ground.slack.wait_for(lambda: fault.after < 0, 60)
    since = time.time()
    await asyncio.sleep(STUCK_SECONDS)  # the measure is calls a second
    lasted = time.time() - since
    fault.times = 0
    calls = [call for call in ground.slack.calls(fault.method)[before:] if call.at >= since]
    each = Counter(str(call.data.get("channel") or call.data.get("channel_id")) for call in calls)
    assert all(count < CALLS_A_SECOND * lasted for count in each.values()), f"{each} in {lasted:.1f} s"


async def hindered(bobbin: Bobbin, fault: Drawn) -> bool:
    """Let the database fail for a while; whether Bobbin had to say so. It tries again without haste."""
    put_in, _, said = OF_DATABASE[fault.kind]
    asked = len(bobbin.bedrock.requests)
    if fault.after:
        await bobbin.bedrock.wait_for(lambda it: len(it.requests) > asked, 60)
    lines, since = len(bobbin.log), time.time()
    async with put_in(bobbin):
        await asyncio.sleep(STUCK_SECONDS)  # the measure is tries a second
        log, lasted = bobbin.log[lines:], time.time() - since
    tries = sum(line["event"] == "tried in vain" for line in log)
    assert tries < 3 * TRIES_A_SECOND * lasted, f"{tries} in {lasted:.1f} s"  # of two turns and of the intake
    return any(said in f"{line['event']} {line.get('error')}" for line in log)


async def combination(seed: int, bobbin: Bobbin) -> None:
    """Two questions, one below a remark in a channel and one in a DM, under three faults."""
    chance = random.Random(seed)
    places = [Ground(bobbin), Ground(bobbin, direct=True)]
    slack, bedrock = bobbin.slack, bobbin.bedrock
    asked_before = len(bedrock.requests)
    ways = ["", chance.choice(("stream", "post")), chance.choice(("status", "eyes"))]
    faults = drawn(chance, ways, database=not bobbin.on_a_server)
    of_slack = [
        slack.faults.add(each.of, after=each.after, times=None if each.lasts else 1, **FAULTS[each.kind])
        for each in faults
        if each.kind in FAULTS
    ]
    if "eyes" in ways:  # from the first call on: what was set once could not be taken away
        places[0].refuse("assistant.threads.setStatus", "lunch_break")
    if "post" in ways:
        places[0].refuse("chat.startStream")
    of_bedrock = [
        bedrock.faults.add(each.kind, after_events=each.after or None)
        for each in faults
        if each.of == "Bedrock"
    ]
    broken = [asyncio.create_task(hindered(bobbin, each)) for each in faults if each.of == "the database"]
    lasting = [
        (asyncio.create_task(lifted(places[0], fault)), fault) for fault in of_slack if fault.times is None
    ]
    if any(each.of == "chat.appendStream" for each in faults):
        bedrock.pace = 0.05  # several appends, also where the machine is slow
    texts = [long_text(f"seed {seed}, place {number}") for number in range(2)]
    try:
        await asyncio.sleep(0)  # what breaks at once is broken
        root = await places[0].say(f"Something else than {seed}.", by=places[0].ben)
        threads = [
            await ground.mention(f"say exactly: {text}", thread=thread)
            for ground, text, thread in zip(places, texts, (root, None), strict=True)
        ]
        threads[0] = root
        for ground, thread, text in zip(places, threads, texts, strict=True):
            await ground.rest()
            (answer,) = ground.answers(thread)
            assert shown(answer).split() == text.split(), shown(answer)
        failed = sum([await each for each in broken])
        for task, fault in lasting:
            if fault.after < 0:
                await task
        met = [fault for fault in (*of_slack, *of_bedrock) if fault.times == 0]
        assert len(met) + failed >= 2, "too few faults were met"
        asked = [str(each.body) for each in bedrock.requests[asked_before:]]
        again = len(asked) - len({*asked}) - sum(fault in met for fault in of_bedrock)
        assert 0 <= again <= 2 * failed, f"{again} more model calls"  # an answer that could not be kept
        unknown = any(each.kind == "unknown error" for each in faults)
        assert await violations(bobbin, may_fail=unknown) == []
    except Exception as error:
        raise AssertionError(f"CHAOS_SEED={seed}: {faults}, {ways}") from error
    finally:
        tasks = (*broken, *(task for task, _ in lasting))
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bedrock.faults.clear()


async def test_three_faults_at_once_leave_one_whole_answer_a_question(
    tmp_path: Path, server: Server | None
) -> None:
    chance = random.Random() if NEW else random.Random(ROUNDS)
    seeds = [int(SEED)] if SEED else chance.sample(range(10**6), ROUNDS)
    rows = {f"429? seed {seed}": partial(combination, seed) for seed in seeds}
    command = None if server else [sys.executable, "-c", START]
    async with pool(tmp_path, min(len(rows), 6), UNDISTURBED, server, command) as bobbins:
        ends = await played(bobbins, rows, 0.015)
    if failed := [error for error in ends.values() if error is not None]:
        raise ExceptionGroup(f"{len(failed)} of {len(seeds)}", failed)


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    """More rounds take longer."""
    request.node.add_marker(pytest.mark.timeout(300 + 10 * ROUNDS))
