"""Where the bench plays: a Slack and a Bedrock that note the time, and a bot as a process of its own.

The servers run in the bench's process, so that what they cost is not counted as the bot's.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.sandbox.bedrock import Asked, Bedrock
from bot.sandbox.bedrock_rules import Claude
from bot.sandbox.bedrock_stream import Stream
from bot.sandbox.scripted import Messages, Scripted
from bot.sandbox.slack import Slack
from bot.sandbox.slack.journal import Entry
from tests.bench.process import Usage, usage
from tests.e2e.conftest import Bobbin, shown

BOBBIN, FLOOR = "Bobbin", "floor"
_QUESTION = re.compile(r"question (\d+)\b")
_PEOPLE, _CHANNELS = 50, 20
_LOOK_SECONDS = 0.01
_AFTER_SECONDS = 0.1
"""For what a bot does after the last call."""
_OPENS = ("chat.startStream", "chat.postMessage")
_CLOSES = ("chat.stopStream", "chat.postMessage", "chat.update")


class Numbered(Scripted):
    """Answers question n with answer n, in so many words."""

    def __init__(self, words: int = 24) -> None:
        self.words = words

    def answer(self, messages: Messages, system: str) -> str:
        """See `Scripted`; what is no question (a thread is condensed) is answered as there."""
        asked = _QUESTION.findall(str(messages[-1]["content"]))
        if not asked or "Summarise everything above" in str(messages[-1]["content"][-1]):
            return super().answer(messages, system)
        return f"Answer {asked[-1]}:" + " so it goes on" * (self.words // 4)

    def wait(self, messages: Messages) -> float:
        """See `Scripted`."""
        return 0

    def fault(self, messages: Messages) -> str:
        """See `Scripted`."""
        return ""


class Timed(Bedrock):
    """Streams an answer in `events` deltas, each some whole words; notes when the first and the last went."""

    def __init__(self, *, events: int = 8, delay: float = 0.3, pace: float = 0.02, words: int = 24) -> None:
        super().__init__(model=Numbered(words), delay=delay, pace=pace)
        self.events = events
        self.times: dict[int, tuple[float, float, float]] = {}
        """By question: when it was asked, and when the first and the last text of its answer went."""

    async def _stream(self, stream: Stream, asked: Asked, claude: Claude) -> None:
        await stream.start()
        await self._think(asked)
        pieces, first = _pieces(asked.answer, self.events), time.time()
        for piece in pieces[:-1]:
            asked.sent += piece
            await stream.text(piece)
            await asyncio.sleep(self.pace)
        self.times[_number(asked.answer)] = asked.started_at, first, time.time()
        asked.sent += pieces[-1]
        await stream.text(pieces[-1])
        await stream.end_block()


def _number(answer: str) -> int:
    found = re.match(r"Answer (\d+)", answer)
    return int(found[1]) if found else -1


def _pieces(answer: str, count: int) -> list[str]:
    """Cut it between words, as Claude's deltas are: a space stands before a word."""
    words = re.findall(r"\s*\S+", answer)
    size = -(-len(words) // count)
    return ["".join(words[start : start + size]) for start in range(0, len(words), size)]


@dataclass
class Walk:
    """One question on its way; times are seconds since 1970, 0 what has not happened (yet)."""

    number: int
    channel: str
    thread: str
    sent: float = 0
    """Slack sends its (first) event."""
    asked: float = 0
    first: float = 0
    """The model's first text."""
    shown: float = 0
    """Slack is called with the first text."""
    last: float = 0
    closed: float = 0
    """Slack is called with the end."""
    calls: int = 0

    @property
    def to_model(self) -> float:
        """Seconds from the event to the model."""
        return self.asked - self.sent

    @property
    def to_slack(self) -> float:
        """Seconds from the model's first text to Slack."""
        return self.shown - self.first

    @property
    def to_end(self) -> float:
        """Seconds from the model's last text to the end of the reply."""
        return self.closed - self.last


class Stage:
    """One bot between servers of its own, started at `began`. `people` ask in `channels`.

    There may be several workers of it; `bot` is the first.
    """

    def __init__(self, name: str, slack: Slack, bedrock: Timed, bots: Sequence[Bobbin], began: float) -> None:
        self.began = began
        self.name, self.slack, self.bedrock, self.bot = name, slack, bedrock, bots[0]
        self.bots = bots
        self.people = [slack.add_person(f"Person {number}") for number in range(_PEOPLE)]
        self.channels = [slack.add_channel(f"room{n}", members=self.people) for n in range(_CHANNELS)]
        self._asked: dict[str, Walk] = {}  # by the ts of the question
        self._threads: dict[tuple[str, str], Walk] = {}  # by channel and thread: the newest question there
        self._streams: dict[tuple[str, str], Walk] = {}  # by channel and ts of the reply
        self._read = 0  # of the log
        self._numbers = iter(range(1, 10**9))

    @property
    def pid(self) -> int:
        """The bot's process."""
        assert self.bot.process is not None
        return self.bot.process.pid

    def usage(self) -> Usage:
        """What the bot has used so far, all workers of it together."""
        used = [usage(bot.process.pid) for bot in self.bots if bot.process is not None]
        return Usage(sum(each.cpu for each in used), sum(each.rss for each in used))

    async def say(self, channel: str = "", thread: str | None = None) -> Walk:
        """Ask one question."""
        number = next(self._numbers)
        channel = channel or self.channels[number % len(self.channels)]
        person = self.people[number % len(self.people)]
        ts = await self.slack.say(
            person, channel, f"{self.bot.me} this is question {number}, what now?", thread=thread
        )
        walk = Walk(number, channel, thread or ts)
        self._asked[ts] = self._threads[channel, walk.thread] = walk
        return walk

    async def ask(self, count: int, timeout: float = 120) -> list[Walk]:  # noqa: ASYNC109
        """Ask so many at once, each in a thread of its own, and wait for every answer."""
        walks = [await self.say() for _ in range(count)]
        await self.answered(walks, timeout)
        return walks

    async def answered(self, walks: Sequence[Walk], timeout: float = 120) -> None:  # noqa: ASYNC109
        """Wait until each of them stands in its thread, whole."""
        waiting = list(walks)
        try:
            async with asyncio.timeout(timeout):
                while waiting:
                    await asyncio.sleep(_LOOK_SECONDS)
                    self.follow()
                    waiting = [walk for walk in waiting if not (walk.closed and self._whole(walk))]
        except TimeoutError:
            log = (self.bot.folder / "bobbin.log").read_text()[-2000:]
            raise TimeoutError(f"{self.name}: {len(waiting)} of {len(walks)} unanswered: {log}") from None
        for walk in walks:
            walk.asked, walk.first, walk.last = self.bedrock.times[walk.number]
        await asyncio.sleep(_AFTER_SECONDS)

    def _whole(self, walk: Walk) -> bool:
        answer = self.bedrock.model.answer([{"content": [{"text": f"question {walk.number}"}]}], "")
        return any(
            shown(each).strip() == answer for each in self.bot.finished(walk.channel, walk.thread)[-1:]
        )

    def follow(self) -> None:
        """Read on in the log."""
        while self._read < len(self.slack.log):
            entry = self.slack.log[self._read]
            if entry.kind == "call" and entry.result is None:
                break  # not answered yet: its effect is not known
            self._read += 1
            self._follow(entry)

    def _follow(self, entry: Entry) -> None:
        data = entry.data
        if entry.kind == "delivery":
            walk = self.asked(entry)
            if walk is not None and not walk.sent:
                walk.sent = entry.at
            return
        if entry.kind != "call" or not entry.name.startswith("chat."):
            return
        assert entry.result is not None
        if not entry.result["ok"]:
            return
        if entry.name in _OPENS:
            walk = self._threads.get((data["channel"], data.get("thread_ts", "")))
            if walk is not None:
                self._streams[data["channel"], entry.result["ts"]] = walk
        else:
            walk = self._streams.get((data["channel"], data.get("ts", "")))
        if walk is None:
            return
        walk.calls += 1
        walk.shown = walk.shown or entry.at
        if entry.name in _CLOSES:
            walk.closed = entry.at

    def asked(self, delivery: Entry) -> Walk | None:
        """The question that this event tells of."""
        event = (delivery.data.get("payload") or {}).get("event") or {}
        return self._asked.get(event.get("ts", ""))

    def clear(self) -> None:
        """Forget what was measured: the log of a long run is large."""
        self.follow()
        self.slack.log.clear()
        self.bedrock.requests.clear()
        self.bedrock.times.clear()
        self._asked.clear()
        self._threads.clear()
        self._streams.clear()
        self._read = 0


@asynccontextmanager
async def stage(
    name: str,
    folder: Path,
    *,
    tiers: bool = False,
    command: Sequence[str] = (),
    workers: int = 1,
    **settings: str,
) -> AsyncIterator[Stage]:
    """Yield a bot that runs: `BOBBIN` or `FLOOR`."""
    if name == FLOOR:
        command = [sys.executable, "-m", "tests.bench.floor"]
    async with AsyncExitStack() as stack:
        slack = Slack(tiers=tiers)
        await slack.start()
        stack.push_async_callback(slack.close)
        bedrock = await stack.enter_async_context(Timed())
        began = time.time()
        bots = []
        for _ in range(workers):
            place = folder / f"{name}-{time.monotonic_ns()}"
            await asyncio.to_thread(place.mkdir, parents=True)
            bot = Bobbin(slack, bedrock, place, **{**_SETTINGS, **settings})
            bot.forked = False
            bot.command = [*(command or bot.command)]
            stack.push_async_callback(bot.close)
            bots.append(await bot.start())
        yield Stage(name, slack, bedrock, bots, began)


_SETTINGS = {
    "SLACK_PACING": "off",
    "LEASE_SECONDS": "60",
    "RECOVERY_SETTLE_SECONDS": "10",
    "MAX_CONCURRENT_ANSWERS": "2000",
    "LOG_LEVEL": "INFO",
}
