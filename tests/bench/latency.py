"""How long a question waits inside the bot, beside the floor, question by question in turn."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.bench.figures import Promise, Ratio, Section, ms, percentile, ratio, table
from tests.bench.stage import BOBBIN, FLOOR, Stage, Walk, stage

ROUNDS = {1: 4, 30: 4, 200: 3}
"""By how many questions come at once; a round of one at once is ten in a row."""
_ROW = 10
DELAY = 0.5
"""Seconds to the first text."""
_HISTORIES = (100, 10_000)
_MET = {
    "event → model": lambda walk: walk.to_model,
    "first text → Slack": lambda walk: walk.to_slack,
    "last text → closed": lambda walk: walk.to_end,
}
Rounds = dict[str, list[list[Walk]]]
Row = list[object]


async def measure(place: Path) -> Section:
    """Each of the three waits, at 1, 30 and 200 at once, and in threads of three lengths."""
    rows: list[Row] = []
    promises: list[Promise] = []
    async with AsyncExitStack() as stack:
        stages = [await stack.enter_async_context(stage(name, place)) for name in (BOBBIN, FLOOR)]
        for one in stages:
            await one.ask(50)  # each person once: what is built or looked up at the first use is there
            one.bedrock.delay = DELAY
        for at_once, count in ROUNDS.items():
            rounds = await _rounds(stages, at_once, count)
            for what, of in _MET.items():
                row, middle, high = _row(what, at_once, 1, rounds, of)
                rows.append(row)
                promises += _promises(what, at_once, middle, high)
        [bobbin, floor] = stages
        for length in _HISTORIES:
            rounds = await _long(bobbin, floor, length)
            rows += [_row(what, 1, length, rounds, of)[0] for what, of in _MET.items()]
    head = ["wait", "at once", "history", "Bobbin p50", "p95", "p99", "floor p50", "p95", "p99"]
    head += ["ratio p50 (spread)", "ratio p95 (spread)"]
    return Section("Latency", f"{_TEXT}\n\n{table(head, rows)}", promises)


_TEXT = f"""Milliseconds, of questions that both bots are asked in turn; the answer comes after {DELAY:g} s,
in 8 deltas. *At once* means all in one moment, each in a thread of its own. The ratios are the median of the
rounds, with the least and the greatest. The floor keeps no history: its figures stand beside a long thread
for comparison only. Of the 10,000 messages the older part is condensed."""


async def _rounds(stages: Sequence[Stage], at_once: int, count: int) -> Rounds:
    rounds: Rounds = {one.name: [] for one in stages}
    for number in range(count):
        found: dict[str, list[Walk]] = {one.name: [] for one in stages}
        for _ in range(_ROW if at_once == 1 else 1):
            for one in stages if number % 2 else reversed(stages):
                found[one.name] += await one.ask(at_once)
        for one in stages:
            rounds[one.name].append(found[one.name])
            one.clear()
    return rounds


async def _long(bobbin: Stage, floor: Stage, length: int) -> Rounds:
    """Questions in a thread of so many messages, which Bobbin has read."""
    slack = bobbin.slack
    channel = slack.add_channel(f"long{length}", members=bobbin.people, bot_member=False)
    root = await slack.say(bobbin.people[0], channel, "So it begins.")
    for number in range(length - 1):
        person = bobbin.people[number % len(bobbin.people)]
        await slack.say(
            person, channel, f"And it goes on, by word {number}, as long as it does.", thread=root
        )
    slack.workspace.channels[channel].members.append(slack.bot_user_id)
    await bobbin.answered([await bobbin.say(channel, root)])
    rounds: Rounds = {BOBBIN: [], FLOOR: []}
    for _ in range(3):
        ours, theirs = [], []
        for _ in range(5):
            ours.append(await bobbin.say(channel, root))
            await bobbin.answered(ours[-1:])
            theirs += await floor.ask(1)
        rounds[BOBBIN].append(ours)
        rounds[FLOOR].append(theirs)
    return rounds


def _row(
    what: str, at_once: int, history: int, rounds: Rounds, of: Callable[[Walk], float]
) -> tuple[Row, Ratio, Ratio]:
    row: Row = [what, at_once, f"{history:,}"]
    for name in (BOBBIN, FLOOR):
        every = [of(walk) for walks in rounds[name] for walk in walks]
        row += [ms(percentile(every, percent)) for percent in (50, 95, 99)]
    of_rounds = {
        percent: ratio(
            *([percentile(map(of, walks), percent) for walks in rounds[name]] for name in (BOBBIN, FLOOR))
        )
        for percent in (50, 95)
    }
    return [*row, of_rounds[50], of_rounds[95]], of_rounds[50], of_rounds[95]


def _promises(what: str, at_once: int, middle: Ratio, high: Ratio) -> list[Promise]:
    if what == "event → model":
        return [
            Promise(f"event → model, {at_once} at once, {name}", "≤ 2 × floor", f"{value}", value.middle <= 2)
            for name, value in (("p50", middle), ("p95", high))
        ]
    if what == "first text → Slack":
        held = middle.middle <= 1.2
        return [Promise(f"first text → Slack, {at_once} at once, p50", "≤ 1.2 × floor", f"{middle}", held)]
    return []
