"""Where the chaos suite plays: servers, a database, a Bobbin of its own; and the wait until all is quiet."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
import psycopg

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.chaos.forked import Counted, ForkedBobbin
from tests.postgres import Server

SETTLE = 0.5
_QUIET_SECONDS = 120
_STANDING = """SELECT (SELECT count(*) FROM turn WHERE state != 'open' AND seq > 0),
    EXISTS (SELECT 1 FROM conversation WHERE pending_at IS NOT NULL)
        OR EXISTS (SELECT 1 FROM orphan)"""
"""How many turns are over; whether anything waits, or is to be deleted yet."""


@asynccontextmanager
async def stage(folder: Path, server: Server | None = None, **settings: str) -> AsyncIterator[ForkedBobbin]:
    """Yield a Bobbin that is not started. Its database is a file, or a new one on the server."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    slack = Slack(redelivery=(0, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 9.6, 9.6, 9.6))  # until it is up again
    await slack.start()
    try:
        async with Bedrock(model=Counted()) as bedrock, database(server) as where:
            settled = {"RECOVERY_SETTLE_SECONDS": str(SETTLE), **where, **settings}
            bobbin = ForkedBobbin(slack, bedrock, folder, **settled)
            try:
                yield bobbin
            finally:
                await bobbin.close()
    finally:
        await slack.close()


@asynccontextmanager
async def database(server: Server | None) -> AsyncIterator[dict[str, str]]:
    """Yield the settings by which a Bobbin has a new database on the server; none: a file of its own.

    There the dead are known by a lease that has run out, and waited for: it is short.
    """
    if server is None:
        yield {}
        return
    name = f"stage_{uuid.uuid4().hex}"
    url = await asyncio.to_thread(server.create, name)
    try:
        yield {"DATABASE_URL": url, "LEASE_SECONDS": "3"}
    finally:
        await asyncio.to_thread(server.drop, name)


async def all_quiet(bobbin: ForkedBobbin, turns: int = 1) -> None:
    """Wait until at least so many turns are over, nothing is open or waiting, and every event was acked."""
    async with asyncio.timeout(_QUIET_SECONDS):
        while True:
            await bobbin.slack.wait_for(lambda: _acked(bobbin), _QUIET_SECONDS)
            acks = _acks(bobbin)
            await over(bobbin, turns)
            if _acked(bobbin) and _acks(bobbin) == acks:  # what was acked meanwhile may wait
                break


async def over(bobbin: ForkedBobbin, turns: int) -> None:
    """Wait until at least so many turns are over, and nothing is open or waiting."""
    while not await _over(bobbin, turns):  # noqa: ASYNC110  a file
        await asyncio.sleep(0.1)


async def _over(bobbin: ForkedBobbin, turns: int) -> bool:
    if not bobbin.on_a_server and not (bobbin.folder / "bobbin.db").exists():
        return False
    try:
        ((ended, waiting),) = await bobbin.rows(_STANDING)
    except psycopg.errors.UndefinedTable:
        return False
    except aiosqlite.OperationalError as error:
        if "no such table" not in str(error):  # it has only begun
            raise
        return False
    return bool(ended >= turns and not waiting)


def _acks(bobbin: ForkedBobbin) -> int:
    return sum(entry.kind == "ack" for entry in bobbin.slack.log)


def _acked(bobbin: ForkedBobbin) -> bool:
    """Whether every event that was tried has been acked once, in whichever envelope, or given up by Slack.

    Clicks are sent once.
    """
    envelopes = {
        str(entry.data["envelope_id"]): str(entry.data["event_id"])
        for entry in bobbin.slack.log
        if entry.kind == "delivery" and entry.data["event_id"]
    }
    acks = {
        envelopes[str(entry.data["envelope_id"])]
        for entry in bobbin.slack.log
        if entry.kind == "ack" and entry.data.get("envelope_id") in envelopes
    }
    given_up = {entry.data["event_id"] for entry in bobbin.slack.log if entry.kind == "undelivered"}
    return set(envelopes.values()) <= acks | given_up
