"""The transactions by which breaks are noticed, and where to read again what was said in one."""

from bot.conversation import ThreadKey
from bot.ports import Gap
from storage.arrivals import clock
from storage.connector import Query, Transaction
from storage.workers import counted_since


def heard(team: str, longest: int, worker: str) -> Transaction[Gap | None]:
    """Note that events can come in; a gap of over `longest` milliseconds that this worker is to read."""
    now = yield from clock()
    rows = yield Query("heard", {"team": team, "now": now, "before": now - longest})
    since = rows[0]["missed_since"]
    if since is None:
        return None
    taken = yield Query("take_gap", {"team": team, "worker": worker, "since": counted_since(now)})
    return Gap(since / 1000, rows[0]["gaps"]) if taken else None


def last_heard() -> Transaction[tuple[int, int]]:
    """Now, and when events of any workspace could last come in; both in milliseconds, 0: never."""
    now = yield from clock()
    return now, (yield Query("last_heard_of_all"))[0]["heard_at"] or 0


def channels(team: str, limit: int) -> Transaction[list[str]]:
    """Where Bobbin is used, the newest first."""
    return [row["channel_id"] for row in (yield Query("channels", {"team": team, "limit": limit}))]


def lively(team: str, after: str, limit: int) -> Transaction[list[ThreadKey]]:
    """Threads in which something may have been said since."""
    rows = yield Query("lively", {"team": team, "after": after, "limit": limit})
    return [ThreadKey(team, row["channel_id"], row["thread_ts"]) for row in rows]
