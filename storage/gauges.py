"""How the database stands just now, for metrics."""

from bot.ports import Gauges
from storage.arrivals import clock
from storage.connector import Query, Transaction


def gauges() -> Transaction[Gauges]:
    """How much waits and how long, what is open, what is to be deleted in Slack."""
    now = yield from clock()
    row = (yield Query("gauges", {"now": now}))[0]
    oldest = 0.0 if row["oldest"] is None else max(0, now - row["oldest"]) / 1000
    return Gauges(row["waiting"], oldest, row["open_turns"], row["orphans"])
