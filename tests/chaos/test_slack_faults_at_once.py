"""Three faults at random, in at once. A failure names its seed: CHAOS_SEED replays it alone.

The same few each time; with CHAOS_ROUNDS so many new ones. Most are of Slack, of methods that are called
where they are put in; some are of Bedrock, or the database is locked for a while.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiosqlite
import pytest

from tests.chaos.faults import FAULTS, UNDISTURBED, Ground, long_text, played, pool
from tests.chaos.history import violations
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
LOCKED_SECONDS = 0.7
NEW = int(os.environ.get("CHAOS_ROUNDS", "0"))  # noqa: TID251  how long to try is no setting of Bobbin's
ROUNDS = NEW or 12
SEED = os.environ.get("CHAOS_SEED")  # noqa: TID251  the same


async def combination(seed: int, bobbin: Bobbin) -> None:
    """Two questions, one below a remark in a channel and one in a DM, under three faults."""
    chance = random.Random(seed)
    places = [Ground(bobbin), Ground(bobbin, direct=True)]
    asked_before = len(bobbin.bedrock.requests)
    ways = ["", chance.choice(("stream", "post")), chance.choice(("status", "eyes"))]
    names = chance.sample([*(name for way in ways for name in CALLED[way]), "Bedrock", "the database"], 3)
    drawn = [drawn_of(name, chance) for name in names]
    slack = places[0].slack
    faults = [
        slack.faults.add(name, after=after, **FAULTS[kind]) for name, kind, after in drawn if kind in FAULTS
    ]
    if "eyes" in ways:  # from the first call on: what was set once could not be taken away
        places[0].refuse("assistant.threads.setStatus", "lunch_break")
    if "post" in ways:
        places[0].refuse("chat.startStream")
    of_bedrock = [
        bobbin.bedrock.faults.add(kind, after_events=after or None)
        for name, kind, after in drawn
        if name == "Bedrock"
    ]
    texts = [long_text(f"seed {seed}, place {number}") for number in range(2)]
    try:
        async with AsyncExitStack() as stack:
            if "the database" in names:
                await stack.enter_async_context(locked(bobbin))
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
        met = [fault for fault in (*faults, *of_bedrock) if fault.times == 0]
        assert len(met) + ("the database" in names) >= 2, "too few faults were met"
        asked = [str(each.body) for each in bobbin.bedrock.requests[asked_before:]]
        assert len(asked) == len({*asked}) + sum(fault in met for fault in of_bedrock)
        unknown = any(kind == "unknown error" for _, kind, _ in drawn)
        assert await violations(bobbin, may_fail=unknown) == []
    except Exception as error:
        raise AssertionError(f"CHAOS_SEED={seed}: {drawn}, {ways}") from error
    finally:
        bobbin.bedrock.faults.clear()


def drawn_of(name: str, chance: random.Random) -> tuple[str, str, int]:
    """A fault of this: its kind, and how many calls (of Bedrock: events of the stream) are left out."""
    if name == "the database":
        return name, "locked", 0
    if name == "Bedrock":
        return name, chance.choice(OF_BEDROCK), chance.choice((0, 5))
    kind = chance.choice([each for each in FAULTS if (name, each) not in ENDS_OTHERWISE])
    return name, kind, chance.randrange(2) if name in FOR_EACH else 0


@asynccontextmanager
async def locked(bobbin: Bobbin) -> AsyncIterator[None]:
    """Another program writes while this is said, and for a while: nothing can be kept, and nothing acked."""
    async with aiosqlite.connect(bobbin.folder / "bobbin.db", isolation_level=None) as other:
        await other.execute("BEGIN EXCLUSIVE")
        yield
        await asyncio.sleep(LOCKED_SECONDS)
        await other.execute("ROLLBACK")


async def test_three_faults_at_once_leave_one_whole_answer_a_question(
    tmp_path: Path, server: Server | None
) -> None:
    chance = random.Random() if NEW else random.Random(ROUNDS)
    seeds = [int(SEED)] if SEED else chance.sample(range(10**6), ROUNDS)
    rows = {f"429? seed {seed}": partial(combination, seed) for seed in seeds}
    async with pool(tmp_path, min(len(rows), 6), UNDISTURBED, server) as bobbins:
        ends = await played(bobbins, rows, 0.015)
    if failed := [error for error in ends.values() if error is not None]:
        raise ExceptionGroup(f"{len(failed)} of {len(seeds)}", failed)


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    """More rounds take longer."""
    request.node.add_marker(pytest.mark.timeout(120 + 10 * ROUNDS))
