"""The transactions of the ledger: each model call is one row, from before its request goes out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.ports import Booked, Call, Caps, Spent
from storage.arrivals import DAY, clock
from storage.connector import Query, Row, Transaction

_WARN = 0.8
"""From this part of a budget on somebody is warned, once in its time."""


def begin(call: Call, caps: Caps) -> Transaction[Booked]:
    """Book a call with its estimate, unless a budget has no room for it.

    A turn that called the model before was admitted and stays so: what is half shown is brought to its end,
    and a turn that is taken up after a crash is not weighed twice.
    """
    if caps != Caps():
        yield Query("hold_budget", {"team": call.team})
    now = yield from clock()
    admitted = yield Query("has_called", {"turn": call.turn})
    budgets = yield from _budgets(call, caps, now)
    for spent, _ in budgets:
        if not admitted and spent.used + call.micro_usd > spent.cap:
            return Booked(refused=spent)
    yield Query("begin_call", {**_figures(call), "now": now, **_whose(call)})
    warn: list[Spent] = []
    for before, since in budgets:
        spent = replace(before, used=before.used + call.micro_usd)
        if spent.used >= _WARN * spent.cap and (yield from _warning_due(call, spent, since, now)):
            warn.append(spent)
    return Booked(warn=tuple(warn))


def settle(call: Call) -> Transaction[None]:
    """Book what it came to."""
    now = yield from clock()
    how = {"state": call.state, "estimated": int(call.estimated), "request": call.request_id}
    what = {"first": call.first_at, "error": call.error}
    yield Query("settle_call", {**_figures(call), **how, **what, "now": now})


def lose(older: int = 0) -> Transaction[None]:
    """Calls that have been running for so many milliseconds have lost their process."""
    now = yield from clock()
    yield Query("lose_calls", {"now": now, "before": now - older})


def close_days() -> Transaction[None]:
    """Sum up the days of this month of which no call is to be settled any more."""
    now = yield from clock()
    (day, _), (month, _) = times(now)
    for team in (yield Query("spenders")):
        yield Query("close_days", {"team": team["id"], "since": month, "before": day - DAY})


def spending(by: str, since: int) -> Transaction[list[Row]]:
    """What was spent since this moment (Unix milliseconds), by user, channel, model or day."""
    return (yield Query("spending", {"by": by, "since": since}))


def times(now: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The day and the month (UTC) of a moment, each from its begin to the next one's; Unix milliseconds."""
    day = now - now % DAY
    month = datetime.fromtimestamp(day // 1000, UTC).replace(day=1)
    ends = month, (month + timedelta(days=31)).replace(day=1)
    since, until = (int(at.timestamp()) * 1000 for at in ends)
    return (day, day + DAY), (since, until)


def _budgets(call: Call, caps: Caps, now: int) -> Transaction[list[tuple[Spent, int]]]:
    """How the budgets stand that there are, each with when its time began (Unix milliseconds)."""
    whose = {"team": call.team}
    (day, tomorrow), (month, next_month) = times(now)
    budgets: list[tuple[Spent, int]] = []
    if caps.user is not None:
        rows = yield Query("spent_by_user", {**whose, "user": call.user, "since": day})
        budgets.append((Spent("user", rows[0]["used"], caps.user, tomorrow // 1000), day))
    if caps.team is not None:
        rows = yield Query("spent_by_team", {**whose, "since": month})
        budgets.append((Spent("team", rows[0]["used"], caps.team, next_month // 1000), month))
    return budgets


def _warning_due(call: Call, spent: Spent, since: int, now: int) -> Transaction[bool]:
    user = call.user if spent.budget == "user" else ""
    note = {"team": call.team, "user": user, "reason": f"budget_{spent.budget}_warning"}
    return bool((yield Query("note_due", {**note, "now": now, "before": since - 1})))


def _whose(call: Call) -> dict[str, Any]:
    return {
        "turn": call.turn,
        "team": call.team,
        "channel": call.channel,
        "user": call.user,
        "model": call.model,
        "purpose": call.purpose,
    }


def _figures(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "input": call.usage.input,
        "cache_read": call.usage.cache_read,
        "cache_write": call.usage.cache_write,
        "cache_write_1h": call.usage.cache_write_1h,
        "output": call.usage.output,
        "micro_usd": call.micro_usd,
    }
