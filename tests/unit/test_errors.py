"""The tree of errors, and its words for people."""

import inspect
import re

import pytest

import bot.errors
from bot.errors import BobbinError

CLASSES = [
    kind for _, kind in inspect.getmembers(bot.errors, inspect.isclass) if issubclass(kind, BobbinError)
]


def test_the_tree_is_drawn_as_it_is():
    above: list[str] = ["Exception"]
    drawn = {}
    for branch, name in re.findall(
        r"^    ((?:[│├└─ ]{4})*)([A-Z]\w+)", bot.errors.__doc__ or "", re.MULTILINE
    ):
        depth = 1 + len(branch) // 4
        drawn[name] = above[depth - 1]
        above[depth:] = [name]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_speaks_to_people_in_sentences(kind: type[BobbinError]):
    assert re.fullmatch(r"[A-Z][^<>{}\n]+\.", kind.said)
    assert len(kind.said) <= 200
    words = re.findall(r"\w+", kind.said)
    assert not {"exception", "error", "none", "null"} & {word.lower() for word in words}
    assert not {other.__name__ for other in CLASSES if other.__name__ != "Refused"} & set(words)


def test_the_log_knows_method_and_code():
    error = bot.errors.SlackRefused("no_text", "chat.postMessage")
    assert (str(error), error.code) == ("chat.postMessage: no_text", "no_text")
    assert str(bot.errors.SlackLimited("chat.update", 3)) == "chat.update: ratelimited"
