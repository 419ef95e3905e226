"""What of a file the model may read, by its bytes; and what of a thread's files goes into a request."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.conversation import Document, Image
from bot.events import File
from bot.files import (
    DOCUMENT_BYTES,
    PICTURE_BYTES,
    REASONS,
    REQUEST_BYTES,
    REQUEST_DOCUMENTS,
    REQUEST_PICTURES,
    TEXT_BYTES,
    blocks_of,
    fitting,
    most,
    named,
    notes,
    read,
    refused,
)
from bot.ports import Line, Read

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP = b"PK\x03\x04"
PDF = b"%PDF-1.7\n..."


def wide(name: str) -> bytes:
    return name.encode("utf-16-le")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n", "picture"),
        ("a.JPG", b"\xff\xd8\xff\xe0", "picture"),
        ("a.gif", b"GIF89a", "picture"),
        ("a.webp", b"RIFF\x00\x00\x00\x00WEBP", "picture"),
        ("really-a-jpeg.png", b"\xff\xd8\xff\xe0", "picture"),
        ("a.pdf", PDF, "pdf"),
        ("a.docx", ZIP + b"[Content_Types].xml word/document.xml", "docx"),
        ("a.xlsx", ZIP + b"[Content_Types].xml xl/workbook.xml", "xlsx"),
        ("a.doc", OLE + wide("WordDocument"), "doc"),
        ("a.xls", OLE + wide("Workbook"), "xls"),
        ("a.csv", b"a,b\n1,2\n", "csv"),
        ("a.htm", b"<p>Hi</p>", "html"),
        ("a.md", b"# Hi", "md"),
        ("main.py", b"print()", "txt"),
        ("Makefile", b"run:\n\ttrue\n", "txt"),
        ("drawing.svg", b"<svg/>", "txt"),
    ],
)
def test_what_is_in_a_file_is_told_by_its_bytes(name: str, data: bytes, kind: str):
    assert read(File("F1", name), data).format == kind


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.png", b"", "empty"),
        ("a.txt", b" \n\t", "empty"),
        ("a.txt", b"\xef\xbb\xbf \n", "empty"),
        ("a.png", PDF, "false"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n", "false"),
        ("a.docx", ZIP + b"evil.exe", "false"),
        ("a.docx", ZIP + b"[Content_Types].xml xl/workbook.xml", "false"),
        ("a.doc", OLE + b"an installer", "false"),
        ("a.txt", b"MZ\x90\x00\x03\x00", "false"),
        ("a.pdf", PDF + b"trailer <</Encrypt 5 0 R>>", "locked"),
        ("a.xlsx", OLE + wide("EncryptedPackage"), "locked"),
        ("a.zip", ZIP + b"a.txt", "kind"),
        ("plan.key", b"\x00\x01\x02", "kind"),
        ("latin", "Zürich".encode("latin-1"), "kind"),
    ],
)
def test_what_cannot_be_read_has_a_reason(name: str, data: bytes, reason: str):
    assert read(File("F1", name), data).reason == reason


@given(st.binary(max_size=200), st.sampled_from(["a.pdf", "a.docx", "a.csv", "a.png", "a"]))
def test_any_bytes_are_either_read_or_refused_with_a_known_reason(data: bytes, name: str):
    found = read(File("F1", name), data)
    assert bool(found.format) != bool(found.reason)
    assert found.reason in ("", *REASONS)


def test_text_becomes_utf_8_and_its_end_is_cut_at_a_line_where_it_is_long():
    assert read(File("F1", "a.csv"), "Zürich".encode("cp1252")).data == "Zürich".encode()
    assert read(File("F1", "a.txt"), "Zürich".encode("utf-16")).data == "Zürich".encode()
    cut = read(File("F1", "a.log"), b"line of text\n" * 100_000).data
    assert len(cut) < TEXT_BYTES + 100
    assert cut.endswith(b"line of text\n[The file goes on: only its beginning is shown.]\n")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (File("F1", "a.png", "image/png", PICTURE_BYTES), None),
        (File("F1", "a.png", "image/png", PICTURE_BYTES + 1), "size"),
        (File("F1", "a.bin", "", 1 << 30), "size"),
        (File("F1", "clip.mp4", "video/mp4", 10), "kind"),
        (File("F1", "a.txt", state="gone"), "gone"),
        (File("F1", "board", state="elsewhere"), "elsewhere"),
        (File("F1", "a.txt"), None),
    ],
)
def test_some_files_are_not_even_fetched(file: File, reason: str | None):
    assert refused(file) == reason


def test_the_type_tells_where_the_name_does_not():
    assert most(File("F1", "pasted image", "image/png")) == PICTURE_BYTES
    assert most(File("F1", "pasted", "text/plain; charset=utf-8")) == DOCUMENT_BYTES
    assert read(File("F1", "report", "application/pdf"), PDF).format == "pdf"


# ---------------------------------------------------------------- the files of a thread


def line(turn: int, *names: str) -> Line:
    return Line("user", f"{turn}.000000", "U1", "x", tuple(File(name, name) for name in names), turn)


def sent(lines: list[Line], size: int = 10) -> list[str]:
    reads = {
        (each.ts, file.id): Read("png" if file.id.startswith("p") else "pdf", size=size)
        for each in lines
        for file in each.files
    }
    return sorted(file for _, file in fitting(lines, reads))


def test_of_one_turn_the_newest_files_go_in_as_many_as_bedrock_takes():
    names = [f"p{n:02}" for n in range(25)] + [f"d{n}" for n in range(7)]
    assert sent([line(1, *names)]) == [f"d{n}" for n in range(2, 7)] + [f"p{n:02}" for n in range(5, 25)]


def test_a_turns_own_files_stay_whole_and_older_ones_go():
    lines = [line(1, *(f"p{n:02}" for n in range(15))), line(2, *(f"p{n:02}" for n in range(20, 40)))]
    assert sent(lines) == [f"p{n:02}" for n in range(20, 40)]


def test_one_kind_makes_no_room_for_the_other():
    assert sent([line(1, "p1", "d1", "d2", "d3", "d4", "d5"), line(2, "d6")]) == ["d5", "d6", "p1"]


def test_bytes_are_limited_too():
    third = REQUEST_BYTES // 3
    assert sent([line(turn, f"d{turn}") for turn in (1, 2, 3)], third) == ["d1", "d2", "d3"]
    assert sent([line(turn, f"d{turn}") for turn in (1, 2, 3, 4)], third) == ["d4"]


@given(
    st.lists(st.integers(0, 8), max_size=40),
    st.sampled_from("pd"),
    st.sampled_from([10, REQUEST_BYTES // 15]),
)
def test_a_request_holds_what_bedrock_takes_and_older_files_go_in_steps(
    counts: list[int], kind: str, size: int
):
    lines = [
        line(number, *(f"{kind}{number}.{index}" for index in range(count)))
        for number, count in enumerate(counts, start=1)
    ]
    most = min(REQUEST_PICTURES if kind == "p" else REQUEST_DOCUMENTS, REQUEST_BYTES // size)
    before: list[str] = []
    drops: list[int] = []
    for number in range(1, len(lines) + 1):
        now = sent(lines[:number], size)
        assert len(now) <= most
        if not set(before) <= set(now):
            drops.append(number)
        before = now
    for one, next_one in pairwise(drops):
        assert sum(counts[one - 1 : next_one]) > most // 2


def test_a_file_becomes_a_block_after_its_message_and_what_is_not_read_is_named():
    said = line(1, "plan.pdf", "cat.png", "a <b>.key", "old.txt")
    stored: Any = {
        (said.ts, "plan.pdf"): (Read("pdf"), b"%PDF"),
        (said.ts, "cat.png"): (Read("png"), b"PNG"),
        (said.ts, "a <b>.key"): (Read(reason="kind"), b""),
        (said.ts, "old.txt"): (Read("txt"), b""),
    }
    assert blocks_of(said, stored) == (Document("plan.pdf", "pdf", b"%PDF"), Image("png", b"PNG"))
    assert named(said, stored) == (
        "[attached: plan.pdf, cat.png, a b .key (not read: I can't read this kind of file), "
        "old.txt (not read: I read 20 pictures and 5 other files at a time)]"
    )
    assert notes([said], stored) == [
        "I could not read a b .key: I can't read this kind of file.",
        "I could not read old.txt: I read 20 pictures and 5 other files at a time.",
    ]
    assert named(line(2), stored) == ""
