"""Slack's events in the core's words. Pure: an event goes in, what it means comes out.

What an event looks like is from docs.slack.dev (Events API, `message` and its subtypes). Everything is
read defensively: a field that is missing or of the wrong type raises `Unreadable`, never anything else.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args

from bot.conversation import ThreadKey
from bot.events import (
    Command,
    Deleted,
    Edited,
    Event,
    File,
    FileState,
    Ignored,
    Inquiry,
    Invited,
    Muted,
    Posted,
    Stopped,
    Uninstalled,
    has_unstorable,
    one_line,
    storable,
)
from bot.slack.enclosed import enclosed, passed_on
from bot.slack.text import is_pleasantry, mentions, mentions_others, without_mention

MUTE_REACTION = "no_bell"

_SPOKEN = (None, "file_share", "thread_broadcast", "bot_message", "me_message")
"""Subtypes by which somebody says something. All others are Slack's own remarks."""

_COMMANDS: Mapping[str, Command] = {"mute": "mute", "wake": "wake", "unmute": "wake", "stop": "stop"}
_INQUIRIES: Mapping[str, Inquiry] = {word: word for word in get_args(Inquiry)}
_TS = re.compile(r"[0-9]{1,11}\.[0-9]{1,9}")
_LONGEST_ID = 255
_LARGEST = 1 << 50
_LONGEST_NAME = 255
"""Of a file: what it ends with tells its kind."""
_FILE_STATES: Mapping[str, FileState] = {
    "tombstone": "gone",
    "file_not_found": "gone",
    "external": "elsewhere",
    "remote": "elsewhere",
    "hidden_by_limit": "withheld",
    "access_denied": "withheld",
}
"""By a file's `mode` or `file_access`."""


class Unreadable(Exception):
    """The event is not as Slack documents it."""


@dataclass(frozen=True, slots=True)
class Me:
    """Who Bobbin is in this workspace, as auth.test tells."""

    team: str
    user: str
    bot: str
    enterprise: str = ""


def read_event(body: Mapping[str, Any], me: Me, *, retry: int = 0) -> Event | Ignored:
    """Say what an Events API envelope means. `retry`: how often it was delivered before."""
    event = _mapping(body, "event")
    event_id = _text(body, "event_id")
    if _other_workspace(body, me):
        return Ignored("it is for another workspace")
    kind = _text(event, "type")
    if kind == "app_mention":
        return _posted(event, event_id, body, me, retry, called=True)
    if kind == "message":
        return _message(event, event_id, body, me, retry)
    if kind in ("reaction_added", "reaction_removed"):
        return _reaction(event, event_id, me)
    if kind in ("agent_session_stopped", "message_stream_stopped"):
        thread = ThreadKey(me.team, _text(event, "channel"), _ts(event, "thread_ts"))
        return Stopped(event_id, thread, _text(event, "user", ""), _at(event))
    if kind == "member_joined_channel":
        if _text(event, "user") != me.user:
            return Ignored("somebody joined a channel")
        return Invited(event_id, me.team, _text(event, "channel"))
    if kind in ("app_uninstalled", "tokens_revoked"):
        return _uninstalled(event, event_id, body, me)
    return Ignored(f"no use for {kind}")


def shape(value: Any, depth: int = 4) -> Any:
    """What an unreadable event looked like: its keys and types, never its words."""
    if isinstance(value, Mapping) and depth:
        return {str(key)[:64]: shape(inner, depth - 1) for key, inner in list(value.items())[:50]}
    if isinstance(value, list) and value and depth:
        return [shape(value[0], depth - 1)]
    return type(value).__name__


def _message(
    event: Mapping[str, Any], event_id: str, body: Mapping[str, Any], me: Me, retry: int
) -> Event | Ignored:
    subtype = _text(event, "subtype", "") or None
    if subtype == "message_changed":
        return _changed(event, event_id, body, me, retry)
    if subtype == "message_deleted":
        ts = _text(event, "deleted_ts", "") or _text(_mapping(event, "previous_message", {}), "ts", "")
        return Deleted(event_id, me.team, _text(event, "channel"), _valid(ts), _at(event))
    if subtype not in _SPOKEN or event.get("hidden") is True:
        return Ignored(f"Slack's own remark: {subtype or 'hidden'}")
    return _posted(event, event_id, body, me, retry)


def _changed(
    event: Mapping[str, Any], event_id: str, body: Mapping[str, Any], me: Me, retry: int
) -> Event | Ignored:
    new = {
        "channel": event.get("channel"),
        "channel_type": event.get("channel_type"),
        **_mapping(event, "message"),
    }
    if new.get("subtype") == "tombstone":  # the first message of a thread, deleted with replies below it
        return Deleted(event_id, me.team, _text(new, "channel"), _ts(new, "ts"), _at(event))
    posted = _posted(new, event_id, body, me, retry)
    if isinstance(posted, Ignored):
        return Ignored("an edit of my own message") if posted is OWN else posted
    before = _mapping(event, "previous_message", {})
    edited = _mapping(new, "edited", {})
    if any(file.state == "gone" for file in posted.files) and before.get("files") != new.get("files"):
        return Edited(posted, _at(event))
    same = "text" in before and before["text"] == new.get("text")
    if not edited or (same and enclosed(before, me.user) == enclosed(new, me.user)):
        return Ignored("an edit that changed no words")
    return Edited(posted, _ts(edited, "ts"))


OWN = Ignored("my own message")


def _posted(
    event: Mapping[str, Any],
    event_id: str,
    body: Mapping[str, Any],
    me: Me,
    retry: int,
    *,
    called: bool = False,
) -> Posted | Ignored:
    author, bot = _text(event, "user", ""), _text(event, "bot_id", "")
    if author == me.user or (bot and bot == me.bot):
        return OWN
    if author == "USLACK":
        return Ignored("a notice of Slack")
    if _text(event, "subtype", "") == "document_mention":
        return Ignored("a mention in a canvas")
    ts, channel, text = _ts(event, "ts"), _text(event, "channel"), _words(event, "text")
    direct = _text(event, "channel_type", "") == "im" or channel.startswith("D")
    mentioned = called or me.user in mentions(text)
    word = without_mention(text, me.user).strip(" .!").lower()
    inquiry = _INQUIRIES.get(word.rstrip(" ?"))
    files = event.get("files") or []
    if not isinstance(files, list) or not (author or bot):
        raise Unreadable("a message without an author, or with files that are no list")
    given = (*map(file_of, files), *_readable(passed_on(event)))
    besides = storable(enclosed(event, me.user))
    alone = not given and not besides
    # To others in a thread "help" is a word like any other.
    inquires = (mentioned or direct) and alone
    command = _COMMANDS.get(word) or (inquiry if inquires else None)
    return Posted(
        event_id=event_id,
        thread=ThreadKey(me.team, channel, _valid(_text(event, "thread_ts", "") or ts)),
        ts=ts,
        direct=direct,
        author=author or bot,
        text=f"{text}\n{besides}".strip() if besides else text,
        files=given,
        bot=bot,
        external=_external(event, body, me),
        mentions_me=mentioned,
        mentions_others=mentions_others(text, me.user),
        pleasantry=is_pleasantry(text) and alone,
        command=command,
        late=retry > 0,
    )


def _readable(files: Iterable[Any]) -> Iterator[File]:
    """Read what can be read: for what somebody passed on, their own words are not lost."""
    for file in files:
        with suppress(Unreadable):
            yield file_of(file)


def file_of(file: Any) -> File:
    """Read what Slack says of a file, in an event or in files.info. Raises `Unreadable`."""
    if not isinstance(file, Mapping):
        raise Unreadable("a file that is no object")
    mode, access = _text(file, "mode", ""), _text(file, "file_access", "")
    size = file.get("size")
    asked_for = access == "check_file_info"
    return File(
        _text(file, "id", "?"),
        one_line(_words(file, "name") or _words(file, "title"), _LONGEST_NAME) or "a file",
        type=_words(file, "mimetype"),
        size=size if isinstance(size, int) and 0 <= size < _LARGEST else 0,
        url="" if asked_for else _words(file, "url_private_download") or _words(file, "url_private"),
        state=_FILE_STATES.get(mode) or _FILE_STATES.get(access, ""),
    )


def _reaction(event: Mapping[str, Any], event_id: str, me: Me) -> Muted | Ignored:
    item = _mapping(event, "item")
    if _text(event, "reaction") != MUTE_REACTION or _text(event, "user", "") == me.user or "ts" not in item:
        return Ignored("a reaction that means nothing to me")
    return Muted(
        event_id,
        me.team,
        _text(item, "channel"),
        _ts(item, "ts"),
        muted=_text(event, "type") == "reaction_added",
    )


def _uninstalled(
    event: Mapping[str, Any], event_id: str, body: Mapping[str, Any], me: Me
) -> Uninstalled | Ignored:
    if _text(body, "team_id", me.team) != me.team:
        return Ignored("it is for another workspace")
    if _text(event, "type") == "app_uninstalled":
        return Uninstalled(event_id, me.team)
    bots = _mapping(event, "tokens", {}).get("bot")
    if isinstance(bots, list) and me.user in bots:
        return Uninstalled(event_id, me.team, certain=False)
    return Ignored("tokens that are not mine were revoked")


def _external(event: Mapping[str, Any], body: Mapping[str, Any], me: Me) -> bool | None:
    """Of another organisation? None where only users.info can tell."""
    ours = {me.team, me.enterprise} - {""}
    named = {_text(event, key, "") for key in ("user_team", "source_team")} - {""}
    teams = named or {_text(event, "team", "")} - {""}
    if strangers := teams - ours:
        # In an organisation of several workspaces a colleague may be of another one.
        colleague = bool(me.enterprise) and not any(team.startswith("E") for team in strangers)
        return None if colleague else True
    # `team` alone may be the workspace that the event is delivered to, not its author's.
    return None if not named and body.get("is_ext_shared_channel") is True else False


def _other_workspace(body: Mapping[str, Any], me: Me) -> bool:
    authorizations = body.get("authorizations")
    if (
        not isinstance(authorizations, list)
        or not authorizations
        or not isinstance(authorizations[0], Mapping)
    ):
        return False
    team = authorizations[0].get("team_id")
    return isinstance(team, str) and bool(team) and team != me.team and not me.enterprise


_MISSING: Any = object()


def _text(values: Mapping[str, Any], key: str, default: Any = _MISSING) -> str:
    """Read an id or a name of Slack's: short, and where it is needed not empty."""
    value = _string(values, key, default)
    if has_unstorable(value) or len(value) > _LONGEST_ID or (default is _MISSING and not value):
        raise Unreadable(f"{key} is no id")
    return value


def _words(values: Mapping[str, Any], key: str) -> str:
    """Read what a person wrote."""
    return storable(_string(values, key, ""))


def _string(values: Mapping[str, Any], key: str, default: Any) -> str:
    value = values.get(key, default)
    if value is None and default is not _MISSING:
        return str(default)
    if not isinstance(value, str):
        raise Unreadable(f"{key} is {'missing' if value is _MISSING else type(value).__name__}")
    return value


def _mapping(values: Mapping[str, Any], key: str, default: Any = _MISSING) -> Mapping[str, Any]:
    value = values.get(key, default)
    if value is None and default is not _MISSING:
        value = default
    if not isinstance(value, Mapping):
        raise Unreadable(f"{key} is {'missing' if value is _MISSING else type(value).__name__}")
    return value


def _ts(values: Mapping[str, Any], key: str) -> str:
    return _valid(_text(values, key))


def _at(event: Mapping[str, Any]) -> str:
    """When it happened, where the event says so."""
    at = event.get("event_ts") or event.get("ts")
    return at if isinstance(at, str) and _TS.fullmatch(at) else ""


def _valid(ts: str) -> str:
    if not _TS.fullmatch(ts):
        raise Unreadable("a ts that is none")
    return ts
