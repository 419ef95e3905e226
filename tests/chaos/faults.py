"""The Slack fault table's tools: rows that are played many at once, each with a running Bobbin of its own.

A row is a name and what is done with a Bobbin; it raises where the visible end is not the right one. `Ground`
is where a row takes place: people, a channel, and what must be true at its end whatever went wrong before.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.slack.faults import Fault
from bot.sandbox.slack.journal import Entry
from bot.slack.blocks import DISCLAIMER, TRY_AGAIN
from tests.chaos.stage import database
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, running
from tests.postgres import Server

Play = Callable[[Bobbin], Awaitable[None]]
Ends = dict[str, Exception | None]
"""What each row has raised."""

LEASE, SETTLE, CALL = 30.0, 3.0, 3.0
"""Seconds of the lease, of the settle time, and of a Slack call, which takes no longer than that.

What a call does comes at most 0.3 s after Bobbin has given it up. The rest of the settle time is for a
machine that stands still: where it does so for longer, a row fails for no fault of Bobbin's.
"""
CALLS_A_SECOND = 5
"""What a turn that is stuck may call at most."""
STUCK_SECONDS = 2.5
SLOWLY = 0.5
"""Seconds from word to word of a model that must not have said everything before something happens."""
UNDISTURBED = {
    "RECOVERY_SETTLE_SECONDS": str(SETTLE),
    "LEASE_SECONDS": str(LEASE),
    "SLACK_PACING": "off",
}
PACED = UNDISTURBED | {"SLACK_PACING": "on"}

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "429": {"kind": "ratelimited", "retry_after": 1},
    "500": {"kind": "http", "status": 500},
    "502": {"kind": "http", "status": 502},
    "503 after the effect": {"kind": "http_after", "status": 503},
    "hang": {"kind": "hang", "seconds": CALL + 0.3},
    "reset before": {"kind": "reset_before"},
    "reset after": {"kind": "reset_after"},
    "late": {"kind": "late", "seconds": 0.3},
    "html": {"kind": "html"},
    "malformed": {"kind": "malformed"},
    "unknown error": {"kind": "lunch_break"},
}
"""What befalls one call."""

LOST = ("503 after the effect", "hang", "reset after", "late", "malformed")
"""Those after which nobody knows whether the call took effect, and it did."""


class Ground(Scene):
    """A row's place. `faults` befall calls from now on; at the end each must have befallen one."""

    def __init__(self, bobbin: Bobbin, *, direct: bool = False, **channel: Any) -> None:
        super().__init__(bobbin, **channel)
        if direct:
            self.channel = self.slack.dm(self.ann)
        self._log_before = len(self.slack.log)
        self._expected: list[Fault] = []

    def befall(self, method: str, name: str, *, times: int | None = 1, after: int = 0) -> Fault:
        """Put a fault of the table in, and expect it to be met."""
        fault: Fault = self.slack.faults.add(method, times=times, after=after, **FAULTS[name])
        self._expected.append(fault)
        return fault

    def refuse(self, method: str, code: str = "unknown_method") -> None:
        """Refuse a method for the whole row."""
        self.slack.faults.add(method, code, times=None)

    def calls(self, method: str | None = None) -> list[Entry]:
        """Those since the row began, of one method or all."""
        since = self.slack.log[self._log_before :]
        return [entry for entry in since if entry.kind == "call" and method in (None, entry.name)]

    async def rest(self, seconds: float = 60) -> None:
        """Wait until every event was taken in, nothing is open, and every call has had its effect."""
        await self.acked()
        async with asyncio.timeout(seconds):
            while await self._works():  # noqa: ASYNC110  a file
                await asyncio.sleep(0.2)
        await self.slack.wait_for(lambda: all(each.result is not None for each in self.slack.calls()))

    async def _works(self) -> bool:
        """Whether anything is open, or stands here that is deleted once its turn is closed."""
        left = await self.bobbin.rows(f"""
            SELECT '' FROM conversation WHERE pending_at IS NOT NULL OR lease_owner IS NOT NULL
            UNION ALL SELECT ts FROM orphan WHERE channel_id = '{self.channel}'""")
        messages = self.slack.workspace.channels[self.channel].messages
        return any(not ts or ts in messages for (ts,) in left)

    async def half_shown(self, thread: str) -> None:
        """Wait until some of an answer is seen."""
        await self.slack.wait_for(lambda: any(len(shown(answer)) > 20 for answer in self.answers(thread)))

    async def met(self, fault: Fault) -> float:
        """Wait until a fault meets its first call; when that was. Appends come only as long as words do."""
        met = partial(self.slack.wait_for, lambda: fault.after < 0, 60)
        await (self.meanwhile(met()) if fault.method == "chat.appendStream" else met())
        return self.slack.calls(fault.method)[-1].at

    async def meanwhile(self, event: Awaitable[Any]) -> None:
        """Let the model speak so slowly that it has not said everything before this happens."""
        pace, self.bedrock.pace = self.bedrock.pace, SLOWLY
        await event
        self.bedrock.pace = pace

    async def stuck(self, *faults: Fault) -> None:
        """Let faults last for some seconds, count the calls meanwhile, and lift them."""
        since = await self.met(faults[0])
        await asyncio.sleep(STUCK_SECONDS)  # the measure is calls a second
        calls = [entry.name for entry in self.slack.calls() if entry.at >= since]
        assert len(calls) < CALLS_A_SECOND * (time.time() - since), calls
        for fault in faults:
            fault.times = 0

    # ------------------------------------------------------------ the right ends

    async def answered_once(
        self,
        thread: str,
        text: str,
        *,
        parts: int = 1,
        calls: int = 1,
        eyes: bool = False,
        meets: Fault | None = None,
    ) -> None:
        """One whole answer, nothing that still works on it, and no more model calls than these.

        `meets`: a fault that befalls it for certain.
        """
        if meets is not None:
            await self.met(meets)
        await self.rest()
        answers = self.answers(thread)
        assert bare("".join(map(shown, answers))) == bare(text), [shown(answer)[:99] for answer in answers]
        assert len(answers) == parts
        assert below(answers[-1])[-1:] == [DISCLAIMER], below(answers[-1])
        assert len(self.requests) == calls, f"{len(self.requests)} model calls"
        self.nothing_works(thread, eyes=eyes)

    async def ended(self, thread: str, states: str, *, calls: int = 1) -> None:
        """The turn ended in one of these states; what people see of it is checked by the row."""
        await self.rest()
        end = await self.end()
        assert end in states.split(), end
        assert len(self.requests) == calls, f"{len(self.requests)} model calls"
        if thread in self.slack.workspace.channels[self.channel].messages:
            self.nothing_works(thread)

    async def failed_once(self, thread: str, words: str = "*", *, calls: int = 1) -> None:
        """One error, and no more model calls than these."""
        await self.rest()
        (message,) = self.answers(thread)
        assert TRY_AGAIN in str(message["blocks"]), message
        assert words in str(message["blocks"]), message
        assert len(self.requests) == calls, f"{len(self.requests)} model calls"
        self.nothing_works(thread)

    def nothing_works(self, thread: str, *, eyes: bool = False) -> None:
        """No stream, no status, no eyes (unless they must be there); every fault was met."""
        for message in self.answers(thread):
            assert message.get("streaming_state") != "in_progress", message
        status = self.slack.status(self.channel, thread)
        assert (status.status, status.text) == ("active", ""), status
        if thread in self.slack.workspace.channels[self.channel].messages:
            reactions = self.slack.message(self.channel, thread).get("reactions")
            assert bool(reactions) == eyes, reactions
        for fault in self._expected:
            assert fault.after < 0, f"not met: {fault}"


def long_text(name: str, characters: int = 700) -> str:
    """An answer that is shown in several writes; no two rows have the same."""
    sentences = (f"Sentence {number} is about {name}." for number in range(characters // 20))
    return re.sub(r"(.{500}\S*) ", r"\1\n\n", " ".join(sentences)[:characters].rstrip())


def bare(text: str) -> str:
    """A text without its blanks: parts begin and end where there is one."""
    return re.sub(r"\s+", "", text)


def below(message: Mapping[str, Any]) -> list[str]:
    """What stands in small print below an answer."""
    blocks = [block for block in message.get("blocks") or [] if block["type"] == "context"]
    return [element["text"] for block in blocks for element in block["elements"]]


# ---------------------------------------------------------------- many at once


@asynccontextmanager
async def pool(
    folder: Path,
    count: int,
    settings: Mapping[str, str],
    server: Server | None = None,
    command: Sequence[str] | None = None,
) -> AsyncIterator[list[Bobbin]]:
    """So many Bobbins, each between servers of its own, with a file or a database on a server of PostgreSQL.

    At the end each must be well and stop in order.
    """
    async with AsyncExitStack() as stack:
        bobbins = []
        for number in range(count):
            (place := folder / str(number)).mkdir(parents=True)
            where = await stack.enter_async_context(database(server))
            bobbins.append(await stack.enter_async_context(running(place, command, **{**where, **settings})))
        yield bobbins
        for bobbin in bobbins:
            assert await bobbin.stop() == 0
            if not bobbin.on_a_server:
                assert await bobbin.rows("PRAGMA integrity_check") == [("ok",)]
            assert await bobbin.rows("SELECT count(*) FROM turn WHERE state = 'open'") == [(0,)]
            broken = [line for line in bobbin.log if line.get("exception") or line["level"] == "critical"]
            assert not broken, broken[0]


async def played(bobbins: Sequence[Bobbin], rows: Mapping[str, Play], pace: float) -> Ends:
    """Play rows, so many at once as there are Bobbins; what each has raised."""
    free: asyncio.Queue[Bobbin] = asyncio.Queue()
    for bobbin in bobbins:
        free.put_nowait(bobbin)
    ends: Ends = {}

    async def play(name: str, row: Play) -> None:
        bobbin = await free.get()
        bobbin.bedrock.pace = pace
        try:
            async with asyncio.timeout(90):
                await row(bobbin)
            ends[name] = None
        except Exception as error:  # noqa: BLE001  each row's test raises it
            ends[name] = error
        finally:
            bobbin.slack.faults.clear()
            bobbin.bedrock.release()  # where the row failed before
            await asyncio.sleep(1.1 if "429" in name else 0)  # until then Bobbin keeps off what was limited
            free.put_nowait(bobbin)

    await asyncio.gather(*(play(name, row) for name, row in rows.items()))
    return ends


async def ends_of(
    request: pytest.FixtureRequest, folder: Path, unpaced: Mapping[str, Play], paced: Mapping[str, Play]
) -> Ends:
    """Play those rows of a module that its tests were asked for."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = {test.callspec.params.get("row") for test in tests if test.module is request.module}
    quick_rows = {name: row for name, row in unpaced.items() if name in names}
    slow_rows = {name: row for name, row in paced.items() if name in names}
    server = request.getfixturevalue("server")
    async with (
        pool(folder / "unpaced", min(len(quick_rows), 12), UNDISTURBED, server) as quick,
        pool(folder / "paced", min(len(slow_rows), 8), PACED, server) as slow,
    ):
        ends = await asyncio.gather(played(quick, quick_rows, 0.015), played(slow, slow_rows, 0.05))
    return ends[0] | ends[1]
