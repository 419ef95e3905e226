"""The transactions by which things are forgotten: a thread, a person, a workspace, what is old.

What goes is deleted, or where its row keeps something else from being taken in twice, emptied; the disk
follows with the next scrub. That it stays forgotten is a row of `forgotten`, with ids and times alone: a
late event, a redelivery, a thread that is read from Slack again bring nothing back. Of what grows old there
is no such row: the next mention may read it again.

A turn that is being answered loses its conversation, hence its fence: its owner can write nothing more. No
number of a turn or a conversation is given twice, as buttons in Slack and a stale owner still know it. So
the newest of each stays as an empty husk, of no workspace, until there is a newer one.

Answers in shared threads stay when a person is forgotten: they were given to all, and stand in Slack. In a
person's DMs they go with the rest.
"""

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

from bot.conversation import ThreadKey
from bot.insight import Erased
from storage.arrivals import DAY, clock, hold_thread, stamp
from storage.connector import Query, Row, Transaction

_HEARD = 3600 * 1000
"""Milliseconds: whoever answers a forgotten thread has heard of it by then."""
_COUNTS = tuple(field.name for field in fields(Erased) if field.name != "ends")


def thread(key: ThreadKey) -> Transaction[Erased]:
    """Forget a thread, and the private conversations about it."""
    where = {"team": key.team, "channel": key.channel, "thread": key.thread_ts}
    yield from hold_thread(key)
    found = yield Query("conversations_about", where)
    places = {(row["channel_id"], row["thread_ts"]) for row in found}
    gone = yield from _conversations(found, key.team)
    if (key.channel, key.thread_ts) not in places:
        yield from _stays_forgotten(key.team, channel=key.channel, thread=key.thread_ts)
    return gone


def person(team: str, user: str) -> Transaction[Erased]:
    """Forget somebody: their words everywhere, their DMs whole, their name."""
    now = yield from clock()
    whose = {"team": team, "user": user}
    known = (yield Query("words_by", whose))[0]["newest_message"]
    gone = yield from _conversations((yield Query("direct_of", whose)), team)
    for row in (yield Query("spoken_in", whose)):
        yield Query("hold_conversation", {"conversation": row["conversation_id"]})
    left = (yield Query("words_by", whose))[0]
    gone = _sum(gone, Erased(**{name: left[name] for name in _COUNTS}))
    waiting = yield Query("waiting_with", whose)
    being_answered = yield Query("open_turns_with", whose)
    yield Query("spoil_summaries_with", whose)
    yield Query("drop_versions_for", whose)
    yield Query("detach_all_of", whose)
    yield Query("drop_feedback_of", whose)
    yield Query("blank_all_of", {**whose, "now": now})
    yield Query("unname_asker", whose)
    yield Query("unname_setter", whose)
    yield Query("drop_person", whose)
    yield Query("drop_notes_of", whose)
    yield Query("unname_calls", {**whose, "before": now - now % DAY})
    for row in waiting:
        yield Query("settle_pending", {"conversation": row["conversation_id"]})
    ends = yield from _end([row["id"] for row in being_answered])
    yield from _stays_forgotten(team, user=user, known=known)
    return replace(gone, ends=gone.ends + ends)


def team(team: str) -> Transaction[Erased]:
    """Forget a workspace. Of its ledger the numbers stay."""
    whose = {"team": team}
    gone = yield from _conversations((yield Query("conversations_of", whose)))
    names = (yield Query("names_in", whose))[0]["names"]
    yield Query("drop_team_people", whose)
    yield Query("drop_team_notes", whose)
    yield Query("drop_team_settings", whose)
    yield Query("drop_team_events", whose)
    yield Query("drop_team_tombstones", whose)
    yield Query("drop_team_orphans", whose)
    yield Query("drop_team_heard", whose)
    yield Query("drop_team_forgotten", whose)
    yield Query("unname_team_calls", whose)
    yield from _stays_forgotten(team, known=stamp((yield from clock())))
    return replace(gone, names=names)


def old(age: int, limit: int) -> Transaction[Erased]:
    """Forget up to `limit` conversations in which nothing was said for `age` milliseconds."""
    now = yield from clock()
    before = now - age
    found = yield Query("idle", {"before": before, "before_ts": stamp(before), "limit": limit})
    return (yield from _conversations(found))


def old_names(age: int) -> Transaction[int]:
    """Names of people of whom nothing is kept, and whose the calls were: how many names went."""
    now = yield from clock()
    for team in (yield Query("spenders")):
        yield Query("unname_old_calls", {"team": team["id"], "before": now - age})
    gone = yield Query("drop_old_people", {"before": now - age})
    return len(gone)


def sweep() -> Transaction[None]:
    """Let go of what was needed a while longer."""
    now = yield from clock()
    yield Query("clear_turns", {"before": now - _HEARD})
    yield Query("clear_conversations")
    yield Query("purge_forgotten_teams", {"before": now - 7 * DAY})
    yield Query("purge_restored", {"before": now - 7 * DAY})
    for row in (yield Query("lately_forgotten", {"since": now - 3 * DAY})):
        before = min(now - now % DAY, row["forgotten_at"] + 1)
        yield Query("unname_calls", {"team": row["team_id"], "user": row["user_id"], "before": before})


def what_thread(key: ThreadKey) -> Transaction[Erased]:
    """What would be forgotten with a thread."""
    where = {"team": key.team, "channel": key.channel, "thread": key.thread_ts}
    return (yield from _counted((yield Query("conversations_about", where))))


def what_person(team: str, user: str) -> Transaction[Erased]:
    """What would be forgotten of somebody, in their DMs Bobbin's answers too."""
    whose = {"team": team, "user": user}
    private = yield from _counted((yield Query("direct_of", whose)))
    own = (yield Query("words_by", whose))[0]
    return replace(Erased(**{name: own[name] for name in _COUNTS}), answers=own["answers"] + private.answers)


def what_team(team: str) -> Transaction[Erased]:
    """What would be forgotten of a workspace."""
    counted = yield from _counted((yield Query("conversations_of", {"team": team})))
    return replace(counted, names=(yield Query("names_in", {"team": team}))[0]["names"])


def teams() -> Transaction[list[str]]:
    """The workspaces of which something is kept."""
    return [row["team_id"] for row in (yield Query("teams"))]


def starter(key: ThreadKey) -> Transaction[str]:
    """Who wrote a thread's first message; empty where that is not kept."""
    where = {"team": key.team, "channel": key.channel, "thread": key.thread_ts}
    rows = yield Query("starter", where)
    return str(rows[0]["user_id"]) if rows else ""


def _conversations(found: Collection[Row], team: str = "") -> Transaction[Erased]:
    """Forget these; where their `team` is given, they stay forgotten."""
    gone = Erased()
    now = yield from clock()
    for row in found:
        here = {"conversation": row["id"]}
        yield Query("hold_conversation", here)
        held = (yield Query("words_in", here))[0]
        being_answered = yield Query("open_turn_of", here)
        yield Query("drop_messages", here)
        yield Query("drop_summary", here)
        yield Query("drop_conversation_versions", here)
        yield Query("drop_conversation_feedback", here)
        yield Query("drop_conversation_steps", here)
        yield Query("drop_conversation_parts", here)
        yield Query("empty_turns", {**here, "now": now})
        yield Query("empty_conversation", here)
        ends = tuple((turn["id"], "forgotten") for turn in being_answered)
        gone = _sum(gone, replace(_of(held), ends=ends))
        if team:
            known = max(held["newest_message"], held["newest_part"])
            yield from _stays_forgotten(team, channel=row["channel_id"], thread=row["thread_ts"], known=known)
    if found:
        yield Query("clear_turns", {"before": now - _HEARD})
        yield Query("clear_conversations")
    return gone


def _counted(found: Collection[Row]) -> Transaction[Erased]:
    counted = Erased()
    for row in found:
        counted = _sum(counted, _of((yield Query("words_in", {"conversation": row["id"]}))[0]))
    return counted


def _of(held: Row) -> Erased:
    """What one conversation holds."""
    names = ("messages", "answers", "files", "summaries", "feedback")
    return Erased(threads=1, **{name: held[name] for name in names})


def _sum(one: Erased, other: Erased) -> Erased:
    sums: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in _COUNTS}
    return Erased(**sums, ends=one.ends + other.ends)


def _end(turns: Collection[int]) -> Transaction[tuple[tuple[int, str], ...]]:
    """Words of these open turns are gone: what is left of them is answered anew, or they end."""
    ends: list[tuple[int, str]] = []
    for turn in turns:
        if (yield Query("count_addressed", {"turn": turn}))[0]["count"]:
            yield Query("ask_anew", {"turn": turn})
            ends.append((turn, "edited"))
        else:
            yield Query("ask_stop", {"turn": turn, "why": "deleted"})
            ends.append((turn, "deleted"))
    return tuple(ends)


def _stays_forgotten(
    team: str, *, user: str = "", channel: str = "", thread: str = "", known: str = ""
) -> Transaction[None]:
    now = yield from clock()
    what = {"team": team, "user": user, "channel": channel, "thread": thread}
    yield Query("keep_forgotten", {**what, "known": known, "until": max(known, stamp(now)), "now": now})
