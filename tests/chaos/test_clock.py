"""The clock steps by ten minutes under a running Bobbin: nothing is lost, doubled or left waiting."""

from pathlib import Path

import pytest

from tests.chaos.stage import database
from tests.chaos.test_database_faults import keeping
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene
from tests.e2e.test_crashes import at_rest
from tests.postgres import Server

START = """
import sys, time
from pathlib import Path

real = time.time

def stepped():
    try:
        return real() + float(Path("step").read_text())
    except (OSError, ValueError):
        return real()

time.time = stepped
import storage.sqlite
from bot.__main__ import main

hop = storage.sqlite._hop

async def by_the_clock(path, connection, work):
    def clocked(raw):
        raw.create_function("julianday", 1, lambda _: 2440587.5 + stepped() / 86400)
        return work(raw)
    return await hop(path, connection, clocked)

storage.sqlite._hop = by_the_clock
sys.exit(main())
"""
"""The file `step` has the seconds by which the process's clock is wrong, and SQLite's; no server's."""

LONG = "Four score and seven years ago. " * 8


def step(bobbin: Bobbin, seconds: float) -> None:
    (bobbin.folder / "step.new").write_text(str(seconds))
    (bobbin.folder / "step.new").rename(bobbin.folder / "step")


@pytest.mark.parametrize("seconds", [600, -600])
async def test_a_clock_that_steps_in_mid_answer_leaves_one_answer_and_the_next(
    tmp_path: Path, server: Server | None, seconds: float
) -> None:
    # A lease lasts for as long as a machine may stand still; on a server that of the dead is waited for.
    lease = "60" if server is None else "6"
    async with (
        database(server) as where,
        keeping(tmp_path, START, LEASE_SECONDS=lease, **where) as (bobbin, _),
    ):
        scene = Scene(await bobbin.start())
        scene.bedrock.pace = 0.5
        thread = await scene.mention(f"say exactly: {LONG}")
        await scene.slack.wait_for(lambda: any(len(shown(each)) > 20 for each in scene.answers(thread)))
        await scene.say("say exactly: asked before the step", thread=thread)
        await scene.acked()
        step(bobbin, seconds)
        meanwhile = await scene.mention("say exactly: asked after it", by=scene.ben)
        scene.bedrock.pace = 0.1
        await scene.shows(meanwhile, ["asked after it"])
        await scene.shows(thread, [LONG.strip(), "asked before the step"])

        scene.bedrock.pace = 0.5
        again = await scene.mention(f"say exactly: {LONG}")  # and back, under a process that dies
        await scene.slack.wait_for(lambda: any(len(shown(each)) > 20 for each in scene.answers(again)))
        step(bobbin, 0)
        await bobbin.kill()
        scene.bedrock.pace = 0
        await bobbin.start()
        await scene.shows(again, [LONG.strip()])
        await scene.say("say exactly: and on", thread=again)
        await scene.shows(again, [LONG.strip(), "and on"])
        await at_rest(bobbin)
        # The killed one is asked twice; so is the first, where its lease has run out by the clock.
        assert 6 <= len(scene.requests) <= 7
