"""Kills while calls run; then the ledger is laid beside what Bedrock counted."""

import asyncio
import random
from pathlib import Path

from tests.chaos.stage import all_quiet, stage
from tests.e2e.books import agree


async def ledger_loop(folder: Path, *, kills: int, seed: int) -> tuple[int, int]:
    """Kill so often, at random moments; how many calls agree to the token, and how many are estimates.

    Raises `AssertionError` where they do not agree.
    """
    chance = random.Random(seed)
    async with stage(folder, LEASE_SECONDS="1.5", SLACK_PACING="off") as bobbin:
        slack, bedrock = bobbin.slack, bobbin.bedrock
        bedrock.pace, bedrock.delay = 0.01, 0.05
        people = [slack.add_person(name) for name in ("Ann Lee", "Ben Ode", "Cem Kar")]
        channel = slack.add_channel("general", members=people)
        threads: list[str] = []
        await bobbin.start()
        for number in range(kills):
            for person in people:
                thread = chance.choice(threads) if threads and chance.random() < 1 / 2 else None
                ts = await slack.say(person, channel, f"{bobbin.me} question {number}?", thread=thread)
                threads += [ts] * (thread is None)
            if number == 0 or chance.random() < 1 / 2:
                await bedrock.wait_for(lambda it: it.open > 0, timeout=20)
            await asyncio.sleep(chance.uniform(0, 0.4) if number else 0)  # once in a call for certain
            assert bobbin.process is not None
            bobbin.process.kill()
            await bobbin.process.wait()
            await bobbin.start()
            if chance.random() < 1 / 3:
                await all_quiet(bobbin)
        await all_quiet(bobbin)
        exact, estimated = await agree(bobbin)
        ((answered,),) = await bobbin.rows("SELECT count(*) FROM turn WHERE state = 'answered' AND seq > 0")
        assert exact >= answered > 0
        return exact, estimated
