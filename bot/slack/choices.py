"""What somebody chose from a message's menu, as Slack tells it. Pure, and read defensively."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.conversation import ThreadKey
from bot.slack.incoming import Me

_ID = re.compile(r"[A-Z0-9]{1,32}")
_TS = re.compile(r"[0-9]{1,11}\.[0-9]{1,9}")
_TRIGGER = re.compile(r"[\w.-]{1,200}")
_PRIVATE = ("privategroup", "directmessage", "mpdm-")
"""Names that Slack gives channels that are not public."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A message from whose menu somebody chose something."""

    user: str
    external: bool | None
    """Of another organisation; None where only a look-up tells."""
    thread: ThreadKey
    ts: str
    own: bool
    """Bobbin wrote it."""
    public: bool
    """It may stand in a public channel."""
    trigger: str


def read_choice(body: Mapping[str, Any], me: Me) -> Chosen | None:
    """Return what was chosen; None where it is not as Slack documents it."""
    match body:
        case {
            "user": {"id": str(user)} as person,
            "channel": {"id": str(channel)} as place,
            "message": {"ts": str(ts)} as message,
            "trigger_id": str(trigger),
        } if _TRIGGER.fullmatch(trigger) and all(map(_ID.fullmatch, (user, channel))):
            thread = str(message.get("thread_ts") or ts)
            if _TS.fullmatch(ts) and _TS.fullmatch(thread):
                return Chosen(
                    user,
                    _external(str(person.get("team_id") or ""), me),
                    ThreadKey(me.team, channel, thread),
                    ts,
                    own=me.user == message.get("user") or me.bot == message.get("bot_id"),
                    public=not str(place.get("name") or "").startswith(_PRIVATE),
                    trigger=trigger,
                )
    return None


def presser(body: Mapping[str, Any], me: Me) -> tuple[str, bool | None]:
    """Return who pressed a button, and whether they are of another organisation; None: not known."""
    match body:
        case {"user": {"id": str(user)} as person}:
            team = person.get("team_id")
            return user, _external(team, me) if isinstance(team, str) and team else None
    return "", None


def remember(chosen: Chosen) -> str:
    """Return what a modal must keep, so that what is sent from it is about the same message."""
    place = {
        "channel": {"id": chosen.thread.channel, "name": "" if chosen.public else _PRIVATE[0]},
        "message": {"ts": chosen.ts, "thread_ts": chosen.thread.thread_ts},
    }
    return json.dumps(place)


def recall(kept: str) -> Mapping[str, Any]:
    """Return the part of a choice that a modal has kept; nothing where that is unreadable."""
    try:
        value = json.loads(kept)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _external(team: str, me: Me) -> bool | None:
    if team in (me.team, me.enterprise):
        return False if team else None
    # In an organisation of several workspaces a colleague may be of another one.
    return None if me.enterprise and not team.startswith("E") else True
