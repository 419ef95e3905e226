"""What Bobbin runs with, in words: its model, its settings and what they mean for whoever asks. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.insight import Standing
from bot.policy import Rules
from bot.ports import Caps

_CHANNELS = 10
_CENT = 10_000
_PLACE = re.compile(r"(?:^|/)(global|us-gov|us|eu|jp|apac|au|ca|in)\.anthropic\.")
_PLACES: Mapping[str, str] = {
    "global": "Its profile lets AWS work on it in any region of the world.",
    "us-gov": "Its profile keeps it in AWS GovCloud (US).",
    "us": "Its profile keeps it in AWS regions of the USA.",
    "eu": "Its profile keeps it in AWS regions of the European Union.",
    "jp": "Its profile keeps it in AWS regions of Japan.",
    "apac": "Its profile keeps it in AWS regions of Asia and the Pacific.",
    "au": "Its profile keeps it in AWS regions of Australia.",
    "ca": "Its profile keeps it in AWS regions of Canada.",
    "in": "Its profile keeps it in AWS regions of India.",
}


@dataclass(frozen=True, slots=True)
class About:
    """What this Bobbin runs with, as whoever runs it has set it."""

    version: str
    model_id: str
    region: str
    """AWS's, that the model is asked in; empty where AWS's own files name it."""
    rules: Rules
    caps: Caps
    retention_days: int = 90
    """Days after the last word of a thread until it is forgotten; 0: never."""


def usd(micro: int) -> str:
    """Return an amount for people; a little is not nothing.

    >>> usd(1_234_567), usd(4_200), usd(3), usd(0)
    ('$1.23', '$0.0042', 'under $0.0001', '$0.00')
    """
    if 0 < micro < _CENT:
        return f"${micro / 1_000_000:.4f}" if micro >= _CENT / 100 else "under $0.0001"
    return f"${micro / 1_000_000:,.2f}"


def counted(number: int, what: str) -> str:
    """Return how many there are.

    >>> counted(1, "thread"), counted(2000, "thread")
    ('1 thread', '2,000 threads')
    """
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def date(seconds: int, form: str = "{date_short_pretty} {time}") -> str:
    """Return a moment that each reader sees in their own time zone."""
    return f"<!date^{seconds}^{form}|{_utc(seconds)}>"


def utc(ts: str) -> str:
    """Return when a message was written, the same for everybody.

    >>> utc("1782770400.000100")
    '2026-06-29 22:00 UTC'
    """
    return _utc(int(ts.partition(".")[0]))


def _utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def when(ts: str) -> str:
    """Return when a message was written."""
    return date(int(ts.partition(".")[0]))


def escaped(text: str) -> str:
    """Return words that Slack shows as they are."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def spending(standing: Standing, caps: Caps) -> str:
    """Tell somebody what they have spent, what is left, and when it is renewed."""
    today = f"*Today:* {usd(standing.today)}"
    if caps.user is not None:
        today += f" of {usd(caps.user)}; renewed {date(standing.tomorrow)}"
    lines = [today, f"*This month:* {usd(standing.month)}"]
    if caps.team is not None:
        used = f"{100 * standing.team_month / caps.team:.0f} %" if caps.team else "all"
        lines.append(
            f"*The whole workspace this month:* {used} of {usd(caps.team)}; "
            f"renewed {date(standing.next_month)}"
        )
    elif caps.user is None:
        lines.append("No budget is set.")
    return "\n".join(lines)


def model(about: About, chosen: str = "") -> str:
    """Name the model that answers, and where; `chosen` is the channel's own."""
    name = chosen or about.model_id
    place = _PLACE.search(name)
    where = _PLACES[place[1]] if place else ""
    region = f"Asked in AWS region `{about.region}`." if about.region else ""
    whose = " (chosen for this channel)" if chosen else ""
    return " ".join(filter(None, [f"`{escaped(name)}`{whose}.", region, where]))


def kept_for(days: int) -> str:
    """Return how long words are kept.

    >>> kept_for(90), kept_for(1), kept_for(0)
    ('until they are deleted in Slack, or nobody has written in their thread for 90 days', \
'until they are deleted in Slack, or nobody has written in their thread for a day', \
'until they are deleted in Slack')
    """
    until = "until they are deleted in Slack"
    idle = "a day" if days == 1 else f"{days:,} days"
    return f"{until}, or nobody has written in their thread for {idle}" if days else until


def settings(about: About, user: str) -> list[str]:
    """Say what holds here, and by which setting."""
    rules = about.rules
    replies = (
        "In a thread that I was called into I answer replies too, until it is muted or silent for a week"
        if rules.thread_replies == "auto"
        else "I answer only messages that mention me, and direct messages"
    )
    refused_or_not = {"allow": "I answer", "refuse": "I do not answer"}
    lines = [
        f"*Replies:* {replies} (`THREAD_REPLIES`).",
        f"*Guests of this workspace:* {refused_or_not[rules.guests]} them (`GUESTS`).",
        f"*People of other organisations:* {refused_or_not[rules.external_users]} them (`EXTERNAL_USERS`).",
        f"*Channels:* {_channels(rules.allowed_channels)} (`ALLOWED_CHANNELS`).",
    ]
    if rules.allowed_users:
        among = "you are one of them" if user in rules.allowed_users else "you are not among them"
        lines.append(f"*People:* I answer only some, and {among} (`ALLOWED_USERS`).")
    else:
        lines.append("*People:* everybody may ask (`ALLOWED_USERS`).")
    lines.append(f"*Model:* {model(about)} (`BEDROCK_MODEL_ID`)")
    lines.append(
        "A channel may have instructions and a model of its own: write `@Bobbin instructions` there."
    )
    return lines


def _channels(allowed: Collection[str]) -> str:
    if not allowed:
        return "I answer in every channel that I was invited to"
    named = [f"<#{channel}>" for channel in sorted(allowed) if channel[:1] != "D"]
    more = f" and {len(named) - _CHANNELS} more" if len(named) > _CHANNELS else ""
    return f"I answer only in {', '.join(named[:_CHANNELS])}{more}"
