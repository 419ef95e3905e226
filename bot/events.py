"""What can happen in a thread, in the core's own words. Pure values.

`bot/slack/incoming.py` makes them from Slack's events, `bot/policy.py` decides about them, the store
keeps them. Slack's `ts` is text of the form "seconds.microseconds", unique in its channel, and sorts by
time.
"""

import re
from dataclasses import dataclass
from typing import Literal

from bot.conversation import ThreadKey

Inquiry = Literal["help", "usage", "status", "forget", "forget me"]
"""A word to Bobbin that is answered privately, without the model."""
Command = Literal["mute", "wake", "stop"] | Inquiry
FileState = Literal["", "gone", "elsewhere", "withheld"]
"""Of a file that cannot be fetched: deleted, kept outside Slack, not given to this app."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that came with a message: what Slack says of it, unread."""

    id: str
    name: str
    type: str = ""
    """Its media type, as Slack believes it to be."""
    size: int = 0
    """In bytes, likewise."""
    url: str = ""
    """Where it is fetched from; empty where Slack must be asked for that."""
    state: FileState = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes in a thread, as `users.info` tells."""

    id: str
    name: str
    guest: bool = False
    external: bool = False
    admin: bool = False
    """An admin or owner of the workspace."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that somebody posted."""

    event_id: str
    thread: ThreadKey
    ts: str
    direct: bool
    """In a DM with Bobbin."""
    author: str
    """The person's (or bot's) user id; a bot without one is named by its bot id."""
    text: str
    """Slack's own markup, as it came."""
    files: tuple[File, ...] = ()
    bot: str = ""
    """Its bot id, where no person wrote it."""
    external: bool | None = False
    """Of another organisation; None where the event leaves it open."""
    mentions_me: bool = False
    mentions_others: bool = False
    pleasantry: bool = False
    """Nothing but thanks, ok, an emoji."""
    command: Command | None = None
    about: ThreadKey | None = None
    """Another thread that must be read first: this one is about it."""
    late: bool = False
    """Not the first delivery, or newer replies were seen before it: more may have been said than was kept."""

    @property
    def top_level(self) -> bool:
        """The message starts its thread (or stands alone)."""
        return self.ts == self.thread.thread_ts


@dataclass(frozen=True, slots=True)
class Edited:
    """The new form of a message. `edited_ts` orders two edits of one message."""

    message: Posted
    edited_ts: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message that was deleted; `at` is the ts of its deletion."""

    event_id: str
    team: str
    channel: str
    ts: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody pressed Slack's Stop in a thread."""

    event_id: str
    thread: ThreadKey
    by: str
    at: str = ""
    """When, as Slack writes it; it ends no turn whose question is newer."""


@dataclass(frozen=True, slots=True)
class Muted:
    """The 🔕 was put on (or taken from) a message; it counts on the first one of a thread."""

    event_id: str
    team: str
    channel: str
    ts: str
    muted: bool


@dataclass(frozen=True, slots=True)
class Invited:
    """Bobbin was added to a channel."""

    event_id: str
    team: str
    channel: str


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """A workspace has thrown Bobbin out; not `certain` where only tokens were revoked."""

    event_id: str
    team: str
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Ignored:
    """Not for Bobbin, and why."""

    reason: str


Event = Posted | Edited | Deleted | Stopped | Muted | Invited | Uninstalled


UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff"
)
"""Characters that nobody sees, as a range of a pattern: they hide, or turn around what stands after them."""

_NAME_REFUSED = {ord(c): " " for c in '<>"\u2028\u2029'} | dict.fromkeys((*range(32), *range(127, 160)), " ")
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"
"""They belong to emoji and some alphabets: in those they stay, one at a time."""
_HIDDEN = re.compile(f"[{UNSEEN}](?<![{_JOINERS}])")
_NOTHING_JOINED = re.compile(rf"[{_JOINERS}](?<![^\x00-\x7f\u200c\u200d][{_JOINERS}])")
_MORE = 8
"""So many times the wanted length is looked at: what is longer is a text, of which this is the title."""


def one_line(name: str, longest: int = 80) -> str:
    """Make a name safe to stand in a tag or a sentence: one line, no brackets or quotes, nothing unseen.

    >>> one_line("bill\u202efdp\u200b.exe <a>")
    'billfdp.exe a'
    """
    name = name[: _MORE * longest].translate(_NAME_REFUSED)
    if not name.isascii():
        name = _NOTHING_JOINED.sub("", _HIDDEN.sub("", name))
    return " ".join(name.split())[:longest]


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def has_unstorable(text: str) -> bool:
    """Whether something in it cannot be kept: half a surrogate pair, or NUL (which PostgreSQL refuses)."""
    return _UNSTORABLE.search(text) is not None


def storable(text: str) -> str:
    """The text with what no database takes replaced."""
    return _UNSTORABLE.sub("\ufffd", text)
