"""How long a request takes from the store to what the client is given.

    python -m tests.bench.request

A thread of 200,000 tokens (500 messages), and the same at the end of a thread of 10,000 messages whose older
part is condensed. Both from SQLite on the disk, in one run; the best of 30 times.
"""

import asyncio
import logging
import tempfile
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import structlog

from bot.attachments import Attachments
from bot.condensing import Condenser, Frame
from bot.conversation import ThreadKey
from bot.events import Person, Posted
from bot.models import known
from bot.policy import Rules, decide
from bot.ports import Finish, History, Line, Part, Request, Store, Summary, Turn
from bot.prompt import WHO, system_prompt
from bot.slack.text import read
from bot.window import Window, size_of
from storage import open_store

MESSAGES = 500
"""Of 400 tokens, at four characters each: 200,000 tokens."""
LONG = 10_000
_TEXT = (
    "<@UBEN> &amp; friends, see <https://example.com/a|this>: "
    + "So it goes. And on it goes, with a word more here and there.\n" * 30
)[:1600]
_BEGAN = 1_795_000_000
_SONNET = known("global.anthropic.claude-sonnet-5-5")
_FRAME = Frame(system_prompt(WHO, direct=True), _SONNET, Window.of(1_000_000, 1_000_000, 8192))


class Stage:
    """What of a workspace plays a part here: two people's words, read as Slack's."""

    def words(self, lines: list[Line], people: dict[str, Person]) -> dict[str, str]:
        """See `Workspace`."""
        names = {user: person.name for user, person in people.items()}
        return {line.ts: read(line.text, me="UBOT", names=names) for line in lines if line.role == "user"}


async def grow(store: Store, channel: str, messages: int) -> Turn:
    """A thread of so many messages, the newest waiting for its answer; returns its claimed turn."""
    await store.learn("T1", [Person("UANN", "Ann Lee"), Person("UBEN", "Ben Roe")])
    for number in range(0, messages, 2):
        ts = f"{_BEGAN + number}.000100"
        thread = ThreadKey("T1", channel, f"{_BEGAN}.000100")
        posted = Posted(f"{channel}/{ts}", thread, ts, direct=True, author="UANN", text=_TEXT, external=False)
        await store.post(posted, partial(decide, posted, rules=Rules()))
        [turn] = await store.claim("bench", 1)
        if number < messages - 2:
            await store.record_part(turn, Part(f"{_BEGAN + number + 1}.000100"))
            await store.finish(turn, Finish("answered", _TEXT))
    return turn


async def build(store: Store, turn: Turn) -> Request:
    """What a turn does between its claim and its model call."""
    stage: Any = Stage()
    history = await store.recall(turn)
    people = await store.people("T1", ["UANN", "UBEN"])
    files = Attachments(turn, store, stage)
    await files.gather(history.lines)
    request, _ = Condenser(store, stage, turn, history, people, files, _FRAME, _never).request()
    return request


async def _never(request: Request) -> str:
    raise AssertionError(request)


async def best(work: Callable[[], Any]) -> float:
    """Milliseconds, the best of 30 times."""
    times = []
    for _ in range(30):
        began = perf_counter()
        await work()
        times.append(perf_counter() - began)
    return 1000 * min(times)


async def measure() -> dict[str, float]:
    """Milliseconds of both threads."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(f"sqlite:///{folder}/bobbin.db") as store:
            short = await grow(store, "C1", MESSAGES)
            long = await grow(store, "C2", LONG)
            history = await store.recall(long)
            covered = history.lines[: len(history.lines) - MESSAGES + 1]
            notes = Summary("- It went on. " * 200, covered[-1].seq, covered[-1].ts, ("UANN",), long.id)
            assert await store.keep_summary(long, notes, History(covered))
            for turn in (short, long):
                size = sum(map(size_of, (await build(store, turn)).messages))
                assert 200_000 < size < 300_000, size  # by the careful guess: three characters a token
            return {
                "200k tokens": await best(lambda: build(store, short)),
                "the end of 10,000 messages": await best(lambda: build(store, long)),
            }


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for name, milliseconds in asyncio.run(measure()).items():
        print(f"{name}: {milliseconds:.1f} ms")  # noqa: T201  a command: it prints
