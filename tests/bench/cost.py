"""What a thread costs to read: Bobbin's store, turns and client against the sandbox's Bedrock and its cache.

    python -m tests.bench.cost

Time is the cache's and the messages' alone, so that two hours pass at once. Writes the table and the plot of
`docs/cost.md`.
"""

import asyncio
import logging
import re
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from bot.bedrock import open_model
from bot.channels import Channels
from bot.conversation import ThreadKey
from bot.events import Person, Posted
from bot.ledger import Ledger
from bot.models import Claude, known
from bot.policy import Rules, decide
from bot.ports import Caps, Line, Part, Store, Turn, Usage
from bot.prompt import WHO
from bot.sandbox.bedrock import Asked, Bedrock
from bot.sandbox.scripted import Messages, Scripted
from bot.turns import Limits, Turns
from bot.window import tokens
from storage import open_store
from tests.bench.plot import plot

DOCS = Path(__file__).parents[2] / "docs"
PACES = {"5 min": 300.0, "20 min": 1200.0, "2 h": 7200.0}
LENGTHS = (25, 100)
MODELS = ("sonnet-5-5", "opus-5-5", "sonnet-4-6", "haiku-4-5-20251001-v1:0")
SECONDS: Mapping[str, float] = {"5m": 300.0, "1h": 3600.0}
TURN = 400
"""Tokens that a turn adds: its question and its answer, half and half."""

_MESSAGE = '<message from="Ann Lee" at="2026-11-24 14:02 UTC"></message>'
_BEGAN = 1_795_000_000.0


class Even(Scripted):
    """A model whose answers have all one length."""

    def answer(self, messages: Messages, system: str) -> str:
        """See `Scripted`."""
        del messages, system
        return ("so it goes. " * TURN)[: 4 * TURN // 2]


class Stage:
    """What of a workspace plays a part here: one person, whose replies go nowhere."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def acquaint(self, lines: Sequence[Line], needed: Collection[str]) -> Mapping[str, Person]:
        """See `Workspace`."""
        return {"ANN": Person("ANN", "Ann Lee")}

    def words(self, lines: Sequence[Line], people: Mapping[str, Person]) -> Mapping[str, str]:
        """See `Workspace`."""
        return {line.ts: line.text for line in lines}

    def called(self, line: Line) -> bool:
        """See `Workspace`."""
        return False

    def reply(self, turn: Turn, check: Callable[[], None]) -> "Quiet":
        """See `Workspace`."""
        return Quiet(self._store, turn)


class Quiet:
    """A reply that nobody sees."""

    def __init__(self, store: Store, turn: Turn) -> None:
        self._store = store
        self._turn = turn

    def begin(self, words: str) -> None:
        """See `Reply`."""

    def meet(self, lines: Sequence[Line], people: Mapping[str, Person]) -> None:
        """See `Reply`."""

    def show(self, delta: str) -> None:
        """See `Reply`."""

    async def restart(self) -> None:
        """See `Reply`."""

    async def halt(self) -> None:
        """See `Reply`."""

    async def finish(self, text: str | None = None, notes: Sequence[str] = ()) -> tuple[str, ...]:
        """See `Reply`."""
        moment = f"{float(self._turn.newest_ts) + 1:.6f}"
        await self._store.record_part(self._turn, Part(moment))
        return ()


@dataclass(frozen=True)
class Thread:
    """What a thread cost: tokens of each request in turn, as Bedrock counted them."""

    model: str
    pace: str
    usages: list[Usage]

    @property
    def claude(self) -> Claude:
        """The model's prices."""
        return known(self.model)

    @property
    def sizes(self) -> list[int]:
        """Tokens of each request."""
        return [usage.input + usage.cache_read + usage.cache_write for usage in self.usages]

    @property
    def costs(self) -> list[float]:
        """Dollars that reading each request cost."""
        return [
            self.claude.cost(Usage(u.input, 0, u.cache_read, u.cache_write, u.cache_write_1h)) / 1e6
            for u in self.usages
        ]

    @property
    def uncached(self) -> list[float]:
        """The same without a cache."""
        return [self.claude.cost(Usage(size)) / 1e6 for size in self.sizes]

    @property
    def full_price(self) -> int:
        """Tokens that were paid in full or dearer: new ones and those written to the cache."""
        return sum(usage.input + usage.cache_write for usage in self.usages)

    @property
    def optimum(self) -> float:
        """Dollars by the best plan of all, made by somebody who knows the pace and when the thread ends."""
        return optimum(self.sizes, PACES[self.pace], self.claude)


def optimum(sizes: Sequence[int], gap: float, claude: Claude) -> float:
    """Return the least that these requests can cost: for each, cache it so or so, only read, or neither.

    A state is how much is cached and for how long; what is best from there on does not depend on how it came.
    """
    prices = claude.prices
    write = {"5m": float(prices.write_5m), "1h": float(prices.write_1h)}
    plans: dict[tuple[int, str], float] = {(0, ""): 0.0}
    for size in sizes:
        best: dict[tuple[int, str], float] = {}
        for (held, ttl), spent in plans.items():
            cached = held if held and gap <= SECONDS[ttl] else 0
            read = spent + float(prices.read) * cached
            steps = {(cached, ttl if cached else ""): read + size - cached}
            if size >= claude.cache_from:
                steps |= {(size, each): read + write[each] * (size - cached) for each in claude.ttls}
            for state, cost in steps.items():
                best[state] = min(cost, best.get(state, cost))
        plans = best
    return min(plans.values()) * float(prices.input) / 1e6


async def thread(model_id: str, pace: str, turns: int) -> Thread:
    """Let a thread of so many turns go by, through Bobbin."""
    now = _BEGAN
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Bedrock(model=Even()) as bedrock,
            open_store(f"sqlite:///{folder}/bobbin.db") as store,
        ):
            bedrock.clock = lambda: now
            async with _model(bedrock, model_id) as model:
                stage: Any = Stage(store)
                ledger = Ledger(
                    store,
                    model,
                    stage,
                    model_id=model_id,
                    size=tokens,
                    caps=Caps(None, None),
                    price=lambda name, usage: known(name).cost(usage),
                    later=lambda work: work.close(),
                )
                runner = Turns(
                    store,
                    ledger,
                    stage,
                    Channels(store, stage, known=bool),
                    claude=lambda _: known(model_id),
                    rules=Rules(),
                    who=WHO,
                    limits=Limits(max_tokens=8192),
                )
                for number in range(turns):
                    now = _BEGAN + number * PACES[pace]
                    await _ask(store, runner, now)
            assert len(bedrock.requests) == turns
            return Thread(model_id, pace, [_usage(asked) for asked in bedrock.requests])


def _model(bedrock: Bedrock, model_id: str) -> Any:
    """The real client; what it reads of AWS is told by the environment, which is set for this process."""
    import os  # noqa: PLC0415  a command sets its own environment, here and nowhere else

    os.environ |= {  # noqa: TID251
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
        "AWS_ACCESS_KEY_ID": "AKIASANDBOX",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return open_model(model_id, region="us-east-1")


async def _ask(store: Store, runner: Turns, now: float) -> None:
    """One turn: a question comes, and is answered."""
    ts = f"{now:.6f}"
    text = ("so it goes? " * TURN)[: 4 * TURN // 2 - len(_MESSAGE)]
    posted = Posted(
        event_id=ts,
        thread=ThreadKey("T1", "C1", f"{_BEGAN:.6f}"),
        ts=ts,
        direct=True,
        author="ANN",
        text=text,
        external=False,
    )
    await store.post(posted, partial(decide, posted, rules=Rules()))
    [turn] = await store.claim("bench", 1)
    await runner.run(turn, runner.lease(turn, monotonic()))


def _usage(asked: Asked) -> Usage:
    told = asked.usage
    details = told.get("cacheDetails", ())
    return Usage(
        told["inputTokens"],
        told["outputTokens"],
        told.get("cacheReadInputTokens", 0),
        told.get("cacheWriteInputTokens", 0),
        sum(detail["inputTokens"] for detail in details if detail["ttl"] == "1h"),
    )


def table(threads: Sequence[Thread]) -> str:
    """The figures, as Markdown."""
    rows = [
        "| model | pace | turns | no cache | Bobbin | of that | optimum | Bobbin / optimum | at full price |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in threads:
        cost, without, best = sum(one.costs), sum(one.uncached), one.optimum
        name = re.sub(r"^us\.anthropic\.claude-|-\d{8}.*$", "", one.model)
        rows.append(
            f"| {name} | {one.pace} | {len(one.usages)} | ${without:.4f} | ${cost:.4f} "
            f"| {cost / without:.3f} | ${best:.4f} | {cost / best:.3f} | {one.full_price:,} |"
        )
    return "\n".join(rows)


async def main() -> None:
    """Measure everything, print the table, write it and the plot."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    threads = [
        await thread(f"us.anthropic.claude-{model}", pace, turns)
        for model in MODELS
        for pace in PACES
        for turns in LENGTHS
    ]
    shown = table(threads)
    print(shown)  # noqa: T201  a command: it prints
    page = DOCS / "cost.md"
    before, _, rest = page.read_text("utf-8").partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- end -->\n")
    page.write_text(f"{before}<!-- table -->\n{shown}\n<!-- end -->\n{after}", "utf-8")
    [one] = [
        each for each in threads if (each.model, each.pace, len(each.usages)) == (_PLOTTED, "5 min", 100)
    ]
    lines = {"without a cache": one.uncached, "Bobbin": one.costs}
    (DOCS / "cost.svg").write_text(
        plot(lines, "A thread of 100 turns, one every 5 minutes, Claude Sonnet 5.5"), "utf-8"
    )


_PLOTTED = "us.anthropic.claude-sonnet-5-5"

if __name__ == "__main__":
    asyncio.run(main())
