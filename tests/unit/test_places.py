"""How people at a terminal name a message or a thread."""

import pytest

from bot.places import Place, place

TS, ROOT = "1782770499.000100", "1782770400.000100"


@pytest.mark.parametrize(
    ("words", "thread"),
    [
        ("https://acme.slack.com/archives/C0/p1782770499000100", TS),
        (f"https://acme.slack.com/archives/C0/p1782770499000100?thread_ts={ROOT}&cid=C0", ROOT),
        (f"<https://acme.slack.com/archives/C0/p1782770499000100?cid=C0&thread_ts={ROOT}>", ROOT),
        (f"  C0/{TS}\n", TS),
    ],
)
def test_a_link_or_a_place_names_a_message_and_its_thread(words, thread):
    assert place(words) == Place("C0", TS, thread)


@pytest.mark.parametrize(
    "words", ["", "C0", TS, "C0/17", "https://acme.slack.com/archives/C0", f"c0/{TS}", f"C0/{TS}; --"]
)
def test_what_names_none_is_refused_with_an_example(words):
    with pytest.raises(ValueError, match="CHANNEL/TS such as C0123ABCD"):
        place(words)
