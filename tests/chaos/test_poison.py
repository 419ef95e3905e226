"""A message that kills the process each time it is worked on: its turn ends, and nobody else's suffers."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.errors import TurnGaveUp
from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.slack.blocks import TRY_AGAIN
from bot.turns import DEATHS_AT_MOST
from tests.chaos.stage import database
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, words
from tests.e2e.test_crashes import at_rest, nothing_is_left
from tests.e2e.test_errors import buttons, failed, visible
from tests.postgres import Server

START = """
import os, signal, sys
from contextlib import aclosing
import bot.bedrock
from bot.__main__ import main

stream = bot.bedrock.BedrockModel.stream

async def kills(self, request):
    newest = request.messages[-1].content[-1].text
    if "poison" in newest:
        os.kill(os.getpid(), signal.SIGKILL)
    async with aclosing(stream(self, request)) as events:
        left = 8 if "venom" in newest else 10**6
        async for event in events:
            yield event
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

bot.bedrock.BedrockModel.stream = kills
sys.exit(main())
"""
"""A newest message with `poison` kills before the model is asked, one with `venom` in mid-answer."""

LONG = "Four score and seven years ago. " * 12


@asynccontextmanager
async def deadly(folder: Path, server: Server | None, **settings: str) -> AsyncIterator[Bobbin]:
    """A Bobbin, not started, that such messages kill; at the end nothing may be left."""
    slack = Slack(redelivery=(0, 0.3, 0.6))
    await slack.start()
    async with Bedrock() as bedrock, database(server) as where:
        settled = {"SLACK_PACING": "off", "RECOVERY_SETTLE_SECONDS": "0.2", **where, **settings}
        bobbin = Bobbin(slack, bedrock, folder, **settled)
        bobbin.command = [sys.executable, "-c", START]
        try:
            yield bobbin
            await nothing_is_left(bobbin, slack)
        finally:
            await bobbin.close()
            await slack.close()


@asynccontextmanager
async def supervised(folder: Path, server: Server | None) -> AsyncIterator[tuple[Bobbin, list[int]]]:
    """A Bobbin that is started again whenever it is killed; the process ids of its dead."""
    deaths: list[int] = []

    async def supervise(bobbin: Bobbin) -> None:
        while len(deaths) < 3 * DEATHS_AT_MOST:
            await bobbin.begin()
            assert bobbin.process is not None
            if await bobbin.process.wait() != -signal.SIGKILL:
                return
            deaths.append(bobbin.process.pid)

    # A lease that runs out in a slow moment of the machine counts as a death as well. On a server the dead
    # are known by that alone, and waited for.
    async with deadly(folder, server, LEASE_SECONDS="60" if server is None else "6") as bobbin:
        supervisor = asyncio.create_task(supervise(bobbin))
        try:
            await bobbin.slack.wait_for(lambda: bobbin.slack.connected, 60)
            yield bobbin, deaths
        except BaseException:
            supervisor.cancel()
            raise
    await supervisor


async def asked_until_told(scene: Scene, *told: asyncio.Task[object]) -> list[str]:
    """Ask one question after another, each in a thread of its own, until these are done.

    But for when many wait for an answer already: a slow machine would never get to the end of them.
    """
    threads: list[str] = []
    while not all(task.done() for task in told):
        if sum(not scene.answers(thread) for thread in threads) < 8:
            threads.append(await scene.mention("say exactly: all is well"))
        await asyncio.wait(told, timeout=0.5)
    return threads


async def all_well(scene: Scene, threads: list[str]) -> None:
    """Wait until each of them has its answer, however long the process was busy with dying."""
    await scene.slack.wait_for(
        lambda: all([*map(shown, scene.answers(thread))] == ["all is well"] for thread in threads), 90
    )


async def gave_up(scene: Scene, thread: str) -> None:
    """Wait for the one message that says that Bobbin gave up; it takes the place of half an answer."""
    message = await failed(scene.bobbin, scene.channel, thread, 90)
    assert TurnGaveUp.said.replace("*", "_") in visible(message)
    assert buttons(message) == [TRY_AGAIN]
    assert scene.answers(thread) == [message]


@pytest.mark.parametrize("kind", ["poison", "venom"])
async def test_a_message_that_kills_the_process_is_given_up_and_nobody_else_waits_for_ever(
    tmp_path: Path, server: Server | None, kind: str
) -> None:
    await given_up(tmp_path, server, kind)


async def given_up(folder: Path, server: Server | None, kind: str) -> None:
    """Ann sends what kills the process, while Ben goes on asking; then she asks something else."""
    async with supervised(folder, server) as (bobbin, deaths):
        bedrock, scene, others = bobbin.bedrock, Scene(bobbin), Scene(bobbin)
        bedrock.pace = 0.03
        thread = await scene.mention(f"say exactly: {kind} {LONG}")
        threads = await asked_until_told(others, asyncio.create_task(gave_up(scene, thread)))
        await gave_up(scene, thread)
        await all_well(others, threads)
        await at_rest(bobbin)
        seldom = 1 if server else DEATHS_AT_MOST
        assert seldom <= len(deaths) <= DEATHS_AT_MOST
        asked = len(asked_of(bedrock, kind))
        assert asked == 0 if kind == "poison" else seldom <= asked <= DEATHS_AT_MOST
        ((state, died),) = await ends(bobbin, scene)
        assert state == "failed"
        assert died >= DEATHS_AT_MOST if server else died == DEATHS_AT_MOST
        assert {state for state, _ in await ends(bobbin, others)} == {"answered"}
        assert max(died for _, died in await ends(bobbin, others)) < (DEATHS_AT_MOST if server else 3)

        await scene.say("say exactly: and on", thread=thread)
        assert (await scene.answered(thread, 2))[1] == "and on"
        assert kind in words(asked_of(bedrock, "and on")[0])[0]
        assert len(deaths) <= DEATHS_AT_MOST


async def test_of_two_that_kill_the_process_each_is_given_up_for_its_own_deaths(
    tmp_path: Path, server: Server | None
) -> None:
    async with supervised(tmp_path, server) as (bobbin, deaths):
        one, two, others = Scene(bobbin), Scene(bobbin), Scene(bobbin)
        told = [
            asyncio.create_task(gave_up(scene, await scene.mention("poison, please"))) for scene in (one, two)
        ]
        await all_well(others, await asked_until_told(others, *told))
        await asyncio.gather(*told)
        await at_rest(bobbin)
        # Twice at most they die together: from then on each dies alone.
        assert 2 * DEATHS_AT_MOST - 2 <= len(deaths) <= 2 * DEATHS_AT_MOST
        assert await ends(bobbin, one) == await ends(bobbin, two) == [("failed", DEATHS_AT_MOST)]
        assert {state for state, _ in await ends(bobbin, others)} == {"answered"}
        assert max(died for _, died in await ends(bobbin, others)) <= 2
        assert not asked_of(bobbin.bedrock, "poison")


async def test_a_process_that_is_told_to_stop_again_and_again_gives_nothing_up(
    tmp_path: Path, server: Server | None
) -> None:
    async with deadly(tmp_path, server, DRAIN_SECONDS="0.2", LEASE_SECONDS="60") as bobbin:
        scene = Scene(await bobbin.start())
        scene.bedrock.hold()
        thread = await scene.mention("say exactly: at last")
        for number in (1, 2, 3):
            await scene.bedrock.wait_for(lambda it: len(it.requests) == number, 20)  # noqa: B023
            assert await bobbin.stop() == 0
            await bobbin.start()
        scene.bedrock.release()
        assert await scene.answered(thread) == ["at last"]
        await at_rest(bobbin)
        assert await ends(bobbin, scene) == [("answered", 0)]


def asked_of(bedrock: Bedrock, word: str) -> list[Any]:
    """The requests whose newest message has this word."""
    return [asked for asked in bedrock.requests if word in words(asked)[-1]]


async def ends(bobbin: Bobbin, scene: Scene) -> list[tuple[str, int]]:
    """How the turns of a scene ended, and how often the process died in each."""
    return [
        (state, deaths)
        for state, deaths in await bobbin.rows(f"""SELECT state, deaths FROM turn
            WHERE seq > 0 AND conversation_id IN
                (SELECT id FROM conversation WHERE channel_id = '{scene.channel}') ORDER BY seq""")
    ]
