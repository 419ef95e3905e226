"""`python -m bot why`: what became of a message or an answer. Read beside a running Bobbin, or without."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from time import time

from bot.causes import Verdict
from bot.diagnosis import Moment, timeline, unheard, verdict
from bot.dossier import Dossier
from bot.places import Place, place
from bot.telemetry import masked
from storage import dossiers, has_joined, quiet

_TURN = re.compile(r"#?[Tt]?([0-9]{1,18})")

UNKNOWN = """\
Nothing is kept of it. Of what Bobbin ignores no row is written, by design; so it is one of these:
  - it never came: Bobbin was not in that channel, or not running for longer than Slack delivers again
  - its thread had not called Bobbin yet: nobody had mentioned it there ("other talk")
  - it was a bot's, a join, an edit of a link's preview, or one of Bobbin's own messages
  - its author or channel may not ask (ALLOWED_*, EXTERNAL_USERS, GUESTS): they were told privately
  - the thread was erased, or is older than what is kept
"""
HERE = "The thread is known: Bobbin has joined it, and keeps what is said there."
HINT = "mention Bobbin there; LOG_LEVEL=DEBUG logs each ignored event with its reason"


Absence = Callable[[str], Awaitable[Verdict | None]]
"""Why nothing of a channel comes to Bobbin, asked of Slack; None: it is there."""


class Unclear(Exception):
    """It is no turn and no message."""


async def why(
    url: str, what: str, *, as_json: bool = False, absence: Absence | None = None
) -> tuple[str, bool]:
    """Return the report, and whether anything was found. `absence` is asked of what is not kept.

    Raises `Unclear` for what names nothing, and `StoreError`s, `BadConfiguration`.
    """
    what = what.strip("<> ")
    turn, message = _TURN.fullmatch(what), _place(what)
    if turn is not None:
        found = await dossiers(url, turn=int(turn[1]))
        unknown, missed = f"There is no turn {what}.", None
    elif message is not None:
        found = await dossiers(url, message=(message.channel, message.ts))
        missed = None if found else await _missed(url, message, absence)
        here = "" if found or not await has_joined(url, message.channel, message.thread) else HERE
        unknown = f"{UNKNOWN}{here}".rstrip() + f"\nnext   {HINT}"
        if missed is not None:
            unknown = f"Nothing is kept of it.\n\nwhy    {missed[0]}\nnext   {missed[1]}"
    else:
        raise Unclear(
            "it takes an error's id (T42), a message's link, or CHANNEL/TS (C0123/1712345678.000100)"
        )
    if as_json:
        values: dict[str, object] = {"found": [_values(each) for each in found]}
        if missed is not None:
            values |= {"why": missed[0], "next": missed[1]}
        report = json.dumps(values, indent=2, ensure_ascii=False)
    else:
        report = "\n\n".join(map(_report, found)) or unknown
    return masked(report), bool(found)


async def _missed(url: str, message: Place, absence: Absence | None) -> Verdict | None:
    """Why it cannot have come, where that can be told."""
    if absence is not None and (absent := await absence(message.channel)) is not None:
        return absent
    runs, silent = await quiet(url)
    if time() - float(message.ts) > silent:
        return None  # it was said while events could come in
    return unheard(silent, runs=runs)


def _place(what: str) -> Place | None:
    try:
        return place(what)
    except ValueError:
        return None


def _values(dossier: Dossier) -> dict[str, object]:
    cause, todo = verdict(dossier)
    moments = [asdict(moment) for moment in timeline(dossier)]
    return {**asdict(dossier), "timeline": moments, "why": cause, "next": todo}


def _report(dossier: Dossier) -> str:
    name = f"T{dossier.turn}" if dossier.turn is not None else f"message {dossier.said[0].ts}"
    moments = timeline(dossier)
    cause, todo = verdict(dossier)
    counted = [f"{dossier.claims} claims"] if dossier.claims > 1 else []
    counted += [f"{dossier.deaths} deaths of its process"] if dossier.deaths else []
    lines = [
        f"{name}: {dossier.state}{''.join(f', {each}' for each in counted)}",
        f"in {dossier.channel}, thread {dossier.thread_ts}, workspace {dossier.team}",
        "",
        *_lines(moments),
        "",
        f"why    {cause}",
    ]
    return "\n".join([*lines, f"next   {todo}"] if todo else lines)


def _lines(moments: Sequence[Moment]) -> list[str]:
    """Each with its time, and the seconds since the first."""
    return [
        f"{datetime.fromtimestamp(each.at / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        + f"  {(each.at - moments[0].at) / 1000:+10.3f} s  {_printable(each.what)}"
        for each in moments
    ]


def _printable(words: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in words)
