"""How the database stands just now: for metrics, and when something can be claimed."""

from bot.ports import Gauges
from storage.arrivals import clock
from storage.connector import Query, Transaction


def gauges() -> Transaction[Gauges]:
    """How much waits and how long, what is open, what is to be deleted in Slack."""
    now = yield from clock()
    row = (yield Query("gauges", {"now": now}))[0]
    oldest = 0.0 if row["oldest"] is None else max(0, now - row["oldest"]) / 1000
    return Gauges(row["waiting"], oldest, row["open_turns"], row["orphans"])


def next_due() -> Transaction[float | None]:
    """In how many seconds something can be claimed that cannot be claimed now; None: nothing waits."""
    now = yield from clock()
    rows = yield Query("next_due", {"now": now})
    due = rows[0]["due"]
    return None if due is None else max(0, due - now) / 1000
