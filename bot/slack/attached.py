"""What of an answer is attached as a file as well: tables and code that Slack does not show well. Pure.

Reads Markdown as `Outgoing` writes it: fences stand at the margin.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from itertools import islice

from bot.slack.links import JOINER

_COLUMNS, _ROWS = 20, 100
"""Of a table, as Slack shows it (docs.slack.dev, table block)."""
_CHARACTERS = 11_500
"""A longer table goes over several messages."""
_LINES = 200
"""Longer code is attached."""
_MOST = 5

_FENCE = re.compile(r"^(`{3,})([^`\n]*)\n(.*?)^\1`*[ \t]*$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(
    r"^(?P<head>[^\n]*\|[^\n]*)\n[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\n"
    r"(?P<rows>(?:[^\n]*\S[^\n]*(?:\n|\Z))*)",
    re.MULTILINE,
)
_PIPE = re.compile(r"(?<!\\)\|")
_BREAK = re.compile(r"<\u2060?br\s*/?>", re.IGNORECASE)
_EMPHASIS = re.compile(r"(\*\*|__|[*_`])(.*)\1", re.DOTALL)
_NUMBER = re.compile(r"[-+]?[\d.,\s]+%?")
_SUFFIXES = {
    **dict.fromkeys(
        ("py", "js", "ts", "tsx", "go", "rs", "java", "c", "cpp", "cs", "rb", "php", "sh", "sql"), ""
    ),
    **dict.fromkeys(
        ("json", "yaml", "toml", "xml", "html", "css", "csv", "md", "kt", "swift", "scala", "r", "tf"), ""
    ),
    "python": "py",
    "javascript": "js",
    "typescript": "ts",
    "rust": "rs",
    "c++": "cpp",
    "csharp": "cs",
    "ruby": "rb",
    "bash": "sh",
    "shell": "sh",
    "yml": "yaml",
    "markdown": "md",
    "kotlin": "kt",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach. Its name tells its content, so that the same is never attached twice."""

    name: str
    data: bytes


def attachments(text: str) -> list[Attachment]:
    """Return what of a whole answer is attached, in order, five files at most."""
    return list(islice(_found(text), _MOST))


def _found(text: str) -> Iterator[Attachment]:
    at = 0
    for fence in _FENCE.finditer(text):
        yield from _tables(text[at : fence.start()])
        code = fence[3].replace(JOINER, "")
        if code.count("\n") > _LINES:
            language = fence[2].strip().lower()
            suffix = _SUFFIXES.get(language, "txt") or language
            yield _named("code", suffix, code.encode())
        at = fence.end()
    yield from _tables(text[at:])


def _tables(text: str) -> Iterator[Attachment]:
    for table in _TABLE.finditer(text):
        rows = [_cells(line) for line in (table["head"], *table["rows"].splitlines())]
        wide = max(map(len, rows)) > _COLUMNS or len(rows) > _ROWS or len(table[0]) > _CHARACTERS
        if wide:
            out = StringIO()
            csv.writer(out).writerows(rows)
            yield _named("table", "csv", out.getvalue().encode("utf-8-sig"))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [_cell(cell) for cell in _PIPE.split(inner)]


def _cell(written: str) -> str:
    cell = _BREAK.sub("\n", written.strip()).replace("\\|", "|").replace(JOINER, "")
    if emphasised := _EMPHASIS.fullmatch(cell):
        cell = emphasised[2]
    # A spreadsheet runs what begins so: it could send the table away.
    runs = cell[:1] in tuple("=+-@\t\r") and cell and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if runs else cell


def _named(what: str, suffix: str, data: bytes) -> Attachment:
    return Attachment(f"{what}-{sha256(data).hexdigest()[:8]}.{suffix}", data)
