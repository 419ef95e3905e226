"""Which files the model may read, and as which block: one table. Pure.

Formats and limits are those of Bedrock's Converse: 20 pictures of 3.75 MB and 5 documents of 4.5 MB in the
whole request, of some 20 MB. What is in a file its first bytes tell, never its name alone. PDFs and archives
are looked at from outside only: nothing here parses them.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal, get_args

from bot.conversation import ContentBlock, Document, Image
from bot.events import File, one_line
from bot.ports import Fetched, Line, Place, Read, Reads

Picture = Literal["png", "jpeg", "gif", "webp"]
Reason = Literal[
    "kind", "size", "empty", "gone", "locked", "false", "broken", "many", "withheld", "elsewhere", "model"
]

PICTURE = "picture"
"""The format of a picture that was not made ready for the model yet (`bot.images`)."""
PICTURE_BYTES, DOCUMENT_BYTES = 20_000_000, 4_500_000
"""What is fetched at most. A picture is made smaller before the model reads it."""
TEXT_BYTES = 300_000
"""Of plain text so much is read, some 100,000 tokens: more would leave no room for the thread."""
FILES_A_TURN = 20
"""So many files one turn fetches at most: the newest."""
REQUEST_PICTURES, REQUEST_DOCUMENTS, REQUEST_BYTES = _REQUEST = 20, 5, 14_000_000
"""What one request holds of files at most. In Base64 the bytes are a third more."""

REASONS: Mapping[Reason, str] = {
    "kind": "I can't read this kind of file",
    "size": f"I read pictures of up to {PICTURE_BYTES / 1e6:g} MB, "
    f"other files of up to {DOCUMENT_BYTES / 1e6:g} MB",
    "empty": "there is nothing in it",
    "gone": "it was deleted",
    "locked": "it is locked with a password",
    "false": "what is in it is not what its name says",
    "broken": "it is damaged, or too large when unpacked",
    "many": f"I read {REQUEST_PICTURES} pictures and {REQUEST_DOCUMENTS} other files at a time",
    "withheld": "Slack does not give it to me",
    "elsewhere": "it is kept outside Slack",
    "model": "the model could not read it",
}
"""Why a file is not read, as the end of a sentence."""

_PICTURES = ("png", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "bmp", "tif", "tiff", "avif", "ico", "jp2")
_BY_SUFFIX: Mapping[str, str] = {
    **dict.fromkeys(_PICTURES, PICTURE),
    **{suffix: suffix for suffix in ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")},
    "htm": "html",
    "markdown": "md",
}
_BY_TYPE: Mapping[str, str] = {
    **{f"image/{kind}": PICTURE for kind in ("png", "jpeg", "gif", "webp", "bmp", "tiff", "avif", "jp2")},
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_NEVER = ("audio/", "video/", "font/")
_TEXTS = ("csv", "html", "md", "txt")


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-le")


_PICTURE_BEGINS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|BM|II\*\x00|MM\x00\*|....ftypavi[fs]"
    rb"|\x00\x00\x01\x00|\x00\x00\x00\x0cjP  ",
    re.DOTALL,
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
_HOLDS: Mapping[str, tuple[bytes, ...]] = {
    "pdf": (b"%PDF-",),
    "doc": (_OLE, _utf16("WordDocument")),
    "xls": (_OLE, _utf16("ook")),  # Workbook, in the oldest ones Book
    "docx": (_ZIP, b"[Content_Types].xml", b"word/"),
    "xlsx": (_ZIP, b"[Content_Types].xml", b"xl/"),
}
"""What stands in such a file: the first of these near its start, the others anywhere."""
_LOCKED_OFFICE = _utf16("EncryptedPackage")
_LOCKED_PDF = re.compile(rb"/Encrypt[\s<]")
_START = 1024
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CUT = "\n[The file goes on: only its beginning is shown.]\n"


# ---------------------------------------------------------------- one file


def refused(file: File) -> Reason | None:
    """Why a file is not even fetched, by what Slack says of it."""
    if file.state:
        return file.state
    if _claimed(file) == "" and file.type.startswith(_NEVER):
        return "kind"
    return "size" if file.size > most(file) else None


def most(file: File) -> int:
    """Return the bytes that are fetched of it at most."""
    return PICTURE_BYTES if _claimed(file) == PICTURE else DOCUMENT_BYTES


def read(file: File, data: bytes) -> Fetched:
    r"""Say what is in a file that was fetched, by its bytes; a picture must still be made ready.

    >>> read(File("F1", "plan.txt"), b"Ship it.")
    Fetched(format='txt', data=b'Ship it.', reason='')
    >>> read(File("F1", "plan.key"), b"PK\x03\x04...").reason
    'kind'
    """
    claimed = _claimed(file)
    if not data.strip():
        return _not("empty")
    if claimed == PICTURE:
        return Fetched(PICTURE, data) if _PICTURE_BEGINS.match(data) else _not("false")
    if claimed in _HOLDS:
        return _document(claimed, data)
    text = _text(data, known=claimed != "")
    if text is None:
        return _not("false" if claimed else "kind")
    return Fetched(claimed or "txt", _beginning(text)) if text.strip() else _not("empty")


def _not(reason: Reason) -> Fetched:
    return Fetched(reason=reason)


def _claimed(file: File) -> str:
    """What its name says that it is, else what Slack believes; empty where neither says what I read."""
    suffix = file.name.rpartition(".")[2].lower()
    return _BY_SUFFIX.get(suffix) or _BY_TYPE.get(file.type.partition(";")[0].strip().lower(), "")


def _document(claimed: str, data: bytes) -> Fetched:
    begins, *holds = _HOLDS[claimed]
    start = data[:_START]
    if start.startswith(_OLE) and _LOCKED_OFFICE in data:
        return _not("locked")
    if begins not in start or not all(name in data for name in holds):
        return _not("false")
    if claimed == "pdf" and _LOCKED_PDF.search(data):
        return _not("locked")
    return Fetched(claimed, data)


def _text(data: bytes, *, known: bool) -> str | None:
    """Decode it; a file that says it is text may be in an older encoding. None: it is no text."""
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252") if known else ("utf-8-sig",):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if _BINARY.search(text) else text
    return None


def _beginning(text: str) -> bytes:
    data = text.encode()
    if len(data) <= TEXT_BYTES:
        return data
    lines, _, _ = data[:TEXT_BYTES].rpartition(b"\n")
    return (lines or data[:TEXT_BYTES]).decode("utf-8", "ignore").encode() + _CUT.encode()


# ---------------------------------------------------------------- the files of a thread


def places(lines: Sequence[Line]) -> dict[Place, File]:
    """Return every file of these messages by its place, oldest first."""
    return {(line.ts, file.id): file for line in lines for file in line.files}


def fitting(lines: Sequence[Line], reads: Reads) -> frozenset[Place]:
    """Return the files that go into a request: the newest, as many as Bedrock takes.

    Where a turn's files are too many beside the older ones, half a request is left in all: then what is sent,
    and with it the cached prefix, stays the same for some turns.
    """
    kept: list[Place] = []
    for _, turn in groupby(lines, key=lambda line: line.turn):
        new = [place for place in places(list(turn)) if (found := reads.get(place)) and found.format]
        for measure, limit in enumerate(_REQUEST):
            size = {place: _sizes(reads[place])[measure] for place in kept + new}
            _drop(new, size, limit)
            if sum(size[place] for place in kept + new) > limit:
                _drop(kept, size, limit // 2 - sum(size[place] for place in new))
        kept += new
    return frozenset(kept)


def _sizes(read: Read) -> tuple[int, int, int]:
    picture = read.format in get_args(Picture)
    return int(picture), int(not picture), read.size


def _drop(files: list[Place], size: Mapping[Place, int], limit: int) -> None:
    """Drop the oldest until the rest keeps to the limit."""
    while (oldest := next((place for place in files if size[place]), None)) and (
        sum(size[place] for place in files) > limit
    ):
        files.remove(oldest)


Stored = Mapping[Place, tuple[Read, bytes]]
"""What became of the files of a thread; with the bytes of those that go into this request."""
NO_FILES: Stored = MappingProxyType({})
_NOTHING = (Read(), b"")


def blocks_of(line: Line, stored: Stored) -> tuple[ContentBlock, ...]:
    """Return the blocks of a message's files, to stand after its words."""
    if not line.files:
        return ()
    return tuple(
        _block(_name(line, file, stored), *stored[line.ts, file.id])
        for file in line.files
        if stored.get((line.ts, file.id), _NOTHING)[1]
    )


def _block(name: str, read: Read, data: bytes) -> ContentBlock:
    kind: Any = read.format
    return Image(kind, data) if kind in get_args(Picture) else Document(name, kind, data)


def named(line: Line, stored: Stored) -> str:
    """Say to the model what came with a message, and of what it cannot read, why; empty for no files."""
    if not line.files:
        return ""
    words = [
        one_line(_name(line, file, stored))
        + (f" (not read: {why})" if (why := _why(line, file, stored)) else "")
        for file in line.files
    ]
    return f"[attached: {', '.join(words)}]" if words else ""


def notes(lines: Sequence[Line], stored: Stored) -> list[str]:
    """Tell people which files of these messages were not read, and why, one sentence a reason."""
    names: dict[str, list[str]] = {}
    for line in lines:
        for file in line.files:
            if why := _why(line, file, stored):
                names.setdefault(why, []).append(one_line(_name(line, file, stored)))
    return [f"I could not read {', '.join(files)}: {why}." for why, files in names.items()]


def _name(line: Line, file: File, stored: Stored) -> str:
    read, _ = stored.get((line.ts, file.id), _NOTHING)
    return read.name or file.name


def _why(line: Line, file: File, stored: Stored) -> str:
    read, data = stored.get((line.ts, file.id), _NOTHING)
    if data:
        return ""
    reason: Any = read.reason or "many"
    return REASONS[reason]
