"""Under Slack's rate limits: how soon answers appear, beside the best that any client could do."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bot.sandbox.slack.faults import LIMITS, POST_CHANNEL
from tests.bench.figures import Section, percentile, table
from tests.bench.stage import BOBBIN, Numbered, Walk, stage

AT_ONCE = (1, 10, 30, 100)
CHANNELS = 20
_EVENTS, _PACE = 30, 0.2
_WORDS = 400
_PATIENCE = 180


async def measure(place: Path) -> Section:
    """Each number of answers in a workspace of its own, all at the same time: they hardly use the machine."""
    found = await asyncio.gather(*(_walks(place, count) for count in AT_ONCE))
    rows: list[list[object]] = []
    for count, (walks, refused) in zip(AT_ONCE, found, strict=True):
        seconds = (_EVENTS - 1) * _PACE
        best_first = best(count, CHANNELS)
        best_whole = [seconds + wait for wait in best_first]
        whole = [walk.closed - walk.first for walk in walks]
        first = [walk.shown - walk.first for walk in walks]
        rows.append([count, *_figures(first, best_first), *_figures(whole, best_whole), refused])
    head = ["at once", "first text p50 s", "of all", "best p50", "of all"]
    head += ["whole answer p50 s", "of all", "best p50", "of all", "calls refused"]
    return Section("Under Slack's limits", f"{_TEXT}\n\n{table(head, rows)}")


_TEXT = f"""Questions come at once in {CHANNELS} channels of one workspace whose tiers are on: some 20
starts of a stream a minute, 100 appends, 50 updates, one post a second in each channel with short bursts.
Each answer is {_WORDS} words and takes {(_EVENTS - 1) * _PACE:g} s. Seconds from the model's first text: the
median, and the last of all. *Best* is what the budget allows a client that knows everything beforehand:
streams for as many as may be started, a post at once for the others, as fast as each channel takes them,
and each answer whole with the model's last text. Bobbin posts what it may not stream when it is whole, and
not a beginning that it could not go on with; so that beyond 20 at once the first text is the whole answer."""


async def _walks(place: Path, count: int) -> tuple[list[Walk], int]:
    async with stage(BOBBIN, place, tiers=True, SLACK_PACING="on") as one:
        bedrock = one.bedrock
        bedrock.events, bedrock.pace, bedrock.delay = _EVENTS, _PACE, 0.5
        bedrock.model = Numbered(_WORDS)
        walks = await one.ask(count, _PATIENCE)
        refused = sum((call.result or {}).get("error") == "ratelimited" for call in one.slack.calls())
        return walks, refused


def best(count: int, channels: int) -> list[float]:
    """Seconds that each of so many answers must wait for a call that opens it."""
    streams, burst = LIMITS["T2"][0], POST_CHANNEL[0]
    waits = [0.0] * min(count, streams)
    for number in range(count - len(waits)):
        waits.append(float(max(0, number // channels - burst + 1)))
    return waits


def _figures(ours: Sequence[float], bests: Sequence[float]) -> list[str]:
    return [f"{value:.2f}" for each in (ours, bests) for value in (percentile(each, 50), max(each))]
