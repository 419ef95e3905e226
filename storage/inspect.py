"""The transactions by which people learn how they stand, what is kept of them, what an answer was made of."""

import json
from typing import Any

from bot.conversation import ThreadKey
from bot.insight import Kept, Receipt, Standing
from storage.arrivals import clock
from storage.connector import Query, Row, Transaction
from storage.ledger import times


def standing(team: str, user: str) -> Transaction[Standing]:
    """What somebody has spent, and how busy this workspace's Bobbin is."""
    now = yield from clock()
    (day, tomorrow), (month, next_month) = times(now)
    whose = {"team": team, "user": user}
    today = yield Query("spent_by_user", {**whose, "since": day})
    own = yield Query("spent_by_user", {**whose, "since": month})
    all_of_it = yield Query("spent_by_team", {"team": team, "since": month})
    busy = (yield Query("busy", {"team": team, "now": now}))[0]
    return Standing(
        today=today[0]["used"],
        month=own[0]["used"],
        team_month=all_of_it[0]["used"],
        tomorrow=tomorrow // 1000,
        next_month=next_month // 1000,
        running=busy["running"],
        waiting=busy["pending"] - busy["running"],
    )


def kept(team: str, user: str) -> Transaction[Kept]:
    """What is kept of somebody's words."""
    row = (yield Query("kept_of", {"team": team, "user": user}))[0]
    return Kept(row["messages"], row["threads"], row["oldest"] or "")


def receipt(team: str, channel: str, ts: str) -> Transaction[Receipt | None]:
    """What the answer was made of that this message shows; None where it shows none."""
    found = yield Query("shown_by", {"team": team, "channel": channel, "ts": ts})
    if not found:
        return None
    turn = found[0]
    here = {"conversation": turn["conversation_id"], "turn": turn["id"], "seq": turn["seq"]}
    until_seq, until_ts, knows = yield from _condensed(turn)
    read = yield Query("read_in", {**here, "until_seq": until_seq, "until_ts": until_ts})
    people = [row for row in read if row["role"] == "user"]
    asked = yield Query("turn_input", {"turn": turn["id"]})
    calls = yield Query("calls_of", {"turn": turn["id"]})
    return Receipt(
        turn=turn["id"],
        askers=tuple(
            dict.fromkeys(row["user_id"] for row in asked if row["addressed"] and row["deleted_at"] is None)
        ),
        messages=sum(row["messages"] for row in people),
        answers=sum(row["messages"] for row in read if row["role"] == "assistant"),
        authors=tuple(row["user_id"] for row in people),
        first=min((row["first"] for row in read), default=""),
        last=max((row["last"] for row in read), default=""),
        files=(yield from _files(here)),
        condensed=sum(row["condensed"] for row in read) if knows else None,
        models=tuple(dict.fromkeys(row["model"] for row in calls)),
        estimated=any(row["estimated"] for row in calls),
        requests=tuple(row["request_id"] for row in calls if row["request_id"]),
        **{name: sum(row[name] for row in calls) for name in _SUMS},
    )


def thread_at(team: str, channel: str, ts: str) -> Transaction[ThreadKey]:
    """The thread that a message belongs to; of one that is not known its own."""
    rows = yield Query("thread_at", {"team": team, "channel": channel, "ts": ts})
    return ThreadKey(team, channel, rows[0]["thread_ts"] if rows else ts)


def exported(thread: ThreadKey) -> Transaction[tuple[list[dict[str, Any]], dict[str, str]]]:
    """A thread as it is kept, oldest first, and everybody's names."""
    where = {"team": thread.team, "channel": thread.channel, "thread": thread.thread_ts}
    lines = [dict(row) for row in (yield Query("thread_lines", where))]
    names = yield Query("names", {"team": thread.team})
    return lines, {row["user_id"]: row["name"] for row in names}


_SUMS = ("input", "cache_read", "cache_write", "output", "micro_usd")


def _condensed(turn: Row) -> Transaction[tuple[int, str, bool]]:
    """Up to where a turn read a summary, and whether that is known: a newer one may have taken its place."""
    for row in (yield Query("summary_of", {"conversation": turn["conversation_id"]})):
        if row["turn_id"] <= turn["id"]:
            return row["until_seq"], row["until_ts"], True
        if row["first_turn"] <= turn["id"]:
            return -1, "", False
    return -1, "", True


def _files(here: dict[str, Any]) -> Transaction[tuple[tuple[str, str], ...]]:
    tried = {
        (row["ts"], row["file_id"]): row
        for row in (yield Query("attachments", {"conversation": here["conversation"]}))
    }
    named: list[tuple[str, str]] = []
    for row in (yield Query("files_in", here)):
        for file in json.loads(row["files"]):
            kept_of_it = tried.get((row["ts"], file["id"]))
            if kept_of_it is not None:
                named.append((kept_of_it["name"] or file["name"], kept_of_it["reason"]))
    return tuple(named)
