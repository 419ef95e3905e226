"""A database of any size, made of a small one that the store itself has written.

The store plays some threads, whole turns of them; then every row of them is copied again and again, each copy
as if it had happened some hours earlier.
"""

import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiosqlite

from bot.conversation import ThreadKey
from bot.events import Person, Posted
from bot.policy import Rules, decide
from bot.ports import Call, Caps, Finish, Part, Stop, Store, Turn, Usage
from storage import open_store

THREADS, TURNS = 50, 10
MESSAGES = 2 * THREADS * TURNS
"""Of the small one."""
TEAM, CHANNEL, PERSON = "T1", "C1", "UANN"
_HOURS = 365 * 24 / 1000
"""A thousand copies are a year."""
_TEXT = "So it goes. And on it goes, with a word more here and there. " * 4
_USAGE = Usage(1000, 200, 800, 200)
_ID = {"conversation": "conversation_id", "turn": "turn_id", "message": "message_id"}
_TIMES = ("created_at", "started_at", "finished_at", "received_at", "first_at", "at")
_MOMENTS = ("ts", "thread_ts", "last_ts")
_COPIED = ("conversation", "turn", "message", "reply_part", "inbox", "call", "step")


def thread(began: int) -> ThreadKey:
    """The thread that began in this second."""
    return ThreadKey(TEAM, CHANNEL, f"{began}.000100")


async def said(store: Store, key: ThreadKey, ts: str) -> None:
    """A person asks."""
    posted = Posted(
        f"Ev{key.thread_ts}/{ts}", key, ts, direct=True, author=PERSON, text=_TEXT, external=False
    )
    ingested = await store.post(posted, partial(decide, posted, rules=Rules()))
    assert ingested.wake, ingested


def call(turn: Turn) -> Call:
    """A model call for a turn."""
    return Call(
        time.time_ns(),
        turn.id,
        TEAM,
        CHANNEL,
        PERSON,
        "us.anthropic.claude-sonnet-5-5",
        "answer",
        _USAGE,
        4000,
    )


async def finish(store: Store, turn: Turn, ts: str) -> None:
    """It is answered."""
    await store.record_part(turn, Part(ts))
    await store.record_answer(turn, _TEXT, Stop("end_turn", _USAGE))
    await store.finish(turn, Finish("answered", _TEXT))


async def play(path: Path, now: int) -> None:
    """Let the store write the small one: its threads begin in the seconds from `now` on."""
    async with open_store(f"sqlite:///{path}") as store:
        await store.learn(TEAM, [Person(PERSON, "Ann Lee")])
        for began in range(now, now + THREADS):
            for number in range(TURNS):
                await said(store, thread(began), f"{began + 60 * number}.000{began % 900 + 100}")
                [turn] = await store.claim("bench", 1)
                booked = call(turn)
                await store.begin_call(booked, Caps(None, None))
                await store.settle_call(replace(booked, state="done", estimated=False))
                await finish(store, turn, f"{began + 60 * number + 30}.000{began % 900 + 100}")


async def multiply(small: Path, path: Path, times: int) -> None:
    """Copy the small one's rows, so that there are `times` as many."""
    shutil.copy(small, path)
    async with aiosqlite.connect(path) as database:
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "foreign_keys = OFF",
            "cache_size = -400000",
        ):
            await (await database.execute(f"PRAGMA {pragma}")).fetchall()
        strides = {
            name: next(iter(await database.execute_fetchall(f"SELECT max(id) FROM {name}")))[0]
            for name in ("conversation", "turn", "message", "step")
        }
        for name in _COPIED:
            found = await database.execute_fetchall(f"SELECT name FROM pragma_table_info('{name}')")
            columns = [row[0] for row in found]
            values = [_value(name, column, strides) for column in columns]
            # Events are kept for a day.
            copies = min(times, int(24 / _HOURS) + 1) if name == "inbox" else times
            await database.execute(
                f"WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {copies - 1}) "
                f"INSERT INTO {name}({', '.join(columns)}) SELECT {', '.join(values)} "
                f"FROM n CROSS JOIN (SELECT * FROM {name}) WHERE k < {copies}"
            )
        await database.commit()


def _value(table: str, column: str, strides: dict[str, int]) -> str:
    """What stands in a column of the k-th copy."""
    seconds = f"k * {int(_HOURS * 3600)}"
    if column == "id" and table == "call":
        return f"id - 1000000000 * {seconds}"
    if column == "id":
        return f"id + k * {strides[table]}"
    for name, key in _ID.items():
        if column == key:
            return f"{column} + k * {strides[name]}"
    if column in _TIMES:
        return f"{column} - 1000 * {seconds}"
    if column in _MOMENTS:
        return f"(CAST(substr({column}, 1, 10) AS INTEGER) - {seconds}) || substr({column}, 11)"
    return f"{column} || '/' || k" if column == "event_id" else column
