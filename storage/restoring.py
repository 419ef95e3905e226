"""The transactions once a backup took a database's place: what was said and done since is in Slack alone.

Turns that the backup holds open, and questions that Slack delivers again, may have been answered since.
Each such turn is first compared with what stands in its thread (`reconcile`). Nothing there is written,
changed or deleted for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.conversation import ThreadKey
from bot.events import Deleted
from bot.ports import Finish, Part, Seen, Turn
from storage import erasure, turns
from storage.arrivals import clock, delete, stamp
from storage.connector import Query, Transaction

_SKIPPED = 10_000
"""More turns than are made between two backups."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What a database knows to be forgotten or deleted: so it must be in one that takes its place."""

    forgotten: tuple[tuple[str, str, str, str, int], ...] = ()
    """Team, user, channel, thread, and when (Unix milliseconds)."""
    deleted: tuple[tuple[str, str, str], ...] = ()
    """Team, channel, ts."""


def gone() -> Transaction[Gone]:
    """All of it."""
    forgotten = yield Query("all_forgotten")
    names = ("team_id", "user_id", "channel_id", "thread_ts")
    rows = yield Query("deletions")
    return Gone(
        tuple((*(row[name] for name in names), row["forgotten_at"]) for row in forgotten),
        tuple((row["team_id"], row["channel_id"], row["ts"]) for row in rows),
    )


def restored(since: Gone) -> Transaction[int]:
    """A backup is about to be used. What is gone since goes here too: how much that was."""
    now = yield from clock()
    yield Query("note_restored", {"moment": stamp(now), "now": now})
    yield Query("forget_wishes")
    yield Query("forget_orphans")
    rows = yield Query("skip_conversations", {"skipped": _SKIPPED, "now": now})
    yield Query("skip_turns", {"skipped": _SKIPPED, "conversation": rows[0]["id"], "now": now})
    count = 0
    for team, user, channel, thread, at in since.forgotten:
        what = {"team": team, "user": user, "channel": channel, "thread": thread}
        known = yield Query("forgotten_since", what)
        if known and known[0]["forgotten_at"] >= at:
            continue  # it was forgotten before the backup was made
        count += 1
        if user:
            yield from erasure.person(team, user)
        elif channel:
            yield from erasure.thread(ThreadKey(team, channel, thread))
        else:
            yield from erasure.team(team)
    for team, channel, ts in since.deleted:
        found = yield Query("find_message", {"team": team, "channel": channel, "ts": ts})
        if found and found[0]["deleted_at"] is None:
            count += 1
            yield from delete(Deleted(f"restored/{channel}/{ts}", team, channel, ts))
    return count


def reconcile(turn: Turn, seen: Sequence[Seen]) -> Transaction[tuple[bool, Finish | None]]:
    """Whether the lease is still ours, and how the turn has ended, by the messages that stand in its thread.

    Its answer is the first whole one after its newest question. What stands between its questions answered
    the older ones; those after it wait. An answer that is not whole is gone on with, as after a crash.
    """
    if not (yield Query("hold", {"conversation": turn.conversation, "fence": turn.fence})):
        return False, None
    inputs = yield Query("turn_input", {"turn": turn.id})
    asked = [row["ts"] for row in inputs if row["addressed"] and row["deleted_at"] is None]
    own = {part.ts for part in turn.parts}
    rows = yield Query(
        "parts_in",
        {"conversation": turn.conversation, "team": turn.thread.team, "channel": turn.thread.channel},
    )
    others = {row["ts"] for row in rows} - own
    free = [each for each in seen if each.ts not in others and asked and each.ts > asked[0]]
    between = _whole([each for each in free if each.ts < asked[-1]])
    after = [each for each in free if each.ts > asked[-1]]
    ends = [number for number, each in enumerate(after, start=1) if each.last]
    reply = between + after[: ends[0]] if ends else between
    if not reply or (reply[-1].failed and reply[-1].ts in own):
        return True, None
    for number, each in enumerate(reply):
        part = Part(each.ts, "error" if each.failed else "answer", number)
        yield from turns.record_part(turn, part, ())
    if not ends:
        yield Query("ask_later", {"turn": turn.id, "ts": reply[-1].ts})
    text = "\n\n".join(each.text for each in reply if not each.failed)
    how = "answered before the database was restored"
    if text:
        return True, Finish("answered", text, reason=how)
    return True, Finish("failed", reason=how, error="the error stands in the thread")


def _whole(seen: list[Seen]) -> list[Seen]:
    """Without an end that no last part closes."""
    ends = [number for number, each in enumerate(seen, start=1) if each.last]
    return seen[: ends[-1]] if ends else []
