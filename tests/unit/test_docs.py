"""What the documents quote is there: tests by their names, words of the log and of Slack, and the corpus."""

import re
from pathlib import Path

import pytest

from bot.slack.manifest import SCOPES
from tests.e2e.attacks import ANSWERS, FILES, SPEECHES
from tests.e2e.test_misuse import MISUSE, PLACES

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "docs/security.md").read_text("utf-8")
TWELVE = (ROOT / "docs/operations.md").read_text("utf-8").partition("## When something is wrong\n")[2]
SOURCE = " ".join(
    re.sub(r"\"\s*\n\s*f?\"|\\\n", "", path.read_text("utf-8"))
    for folder in ("bot", "storage")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("document", ["security.md", "operations.md"])
def test_every_test_and_file_that_is_named_exists(document: str):
    text = (ROOT / "docs" / document).read_text("utf-8")
    for path, name in re.findall(r"`((?:tests|bot|storage)/[\w/.]+?)(?:::(\w+))?`", text):
        assert (ROOT / path).exists(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8"), name


def test_there_are_twelve_and_each_says_what_one_sees_what_one_does_and_how_it_was_tried():
    parts = re.split(r"(?m)^### \d+\. ", TWELVE)[1:]
    assert len(parts) == 12
    for part in parts:
        for what in ("*In Slack:*", "*In the log", "*Do:*", "*Tried:*"):
            assert what in part, part[:60]


def test_the_words_that_are_quoted_are_those_that_are_said():
    quoted = re.findall(r"(?m)^\*In (?:Slack|the log).*", TWELVE)
    words = {each for line in quoted for each in re.findall(r"`([A-Za-z][^`]* [^`]*)`", line)}
    assert len(words) > 25
    assert {each for each in words if each.rstrip(".") not in SOURCE} == set()


def test_the_table_of_attacks_counts_the_corpus():
    table = dict(re.findall(r"(?m)^\| ([^|]+) \| (\d+) \| 0 \|$", SECURITY))
    counts = {
        **{kind: len(cases) for kind, cases in ANSWERS.items()},
        "forged speakers, and words that play the software": len(SPEECHES),
        "files": len(FILES) + 1,
        "doing what one may not": len(MISUSE),
        "people's words in other places": len(PLACES),
    }
    assert table == {name: str(count) for name, count in {**counts, "all": sum(counts.values())}.items()}


def test_every_scope_is_told_with_what_it_is_for():
    assert re.findall(r"(?m)^\| `([a-z_:]+)` \| (.+) \|$", SECURITY) == list(SCOPES.items())


def test_the_table_of_sizes_is_what_its_arithmetic_comes_to():
    scale = (ROOT / "docs/scale.md").read_text("utf-8")
    worker, sqlite, server = (float(each) for each in re.findall(r"(0\.\d{3}) s", scale))
    rows = re.findall(
        r"(?m)^\| ([\d,]+) \| (.*) / (.*?) \| (.*?) \| (.*?) \| (.*?) \| .*? \| (.*?) \|", scale
    )
    assert len(rows) == 5
    for threads, *told in rows:
        peak = int(threads.replace(",", "")) / 5
        turns, busiest, workspaces, ours, database, tokens = told
        assert (turns, busiest, tokens) == (f"{20 * peak:,.0f}", f"{peak:,.0f}", f"{2500 * peak:,.0f}")
        assert workspaces.startswith(f"{max(1, peak / 200):,.0f}")
        cores = [
            f"{peak / 60 * each:.{2 if peak / 60 * each < 100 else 3}g}" for each in (sqlite, worker, server)
        ]
        if peak > 200:
            assert re.findall(r"[\d.]+", ours) == cores[:2]
        if peak >= 200:
            assert database.startswith(f"{cores[2]} cores")
