"""Where a message or a thread is, as people at a terminal name it. Pure."""

import re
from dataclasses import dataclass

_PERMALINK = re.compile(
    r"https?://[\w.:-]+/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>[0-9]{10})(?P<micro>[0-9]{6})/?(?:\?(?P<more>\S*))?"
)
_PLACE = re.compile(r"(?P<channel>[CDG][A-Z0-9]*)/(?P<ts>[0-9]{10}\.[0-9]{6})")
_THREAD = re.compile(r"(?:^|&)thread_ts=(?P<ts>[0-9]{10}\.[0-9]{6})")


@dataclass(frozen=True, slots=True)
class Place:
    """A message, and its thread where the link tells; else itself."""

    channel: str
    ts: str
    thread: str


def place(words: str) -> Place:
    """Read a message's link or CHANNEL/TS. Raises `ValueError` for anything else.

    >>> place("https://acme.slack.com/archives/C1/p1782770401000100?thread_ts=1782770400.000100&cid=C1")
    Place(channel='C1', ts='1782770401.000100', thread='1782770400.000100')
    >>> place("C1/1782770400.000100")
    Place(channel='C1', ts='1782770400.000100', thread='1782770400.000100')
    """
    words = words.strip("<> \n")
    if found := _PERMALINK.fullmatch(words):
        ts = f"{found['seconds']}.{found['micro']}"
        thread = _THREAD.search(found["more"] or "")
        return Place(found["channel"], ts, thread["ts"] if thread else ts)
    if found := _PLACE.fullmatch(words):
        return Place(found["channel"], found["ts"], found["ts"])
    raise ValueError("it must be a message's link, or CHANNEL/TS such as C0123ABCD/1782770400.000100")
