"""What is answered, by whom it may be asked, and the named reason when not. Pure; read it from top to bottom.

The reasons to be silent are sentences, so that the log explains itself. Where a reason concerns the
person who wrote, they are told privately, at most once a day (`NOTES`).
"""

import re
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
    "budget_user": "Your budget for today, {cap}, is spent: I have not read this. Ask again from {until} on.",
    "budget_user_warning": "You have used {percent} of your budget for today, {cap}. It is renewed {until}.",
    "budget_team": "This workspace's budget for this month, {cap}, is spent: I have not read this. "
    "Ask again from {until} on, or ask whoever runs me to raise it.",
    "budget_team_warning": "This workspace has used {percent} of its budget for this month, {cap}. Once it is"
    " spent I answer nobody until {until}, unless whoever runs me raises BUDGET_TEAM_MONTHLY_USD.",
    "again_not_yours": "Only whoever asked can have it answered again. You are welcome to ask me yourself.",
    "again_older": "I can only answer the newest question of a thread again. Ask it below and I answer.",
    "again_busy": "I am still at it: the answer is being written.",
    "again_unknown": "There is no answer of mine that I could write again.",
    "feedback_thanks": "Thank you for telling me. Whoever runs me can see it.",
    "feedback_unknown": "I have no such answer any more.",
    "not_admin": "Only admins may set a channel's instructions and model. "
    "If this was a question, please put it in other words.",
}


_REFUSALS = ("channel", "person", "external", "guest")


def counted_as(note: str) -> str:
    """Under which name it is counted how often somebody was told: every refusal under the same one."""
    return "refused" if note in _REFUSALS else note


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


@dataclass(frozen=True, slots=True)
class Order:
    """`instructions …` or `model …`, said to Bobbin: what holds for the channel. Without a value: show it.

    An empty value takes away what was set.
    """

    name: Literal["instructions", "model"]
    value: str | None = None


_ORDER = re.compile(r"(instructions|model)(?:\s*:\s*|\s+|[.?!]*\Z)(.*)", re.IGNORECASE | re.DOTALL)


def order_of(words: str) -> Order | None:
    """Return what a message that mentions Bobbin orders for its channel; None where it is none.

    >>> order_of("instructions: Answer in Spanish."), order_of("model"), order_of("model my data, please")
    (Order(name='instructions', value='Answer in Spanish.'), Order(name='model', value=None), None)
    """
    found = _ORDER.fullmatch(words.strip())
    if found is None:
        return None
    name, value = found[1].lower(), found[2].strip()
    if name == "instructions":
        return Order("instructions", "" if value.lower() == "none" else value or None)
    if len(value.split()) > 1:
        return None
    return Order("model", "" if value.lower() == "default" else value or None)


def decide(message: Posted, thread: ThreadState | None, rules: Rules) -> Decision:
    """Decide about a message. `thread` is None where Bobbin has not joined it."""
    called = message.mentions_me or (message.direct and not (thread is not None and thread.muted))
    if message.bot and rules.allowed_bots.isdisjoint((message.author, message.bot)):
        return _unanswered(thread, "other bots are not answered")
    if message.bot and not called:
        return _unanswered(thread, "an allowed bot is answered only when it mentions me")
    if not called and thread is None:
        return Ignore("other talk: this thread did not call me")
    if message.command in ("mute", "wake", "stop"):  # anybody in the thread may
        return Obey(message.command)
    if refusal := _refusal(message, rules):
        note = refusal if called or _expects_answer(message, thread, rules) is None else None
        return _unanswered(thread, f"not allowed to ask: {refusal}", note)
    if message.command is not None:
        return Obey(message.command)
    if called:
        return Answer(summoned=True)
    if reason := _expects_answer(message, thread, rules):
        return Keep(reason)
    return Answer(summoned=False)


def _refusal(message: Posted, rules: Rules) -> str | None:
    """Who may not ask here, as far as the event tells; the rest is looked up before the model is asked."""
    if rules.allowed_channels and not message.direct and message.thread.channel not in rules.allowed_channels:
        return "channel"
    return None if message.bot else refusal_of(message.author, rules, external=message.external)


def refusal_of(user: str, rules: Rules, *, external: bool | None) -> str | None:
    """Why somebody may not have the model asked, wherever they are; `external` None: that is not known."""
    if rules.allowed_users and user not in rules.allowed_users:
        return "person"
    return "external" if external and rules.external_users == "refuse" else None


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


_TYPING = re.compile(r"<@[^>]*>|[^\w\s<>@#'+*/=%$€£-]|_")
_TYPO_LETTERS, _TYPO_WORD = 2, 4
"""So many letters of words at least so long are a slip of the finger."""


def same_words(before: str, after: str) -> bool:
    """Whether an edit changed only typing: case, punctuation, spaces, a mention, a slip in a longer word.

    >>> same_words("is it  recieved", "Is it received?"), same_words("1+1?", "1+2?")
    (True, False)
    """
    old, new = (_TYPING.sub(" ", text.casefold()).split() for text in (before, after))
    if "".join(old) == "".join(new):
        return True
    changed = [(one, other) for one, other in zip(old, new, strict=False) if one != other]
    slips = all(len(word) >= _TYPO_WORD and word.isalpha() for pair in changed for word in pair)
    if len(old) != len(new) or not slips:
        return False
    return sum(_letters_between(one, other) for one, other in changed) <= _TYPO_LETTERS


def _letters_between(one: str, other: str) -> int:
    """How many letters are changed, added or left out (Levenshtein); more than a slip is counted roughly."""
    if abs(len(one) - len(other)) > _TYPO_LETTERS:
        return _TYPO_LETTERS + 1
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        diagonal, row[0] = row[0], at
        for to, wanted in enumerate(other, start=1):
            diagonal, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, diagonal + (letter != wanted))
    return row[-1]


def seconds_between(earlier_ts: str, later_ts: str) -> float:
    """Whole seconds are enough here; the fraction of a ts is a sequence number, not a time."""
    return int(later_ts.partition(".")[0] or 0) - int(earlier_ts.partition(".")[0] or 0)
