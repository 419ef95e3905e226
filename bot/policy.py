"""What is answered, by whom it may be asked, and the named reason when not. Pure; read it from top to bottom.

The reasons to be silent are sentences, so that the log explains itself. Where a reason concerns the
person who wrote, they are told privately, at most once a day (`NOTES`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.events import Command, Person, Posted

SILENT_AFTER_SECONDS = 7 * 24 * 3600
"""A thread in which nothing was said for so long is answered only by mention."""
EDIT_COUNTS_AS_NEW_SECONDS = 10 * 60
"""An edit of a message that is not known counts as a new message within this time."""

ReplyMode = Literal["auto", "mention"]
Admission = Literal["allow", "refuse"]

NOTES: Mapping[str, str] = {
    "channel": "I am not set up to answer in this channel. Whoever runs me can allow it.",
    "person": "I am not set up to answer you. Whoever runs me can allow it.",
    "external": "I only answer people of the organisation that runs me.",
    "guest": "I only answer full members of this workspace, not guests.",
    "muted": "Muted: in this thread I answer only when I am mentioned. Write `wake` to undo it.",
    "woken": "I am listening again in this thread.",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask, where, and how threads are followed (the settings of the same names)."""

    thread_replies: ReplyMode = "auto"
    external_users: Admission = "refuse"
    guests: Admission = "allow"
    allowed_channels: frozenset[str] = frozenset()
    allowed_users: frozenset[str] = frozenset()
    allowed_bots: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ThreadState:
    """What the store knows of a thread that Bobbin has joined."""

    muted: bool
    last_ts: str
    """ts of its newest message before this one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer it. `summoned`: Bobbin was called, so silence is no answer."""

    summoned: bool


@dataclass(frozen=True, slots=True)
class Keep:
    """Part of the thread's history, but not answered."""

    reason: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Ignore:
    """Not kept at all."""

    reason: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Obey:
    """A command word."""

    command: Command


Decision = Answer | Keep | Ignore | Obey


def decide(message: Posted, thread: ThreadState | None, rules: Rules) -> Decision:
    """Decide about a message. `thread` is None where Bobbin has not joined it."""
    called = message.mentions_me or (message.direct and not (thread is not None and thread.muted))
    if message.bot and rules.allowed_bots.isdisjoint((message.author, message.bot)):
        return _unanswered(thread, "other bots are not answered")
    if message.bot and not called:
        return _unanswered(thread, "an allowed bot is answered only when it mentions me")
    if not called and thread is None:
        return Ignore("other talk: this thread did not call me")
    if message.command is not None:  # anybody in the thread may stop, mute and wake
        return Obey(message.command)
    if refusal := _refusal(message, rules):
        note = refusal if called or _expects_answer(message, thread, rules) is None else None
        return _unanswered(thread, f"not allowed to ask: {refusal}", note)
    if called:
        return Answer(summoned=True)
    if reason := _expects_answer(message, thread, rules):
        return Keep(reason)
    return Answer(summoned=False)


def _refusal(message: Posted, rules: Rules) -> str | None:
    """Who may not ask here, as far as the event tells; the rest is looked up before the model is asked."""
    if rules.allowed_channels and not message.direct and message.thread.channel not in rules.allowed_channels:
        return "channel"
    if message.bot:
        return None
    if rules.allowed_users and message.author not in rules.allowed_users:
        return "person"
    if message.external and rules.external_users == "refuse":
        return "external"
    return None


def _expects_answer(message: Posted, thread: ThreadState | None, rules: Rules) -> str | None:
    """Why a reply in a joined thread that does not mention Bobbin is not answered; None if it is."""
    if rules.thread_replies == "mention":
        return "replies are answered by mention only"
    if message.mentions_others:
        return "it speaks to somebody else"
    if message.pleasantry:
        return "nothing but a pleasantry"
    if thread is None:
        return "other talk: this thread did not call me"
    if thread.muted:
        return "the thread is muted"
    if seconds_between(thread.last_ts, message.ts) > SILENT_AFTER_SECONDS:
        return "the thread was silent for a week"
    return None


def _unanswered(thread: ThreadState | None, reason: str, note: str | None = None) -> Keep | Ignore:
    """In a joined thread everything is history; elsewhere it is none of Bobbin's business."""
    return Ignore(reason, note) if thread is None else Keep(reason, note)


def admission(person: Person | None, rules: Rules) -> str | None:
    """Why somebody may not ask, as far as only a look-up tells; in doubt they may not."""
    if rules.external_users == "refuse" and (person is None or person.external):
        return "external"
    if rules.guests == "refuse" and (person is None or person.guest):
        return "guest"
    return None


def seconds_between(earlier_ts: str, later_ts: str) -> float:
    """Whole seconds are enough here; the fraction of a ts is a sequence number, not a time."""
    return int(later_ts.partition(".")[0] or 0) - int(earlier_ts.partition(".")[0] or 0)
