"""Three faults of Slack at random, in at once. A failure names its seed: CHAOS_SEED replays it alone.

The same few each time; with CHAOS_ROUNDS so many new ones.
"""

import os
import random
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, UNDISTURBED, Ground, long_text, played, pool
from tests.chaos.history import violations
from tests.e2e.conftest import Bobbin, shown
from tests.postgres import Server

METHODS = (
    "chat.startStream",
    "chat.appendStream",
    "chat.stopStream",
    "chat.postMessage",
    "chat.update",
    "users.info",
    "conversations.replies",
    "assistant.threads.setStatus",
    "agents.sessions.setStatus",
    "reactions.add",
    "reactions.remove",
)
NEW = int(os.environ.get("CHAOS_ROUNDS", "0"))  # noqa: TID251  how long to try is no setting of Bobbin's
ROUNDS = NEW or 12
SEED = os.environ.get("CHAOS_SEED")  # noqa: TID251  the same


async def combination(seed: int, bobbin: Bobbin) -> None:
    """Two questions, one in a channel and one in a DM, under three faults."""
    chance = random.Random(seed)
    places = [Ground(bobbin), Ground(bobbin, direct=True)]
    ways = [chance.choice(("stream", "post")), chance.choice(("status", "eyes"))]
    faults = [(chance.choice(METHODS), chance.choice([*FAULTS]), chance.randrange(3)) for _ in range(3)]
    if "eyes" in ways:  # from the first call on: what was set once could not be taken away
        places[0].refuse("assistant.threads.setStatus", "lunch_break")
    for method, fault, after in faults:
        places[0].slack.faults.add(method, after=after, **FAULTS[fault])
    if "post" in ways:
        places[0].refuse("chat.startStream")
    texts = [long_text(f"seed {seed}, place {number}") for number in range(2)]
    threads = [
        await ground.mention(f"say exactly: {text}") for ground, text in zip(places, texts, strict=True)
    ]
    try:
        for ground, thread, text in zip(places, threads, texts, strict=True):
            await ground.rest()
            (answer,) = ground.answers(thread)
            assert shown(answer).split() == text.split(), shown(answer)
        assert len(bobbin.bedrock.requests) == len({str(asked.body) for asked in bobbin.bedrock.requests})
        unknown = any(fault == "unknown error" for _, fault, _ in faults)
        assert await violations(bobbin, may_fail=unknown) == []
    except Exception as error:
        raise AssertionError(f"CHAOS_SEED={seed}: {faults}, {ways}") from error


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
