"""The corpus of attacks through the process, judged by what Slack, Bedrock and a stranger's server saw."""

import asyncio
import re
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from aiohttp import web

from bot.prompt import READING, WHO
from bot.sandbox.bedrock import Asked
from bot.sandbox.scripted import Messages, Scripted, deltas
from bot.sandbox.slack import Slack, Upload
from bot.slack.manifest import SCOPES
from tests.e2e.attacks import ANSWERS, FILES, MARK, SECRET, SPEECHES, Attached, Speech
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, running, system
from tests.e2e.test_harmless import FENCED, LIVE, PINGS, plain, texts
from tests.e2e.test_reply import below
from tests.unit.slack.test_harmless import hrefs, tokens

ROOT = Path(__file__).parents[2]
_TAG = re.compile(r"<\s*(/?)\s*(message|summary)", re.IGNORECASE)
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_ADDRESS = re.compile(r"(?<![\w/.-])(?:[\w-]+\.)+[a-z]{2,}", re.IGNORECASE)
_INLINE = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")


@pytest.fixture
async def bobbin(tmp_path: Path) -> AsyncIterator[Bobbin]:
    """With the scopes of its manifest and no other."""
    async with running(tmp_path, SLACK_PACING="off", LEASE_SECONDS="30") as bobbin:
        bobbin.slack.workspace.scopes = set(SCOPES)
        yield bobbin


# ---------------------------------------------------------------- what the model is talked into


class Led(Scripted):
    """A model that writes what it was talked into: the answer of the case that the newest message names."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}

    def answer(self, messages: Messages, system: str) -> str:
        found = re.findall(r"case (\d+)", str(messages[-1]["content"]))
        return f"Look: {self.answers[found[-1]]}" if found else "Yes."


def seen(slack: Slack) -> Iterator[tuple[str, str, bool]]:
    """Yield each text that the app gave Slack, with its thread, and whether it is a whole so far.

    Of a stream: what was appended, and what all of it came to at that moment.
    """
    threads: dict[str, str] = {}
    sums: defaultdict[str, str] = defaultdict(str)
    for call in slack.calls():
        if not call.name.startswith("chat."):
            continue
        ts = str((call.result or {}).get("ts") or call.arguments.get("ts") or f"refused {id(call)}")
        thread = threads.setdefault(ts, str(call.arguments.get("thread_ts") or ts))
        delta = str(call.arguments.get("markdown_text", ""))
        sums[ts] += delta
        for text in texts(call.arguments):
            yield thread, text, text != delta and text not in plain(call.arguments)
        if delta:
            yield thread, sums[ts], True


def lies(shown: str) -> list[str]:
    """Links whose label reads like an address of another host, and those that show no host at all."""
    found, href, label, at = [], "", "", 0
    for token in tokens(shown):
        if token.type == "link_open":
            href, label = str(token.attrs["href"]), ""
        elif token.type == "link_close":
            at = shown.find(f"]({href})", at) + len(href) + 3
            host = re.sub(r"^(?:https?://|mailto:)|[/:].*", "", href.lower())
            read = _UNSEEN.sub("", label).lower()
            others = [named for named in _ADDRESS.findall(read) if named != host]
            if others or not (host in read or shown.startswith(f" ({host})", at)):
                found.append(f"a label that lies: {label!r} leads to {href}")
            href = ""
        elif href:
            label += token.content
    return found


def through(text: str, *, whole: bool) -> list[str]:
    """Say what of a text would ping, unfurl, mislead or carry out."""
    found = [name for name, pattern in PINGS.items() if re.search(pattern, text)]
    if not whole:
        return found
    prose = _INLINE.sub("", FENCED.sub("", text))
    found += [name for name, pattern in LIVE.items() if re.search(pattern, prose, re.IGNORECASE)]
    found += ["a ping of plain words"] * bool(re.search(r"(?<![\w/`])@(?:here|channel|everyone)", prose))
    try:
        found += [f"carries the secret: {href}" for href in hrefs(text) if SECRET in href]
    except AssertionError:
        found.append("an image, or HTML")
    return found + lies(text)


async def test_nothing_that_a_model_is_talked_into_pings_misleads_or_carries_out(
    bobbin: Bobbin, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, led = Scene(bobbin), Led()
    scene.bedrock.model = led
    cut = set[str]()
    monkeypatch.setattr(
        "bot.sandbox.bedrock.deltas", lambda text: iter(text) if text in cut else deltas(text)
    )
    ids = {"{ben}": scene.ben, "{channel}": scene.channel}
    cases: list[tuple[str, str]] = []  # what it is, where one looks for the culprit; the answer
    for kind, named in ANSWERS.items():
        texts_of = {
            name: re.sub("{ben}|{channel}", lambda found: ids[found[0]], text) for name, text in named.items()
        }
        cases += [(f"{kind}: {name}", text) for name, text in texts_of.items()]
        cases.append((f"{kind}: all", "\n\n".join(texts_of.values())))
        if kind == "cut at every character":
            cut |= {f"Look: {text}" for text in texts_of.values()}
    led.answers = {str(number): text for number, (_, text) in enumerate(cases)}
    slots, of = asyncio.Semaphore(8), dict[str, str]()

    async def one(number: int, way: str, place: str) -> None:
        async with slots:
            thread = await scene.slack.say(scene.ann, place, f"{scene.me} case {number}")
            of[thread] = f"{cases[number][0]} ({way})"
            answers = await bobbin.answered(place, thread)
            assert "".join(answers).startswith("Look: "), of[thread]

    for way, fault in {"stream": "", "updates": "unknown_method", "whole": "ratelimited"}.items():
        scene.slack.faults.clear()
        if fault:
            scene.slack.faults.add("chat.startStream", fault, times=None)
        place = scene.slack.add_channel(way, members=(scene.ann, scene.ben))
        shown = [
            number for number, (name, _) in enumerate(cases) if way == "stream" or name.endswith(": all")
        ]
        await asyncio.gather(*(one(number, way, place) for number in shown))

    got = {
        f"{of[thread]}: {found} in {text!r}"
        for thread, text, whole in set(seen(scene.slack))
        if thread in of
        for found in through(text, whole=whole)
    }
    assert got == set(), "\n".join(sorted(got))
    assert {thread for thread, _, _ in seen(scene.slack)} >= set(of)
    for call in scene.slack.calls("chat.postMessage"):
        assert (call.arguments["unfurl_links"], call.arguments["unfurl_media"]) == (False, False)


@pytest.mark.parametrize(
    "text",
    [
        "<!here>",
        f"https://evil.example/?q={SECRET}",
        "![x](https://e.example/p)",
        "[bank.example](https://evil.example/a)",
        "@here",
        "[x](https://e.example/a)",
    ],
)
def test_this_judge_would_notice(text: str) -> None:
    assert through(text, whole=True)


# ---------------------------------------------------------------- what people write, and are called


def forged(asked: Asked, speech: Speech, spoken: int) -> list[str]:
    """Say what of a request is not as it must be, by what the model reads."""
    found = []
    opened, closed, speakers = 0, 0, []
    for message in asked.body["messages"]:
        for text in (block["text"] for block in message["content"] if "text" in block):
            tags = _TAG.findall(_UNSEEN.sub("", text)) if message["role"] == "user" else []
            opened += sum(not slash for slash, _ in tags)
            closed += sum(bool(slash) for slash, _ in tags)
            speakers += re.findall(
                r'^<message from="([^"<>\n]*)" at="[^"]{20}"(?: outside="([^"]*)")?>', text
            )
            if message["role"] == "user" and not text.endswith("</message>"):
                found.append(f"words outside of a frame: {text!r}")
    if not opened == closed == spoken == len(speakers):
        found.append(f"{opened} tags opened, {closed} closed, {len(speakers)} speakers in {spoken} messages")
    if (speech.seen, speech.mark) not in speakers:
        found.append(f"the speakers are {speakers}")
    if hidden := _UNSEEN.findall(" ".join(_attached(asked) + [name for name, _ in speakers])):
        found.append(f"unseen characters in a name: {hidden}")
    if MARK in system(asked) or not system(asked).startswith(f"{WHO}\n\n{READING}"):
        found.append("the system prompt was changed")
    return found


def _attached(asked: Asked) -> list[str]:
    """What the model is told of the names of files."""
    return re.findall(r"\[attached: .*", "\n".join(map(str, _texts(asked))))


def _texts(asked: Asked) -> list[str]:
    return [b["text"] for message in asked.body["messages"] for b in message["content"] if "text" in b]


async def test_nobody_speaks_in_anothers_name_or_as_the_software(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    got: dict[str, list[str]] = {}
    for name, speech in SPEECHES.items():
        ann = scene.slack.add_person("a", display=speech.name, external_team="T0EVE" * speech.external)
        place = scene.slack.add_channel(speech.channel, members=(ann, scene.ben))
        more: dict[str, Any] = {"as_bot": speech.as_bot} if speech.as_bot else {"files": speech.files}
        if speech.mark:  # such a one is not answered: a colleague is, in the same thread
            thread = await scene.slack.say(ann, place, speech.words, **more)
            await scene.slack.say(scene.ben, place, f"{scene.me} what do you say?", thread=thread)
        else:
            thread = await scene.slack.say(ann, place, f"{scene.me} {speech.words}", **more)
        await bobbin.answered(place, thread)
        if problems := forged(scene.bedrock.requests[-1], speech, 1 + bool(speech.mark)):
            got[name] = problems
    assert got == {}


async def test_a_name_that_only_looks_like_anothers_is_told_apart_from_it(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    for number, name in enumerate(("Ann\u200b Lee", "ANN LEE", "\uff21nn Lee"), start=2):
        twin = scene.slack.add_person("a", display=name)
        await scene.mention("I said yes", by=twin, thread=thread)
        await scene.answered(thread, number)
    told = re.findall(r'<message from="([^"]*)"', str(scene.requests[-1].body["messages"]))
    assert len({name.rpartition(" (")[2] for name in told}) == len(told) == 4


# ---------------------------------------------------------------- what people attach


def bomb(side: int) -> bytes:
    """A picture of some kilobytes that is gigabytes when unpacked."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    head = chunk(b"IHDR", pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
async def stranger() -> AsyncIterator[tuple[str, list[str]]]:
    """A server of somebody else's: its address, and what it was asked."""
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(f"{request.path} {dict(request.headers)}")
        return web.Response(text="thank you")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", note)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    await runner.cleanup()


async def test_no_file_sends_the_token_away_or_is_taken_for_what_it_says(
    bobbin: Bobbin, stranger: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, (evil, asked) = Scene(bobbin), stranger
    files = {
        **FILES,
        "a picture that unpacks to gigabytes": Attached(Upload("a.png", bomb(30_000)), "damaged"),
    }
    w, got = scene.slack.workspace, dict[str, str]()
    make = w.add_file

    def add(*given: Any) -> Any:
        file = make(*given)
        if attack.url:
            own = file.facts["url_private_download"]
            file.facts |= dict.fromkeys(("url_private", "url_private_download"), attack.url(own, evil))
        return file

    monkeypatch.setattr(w, "add_file", add)
    for name, attack in files.items():
        if attack.fault == "html":
            scene.slack.faults.add("files-pri", "html", times=None)
        if attack.fault == "redirect":
            w.scopes.remove("files:read")
        before = sum(entry.kind == "download" for entry in scene.slack.log)
        thread = await scene.mention("Look", files=[attack.upload])
        await scene.answered(thread)
        notes = "\n".join(below(scene.answers(thread)[-1]))
        if attack.reason not in notes or (not attack.reason and "could not read" in notes):
            got[name] = notes
        tries = sum(entry.kind == "download" for entry in scene.slack.log) - before
        if attack.url and attack.reason and tries:
            got[name] = f"it was fetched {tries} times"
        scene.slack.faults.clear()
        w.scopes.add("files:read")
    assert got == {}
    assert asked == []
    assert not any(entry.kind == "login" for entry in scene.slack.log)
    names = [
        block["document"]["name"]
        for asked in scene.requests
        for message in asked.body["messages"]
        for block in message["content"]
        if "document" in block
    ]
    assert all(re.fullmatch(r"[\w \-()\[\]]+", name) for name in names)
