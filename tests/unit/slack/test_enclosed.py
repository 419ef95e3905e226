"""What a message shows besides its text: alerts, forwarded messages, tables; and rubbish in their place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.enclosed import LONGEST, enclosed, passed_on

ME = "UBOT"


def rich(*elements: Any) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


CELL = rich(words("a|b "), {"type": "link", "url": "https://x.example/", "text": "x"})
TABLE = {"type": "table", "rows": [[CELL, {"type": "raw_number", "value": 2, "text": "2.0"}], [CELL]]}
PICTURE = {"id": "F1", "name": "a.png"}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param({"text": "hi", "blocks": [rich(words("hi"))]}, "", id="a person's text is their blocks"),
        pytest.param({"text": "", "blocks": [rich(words("1 < 2"))]}, "1 &lt; 2", id="blocks without a text"),
        pytest.param(
            {
                "text": "*Build* 7 failed",
                "bot_id": "B2",
                "blocks": [
                    {"type": "header", "text": {"type": "plain_text", "text": "Build 7 failed"}},
                    {"type": "section", "text": {"type": "mrkdwn", "text": "in <https://ci.example/|CI>"}},
                    {"type": "section", "fields": [{"type": "mrkdwn", "text": "*By:* <@U1>"}]},
                    {
                        "type": "context",
                        "elements": [{"type": "image"}, {"type": "plain_text", "text": "R&D"}],
                    },
                    {"type": "actions", "elements": [{"type": "button"}]},
                ],
            },
            "in <https://ci.example/|CI>\n*By:* <@U1>\nR&amp;D",
            id="a bot's blocks, but for what its text says already",
        ),
        pytest.param(
            {"text": "", "blocks": [TABLE]},
            "| a\\|b <https://x.example/|x> | 2.0 |\n|---|---|\n| a\\|b <https://x.example/|x> |  |",
            id="a table",
        ),
        pytest.param(
            {
                "text": "see https://x.example",
                "attachments": [{"from_url": "https://x.example", "title": "X"}],
            },
            "",
            id="the preview of a link",
        ),
        pytest.param(
            {"text": "", "bot_id": "B2", "attachments": [{"fallback": "Disk full"}, {"fallback": ""}]},
            "Disk full",
            id="nothing but a fallback",
        ),
        pytest.param(
            {
                "text": "?",
                "attachments": [{"is_share": True, "author_name": "A<b>", "text": "<@UBOT> one\ntwo"}],
            },
            "Forwarded, from A&lt;b&gt;:\n&gt; @Bobbin one\n&gt; two",
            id="passed on: it calls nobody",
        ),
        pytest.param(
            {"attachments": [{"is_share": True, "message_blocks": [{"message": {"blocks": [TABLE]}}]}]},
            "Forwarded:\n&gt; | a\\|b <https://x.example/|x> | 2.0 |\n&gt; |---|---|\n"
            "&gt; | a\\|b <https://x.example/|x> |  |",
            id="passed on: a table",
        ),
    ],
)
def test_what_people_see_is_read(message, shown):
    assert enclosed(message, ME) == shown


def test_files_of_what_was_passed_on_come_with_it_and_no_others():
    message = {"attachments": [{"is_share": True, "files": [PICTURE]}, {"files": [{"id": "F2"}]}, None]}
    assert list(passed_on(message)) == [PICTURE]


def test_of_very_much_the_beginning_is_read_in_whole_lines():
    line = "<https://x.example/|x> " * 40
    many = [{"title": f"{number} {line}".strip()} for number in range(100)]
    shown = enclosed({"text": "", "attachments": many}, ME)
    assert len(shown) <= LONGEST + 2
    assert shown.endswith(">\n…")


_KEYS = ("type", "text", "blocks", "attachments", "rows", "elements", "fields", "is_share", "files", "url")
_KINDS = (
    "table",
    "rich_text",
    "section",
    "header",
    "context",
    "markdown",
    "link",
    "user",
    "mrkdwn",
    "raw_number",
)
_RUBBISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(_KINDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(_KEYS), _RUBBISH))
def test_rubbish_is_passed_over(message):
    assert isinstance(enclosed(message, ME), str)
    list(passed_on(message))
