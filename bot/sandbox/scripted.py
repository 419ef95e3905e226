"""The model of the sandbox: a script. It says so, and it shows that it has read the thread.

It knows only what it is sent, so that a conversation that was not sent whole is found out: "And 3 more added
to that?" is 5 only after a "What's 1+1?" in the same request.
"""

import operator
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Messages = Sequence[dict[str, Any]]

NOTICE = "_This is the sandbox's script speaking, not Claude._"

_MESSAGE = re.compile(r'<message from="(?P<who>[^"]*)"[^>]*>(?P<words>.*?)</message>', re.DOTALL)
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_SUM = re.compile(rf"{_NUMBER}((?:\s*[-+*/x]\s*\d+(?:\.\d+)?)+)")
_STEP = re.compile(r"([-+*/x])\s*(\d+(?:\.\d+)?)")
_FURTHER = re.compile(
    rf"(?:\b(add|plus|minus|subtract|times)\s+)?{_NUMBER}(?:\s+(more|less))?", re.IGNORECASE
)
_OPERATIONS = {
    **dict.fromkeys(("+", "add", "plus", "more"), operator.add),
    **dict.fromkeys(("-", "minus", "subtract", "less"), operator.sub),
    **dict.fromkeys(("*", "x", "times"), operator.mul),
    "/": operator.truediv,
}
_LONGEST_DELTA = 45
_QUOTED = 60  # characters
_TABLE = "| Day | Cups of tea |\n|---|---:|\n| Monday | 3 |\n| Tuesday | 4 |"
_CODE = '```python\ndef greet(name: str) -> str:\n    return f"Hello, {name}!"\n```'
_LINK = "Here it is: [Slack's own guide](https://docs.slack.dev/)."


@dataclass(frozen=True)
class Said:
    """One message as the script read it; an own answer has no `who`."""

    who: str
    words: str

    @property
    def quote(self) -> str:
        """Who said it, and its first words."""
        words = " ".join(self.words.split())
        return f"- {self.who}: “{words if len(words) <= _QUOTED else words[:_QUOTED] + '…'}”"


class Scripted:
    """Answers by rules. `messages` and `system` are those of the Converse request."""

    def answer(self, messages: Messages, system: str) -> str:
        """Return the whole answer to the newest user message, which may hold words of several people."""
        del system  # a script needs no telling who it is
        newest = list(_said(messages[-1:]))
        if newest[-1].words.startswith("Summarise everything above"):
            return "\n".join(_facts(messages)) or "Nothing that anybody wanted to be remembered."
        if exact := _asked(newest, r"say exactly:\s*(.*)"):
            return exact
        said = [one for one in _said(messages) if one.who]
        asked = _asked(newest, r"what should you remember")
        text = "\n".join(_facts(messages)) if asked else ", then ".join(_sums(messages))
        text = text or next((text for pattern, text in _pieces(said) if _asked(newest, pattern)), "")
        if not text:
            quotes = "\n".join(one.quote for one in newest)
            text = f"I have read {len(said)} messages of this thread. The newest:\n{quotes}"
        first = not any(message["role"] == "assistant" for message in messages)
        return f"{text}\n\n{NOTICE}" if first else text

    def wait(self, messages: Messages) -> float:
        """Return the seconds to think for, where the newest words ask for it: "wait 5"."""
        return float(_asked(list(_said(messages))[-1:], r"\bwait (\d+(?:\.\d+)?)") or 0)

    def fault(self, messages: Messages) -> str:
        """Return the kind of fault, where the newest words ask for one: "fail throttled"."""
        return _asked(list(_said(messages))[-1:], r"^\s*fail (\w+)")


def deltas(answer: str) -> Iterator[str]:
    """Cut an answer as Bedrock streams one: pieces of 1 to 45 characters, the same for the same answer."""
    cuts = random.Random(answer)
    start = 0
    while start < len(answer):
        end = start + cuts.randint(1, _LONGEST_DELTA)
        yield answer[start:end]
        start = end


def _said(messages: Messages) -> Iterator[Said]:
    for message in messages:
        for text in (block["text"] for block in message["content"] if "text" in block):
            framed = _MESSAGE.search(text)
            if message["role"] == "assistant":
                yield Said("", text)
            else:
                nobody = "" if text.startswith("<summary") else "Somebody"
                yield Said(framed["who"], framed["words"].strip()) if framed else Said(nobody, text)


def _facts(messages: Messages) -> list[str]:
    """Return what somebody wanted to be remembered, and what notes on earlier talk say of that."""
    facts: dict[str, None] = {}
    for one in _said(messages):
        if one.words.startswith("<summary"):
            facts.update(dict.fromkeys(re.findall(r"^- .*", one.words, re.MULTILINE)))
        elif one.who and (fact := re.search(r"remember that [^.\n]*", one.words, re.IGNORECASE)):
            facts[f"- {one.who}: {fact[0]}"] = None
    return list(facts)


def _asked(said: list[Said], pattern: str) -> str:
    """Return what the pattern's group (or all of it) matches, in the last message where it does, or ""."""
    found = (re.search(pattern, one.words, re.IGNORECASE | re.DOTALL) for one in reversed(said))
    return next((match[match.lastindex or 0] for match in found if match), "")


def _pieces(said: list[Said]) -> Iterator[tuple[str, str]]:
    """Yield what can be asked for, as a pattern, and the answer to it."""
    yield r"\b(\d+ words|long answer)\b", _prose(int(_asked(said[-1:], r"(\d{1,5}) words") or 1500))
    yield r"\btable\b", _TABLE
    yield r"\bcode\b", _CODE
    yield r"\blink\b", _LINK
    yield r"how many messages", f"I was sent {len(said)} messages of this thread."
    yield r"what did i say first", next(one.quote for one in said if one.who == said[-1].who)
    yield r"who said what|summari[sz]e|what was said", "\n".join(one.quote for one in said[:-1])
    yield r"\d more\b", "More than what? I see no number before it."


def _sums(messages: Messages) -> list[str]:
    """Return the results in the newest message, carried on from all that was said before."""
    running: float | None = None
    results: list[str] = []
    for message in messages:
        results.clear()
        for one in _said([message]):
            if one.who and (result := _result(one.words, running)) is not None:
                running = result
                results.append(f"{result:g}")
    return results


def _result(words: str, running: float | None) -> float | None:
    if whole := _SUM.search(words):
        running, steps = float(whole[1]), _STEP.findall(whole[2])
    elif running is not None:
        steps = [(before or after, n) for before, n, after in _FURTHER.findall(words) if before or after]
    else:
        return None
    try:
        for sign, number in steps:
            running = float(_OPERATIONS[sign.lower()](running, float(number)))
    except ZeroDivisionError:
        return None
    return running if steps else None


def _prose(count: int) -> str:
    """Write so many words, in numbered paragraphs, so that a lost one is seen."""
    sentence = ["the", "loom", "goes", "on", "and", "on", "and", "the", "thread", "does", "not", "end"]
    words = [sentence[index % len(sentence)] for index in range(count)]
    paragraphs = [" ".join(words[start : start + 100]) for start in range(0, count, 100)]
    return "\n\n".join(f"{number}. {text}" for number, text in enumerate(paragraphs, start=1))
