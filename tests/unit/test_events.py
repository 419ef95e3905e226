"""Names that people give, to themselves and to files."""

import pytest

from bot.events import one_line


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("bill\u202efdp\u200b\u2066.exe", "billfdp.exe"),
        ("a\n\n*By:* b\r\u2028c\x85d\x1b[31m\x00", "a *By:* b c d [31m"),
        ('<a "b">', "a b"),
        ("\u2067\u200b\ufeff", ""),
        ("A\u200dnn\u200c\ufe0f", "Ann"),  # nothing to be joined
        ("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"),
        ("Ann \U0001f469\u200d\U0001f4bb", "Ann \U0001f469\u200d\U0001f4bb"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
        ("\u00e9\u200d\u200d\u200dz", "\u00e9\u200dz"),
        ("x" * 100, "x" * 80),
        ("\u00e9" * 40_000, "\u00e9" * 80),
    ],
)
def test_a_name_is_one_line_that_hides_nothing_and_turns_nothing_around(name: str, safe: str):
    assert one_line(name) == safe
