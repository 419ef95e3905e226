"""Rubbish through the socket: nothing breaks or hangs, each has one clear end, and people are served."""

import asyncio
import re
import unicodedata
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType

from bot.sandbox.bedrock import Asked
from bot.sandbox.slack import Slack
from tests.e2e.bad_input import GONE, MARK, NAMES, TEXTS, UNPARSABLE, WRONG, Case, Corpus, frame
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, running
from tests.e2e.test_crashes import at_rest, nothing_is_left

_PATIENCE_SECONDS = 90
"""Much longer than Slack waits for an ack; a machine on which much runs may stand still for a while."""
_AT_ONCE = 64
_OVERTAKEN = 4 * _AT_ONCE
"""So many events that came later may be acked before one is."""
_HANDLED = ("event", "event ignored", "interaction ignored", "try again", "an event could not be read")
_FRAME = re.compile(
    r'<message from="[^"<>]+" at="\d{4}-\d\d-\d\d \d\d:\d\d UTC"(?: outside="[a-z ]+")?>(.*)</message>',
    re.DOTALL,
)
_RSS_MB = 100
_UNHURRIED = {"LEASE_SECONDS": "30", "RECOVERY_SETTLE_SECONDS": "5"}
"""So much at once may take its time."""


@pytest.fixture
async def bobbin(tmp_path: Path) -> AsyncIterator[Bobbin]:
    async with running(tmp_path, SLACK_PACING="off", **_UNHURRIED) as bobbin:
        yield bobbin


async def send(slack: Slack, text: str, envelope_id: str) -> float | None:
    """Send a frame as it is; how long its ack took in seconds, None without one."""
    loop = asyncio.get_running_loop()
    acked: asyncio.Future[Any] = loop.create_future()
    slack._sockets._acks[envelope_id] = ("bad input", acked)
    began = loop.time()
    await slack._sockets.open[0].send_str(text)
    try:
        await asyncio.wait_for(acked, _PATIENCE_SECONDS)
    except TimeoutError:
        return None
    return loop.time() - began


async def deliver(slack: Slack, cases: list[Case]) -> list[str]:
    """Deliver them, many at once; the names of those that were not acked, or long after their like."""
    slots = asyncio.Semaphore(_AT_ONCE)
    acked = 0

    async def one(case: Case) -> str:
        nonlocal acked
        async with slots:
            envelope_id, before = str(uuid.uuid4()), acked
            seconds = await send(slack, frame(case, envelope_id), envelope_id)
            acked += 1
            return case.name if seconds is None or acked - before > _OVERTAKEN else ""

    return [name for name in await asyncio.gather(*map(one, cases)) if name]


def end(line: dict[str, Any]) -> str:
    """How a line of the log says that an event ended."""
    if line["event"] == "event":
        known = (
            "message",
            "addressed",
            "edited",
            "deleted",
            "stopped",
            "muted",
            "woken",
            "duplicate",
            "invited",
        )
        return line["outcome"] if line["outcome"] in known else f"ignored: {line['outcome']}"
    if line["event"] == "an event could not be read":
        return "quarantined"
    return f"ignored: {line.get('reason') or line['outcome']}"


def memory(bobbin: Bobbin) -> float:
    """What the process holds in memory, in MB."""
    assert bobbin.process is not None
    status = Path(f"/proc/{bobbin.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def complaints(bobbin: Bobbin) -> list[dict[str, Any]]:
    """Log lines at error level, or with a traceback, besides those of the quarantine."""
    bad = [line for line in bobbin.log if line["level"] in ("error", "critical") or "exception" in line]
    return [line for line in bad if line["event"] != "an event could not be read"]


def condenses(asked: Asked) -> bool:
    """Whether it asks for the notes of a long thread, and not for an answer."""
    return str(asked.body["messages"][-1]["content"][-1].get("text")).startswith("Summarise everything above")


def judge(asked: Asked) -> None:
    """A request that Bedrock takes, with one frame for each message, and none that a person wrote."""
    messages = asked.body["messages"]
    assert [message["role"] for message in messages] == [
        ("user", "assistant")[n % 2] for n in range(len(messages))
    ]
    for message in messages:
        for text in (block["text"] for block in message["content"] if "text" in block):
            assert text.strip()
            text.encode()
            ours = text.startswith(("<summary", "Summarise everything above"))  # a long thread is condensed
            if message["role"] == "user" and not ours:
                framed = _FRAME.fullmatch(text)
                assert framed, text[:300]
                seen = "".join(c for c in framed[1] if unicodedata.category(c) not in ("Cf", "Mn"))
                assert not re.search(r"<\s*(?:/\s*)?message", seen, re.IGNORECASE), text[:300]


async def healthy(bobbin: Bobbin, pid: int) -> None:
    """The same process runs, answers a normal question, complains of nothing, and tells nobody's words."""
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.add_channel("after", members=(ann,))
    thread = await bobbin.slack.say(ann, channel, f"{bobbin.me} What's 1+1?")
    assert (await bobbin.answered(channel, thread))[0].startswith("2")
    assert bobbin.process is not None
    assert (bobbin.process.pid, bobbin.process.returncode) == (pid, None)
    assert complaints(bobbin) == []
    assert MARK not in (bobbin.folder / "bobbin.log").read_text()
    await nothing_is_left(bobbin, bobbin.slack)


async def test_each_bad_event_is_acked_and_has_one_clear_end(bobbin: Bobbin) -> None:
    assert bobbin.process is not None
    scene, pid = Scene(bobbin), bobbin.process.pid
    thread = await scene.joined()
    lobby = scene.slack.add_channel("lobby", members=(scene.ann,))
    cases = Corpus(scene.slack, scene.ann, scene.channel, thread, lobby).cases()
    assert len({case.name for case in cases}) == len(cases) >= 500
    seen, held = len(bobbin.log), memory(bobbin)

    late = await deliver(scene.slack, cases)
    assert not late, "\n".join(late)
    await at_rest(bobbin, 60)

    ours = {case.event_id for case in cases}
    lines = [line for line in bobbin.log[seen:] if line["event"] in _HANDLED]
    lines = [line for line in lines if (id_ := str(line.get("id"))) in ours or not id_.startswith("Ev")]
    by_id: dict[str, list[str]] = {}
    for line in lines:
        by_id.setdefault(str(line.get("id")), []).append(end(line))
    for case in cases:
        if case.event_id and "app_home_opened" not in case.name:  # shows Home, and is no line of the log
            ends = by_id.get(case.event_id, [])
            assert len(ends) == 1, (case.name, ends)
            assert not case.ends or ends[0].startswith(case.ends), (case.name, ends)
    assert len(lines) == len([case for case in cases if "app_home_opened" not in case.name])
    print(len(cases), Counter(map(end, lines)))  # noqa: T201  the counts, where somebody looks

    kept = {
        event_id for (event_id,) in await bobbin.rows("SELECT event_id FROM inbox WHERE shape IS NOT NULL")
    }
    assert {id_ for id_, ends in by_id.items() if ends == ["quarantined"] and id_ in ours} <= kept
    turns = await bobbin.rows("SELECT count(*) FROM turn WHERE seq > 0")
    empty = await bobbin.rows(
        "SELECT id FROM turn WHERE seq > 0 AND NOT EXISTS"
        " (SELECT 1 FROM message WHERE turn_id = turn.id AND role = 'user' AND addressed)"
    )
    calm = await bobbin.rows(f"SELECT count(*) FROM conversation WHERE channel_id = '{lobby}'")
    assert empty == []
    assert calm == [(0,)]
    # Where an edit met its question while it was being answered, that began anew.
    anew = sum(line["event"].startswith("the question was changed") for line in bobbin.log[seen:])
    answers = [asked for asked in scene.bedrock.requests if not condenses(asked)]
    assert len(answers) <= turns[0][0] + anew
    for asked in scene.bedrock.requests:
        judge(asked)
    assert memory(bobbin) - held < _RSS_MB
    await healthy(bobbin, pid)


async def test_names_that_forge_the_frame_stay_names(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    for name in NAMES:
        thread = await scene.mention("say exactly: heard you", by=scene.slack.add_person(name))
        assert await scene.answered(thread) == ["heard you"], name
        judge(scene.bedrock.requests[-1])
    assert complaints(bobbin) == []


async def test_a_name_with_half_a_surrogate_pair_is_no_obstacle(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.mention("say exactly: heard you", by=scene.slack.add_person("a\ud800"))
    assert await scene.answered(thread) == ["heard you"]


async def test_rubbish_in_the_history_of_a_thread_is_no_obstacle(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    place = scene.slack.workspace.channels[scene.channel]
    root = await scene.say(f"{MARK} a thread without Bobbin")
    for wrong in (value for value in WRONG.values() if value is not GONE):
        for key in ("user", "text", "files", "subtype", "bot_id", "team", "thread_ts", "metadata", "blocks"):
            ts = scene.slack.workspace.new_ts()
            said = {"type": "message", "user": scene.ann, "text": MARK, "ts": ts, "thread_ts": root}
            place.messages[ts] = said | {key: wrong}
            place.replies.setdefault(root, []).append(ts)
    await scene.mention("say exactly: heard you", thread=root)
    assert await scene.answered(root) == ["heard you"]
    judge(scene.bedrock.requests[-1])
    assert complaints(bobbin) == []


async def test_an_envelope_that_no_parser_takes_is_acked_all_the_same(bobbin: Bobbin) -> None:
    slack, ends = bobbin.slack, {}
    for name, payload in UNPARSABLE.items():
        text = f'{{"type": "events_api", "envelope_id": "{name}", "payload": {payload}}}'
        ends[name] = send(slack, text, name)
    acked = dict(zip(ends, await asyncio.gather(*ends.values()), strict=True))
    assert [name for name, seconds in acked.items() if seconds is None] == []


async def test_broken_utf_8_on_the_wire_costs_the_socket_and_nothing_else(bobbin: Bobbin) -> None:
    assert bobbin.process is not None
    slack, pid = bobbin.slack, bobbin.process.pid
    before = len([entry for entry in slack.log if (entry.kind, entry.name) == ("socket", "opened")])
    writer = slack._sockets.open[0]._writer
    assert writer is not None
    await writer.send_frame(b'{"type": "\xff\xfe"}', WSMsgType.TEXT)
    await slack.wait_for(
        lambda: (
            slack.connected
            and len([e for e in slack.log if (e.kind, e.name) == ("socket", "opened")]) > before
        ),
        30,
    )
    await healthy(bobbin, pid)


async def test_each_bad_text_to_bobbin_is_answered_and_the_model_is_asked_soundly(bobbin: Bobbin) -> None:
    assert bobbin.process is not None
    scene, pid = Scene(bobbin), bobbin.process.pid
    dm = scene.slack.dm(scene.ann)
    joined = await scene.joined()
    slots = asyncio.Semaphore(4)

    async def one(name: str, text: str) -> None:
        async with slots:
            mentioned = await scene.mention(f"{MARK} {text}")
            said = await scene.slack.say(scene.ann, dm, text)
            for channel, thread in ((scene.channel, mentioned), (dm, said)):
                answers = await bobbin.answered(channel, thread, timeout=200)
                assert len(answers) == 1, (channel, name)
                assert answers[0].strip(), (channel, name)

    await asyncio.gather(*(one(name, text) for name, text in TEXTS.items()))
    for number, text in enumerate(TEXTS.values()):
        await scene.say(text, by=scene.ben, thread=joined)
        if number % 10 == 0:  # all at once, a busy machine acks them late
            await scene.acked()
    await scene.acked()
    await at_rest(bobbin, 200)
    for request in scene.requests:
        judge(request)
    states = Counter(await bobbin.rows("SELECT state, error FROM turn WHERE seq > 0"))
    assert {state for state, _ in states} == {"answered"}, states
    thread = await scene.mention(f"{MARK} " * 110_000)
    (said,) = await scene.answered(thread)
    assert "more than I can read at once" in said
    await healthy(bobbin, pid)
