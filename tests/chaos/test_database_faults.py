"""Every fault of the database through the running process, and what a loss of power leaves of it.

While the fault lasts nothing is acknowledged that is not kept, Bobbin says that it is not ready, and tries
again without haste. Once it is over everybody has one answer: who was being answered when it began, and who
asked meanwhile. Two long waits are cut short: 15 s for a turn that was put off, 5 s for the next try to
open the database.
"""

import asyncio
import random
import resource
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import aiosqlite
import pytest
import pytest_asyncio

from bot.ports import Finish, Part, Stop, Usage
from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from storage import open_store
from tests.contract.conftest import Talk
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_process import becomes, get, logged
from tests.ports import free_port

START = """
import os, sys
from pathlib import Path
import bot.app, bot.turns, storage.sqlite
from bot.__main__ import main
from bot.errors import StoreError

bot.turns._AGAIN_SECONDS, bot.app._STORE_AGAIN_SECONDS = 5, 2

hop = storage.sqlite._hop

async def hindered(path, connection, work):
    def after_pragmas(raw):
        full, read_only = Path("full").exists(), Path("read-only").exists()
        raw.execute(f"PRAGMA max_page_count = {1 if full else 0xfffffffe}").fetchall()
        raw.execute(f"PRAGMA query_only = {int(read_only)}")
        return work(raw)
    try:
        return await hop(path, connection, after_pragmas)
    except StoreError:
        if work is not storage.sqlite._mark:  # which is tried whenever somebody asks whether it is ready
            os.write(1, b'{"event": "tried in vain", "level": "debug"}\\n')
        raise

storage.sqlite._hop = hindered
sys.exit(main())
"""
"""While there is a file `full` the database cannot grow; while there is `read-only`, it cannot be written.
The log has each try that failed."""

TRIES_A_SECOND = 5
PutIn = Callable[[Bobbin], AbstractAsyncContextManager[None]]
PADDING = "marmalade " * 2000
"""More than fits into pages that the database has already."""


@asynccontextmanager
async def keeping(folder: Path, start: str = START, **settings: str) -> AsyncIterator[tuple[Bobbin, int]]:
    """A Bobbin whose database can be hindered, and the port of its health; Slack delivers patiently."""
    health = free_port()
    slack = Slack(ack_seconds=1, redelivery=(0, 1, 2, 3, 4, 5, 6))
    await slack.start()
    async with Bedrock() as bedrock:
        here = {"SLACK_PACING": "off", "PORT": str(health), "HOST": "127.0.0.1"}
        bobbin = Bobbin(slack, bedrock, folder, **here, **settings)
        # Its log goes through a pipe: a limit to the size of its files is for the database alone.
        piped = 'exec "$@" > >(exec cat) 2>&1'
        bobbin.forked = False
        bobbin.command = ["bash", "-c", piped, "bobbin", sys.executable, "-c", start]
        try:
            yield bobbin, health
        finally:
            await bobbin.close()
            await slack.close()


# ---------------------------------------------------------------- faults of a running process


@asynccontextmanager
async def failing(bobbin: Bobbin) -> AsyncIterator[None]:
    """The disk takes no more bytes."""
    assert bobbin.process is not None
    resource.prlimit(bobbin.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield
    resource.prlimit(bobbin.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@asynccontextmanager
async def full(bobbin: Bobbin) -> AsyncIterator[None]:
    """The database cannot grow: what fits into it still goes in."""
    (bobbin.folder / "full").touch()
    yield
    (bobbin.folder / "full").unlink()


@asynccontextmanager
async def read_only(bobbin: Bobbin) -> AsyncIterator[None]:
    (bobbin.folder / "read-only").touch()
    yield
    (bobbin.folder / "read-only").unlink()


@asynccontextmanager
async def locked(bobbin: Bobbin) -> AsyncIterator[None]:
    """Another program writes, and does not come to an end."""
    async with aiosqlite.connect(bobbin.folder / "bobbin.db", isolation_level=None) as other:
        await other.execute("BEGIN EXCLUSIVE")
        yield
        await other.execute("ROLLBACK")


@asynccontextmanager
async def moved(bobbin: Bobbin) -> AsyncIterator[None]:
    """The directory is gone: what is written to the open files now, no later start finds. It comes back."""
    place = bobbin.folder
    bobbin.folder = place.rename(place.with_name("elsewhere"))
    yield
    bobbin.folder = bobbin.folder.rename(place)


FAULTS: dict[str, tuple[PutIn, float, str]] = {
    "failing disk": (failing, 3.0, "the disk fails to read or write"),
    "full": (full, 3.0, "the disk is full"),
    "read-only": (read_only, 3.0, "it is read-only"),
    "locked": (locked, 10.0, "the database cannot be written"),  # it waits for the lock: 5 s for each write
    "directory gone": (moved, 3.0, "its files were moved or replaced"),
}
"""How each is put in, for how many seconds, and what the log says of it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Bobbin, int]]:
    folder = tmp_path_factory.mktemp("database") / "data"
    folder.mkdir()
    async with keeping(folder) as (bobbin, health):
        yield await bobbin.start(), health


def acked(scene: Scene) -> bool:
    """Whether Bobbin acknowledged anything that was said in the scene's channel."""
    ours = {
        entry.data["envelope_id"]
        for entry in scene.slack.log
        if entry.kind == "delivery" and entry.data["payload"]["event"].get("channel") == scene.channel
    }
    return any(entry.kind == "ack" and entry.data["envelope_id"] in ours for entry in scene.slack.log)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_asked_before_and_during_a_fault_has_one_answer_after_it(
    shared: tuple[Bobbin, int], fault: str
) -> None:
    (bobbin, health), (put_in, seconds, said) = shared, FAULTS[fault]
    log = await suffers(bobbin, health, put_in, seconds, said, refuses=put_in is not full)
    complaints = [line for line in log if line["level"] in ("warning", "error")]
    assert any(said in f"{line['event']} {line.get('error')}" for line in complaints)
    assert await bobbin.rows("PRAGMA integrity_check") == [("ok",)]


def tried(log: list[dict[str, Any]]) -> int:
    """How often it was tried in vain to write."""
    return sum(line["event"] == "tried in vain" for line in log)


async def suffers(
    bobbin: Bobbin,
    health: int,
    put_in: PutIn,
    seconds: float,
    said: str,
    *,
    refuses: bool = True,
    tries: int = TRIES_A_SECOND,
) -> list[dict[str, Any]]:
    """Ask before and during a fault that lasts so long, and until this was said; what was logged meanwhile.

    `refuses`: nothing at all can be written, so that Bobbin says that it is not ready. `tries`: to write, in
    a second, are too many.
    """
    await becomes(health, "/readyz", 200)
    before, during = Scene(bobbin), Scene(bobbin)
    bobbin.bedrock.hold()
    first = await before.mention("say exactly: asked before")
    await bobbin.bedrock.wait_for(lambda it: it.open == 1)
    lines = len(bobbin.log)
    async with put_in(bobbin):
        began = monotonic()
        second = await during.mention(f"{PADDING} say exactly: asked meanwhile")
        bobbin.bedrock.release()
        if refuses:
            await becomes(health, "/readyz", 503, checks={"database": False, "slack": True})
        assert (await get(health, "/healthz"))[0] == 200
        async with asyncio.timeout(30):
            while said not in str(bobbin.log[lines:]) or not tried(bobbin.log[lines:]):  # noqa: ASYNC110  a file
                await asyncio.sleep(0.1)
        await asyncio.sleep(max(0, began + seconds - monotonic()))  # what is tested is this time
        lasted, log = monotonic() - began, bobbin.log[lines:]
        assert not acked(during)
        assert not during.answers(second)
    assert 1 <= tried(log) < tries * lasted

    for scene, thread, answer in ((before, first, "asked before"), (during, second, "asked meanwhile")):
        await bobbin.slack.wait_for(
            lambda: [shown(message) for message in scene.answers(thread)] == [answer],  # noqa: B023
            30,
        )
    await bobbin.slack.wait_for(lambda: acked(during))
    await becomes(health, "/readyz", 200, 30)
    await at_rest(bobbin)
    for scene, thread in ((before, first), (during, second)):
        [message] = scene.answers(thread)
        assert message.get("streaming_state") in (None, "completed")
        assert bobbin.slack.status(scene.channel, thread).status == "active"
    assert len(during.requests) <= 3  # one question asked, the other at most once more
    return log


async def test_a_damaged_database_is_not_used_until_a_sound_one_is_there(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (bobbin, health):
        scene = await grown(bobbin)
        database, sound = bobbin.folder / "bobbin.db", bobbin.folder / "sound.db"
        shutil.copy(database, sound)
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(random.Random(0).randbytes(8 * 4096))
        began = monotonic()
        await bobbin.begin()
        await logged(bobbin, "it is damaged: restore a backup")
        await becomes(health, "/readyz", 503)
        assert (await get(health, "/healthz"))[0] == 200
        thread = await scene.mention("say exactly: asked meanwhile")
        sound.replace(database)
        await becomes(health, "/readyz", 200, 30)
        lasted = monotonic() - began
        assert await scene.answered(thread) == ["asked meanwhile"]
        assert bobbin.log[-1]
        assert len([line for line in bobbin.log if "out of reach" in line["event"]]) <= 1 + lasted / 2
        assert await bobbin.stop() == 0


async def grown(bobbin: Bobbin) -> Scene:
    """A Bobbin that has stopped after some answers."""
    scene = Scene(await bobbin.start())
    await scene.joined()
    assert await bobbin.stop() == 0
    return scene


# ---------------------------------------------------------------- loss of power

TURNS = 6
CUTS = 70
"""Of each kind: between sectors, at any byte, and within a byte of a commit's end."""
PAGE = 4096

State = dict[str, list[dict[str, Any]]]
TABLES = ("conversation", "message", "turn", "reply_part", "inbox")


@dataclass(frozen=True)
class Remains:
    """The bytes of a database before and after a checkpoint; of its log, and after each commit its length.

    `states`: what stood in the tables at first and after each commit.
    """

    before: bytes
    log: bytes
    committed: list[int]
    states: list[State]
    after: bytes


async def state(talk: Talk) -> State:
    """All that stands in the tables."""
    return {table: await talk.sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES}


async def written(path: Path) -> Remains:
    """Take in messages and answer them, by the transactions of a turn, each in a commit of its own."""
    log = path.with_name("bobbin.db-wal")
    async with open_store(f"sqlite:///{path}") as store:
        talk = Talk(store)
        committed, states = [], [await state(talk)]

        async def done() -> None:
            committed.append(len(log.read_bytes()))
            states.append(await state(talk))

        for at in range(0, 10 * TURNS, 10):
            for number in range(2):
                await talk.say(at + number, f"@bobbin message {at + number}", root=at // 20 * 20)
                await done()
            turn = await talk.claim()
            await done()
            await store.record_part(turn, Part(talk.ts(at + 5), "answer", 0))
            await done()
            await store.record_answer(turn, f"answer {at}", Stop("end_turn", Usage()))
            await done()
            await store.finish(turn, Finish("answered", f"answer {at}"))
            await done()
        before, logged = path.read_bytes(), log.read_bytes()  # noqa: ASYNC240  nothing else runs
    assert len({*committed}) == len(committed)  # each is in the log
    return Remains(before, logged, committed, states, path.read_bytes())  # noqa: ASYNC240  likewise


async def found(path: Path, database: bytes, log: bytes) -> State:
    """Open what is left of a database, which must be sound; what stands in it."""
    path.write_bytes(database)  # noqa: ASYNC240  nothing else runs
    path.with_name(f"{path.name}-wal").write_bytes(log)
    async with open_store(f"sqlite:///{path}", lock_seconds=0) as store:
        talk = Talk(store)
        assert await talk.sql("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        return await state(talk)


async def test_a_log_torn_anywhere_has_everything_committed_before(tmp_path: Path) -> None:
    """What follows the cut is missing, zeros or noise: nothing committed is lost, nothing half is seen."""
    remains = await written(tmp_path / "bobbin.db")
    chance, length = random.Random(0), len(remains.log)
    cuts = [
        *chance.sample(range(0, length, 512), CUTS),
        *chance.sample(range(length), CUTS),
        *chance.sample([end + by for end in remains.committed for by in (-1, 0, 1)], CUTS),
    ]
    for number, cut in enumerate(cuts):
        missing = max(0, length - cut)
        rest = (b"", bytes(missing), chance.randbytes(missing))[number % 3]
        log = remains.log[:cut] + rest
        same = cut
        while same < length and log[same : same + 1] == remains.log[same : same + 1]:  # as it happens
            same += 1
        kept = await found(tmp_path / f"{number}.db", remains.before, log)
        assert kept == remains.states[sum(end <= same for end in remains.committed)], cut


async def test_a_checkpoint_torn_anywhere_loses_nothing(tmp_path: Path) -> None:
    """Any of its pages may have reached the file, and any of them in halves: the log still has them all."""
    remains = await written(tmp_path / "bobbin.db")
    for number in range(20):
        chance = random.Random(number)
        torn = bytearray(remains.before.ljust(len(remains.after), b"\0"))
        for start in range(0, len(torn), PAGE):
            end = start + chance.choice((0, PAGE // 2, PAGE))
            torn[start:end] = remains.after[start:end]
        assert await found(tmp_path / f"{number}.db", bytes(torn), remains.log) == remains.states[-1]
