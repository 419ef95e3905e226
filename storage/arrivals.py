"""The transactions by which events arrive: each is whole on the disk before Slack gets its ack.

Every event is noted by its id when it changes something, so that a redelivery changes nothing; a message
is kept once by (team, channel, ts), whichever events bring it, in whatever order.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, get_args

from bot.conversation import ThreadKey
from bot.events import Deleted, Edited, File, Inquiry, Muted, Posted, Stopped
from bot.policy import (
    EDIT_COUNTS_AS_NEW_SECONDS,
    Answer,
    Decision,
    Ignore,
    Keep,
    Obey,
    ThreadState,
    counted_as,
    same_words,
    seconds_between,
)
from bot.ports import Ingested
from storage import quotes
from storage.connector import Query, Row, Transaction
from storage.files import detach

Decide = Callable[[ThreadState | None], Decision]


_COMES_LATE_SECONDS = 15 * 60
"""Slack's last redelivery comes some six minutes after the first try."""
_OFFERED_WITHIN = 10 * 60 * 1000
"""Milliseconds: who changes a question so soon after its answer may want another one."""


def files_json(files: Sequence[File]) -> str:
    """As the column `files` holds them; what is empty is left out."""
    return json.dumps([{key: value for key, value in asdict(file).items() if value} for file in files])


def clock() -> Transaction[int]:
    """Now, in milliseconds, by the database's clock."""
    rows = yield Query("now")
    return int(rows[0]["now"])


def stamp(milliseconds: int) -> str:
    """A moment as Slack writes it."""
    return f"{milliseconds / 1000:.6f}"


def hold_message(team: str, channel: str, ts: str) -> Transaction[None]:
    """What is said of one Slack message is taken in by one worker at a time (`storage/connector.py`)."""
    yield Query("hold_message", {"team": team, "channel": channel, "ts": ts})


def hold_thread(key: ThreadKey, ts: str = "") -> Transaction[None]:
    """A thread's conversation stays as it is, and so does that of a message, should it be another one."""
    where = {"team": key.team, "channel": key.channel, "thread": key.thread_ts}
    yield Query("hold_thread", {**where, "ts": ts})


def noted(team: str, event_id: str, outcome: str, shape: str | None = None) -> Transaction[bool]:
    """Remember an event; False when it was handled before."""
    now = yield from clock()
    rows = yield Query(
        "note_event", {"team": team, "event": event_id, "outcome": outcome, "shape": shape, "now": now}
    )
    return bool(rows)


def post(message: Posted, decide: Decide, edit_ts: str = "") -> Transaction[Ingested]:
    """Take a message in, if the policy wants it."""
    key = message.thread
    yield from hold_message(key.team, key.channel, message.ts)
    if (yield Query("handled", {"team": key.team, "event": message.event_id})):
        return Ingested("duplicate")
    where = {"team": key.team, "channel": key.channel, "ts": message.ts}
    if known := (yield Query("find_message", where)):
        return (yield from _twin(message, known[0], decide))
    if (yield Query("is_tombstone", where)):
        return Ingested("deleted before it came")
    yield from hold_thread(key)
    if (yield from forgotten(key, message.ts, message.author, late=message.late)):
        return Ingested("said before it was forgotten")
    conversation, state = yield from _conversation(message)
    if conversation is not None and not (message.mentions_me or message.direct):
        before = yield Query("not_called_yet", {"conversation": conversation, "ts": message.ts})
        if before:
            return Ingested("said before I was called: it comes with the thread")
    decision = decide(state)
    if isinstance(decision, Ignore):
        return (yield from _told(message, Ingested(decision.reason, decision=decision), decision.note))
    if isinstance(decision, Obey):
        return (yield from _obey(message, decision, conversation))
    kept = yield from _keep(message, decision, edit_ts)
    return (yield from _told(message, kept, decision.note)) if isinstance(decision, Keep) else kept


def edit(edited: Edited, decide: Decide) -> Transaction[Ingested]:
    """Follow an edit; one that calls Bobbin is answered like a new message."""
    message = edited.message
    key = message.thread
    yield from hold_message(key.team, key.channel, message.ts)
    if (yield Query("handled", {"team": key.team, "event": message.event_id})):
        return Ingested("duplicate")
    yield from quotes.changed(key, message.ts, message.text, files_json(message.files), edited.edited_ts)
    yield from hold_thread(key, message.ts)
    found = yield Query("find_message", {"team": key.team, "channel": key.channel, "ts": message.ts})
    if not found:
        if seconds_between(message.ts, edited.edited_ts) > EDIT_COUNTS_AS_NEW_SECONDS:
            return Ingested("an edit of an old message that is not known")
        return (yield from post(message, decide, edited.edited_ts))
    known = found[0]
    if known["deleted_at"] is not None or known["role"] != "user":
        return Ingested("an edit that came too late")
    if known["edit_ts"] >= edited.edited_ts:  # newer words are there, but whoever called is answered
        called = yield from _call(message, known, decide)
        return Ingested("an edit that came too late", wake=called)
    files = files_json(message.files)
    # Also where nothing changes: an older edit that comes later must not change it back.
    yield Query(
        "rewrite_message",
        {"message": known["id"], "text": message.text, "files": files, "edit_ts": edited.edited_ts},
    )
    yield from detach(known["id"], [file.id for file in message.files if file.state != "gone"])
    if message.text == known["text"] and files == known["files"]:
        return Ingested("an edit that changed nothing")
    yield Query("spoil_summary", {"message": known["id"]})
    yield from noted(key.team, message.event_id, "edited")
    if (yield from _call(message, known, decide)):
        return Ingested("edited", wake=True)
    if not known["addressed"] or known["turn_id"] is None or same_words(known["text"], message.text):
        return Ingested("edited")
    return (yield from _outdated(known["turn_id"], message.author))


def delete(deleted: Deleted) -> Transaction[Ingested]:
    """Let the words go. A turn in which nothing is left to answer must end."""
    where = {"team": deleted.team, "channel": deleted.channel, "ts": deleted.ts}
    yield from hold_message(**where)
    if (yield Query("handled", {"team": deleted.team, "event": deleted.event_id})):
        return Ingested("duplicate")
    now = yield from clock()
    yield from quotes.gone(deleted.team, deleted.channel, deleted.ts, now)
    yield Query("hold_thread", {**where, "thread": ""})
    found = yield Query("find_message", where)
    parts = yield Query("find_part", where)
    old = seconds_between(deleted.ts, deleted.at) > _COMES_LATE_SECONDS
    # The original of an old one is not on its way any more, unless its thread is read just now.
    if not found and not parts and old and not (yield Query("being_read", where)):
        return Ingested("a deletion of what is not kept")
    yield from noted(deleted.team, deleted.event_id, "deleted")
    if not found:
        for part in parts:
            yield Query("drop_versions", {"turn": part["turn_id"]})
            for answer in (yield Query("blank_answer", {"turn": part["turn_id"], "now": now})):
                yield Query("spoil_summary", {"message": answer["id"]})
        yield Query("bury", {**where, "now": now})
        return Ingested("deleted")
    known = found[0]
    yield Query("blank_message", {"message": known["id"], "now": now})
    yield from detach(known["id"])
    yield Query("spoil_summary", {"message": known["id"]})
    if known["role"] == "assistant":
        yield Query("drop_versions", {"turn": known["turn_id"]})
    if known["turn_id"] is None:
        yield Query("settle_pending", {"conversation": known["conversation_id"]})
        return Ingested("deleted")
    if known["turn_state"] != "open":
        return Ingested("deleted")
    left = yield Query("count_addressed", {"turn": known["turn_id"]})
    if left[0]["count"]:
        return Ingested("deleted")
    return Ingested("deleted", wake=True, stop=(yield from _end(known["turn_id"], "deleted")))


def _outdated(turn: int, author: str) -> Transaction[Ingested]:
    """A question was changed: its answer begins anew, or its author is offered a new one."""
    if (yield Query("ask_anew", {"turn": turn})):
        yield Query("tell")
        return Ingested("edited", wake=True, stop=(turn, "edited"))
    now = yield from clock()
    found = (yield Query("again_of", {"turn": turn, "user": author}))[0]
    recent = found["state"] == "answered" and now - found["finished_at"] <= _OFFERED_WITHIN
    offered = recent and found["answered"] and found["asked"] and found["newest"]
    return Ingested("edited", offer=turn if offered else None)


def stop(stopped: Stopped) -> Transaction[Ingested]:
    """End the turn that this thread is working on, if any."""
    key = stopped.thread
    yield from hold_thread(key)
    if not (yield from noted(key.team, stopped.event_id, "stopped")):
        return Ingested("duplicate")
    found = yield from _find(key.team, key.channel, key.thread_ts)
    if found is None:
        return Ingested("nothing to stop: this thread did not call me")
    return (yield from _stop(found["id"], stopped.at))


def mute(muted: Muted) -> Transaction[Ingested]:
    """🔕 on the first message of a joined thread."""
    yield from hold_thread(ThreadKey(muted.team, muted.channel, muted.ts))
    found = yield from _find(muted.team, muted.channel, muted.ts)
    if found is None:
        return Ingested("a reaction that mutes nothing")
    if not (yield from noted(muted.team, muted.event_id, "muted")):
        return Ingested("duplicate")
    yield Query("set_muted", {"conversation": found["id"], "muted": int(muted.muted)})
    return Ingested("muted" if muted.muted else "woken")


def line_up(
    conversation: int, now: int, asker: str | None = None, *, again: bool = False
) -> Transaction[None]:
    """Give a conversation its place in the line, where it has none; `again`: a new one."""
    whose = {"conversation": conversation, "asker": asker, "again": int(again)}
    yield Query("hold_line", whose)
    yield Query("line_up", {**whose, "now": now})


def forgotten(thread: ThreadKey, ts: str, author: str, *, late: bool) -> Transaction[bool]:
    """Whether a message belongs to what must stay forgotten. `late`: it may be older than it comes."""
    whose = {"team": thread.team, "channel": thread.channel, "thread": thread.thread_ts}
    return bool((yield Query("is_forgotten", {**whose, "ts": ts, "author": author, "late": int(late)})))


def note_due(team: str, user: str, reason: str, every: int) -> Transaction[bool]:
    """Take the right to tell somebody something, once in `every` milliseconds."""
    now = yield from clock()
    rows = yield Query(
        "note_due", {"team": team, "user": user, "reason": reason, "now": now, "before": now - every}
    )
    return bool(rows)


DAY = 24 * 3600 * 1000


def _told(message: Posted, ingested: Ingested, note: str | None) -> Transaction[Ingested]:
    if note is None or not (yield from note_due(message.thread.team, message.author, counted_as(note), DAY)):
        return ingested
    return replace(ingested, note=note)


def _find(team: str, channel: str, thread_ts: str) -> Transaction[Row | None]:
    rows = yield Query("find_conversation", {"team": team, "channel": channel, "thread": thread_ts})
    return rows[0] if rows else None


def _conversation(message: Posted) -> Transaction[tuple[int | None, ThreadState | None]]:
    key = message.thread
    row = yield from _find(key.team, key.channel, key.thread_ts)
    if row is None:
        return None, None
    return row["id"], ThreadState(muted=bool(row["muted"]), last_ts=row["last_ts"] or message.ts)


def _keep(message: Posted, decision: Answer | Keep, edit_ts: str) -> Transaction[Ingested]:
    key = message.thread
    answered = isinstance(decision, Answer)
    outcome = "addressed" if answered else "message"
    yield from noted(key.team, message.event_id, outcome)
    now = yield from clock()
    rows = yield Query(
        "join",
        {
            "team": key.team,
            "channel": key.channel,
            "thread": key.thread_ts,
            "direct": int(message.direct),
            "backfill": int(
                not message.top_level or message.late or edit_ts != "" or message.about is not None
            ),
            "about_channel": message.about.channel if message.about else "",
            "about_thread": message.about.thread_ts if message.about else "",
            "now": now,
        },
    )
    conversation = rows[0]["id"]
    yield Query(
        "add_message",
        {
            "conversation": conversation,
            "team": key.team,
            "channel": key.channel,
            "ts": message.ts,
            "role": "user",
            "author": message.author,
            "text": message.text,
            "files": files_json(message.files),
            "addressed": int(answered),
            "summons": int(isinstance(decision, Answer) and decision.summoned),
            "external": None if message.external is None else int(message.external),
            "bot": int(bool(message.bot)),
            "turn": None,
            "edit_ts": edit_ts,
            "event": message.event_id,
            "reason": "" if isinstance(decision, Answer) else decision.reason,
            "now": now,
        },
    )
    yield from _stir(conversation, message, now, pending=answered)
    return Ingested(outcome, wake=answered, decision=decision)


def _stir(conversation: int, message: Posted, now: int, *, pending: bool) -> Transaction[None]:
    if pending:
        yield from line_up(conversation, now, message.author)
    stirred: dict[str, Any] = {
        "conversation": conversation,
        "ts": message.ts,
        "author": message.author,
        "pending": int(pending),
        "now": now,
    }
    yield Query("stir", stirred)


def _twin(message: Posted, known: Row, decide: Decide) -> Transaction[Ingested]:
    """The same message by another event. It can only be news where this one calls and the first did not."""
    if not _new_call(message, known):
        return Ingested("duplicate")  # and no claim has to pass its thread by
    yield from hold_thread(message.thread, message.ts)
    where = {"team": message.thread.team, "channel": message.thread.channel, "ts": message.ts}
    called = yield from _call(message, (yield Query("find_message", where))[0], decide)
    return Ingested("edited" if called else "duplicate", wake=called)


def _new_call(message: Posted, known: Row) -> bool:
    return message.mentions_me and not known["summons"] and known["deleted_at"] is None


def _call(message: Posted, known: Row, decide: Decide) -> Transaction[bool]:
    """A mention that was not there before: the message is answered (again) like a new one."""
    if not _new_call(message, known):
        return False
    if known["turn_state"] == "open" and known["addressed"]:
        # It is being answered already. Should that turn choose to be silent, it is answered after all.
        yield Query("summon", {"message": known["id"]})
        return False
    _, state = yield from _conversation(message)
    if not isinstance(decide(state), Answer):
        return False
    now = yield from clock()
    yield Query("call_message", {"message": known["id"]})
    yield from _stir(known["conversation_id"], message, now, pending=True)
    return True


def _obey(message: Posted, decision: Obey, conversation: int | None) -> Transaction[Ingested]:
    key = message.thread
    # By its place: a command that mentions Bobbin comes as two events, and the second must not stop more.
    if not (yield from noted(key.team, f"{key.channel}/{message.ts}", decision.command)):
        return Ingested("duplicate")
    if decision.command == "stop":
        stopped = Ingested("nothing to stop")
        if conversation is not None:
            stopped = yield from _stop(conversation, message.ts)
        return replace(stopped, decision=decision)
    if decision.command in get_args(Inquiry):
        return Ingested(decision.command, decision=decision, note=decision.command)
    muted = decision.command == "mute"
    if conversation is not None:
        yield Query("set_muted", {"conversation": conversation, "muted": int(muted)})
    note = "muted" if muted else "woken"
    return Ingested(note, decision=decision, note=note)


def _stop(conversation: int, at: str) -> Transaction[Ingested]:
    """End the open turn; but not where this was said or pressed before its question, and comes late."""
    rows = yield Query("open_turn_of", {"conversation": conversation})
    if not rows:
        return Ingested("nothing to stop")
    asked = yield Query("turn_input", {"turn": rows[0]["id"]})
    if at and any(row["ts"] > at and row["addressed"] for row in asked):
        return Ingested("nothing to stop")
    return Ingested("stopped", wake=True, stop=(yield from _end(rows[0]["id"], "stopped")))


def _end(turn: int, why: str) -> Transaction[tuple[int, str]]:
    """Note that an open turn must end, for whichever worker has it."""
    yield Query("ask_stop", {"turn": turn, "why": why})
    yield Query("tell")
    return turn, why
