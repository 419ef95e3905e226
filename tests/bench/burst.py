"""How soon events are acked when many come at once, while they are answered as well."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Promise, Section, ms, percentile, table
from tests.bench.stage import BOBBIN, FLOOR, Stage, stage

EVENTS, FLOOD = 1_000, 10_000
_EACH = 2
"""Events of one question: Slack tells of a mention twice."""
_REDELIVERED = 100
_ROUNDS = 3
_STEPS = 50
"""The second is cut into so many parts, so that the events of each come in one moment."""
_NEWEST = 200
"""Lines of Slack's log in which something to deliver again is looked for."""
_LATEST = 3.0


@dataclass(frozen=True)
class Burst:
    """Seconds from delivery to ack of each; how long it took to deliver them all, and to the last ack."""

    waits: list[float]
    delivered: float
    last: float
    again: int
    """Deliveries that Slack repeated, since no ack came in time."""


async def measure(place: Path) -> Section:
    """1,000 events in a second, some of them redeliveries; then 10,000 as fast as Slack can send them."""
    rows, promises = [], []
    for name in (BOBBIN, FLOOR):
        async with stage(name, place, MAX_CONCURRENT_ANSWERS="256") as one:
            await one.ask(20)
            one.bedrock.delay = 2.0
            bursts = [await _burst(one) for _ in range(_ROUNDS)]
        waits = [wait for burst in bursts for wait in burst.waits]
        rows.append(_row(name, "1,000 in a second", waits, max(bursts, key=lambda each: each.last)))
        if name == BOBBIN:
            high, worst = percentile(waits, 99), max(waits)
            promises = [
                Promise("1,000 events in a second, ack p99", "≤ 1 s", f"{ms(high)} ms", high <= 1),
                Promise("the slowest of them", "≤ 3 s", f"{ms(worst)} ms", worst <= _LATEST),
            ]
        async with stage(name, place, MAX_CONCURRENT_ANSWERS="256") as one:
            await one.ask(20)
            one.bedrock.hold()
            flood = await _flood(one)
        rows.append(_row(name, "10,000 at once", flood.waits, flood))
    head = [
        "bot",
        "events",
        "p50 ms",
        "p95",
        "p99",
        "slowest",
        "sent within s",
        "last ack after s",
        "sent again",
    ]
    return Section("Burst", f"{_TEXT}\n\n{table(head, rows)}", promises)


_TEXT = f"""From the delivery of an event to its ack. Bobbin acks what is on the disk; the floor acks first
and keeps nothing. Of the 1,000 events {_REDELIVERED} are redeliveries; their questions are answered at the
same time, 256 at once. During the flood the model keeps silent, so that 256 turns are at work and the
others wait. Slack sends an event again that is not acked within three seconds."""


async def _burst(one: Stage) -> Burst:
    began = asyncio.get_running_loop().time()
    walks = []
    questions = (EVENTS - _REDELIVERED) // _EACH
    for step in range(_STEPS):
        await asyncio.sleep(max(0, began + step / _STEPS - asyncio.get_running_loop().time()))
        walks += [await one.say() for _ in range(questions // _STEPS)]
        sent = [entry for entry in one.slack.log[-_NEWEST:] if entry.kind == "delivery" and one.asked(entry)]
        for entry in sent[: _REDELIVERED // _STEPS]:
            one.slack.deliver_again(entry.data["event_id"])
    await one.answered(walks)
    burst = _seen(one)
    one.clear()
    return burst


async def _flood(one: Stage) -> Burst:
    one.clear()
    for number in range(FLOOD // _EACH):
        await one.say()
        if number % 100 == 0:
            await asyncio.sleep(0)  # they go out in tasks of their own
    async with asyncio.timeout(120):
        while not _all_acked(one):  # noqa: ASYNC110  Slack's log is read once for many changes
            await asyncio.sleep(0.2)
    return _seen(one)


def _all_acked(one: Stage) -> bool:
    events = {
        entry.data["envelope_id"]: entry.data["event_id"]
        for entry in one.slack.log
        if entry.kind == "delivery" and one.asked(entry)
    }
    acked = {events.get(entry.data["envelope_id"]) for entry in one.slack.log if entry.kind == "ack"} - {None}
    return len(acked) >= FLOOD


def _seen(one: Stage) -> Burst:
    deliveries = [entry for entry in one.slack.log if entry.kind == "delivery" and one.asked(entry)]
    acked = {entry.data["envelope_id"]: entry.at for entry in reversed(one.slack.log) if entry.kind == "ack"}
    began = deliveries[0].at
    ways = [(each.at, acked[at]) for each in deliveries if (at := each.data["envelope_id"]) in acked]
    waits = [ack - sent for sent, ack in ways]
    again = sum(each.data["attempt"] > 0 for each in deliveries)
    return Burst(waits, deliveries[-1].at - began, max(ack for _, ack in ways) - began, again)


def _row(name: str, what: str, waits: list[float], burst: Burst) -> list[object]:
    figures = [ms(percentile(waits, percent)) for percent in (50, 95, 99)]
    return [
        name, what, *figures, ms(max(waits)), f"{burst.delivered:.1f}", f"{burst.last:.1f}", burst.again,
    ]  # fmt: skip
