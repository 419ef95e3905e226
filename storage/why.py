"""The transactions that gather what is kept of a turn or a message, for whoever asks why."""

from typing import Any

from bot.dossier import Asked, Dossier, Line, Said, Shown
from bot.trail import Step
from storage.arrivals import clock
from storage.connector import Query, Row, Transaction


def of_turn(turn: int) -> Transaction[Dossier | None]:
    """All that is kept of a turn; None where there is none."""
    rows = yield Query("turn_in_full", {"turn": turn})
    if not rows:
        return None
    row = rows[0]
    here = {"turn": turn}
    calls = yield Query("calls_in_full", here)
    parts = yield Query("turn_parts", here)
    steps = yield Query("steps_of", here)
    return Dossier(
        **(yield from _place(row)),
        state=row["state"],
        said=tuple(map(_said, (yield Query("said_in", here)))),
        turn=turn,
        claims=row["claims"],
        deaths=row["deaths"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        stop_asked=row["stop_asked"] or "",
        retry_asked=bool(row["retry_asked"]),
        reopened_at=row["reopened_at"],
        stop_reason=row["stop_reason"],
        error=row["error"],
        recorded=bool(row["recorded"]),
        asked=tuple(Asked(**{**dict(call), "estimated": bool(call["estimated"])}) for call in calls),
        shown=tuple(Shown(part["ts"], part["kind"]) for part in parts),
        steps=tuple(Step(step["at"], step["what"], step["detail"]) for step in steps),
    )


def of_message(channel: str, ts: str) -> Transaction[list[Dossier]]:
    """What is kept of a message, somebody's or Bobbin's, in every workspace that has it."""
    found: list[Dossier] = []
    for team in (yield Query("teams")):
        where = {"team": team["team_id"], "channel": channel, "ts": ts}
        turns = {row["turn_id"] for row in (yield Query("turn_shown", where))}
        for row in (yield Query("said_at", where)):
            if row["turn_id"] is None or not row["seq"]:
                # Waiting, or said before Bobbin came: it has no turn of its own.
                found.append((yield from _alone(row)))
            else:
                turns.add(row["turn_id"])
        for turn in sorted(turns):
            dossier = yield from of_turn(turn)
            found += [] if dossier is None else [dossier]
    return found


def joined(channel: str, thread_ts: str) -> Transaction[bool]:
    """Whether Bobbin has joined a thread, in whichever workspace."""
    for team in (yield Query("teams")):
        where = {"team": team["team_id"], "channel": channel, "thread": thread_ts}
        if (yield Query("find_conversation", where)):
            return True
    return False


def _alone(row: Row) -> Transaction[Dossier]:
    said = _said(row)
    state = "deleted" if said.deleted else "waiting" if said.addressed else "history"
    return Dossier(**(yield from _place(row)), state=state, said=(said,))


def _place(row: Row) -> Transaction[dict[str, Any]]:
    """Where it is, and how its conversation stands."""
    now = yield from clock()
    whose = {"team": row["team_id"], "conversation": row["conversation_id"]}
    ahead = yield Query("ahead_of", {**whose, "now": now})
    risky = yield Query("risky_beside", whose)
    heard = yield Query("last_heard", whose)
    opened = yield Query("open_turn_of", whose)
    line = Line(
        pending=row["pending_at"] is not None,
        owner=row["lease_owner"] or "",
        lease_until=row["lease_until"],
        not_before=row["not_before"],
        ahead=ahead[0]["ahead"],
        running=ahead[0]["running"],
        risky=risky[0]["count"],
        open_turn=opened[0]["id"] if opened else None,
        heard_at=heard[0]["heard_at"] if heard else 0,
    )
    where = {"team": row["team_id"], "channel": row["channel_id"], "thread_ts": row["thread_ts"]}
    return {"now": now, "line": line, **where}


def _said(row: Row) -> Said:
    return Said(
        ts=row["ts"],
        user=row["user_id"],
        event_id=row["event_id"],
        kept_at=row["created_at"],
        addressed=bool(row["addressed"]),
        reason=row["reason"],
        edited=row["edit_ts"] != "",
        deleted=row["deleted_at"] is not None,
    )
