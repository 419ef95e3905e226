"""What people think of an answer. One word of each person counts: the newest."""

from storage.arrivals import clock
from storage.connector import Query, Transaction


def turn_shown(team: str, channel: str, ts: str) -> Transaction[int | None]:
    """The turn that a message of Bobbin belongs to."""
    rows = yield Query("turn_shown", {"team": team, "channel": channel, "ts": ts})
    return rows[0]["turn_id"] if rows else None


def rate(turn_id: int, user: str, *, good: bool) -> Transaction[bool]:
    """Keep a judgement, of the answer as it is now; False where there is no such turn."""
    now = yield from clock()
    return bool((yield Query("rate", {"turn": turn_id, "user": user, "good": int(good), "now": now})))


def explain(turn_id: int, user: str, why: str) -> Transaction[bool]:
    """Keep its reason; False where there is no judgement."""
    return bool((yield Query("explain", {"turn": turn_id, "user": user, "why": why})))
