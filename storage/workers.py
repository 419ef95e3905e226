"""The transactions by which the workers on one database know of each other."""

from bot.ports import Share
from storage.arrivals import clock
from storage.connector import Query, Transaction

_COUNTS = 15 * 1000
"""Milliseconds: a worker that has said nothing for so long has died. Each says so every five seconds; were it
much more, one that dies after every start would take the share of many."""


def asked_to_end() -> Transaction[list[tuple[int, str]]]:
    """Open turns that must end, whoever works on them, and why."""
    return [(row["id"], row["why"]) for row in (yield Query("asked_to_end"))]


def tell() -> Transaction[None]:
    """Tell the other workers that there is something to look at."""
    yield Query("tell")


def present(worker: str, team: str) -> Transaction[Share]:
    """Say that this worker is at work; which of its workspace's it is."""
    now = yield from clock()
    yield Query("present", {"worker": worker, "team": team, "now": now})
    row = (yield Query("at_work", {"worker": worker, "team": team, "since": counted_since(now)}))[0]
    return Share(row["number"], max(1, row["workers"]))


def absent(worker: str) -> Transaction[None]:
    """Say that this worker ends: it counts no more."""
    yield Query("absent", {"worker": worker})


def at_work() -> Transaction[int]:
    """How many workers there are, as far as they have said so; of a file none does."""
    now = yield from clock()
    every = {"worker": "", "team": "", "since": counted_since(now)}
    return int((yield Query("at_work", every))[0]["workers"])


def counted_since(now: int) -> int:
    """Since when a worker must have said that it is at work, to count now; in milliseconds."""
    return now - _COUNTS
