"""An answer cut into parts, each within Slack's limit of characters and whole by itself.

Reads Markdown as `Outgoing` writes it: fences stand at the margin, inline code ends on its line.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

_FENCE = re.compile(r"^(`{3,})([^`\n]*)(?:\n|\Z)", re.MULTILINE)
_BACKTICKS = re.compile(r"`+")
_DELIMITERS = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
# What a space must not be cut in: links (with their host) and inline code.
_WHOLE = re.compile(
    r"\[[^\[\]\n]*\]\([^\s()]*\)(?: \([^\s()]*\))?|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)|https?://\S+|<\S+"
)
_SENTENCE = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"')*_]*(?:(?<=[\u3002\uff01\uff1f])|(?=[^\S\n]))")
_SPACE = re.compile(r"(?=[^\S\n])|(?<=\n)")
_RUN = re.compile(r"[^\S\n]*`{3}")
_ROW_AT_MOST = 1000
_ROOM = 24  # for what closes open code: a newline and a run of at most 16 backticks


@dataclass(frozen=True, slots=True)
class Fit:
    """How a text goes into a part.

    `here` still goes into it. When `rest` is not empty the part is full: it ends with `closing`, and the
    next one begins with `opening`, then `rest`.
    """

    here: str
    closing: str = ""
    opening: str = ""
    rest: str = ""


def fit(shown: str, more: str, limit: int) -> Fit:
    """Say how much of `more` goes into a part that shows `shown` already, of at most `limit` characters.

    It is cut at the end of a paragraph, else of a line, a sentence or a word; within a word only where that
    is longer than half a part. Nothing is lost but white space at the cut. `limit` is at least 200.
    """
    text = shown + more
    if len(text) + _ROOM <= limit or len(text) + len(code_end(text)) <= limit:
        return Fit(more)
    at = _cut(text, len(shown), limit - _ROOM)
    before, after = text[:at], text[at:]
    closing, opening = _marks(before)
    rest = after.lstrip("\n") if not opening else after.removeprefix("\n")
    if not closing:
        opening = _table_head(before, after, limit)
        if not after.startswith("\n"):
            rest = rest.lstrip(" \t")
    return Fit(before[len(shown) :], closing, opening, rest)


def presentable(text: str) -> int:
    """Say how many characters of a text that still grows may be shown: all but a table's unfinished row.

    A row that is half shown when its part is full would be cut, and the next part had no head of the table.
    A row of over 1,000 characters is shown as it comes.
    """
    at = text.rfind("\n")
    before, line = text[: max(at, 0)], text[at + 1 :]
    in_table = at > 0 and before[-1] != "\n" and _table_head(before, "\n|", 3 * _ROW_AT_MOST)
    return at if in_table and len(line) <= _ROW_AT_MOST else len(text)


def split(text: str, limit: int) -> list[str]:
    """Return the parts of a text, each at most `limit` (at least 200) characters."""
    parts, shown = [], ""
    while True:
        next_fit = fit(shown, text, limit)
        part = shown + next_fit.here
        # The last one too: an answer that was stopped, or still grows, may end within code.
        parts.append(part + (next_fit.closing or code_end(part)))
        if not next_fit.rest:
            return [part for part in parts if part.strip()]
        shown, text = next_fit.opening, next_fit.rest


def code_end(text: str) -> str:
    """Return what closes the code that is open at the end of a text; an answer may be stopped within it."""
    return _marks(text)[0]


def _cut(text: str, start: int, end: int) -> int:
    """Return the best place to cut at, from `start` to `end`, and not in the first half of the part."""
    low = max(start, end // 2)
    if low >= end:
        return start
    for ending in ("\n\n", "\n"):
        at = text.rfind(ending, low, end + len(ending))
        while at >= 0:
            if not _holds_together(text, at):
                return at
            at = text.rfind(ending, low, at)
    line = text.rfind("\n", 0, low) + 1
    wholes = [whole.span() for whole in _WHOLE.finditer(text, line, end + 1000)]
    wholes = [(first, last) for first, last in wholes if first >= low or last <= end]
    for kind in (_SENTENCE, _SPACE):
        places = [found.end() for found in kind.finditer(text, low, end + 1)]
        for at in reversed(places):
            if at > end or any(first < at < last for first, last in wholes):
                continue
            # At the beginning of the next part, backticks from within a line would be a fence.
            if text[at - 1] == "\n" or not _RUN.match(text, at):
                return at
    if start == low and text[start - 1].isspace():
        return start
    return next((first for first, last in wholes if low < first < end < last), end)


def _holds_together(text: str, at: int) -> bool:
    """Whether the lines around `at` are a table's head, or a fence's border and the code next to it."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    following = text[at + 1 :].partition("\n")[0]
    in_head = "|" in line + following and any(map(_DELIMITERS.fullmatch, (line, following)))
    if in_head or not (_FENCE.fullmatch(line) or _FENCE.fullmatch(following)):
        return in_head
    fence, opening = _marks(text[: at + 1])
    return bool(fence) and (line == opening.strip() or following.strip() == fence)


def _marks(text: str) -> tuple[str, str]:
    """Return what closes the code open at the end of `text`, and what opens it again."""
    fence = opening = ""
    at = text.rfind("\n") + 1
    for line in _FENCE.finditer(text):
        if fence and len(line[1]) >= len(fence) and not line[2].strip():
            fence, at = "", max(at, line.end())
        elif not fence and line[0].endswith("\n"):  # else it is inline code, its end cut off
            fence, opening = line[1], line[0]
    if fence:
        return ("" if text.endswith("\n") else "\n") + fence, opening
    span = ""
    for run in _BACKTICKS.findall(text, at):
        if not span:
            span = run
        elif run == span:
            span = ""
    return (" " if span and text.endswith("`") else "") + span, span


def _table_head(before: str, after: str, limit: int) -> str:
    """Return the head of the table that a cut goes through between two rows, or nothing."""
    row = after.removeprefix("\n").partition("\n")[0]
    if not after.startswith("\n") or "|" not in row:
        return ""
    lines = before[before.rfind("\n\n") + 1 :].strip("\n").split("\n")
    for head, delimiters in pairwise(lines):
        if "|" in head and _DELIMITERS.fullmatch(delimiters):
            opening = f"{head}\n{delimiters}\n"
            return opening if len(opening) < limit // 3 else ""
    return ""
