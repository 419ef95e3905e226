"""The transactions of a turn: claimed under a lease, written under its fence, closed and given back.

Whoever writes for a turn first holds its conversation with the fence of its claim (`_hold`). Where that
fails, somebody else owns it now, and nothing is written.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from bot.conversation import ThreadKey
from bot.policy import counted_as
from bot.ports import Finish, How, Ingested, Line, Part, Queued, Stop, Turn
from bot.trail import Step
from storage.arrivals import DAY, clock, files_json, forgotten, hold_message, line_up, note_due
from storage.connector import Query, Row, Transaction
from storage.quotes import ts_of

_LOOKS = 10
"""How often a claim looks again for what somebody held for a moment."""


def claim(owner: str, limit: int, lease: int, team: str) -> Transaction[list[Turn]]:
    """Take up to `limit` conversations for `lease` milliseconds, each with its one open turn.

    Of one workspace; of all where `team` is empty.
    """
    yield Query("hold_claims")
    for _ in range(_LOOKS):
        now = yield from clock()
        found = yield Query("claimable", {"now": now, "limit": limit, "team": team})
        if found or not (yield Query("passed_by", {"now": now, "team": team})):
            break
        yield Query("pause")
    claimed: list[Turn] = []
    for ready in found:
        until = now + lease
        rows = yield Query("lease", {"conversation": ready["id"], "owner": owner, "until": until})
        turn = yield from _open(rows[0], now, died=ready["lease_owner"] is not None)
        if turn is not None:
            yield from _note(turn.id, [Step(now, turn.how, owner)])
            claimed.append(turn)
    return claimed


def _note(turn: int, steps: Sequence[Step]) -> Transaction[None]:
    for step in steps:
        yield Query("add_step", {"turn": turn, **asdict(step)})


def in_line(team: str) -> Transaction[list[Queued]]:
    """Who waits for a slot."""
    now = yield from clock()
    return [
        Queued(
            row["id"],
            ThreadKey(row["team_id"], row["channel_id"], row["thread_ts"]),
            row["ahead"],
            bool(row["summoned"]),
        )
        for row in (yield Query("in_line", {"now": now, "team": team}))
    ]


def idle(conversations: Collection[int]) -> Transaction[list[int]]:
    """Which of these have nothing to answer."""
    found: list[int] = []
    for conversation in conversations:
        found += [row["id"] for row in (yield Query("wants_nothing", {"conversation": conversation}))]
    return found


def _open(conversation: Row, now: int, *, died: bool) -> Transaction[Turn | None]:
    """The open turn, else the one that is wanted again, else a new one; None where nothing waits."""
    here = {"conversation": conversation["id"]}
    if rows := (yield Query("open_turn_of", here)):
        open_turn = {"turn": rows[0]["id"], "fence": conversation["fence"], "died": int(died)}
        rows = yield Query("resume_turn", open_turn)
        return (yield from _turn(conversation, rows[0], now, how="died" if died else "resumed"))
    if rows := (yield Query("wanted_again", here)):
        yield from _reopen(rows[0], conversation["fence"], now)
        return (yield from _turn(conversation, rows[0], now, how="again"))
    if not (yield Query("waits", here))[0]["count"]:
        yield Query("unlease", {**here, "fence": conversation["fence"], "not_before": 0})
        yield Query("settle_pending", here)
        return None
    rows = yield Query("open_turn", {**here, "fence": conversation["fence"], "now": now})
    yield Query("freeze_input", {**here, "turn": rows[0]["id"]})
    return (yield from _turn(conversation, rows[0], now))


def _reopen(turn: Row, fence: int, now: int) -> Transaction[None]:
    """A turn is tried again, or, where it has an answer, answered again: that one is kept."""
    here = {"turn": turn["id"]}
    if turn["state"] == "answered":
        yield Query("keep_version", {**here, "now": now})
        for part in (yield Query("drop_attachments", here)):
            where = {"team": part["team_id"], "channel": part["channel_id"], "ts": part["ts"]}
            yield Query("record_orphan", {**where, **here})
    yield Query("reopen_turn", {**here, "fence": fence, "now": now})
    yield Query("drop_answer", here)


def _turn(conversation: Row, turn: Row, now: int, *, how: How = "claimed") -> Transaction[Turn]:
    resumed = how != "claimed"
    said = yield Query("turn_input", {"turn": turn["id"]})
    parts = yield Query("turn_parts", {"turn": turn["id"]})
    here = {"team": conversation["team_id"], "channel": conversation["channel_id"]}
    chosen = {row["name"]: row["value"] for row in (yield Query("channel_settings", here))}
    asked = [row for row in said if row["addressed"] and row["deleted_at"] is None]
    doubt = {"turn": turn["id"], "asked": asked[-1]["ts"] if asked else ""}
    doubtful = bool(asked) and how != "again" and bool((yield Query("is_doubtful", doubt)))
    before: dict[str, Any] = dict(turn) if "answer" in turn.keys() else {}  # noqa: SIM118  a Row is no dict
    earlier = (yield Query("newest_version", {"turn": turn["id"]})) if resumed else []
    return Turn(
        id=turn["id"],
        conversation=conversation["id"],
        seq=turn["seq"],
        fence=conversation["fence"],
        thread=ThreadKey(conversation["team_id"], conversation["channel_id"], conversation["thread_ts"]),
        direct=bool(conversation["direct"]),
        asker=asked[-1]["user_id"] if asked else "",
        question_ts=asked[-1]["ts"] if asked else "",
        newest_ts=said[-1]["ts"] if said else conversation["thread_ts"],
        called_ts=max((max(row["ts"], row["edit_ts"]) for row in said), default=conversation["thread_ts"]),
        askers=tuple(dict.fromkeys(row["user_id"] for row in asked)),
        summoned=bool(conversation["direct"] or earlier) or any(row["summons"] for row in asked),
        resumed=resumed,
        how=how,
        waited=(now - min((row["created_at"] for row in asked), default=now)) / 1000,
        deaths=before.get("deaths", 0),
        backfill=bool(conversation["backfill"]),
        stopping=before.get("stop_asked"),
        answer=before.get("answer"),
        earlier=earlier[0]["text"] if earlier else "",
        stop_reason=before.get("stop_reason", ""),
        parts=tuple(Part(row["ts"], row["kind"], row["part"]) for row in parts),
        about=_about(conversation),
        doubtful=doubtful,
        instructions=chosen.get("instructions", ""),
        model=chosen.get("model", ""),
    )


def _about(conversation: Row) -> ThreadKey | None:
    channel, thread = conversation["about_channel"], conversation["about_thread"]
    return ThreadKey(conversation["team_id"], channel, thread) if channel else None


def _hold(turn: Turn) -> Transaction[bool]:
    return bool((yield Query("hold", {"conversation": turn.conversation, "fence": turn.fence})))


def extend(turn: Turn, lease: int, steps: Sequence[Step]) -> Transaction[tuple[bool, str | None]]:
    """Keep the lease: whether it is still ours, and why the turn should end."""
    now = yield from clock()
    rows = yield Query(
        "extend",
        {
            "conversation": turn.conversation,
            "fence": turn.fence,
            "turn": turn.id,
            "until": now + lease,
        },
    )
    if not rows:
        there = yield Query("is_there", {"conversation": turn.conversation})
        return (False, None) if there else (True, "forgotten")
    yield from _note(turn.id, steps)
    return True, rows[0]["stop_asked"]


def restart(turn: Turn) -> Transaction[Turn | None]:
    """The turn with its input as it is now, to be answered anew; None where it is not ours any more."""
    if not (yield from _hold(turn)):
        return None
    conversation = yield Query("conversation", {"conversation": turn.conversation})
    rows = yield Query("begin_anew", {"turn": turn.id})
    # What an earlier try left may not be taken up yet: it is the turn of a dead owner still, if it was.
    anew = yield from _turn(conversation[0], rows[0], (yield from clock()), how=turn.how)
    summoned = anew.summoned or bool(turn.earlier)
    return replace(anew, earlier=turn.earlier, summoned=summoned, deaths=turn.deaths)


def backfill(turn: Turn, lines: Sequence[Line], *, last: bool) -> Transaction[bool]:
    """Put what Slack knows of the thread before its first turn; what is stored already stays as it is.

    `last`: with these lines it is read. Until then the next owner reads it anew.
    """
    source = turn.about or turn.thread
    for channel in sorted({turn.thread.channel, source.channel}):
        yield Query("hold_channel", {"team": turn.thread.team, "channel": channel})
    if not (yield from _hold(turn)):
        return False
    now = yield from clock()
    first = yield Query("before_turn", {"conversation": turn.conversation, "now": now})
    for line in lines:
        # What is newer comes by its own event, to be answered; what was deleted since it was read stays away.
        where = {"team": turn.thread.team, "channel": source.channel, "ts": line.ts}
        if line.ts > turn.called_ts or (yield Query("is_tombstone", where)):
            continue
        author = line.author if line.role == "user" else ""
        if (yield from forgotten(source, line.ts, author, late=True)):
            continue
        if turn.about is not None:
            where |= {"channel": turn.thread.channel, "ts": ts_of(line.ts, turn.thread)}
        yield Query(
            "add_message",
            {
                **where,
                "conversation": turn.conversation,
                "role": line.role,
                "author": line.author,
                "text": line.text,
                "files": files_json(line.files),
                "addressed": 0,
                "summons": 0,
                "external": None if line.unsure else int(line.external),
                "bot": int(line.bot),
                "turn": first[0]["id"],
                "edit_ts": "",
                "event": "",
                "reason": "",
                "now": now,
            },
        )
    if last:
        yield Query("filled", {"conversation": turn.conversation})
    return True


def dismiss(turn: Turn, authors: Sequence[str], reason: str) -> Transaction[tuple[bool, tuple[str, ...]]]:
    """Make the words of these people history: whether the lease is still ours, and who is due a note."""
    if not (yield from _hold(turn)):
        return False, ()
    due: list[str] = []
    for author in authors:
        yield Query("dismiss", {"turn": turn.id, "author": author, "reason": f"not allowed to ask: {reason}"})
        if (yield from note_due(turn.thread.team, author, counted_as(reason), DAY)):
            due.append(author)
    return True, tuple(due)


def record_part(turn: Turn, part: Part, steps: Sequence[Step]) -> Transaction[bool]:
    """A Slack message was made: ours if the lease still is, else an orphan."""
    where = {"team": turn.thread.team, "channel": turn.thread.channel, "ts": part.ts, "turn": turn.id}
    yield from hold_message(turn.thread.team, turn.thread.channel, part.ts)  # somebody may delete it already
    held = yield from _hold(turn)
    if held:
        yield from _note(turn.id, steps)
        yield Query("record_part", {**where, "part": part.part, "kind": part.kind})
        yield Query("forget_orphan", {"team": where["team"], "channel": where["channel"], "ts": where["ts"]})
    else:
        yield Query("record_orphan", where)
    return held


def record_answer(turn: Turn, answer: str, stop: Stop, steps: Sequence[Step]) -> Transaction[bool]:
    """The whole answer: after this the model is not asked again."""
    if not (yield from _hold(turn)):
        return False
    now = yield from clock()
    yield from _note(turn.id, [*steps, Step(now, "recorded", f"{len(answer)} characters")])
    yield Query(
        "record_answer",
        {
            "turn": turn.id,
            "answer": answer,
            "reason": stop.reason,
            "request": stop.request_id,
            "input": stop.usage.input,
            "output": stop.usage.output,
            "cache_read": stop.usage.cache_read,
            "cache_write": stop.usage.cache_write,
            "size": stop.usage.total,
        },
    )
    return True


def finish(turn: Turn, end: Finish, steps: Sequence[Step]) -> Transaction[tuple[bool, bool]]:
    """Close the turn, keep its answer, give the lease back: whether it was ours, and whether more waits."""
    if not (yield from _hold(turn)):
        return False, False
    now = yield from clock()
    yield from _note(turn.id, steps)
    here = {"conversation": turn.conversation}
    key = turn.thread
    for ts in end.surplus:
        where = {"team": key.team, "channel": key.channel, "ts": ts}
        yield Query("drop_part", where)
        yield Query("record_orphan", {**where, "turn": turn.id})
    state, answer = end.state, end.answer
    if state == "cancelled" and not answer and turn.earlier:
        # Nothing came of answering it again: what stands there holds.
        yield Query("take_version", {"turn": turn.id})
        state, answer = "answered", turn.earlier
    yield Query(
        "close_turn",
        {"turn": turn.id, "state": state, "error": end.error, "reason": end.reason, "now": now},
    )
    if end.state == "silent" and not turn.summoned:
        yield Query("call_summons", {"turn": turn.id})
    shown = yield Query("first_part", {"turn": turn.id})
    deleted = yield Query("was_deleted", {"turn": turn.id})
    if answer and shown and not deleted:
        yield Query(
            "add_answer",
            {
                **here,
                "team": key.team,
                "channel": key.channel,
                "ts": shown[0]["ts"],
                "text": answer,
                "turn": turn.id,
                "now": now,
            },
        )
    yield Query("unlease", {**here, "fence": turn.fence, "not_before": 0})
    yield from line_up(turn.conversation, now, again=True)
    rows = yield Query("settle_pending", here)
    return True, rows[0]["pending_at"] is not None


def release(turn: Turn, delay: int, steps: Sequence[Step]) -> Transaction[None]:
    """Give the lease back with the turn still open, for `delay` milliseconds."""
    now = yield from clock()
    here = {"conversation": turn.conversation, "fence": turn.fence}
    if (yield Query("unlease", {**here, "not_before": now + delay if delay else 0})):
        yield from _note(turn.id, steps)


def retry(turn_id: int) -> Transaction[Ingested]:
    """Queue a failed turn to be tried again."""
    yield Query("hold_turn", {"turn": turn_id})
    now = yield from clock()
    rows = yield Query("ask_retry", {"turn": turn_id})
    if not rows:
        return Ingested("nothing to try again: the turn has not failed")
    if rows[0]["state"] == "open":
        return Ingested("retry, should the turn fail")
    yield from line_up(rows[0]["conversation_id"], now)
    yield Query("settle_pending", {"conversation": rows[0]["conversation_id"]})
    return Ingested("retry", wake=True)


def again(turn_id: int, user: str) -> Transaction[Ingested]:
    """Queue a turn to be answered again."""
    yield Query("hold_turn", {"turn": turn_id})
    rows = yield Query("again_of", {"turn": turn_id, "user": user})
    if not rows:
        return Ingested("no such turn", note="again_unknown")
    found = rows[0]
    if not found["asked"]:
        return Ingested("not asked by them", note="again_not_yours")
    if not found["newest"]:
        return Ingested("not the newest answer", note="again_older")
    if found["state"] == "open":
        return Ingested("being answered", note="again_busy")
    if found["state"] == "failed":
        return (yield from retry(turn_id))
    if not found["answered"]:
        return Ingested("no answer", note="again_unknown")
    now = yield from clock()
    yield Query("ask_again", {"turn": turn_id})
    yield from line_up(found["conversation_id"], now)
    yield Query("settle_pending", {"conversation": found["conversation_id"]})
    return Ingested("again", wake=True)


def recover(settle: int) -> Transaction[int]:
    """End every lease: at the start of the only process their owners are dead."""
    now = yield from clock()
    return len((yield Query("end_leases", {"not_before": now + settle})))


_LONGEST_WAIT = 5 * 60 * 1000
"""Milliseconds; longer than any turn is put off, or waits for its calls to settle."""


def sweep() -> Transaction[int]:
    """Mend what must not be, purge what is old. How many conversations had been overlooked."""
    now = yield from clock()
    overlooked = yield Query("unnoticed")
    for row in overlooked:
        yield Query("hold_conversation", {"conversation": row["id"]})
    for row in overlooked:
        yield from line_up(row["id"], now)
        yield Query("settle_pending", {"conversation": row["id"]})
    yield Query("bring_back", {"latest": now + _LONGEST_WAIT})
    yield Query("purge_inbox", {"before": now - 7 * DAY})
    yield Query("purge_tombstones", {"before": now - 7 * DAY})
    yield Query("purge_workers", {"before": now - DAY})
    return len(overlooked)
