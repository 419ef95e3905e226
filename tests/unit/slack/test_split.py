"""Answers cut into parts."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.text import fit, harmless, presentable, split

LIMIT = 200
WORDS = "word " * 30


def test_a_short_text_is_one_part():
    assert split("Hello.", LIMIT) == ["Hello."]
    assert split("", LIMIT) == []


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        pytest.param("a" * 120 + "\n\n" + "b " * 10 + "\n" + "c" * 120, "a" * 120, id="paragraph"),
        pytest.param("a" * 120 + "\n" + "b. " * 10 + "c" * 120, "a" * 120, id="line"),
        pytest.param("One is here. " * 20, "One is here.", id="sentence"),
        pytest.param(WORDS * 3, "word", id="word"),
        pytest.param("一二三四。" * 60, "。", id="sentence without spaces"),
        pytest.param(
            "word " * 33 + "[a label](https://e.com/x) (e.com) more", "word", id="not within a link"
        ),
        pytest.param(
            "word " * 33 + "`some code here and there` more and more", "word", id="not within inline code"
        ),
        pytest.param("a" * 300, "a" * 176, id="a word longer than a part"),
    ],
)
def test_cuts_at_the_best_place(text, ends):
    assert split(text, LIMIT)[0].endswith(ends)


def test_closes_a_fence_and_opens_it_again():
    code = "\n".join(f"line {n}" for n in range(60))
    parts = split(f"Look:\n```python\n{code}\n```\nDone.", LIMIT)
    assert all(part.startswith("```python\nline") for part in parts[1:])
    assert all(part.endswith("\n```") for part in parts[:-1])
    assert code == "\n".join(re.findall(r"line \d+", "\n".join(parts)))


def test_closes_the_code_in_which_a_stopped_answer_ends():
    assert split("Look:\n```py\nx = 1", LIMIT) == ["Look:\n```py\nx = 1\n```"]


def test_closes_inline_code_longer_than_a_part():
    first, second = split("`" + "word " * 50 + "`", LIMIT)
    assert first.endswith("word`")
    assert second.startswith("` word")


def test_repeats_the_head_of_a_table():
    rows = "".join(f"| {n} | some text |\n" for n in range(30))
    parts = split(f"Here:\n\n| n | text |\n|---|---|\n{rows}\nDone.", LIMIT)
    assert len(parts) > 3
    assert all(part.startswith("| n | text |\n|---|---|\n| ") for part in parts[1:-1])


def test_never_leaves_an_empty_fence_or_the_head_of_a_table_behind():
    before = "word " * 30
    assert "```" not in split(f"{before}\n```py\n" + "x = 1\n" * 40 + "```", LIMIT)[0][-16:-4]
    assert split(f"{before}\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 40, LIMIT)[0].count("|---|") < 2


def test_a_stream_goes_on_in_the_next_part():
    shown = "x " * 92
    now = fit(shown, "more and more words to come.", LIMIT)
    assert (now.here, now.rest) == ("", "more and more words to come.")
    assert fit("", "more", LIMIT).here == "more"


def test_a_stream_with_no_room_for_the_next_word_is_closed():
    now = fit("x " * 80, "b" * 60, LIMIT)
    assert (now.here, now.rest) == ("", "b" * 60)


@pytest.mark.parametrize("step", [1, 7, 40, 150])
def test_a_stream_that_grows_by_any_step_repeats_the_head_of_a_table_and_cuts_no_row(step):
    head, rows = "| n | text |\n|---|---|\n", [f"| r{n} | {'tea ' * 5}|" for n in range(60)]
    text = f"Here:\n\n{head}" + "\n".join(rows) + "\n\nDone, and no more of it."
    parts, shown, at = [], "", 0
    for end in [*range(step, len(text), step), None]:
        while more := (shown + text[at:end])[len(shown) : presentable(shown + text[at:end]) if end else None]:
            now = fit(shown, more, LIMIT)
            at += len(more) - len(now.rest)
            if not now.rest:
                shown += more
                break
            parts.append(shown + now.here)
            shown = now.opening
    parts.append(shown)
    assert all(part.startswith(head) for part in parts[1:-1])
    assert [line for part in parts for line in part.splitlines() if line.startswith("| r")] == rows
    assert parts[-1].endswith("Done, and no more of it.")


@pytest.mark.parametrize(
    ("text", "held"),
    [
        pytest.param("| a | b |\n|---|---|\n| 1", "\n| 1", id="a row"),
        pytest.param("a | b\n--|--\n1 | 2\n", "\n", id="a row that may be the last"),
        pytest.param("a | b\n--|--\n1 | 2\n\nSo", "", id="after a table"),
        pytest.param("a | b\n--|--\n" + "x" * 1001, "", id="a very long row"),
        pytest.param("a or b\n- a | b\n", "", id="no table"),
        pytest.param("\n", "", id="no line"),
    ],
)
def test_of_a_table_whole_rows_are_presentable(text, held):
    assert text[presentable(text) :] == held


LINES = st.sampled_from(
    [
        *(
            "```py\n",
            "```\n",
            "\n",
            "| a | b |\n|---|---|\n",
            "| 1 | 2 |\n",
            "word ",
            "`code here` ",
            "- item\n",
            "one. ",
        ),
        *(
            "[x](https://e.com/y) (e.com) ",
            "x" * 90,
            "    deep\n",
            "日本語。",
            "`open ",
            "``two ` ",
            "````\n",
        ),
    ]
)
TEXTS = st.lists(LINES, max_size=80).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(200, 500))
def test_parts_keep_the_limit_and_lose_nothing_but_white_space(text, limit):
    text = harmless(text)
    shown, rest, heard = "", text, ""
    for part in split(text, limit):
        assert len(part) <= limit
    while True:
        now = fit(shown, rest, limit)
        heard += now.here
        shown, rest = now.opening, now.rest
        if not rest:
            break
    assert "".join(text.split()) == "".join(heard.split())


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 60), st.integers(200, 400))
def test_a_stream_keeps_the_limit_and_loses_nothing(text, step, limit):
    text = harmless(text)
    shown, heard = "", ""
    for at in range(0, len(text), step):
        more = text[at : at + step]
        while more:
            now = fit(shown, more, limit)
            shown, heard, more = shown + now.here, heard + now.here, now.rest
            assert len(shown + now.closing) <= limit
            if more or now.opening:
                shown = now.opening
    assert "".join(text.split()) == "".join(heard.split())


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_each_part_is_whole_by_itself(text):
    for part in split(harmless(text.replace("[x](https://e.com/y) (e.com)", "")), LIMIT):
        assert harmless(part).rstrip() == part.rstrip()
