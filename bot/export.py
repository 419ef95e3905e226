"""`python -m bot export`: one thread as it is kept, for people (Markdown) or machines (JSON)."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.conversation import ThreadKey
from bot.errors import BobbinError
from bot.places import Place
from bot.slack.text import read
from bot.upkeep import workspace
from storage import exported, thread_at


async def export(url: str, place: Place, *, team: str, as_json: bool) -> str:
    """Return the thread. Raises `BobbinError`s, one where nothing of it is kept."""
    key = await thread_at(url, await workspace(url, team), place.channel, place.thread)
    lines, names = await exported(url, key)
    if not lines:
        raise BobbinError(f"nothing is kept of {key.channel}/{key.thread_ts}")
    messages = [_message(line, names) for line in lines]
    return _json(key, messages) if as_json else markdown(key, messages)


def _json(key: ThreadKey, messages: Sequence[Mapping[str, Any]]) -> str:
    thread = {"team": key.team, "channel": key.channel, "thread": key.thread_ts, "messages": messages}
    return json.dumps(thread, indent=2, ensure_ascii=False)


def markdown(key: ThreadKey, messages: Sequence[Mapping[str, Any]]) -> str:
    """Return it for people."""
    parts = [f"# Thread {key.channel}/{key.thread_ts}"]
    for message in messages:
        edited = ", edited" if message["edited"] else ""
        parts.append(f"**{_line(message['name'])}**, {message['at']}{edited}:")
        if words := _printable(message["text"]).strip():
            parts.append(words)
        if message["files"]:
            parts.append(f"Files: {', '.join(map(_line, message['files']))}")
    return "\n\n".join(parts)


def _message(line: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    own = line["role"] == "assistant"
    seconds = int(str(line["ts"]).partition(".")[0])
    return {
        "ts": line["ts"],
        "at": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC",
        "role": line["role"],
        "user": line["user_id"],
        "name": "Bobbin" if own else names.get(line["user_id"], line["user_id"]),
        "text": line["text"] if own else read(line["text"], me="", names=names),
        "files": [file.get("name", "") for file in json.loads(line["files"])],
        "edited": bool(line["edit_ts"]),
    }


def _printable(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else " " for letter in text)


def _line(name: str) -> str:
    return " ".join(_printable(name).split())
