"""HTTP mode: the same walks as over a socket; only the way in differs."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.sandbox.slack.requests import sign
from bot.sandbox.slack.socket_mode import callback
from tests.e2e.bad_requests import MARK, Corpus, Request, oddities, send
from tests.e2e.conftest import Bobbin, by_requests
from tests.e2e.scene import Scene


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """A Slack that goes on trying while a process starts: it does not see when there is one."""
    slack = Slack(ack_seconds=6, redelivery=(0, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2))
    await slack.start()
    yield slack
    await slack.close()


@pytest.fixture
async def scene(make: Callable[..., Bobbin], slack: Slack) -> Scene:
    return Scene(await make(**by_requests(slack)).start())


async def test_a_thread_is_answered_redelivered_changed_pressed_and_commanded_as_over_a_socket(
    scene: Scene,
) -> None:
    slack, ann = scene.slack, scene.ann
    slack.deliver_twice()
    thread = await scene.mention("1+1=?")
    await scene.answered(thread)
    await scene.say("And 3 more?", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "5"
    slack.deliver_twice(on=False)

    for event in [entry.data["event_id"] for entry in slack.log if entry.kind == "delivery"]:
        slack.deliver_again(str(event))
    await scene.heard()
    assert len(scene.requests) == 2

    scene.bedrock.hold()
    edited = await scene.mention("say exactly: first")
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    await slack.edit(ann, scene.channel, edited, f"{scene.me} say exactly: second")
    await scene.acked()
    scene.bedrock.release()
    assert await scene.answered(edited) == ["second"]
    answer = scene.answers(thread)[0]["ts"]
    assert "text" in await slack.command(ann, scene.channel, "/bobbin help")
    assert await slack.press(ann, scene.channel, answer, "feedback", "up") == {}
    assert await slack.shortcut(ann, "what_did_you_read", scene.channel, answer) == {}
    await slack.wait_for(lambda: any("I read" in note["text"] for note in slack.ephemerals(ann)))
    assert await slack.requests.check_ssl()
    assert not [entry for entry in slack.log if entry.kind in ("refused", "undelivered")]
    assert not slack.calls("apps.connections.open")
    assert await scene.bobbin.stop() == 0


async def test_what_comes_while_bobbin_is_dead_or_cannot_commit_comes_again_and_is_answered_once(
    scene: Scene, bedrock: Bedrock
) -> None:
    slack, bobbin = scene.slack, scene.bobbin
    bedrock.hold()
    thread = await scene.mention("say exactly: survived")
    await bedrock.wait_for(lambda it: it.open == 1)
    await bobbin.kill()
    late = await scene.mention("say exactly: late")
    await slack.wait_for(lambda: any(entry.kind == "refused" for entry in slack.log))
    bedrock.release()
    await bobbin.start()
    assert await scene.answered(thread) == ["survived"]
    assert await scene.answered(late) == ["late"]
    retried = [entry.data for entry in slack.log if entry.kind == "delivery" and entry.data["attempt"]]
    # Nobody listened; or, just after the start, nothing was taken in yet.
    assert retried[0]["X-Slack-Retry-Reason"] == "connection_failed"
    assert {each["X-Slack-Retry-Reason"] for each in retried} <= {"connection_failed", "http_error"}

    bedrock.hold()
    slow = await scene.mention("say exactly: slow")
    await bedrock.wait_for(lambda it: it.open == 1)
    ending = asyncio.create_task(bobbin.stop())
    await logged(bobbin, "stopping")
    while_it_stops = await scene.mention("say exactly: not lost")
    await kept(slack)
    assert await ending == 0
    bedrock.release()
    await bobbin.start()
    assert await scene.answered(slow) == ["slow"]
    assert await scene.answered(while_it_stops) == ["not lost"]

    database = bobbin.folder / "bobbin.db"
    database.rename(bobbin.folder / "away.db")  # nothing can be committed
    before = len(slack.log)
    held = await scene.mention("say exactly: kept")
    await slack.wait_for(lambda: sum(entry.kind == "refused" for entry in slack.log[before:]) >= 2)
    (bobbin.folder / "away.db").rename(database)
    assert await scene.answered(held) == ["kept"]
    await kept(slack)
    assert {e.data["status"] for e in slack.log[before:] if e.kind == "refused"} == {503}
    assert not [entry for entry in slack.log if entry.kind == "undelivered"]
    assert [len(scene.answers(each)) for each in (thread, late, held)] == [1, 1, 1]
    assert await bobbin.stop() == 0


async def kept(slack: Slack) -> None:
    """Wait until every event was acknowledged once: of tries that failed there is no ack."""

    def events(kind: str) -> set[str]:
        return {str(entry.data["event_id"]) for entry in slack.log if entry.kind == kind}

    await asyncio.sleep(0)  # a delivery begins in the next round of the loop
    await slack.wait_for(lambda: events("delivery") <= events("ack"))


async def logged(bobbin: Bobbin, event: str) -> None:
    """Wait until Bobbin says so."""
    while not any(line["event"] == event for line in bobbin.log):  # noqa: ASYNC110  a file tells nobody
        await asyncio.sleep(0.02)


def port_of(bobbin: Bobbin) -> int:
    return int(bobbin.settings["PORT"])


async def test_four_thousand_requests_that_are_not_slacks_are_refused_and_a_question_among_them_is_answered(
    scene: Scene,
) -> None:
    slack, bobbin = scene.slack, scene.bobbin
    await scene.joined()
    said = {
        "type": "app_mention",
        "user": scene.ann,
        "channel": scene.channel,
        "ts": slack.workspace.new_ts(),
    }
    said |= {"text": f"{scene.me} {MARK}", "event_ts": said["ts"]}
    corpus = Corpus(slack.signing_secret, callback(slack.workspace, said, "", None)).requests(1000)
    rows = await bobbin.rows("SELECT count(*) FROM inbox")
    wrong: list[tuple[Request, int]] = []
    waiting, began = iter(corpus), monotonic()

    async def attacker() -> None:
        for request in waiting:
            status = await send(port_of(bobbin), request)
            if status not in request.refused:
                wrong.append((request, status))

    attackers = [asyncio.create_task(attacker()) for _ in range(40)]
    assert await scene.answered(await scene.mention("1+1=?"))
    await asyncio.gather(*attackers)
    assert [(request.kind, request.head[:300], status) for request, status in wrong[:3]] == []
    assert Counter(request.kind for request in corpus).total() == 4000
    assert len(scene.requests) == 2
    (now,) = await bobbin.rows("SELECT count(*) FROM inbox WHERE event_id LIKE 'EvBad%'")
    assert (rows[0][0] > 0, now) == (True, (0,))
    told = [line for line in bobbin.log if line["event"] == "requests refused"]
    assert len(told) <= 2 + (monotonic() - began) / 60  # a flood does not fill the log
    assert MARK not in (bobbin.folder / "bobbin.log").read_text()
    assert "Traceback" not in (bobbin.folder / "bobbin.log").read_text()

    for name, headers, body, status in oddities(slack.signing_secret):
        size = {"Content-Length": str(len(body))}
        answer, _, text = await slack.requests.post(body, headers["Content-Type"], headers=headers | size)
        assert (name, answer) == (name, status)
        assert ("3eZ" in text) == (name == "challenge")
    (quarantined,) = await bobbin.rows("SELECT count(*) FROM inbox WHERE outcome = 'quarantined'")
    assert quarantined[0] >= 3
    assert await scene.answered(await scene.mention("1+1=?"))
    assert await bobbin.stop() == 0


IMPATIENT = """
import sys
import bot.slack.http_mode
import bot.web
from bot.__main__ import main

bot.slack.http_mode._READ_SECONDS = bot.web.FIRST_SECONDS = 5
bot.web.CONNECTIONS = 60
sys.exit(main())
"""


async def heard(reader: asyncio.StreamReader) -> bytes:
    """The status line that came before the end, however the connection ended."""
    try:
        return (await reader.read())[:12]
    except ConnectionResetError:
        return b""


async def test_who_is_slow_or_comes_with_too_many_connections_is_shown_the_door(
    make: Callable[..., Bobbin], slack: Slack
) -> None:
    bobbin = make(**by_requests(slack))
    bobbin.command = [sys.executable, "-c", IMPATIENT]
    scene = Scene(await bobbin.start())
    body = b"{}"
    headers = {"Content-Type": "application/json", **sign(slack.signing_secret, body)}
    head = b"POST /slack/events HTTP/1.1\r\nHost: bobbin.example\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    starts = [b"", head, head + lines, head + lines + b"Content-Length: 2\r\n\r\n{"]
    starts.append(head + lines + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    opening = [asyncio.open_connection("127.0.0.1", port_of(bobbin)) for _ in range(100)]
    connections = await asyncio.gather(*opening)
    for number, (_, writer) in enumerate(connections):
        writer.write(starts[number % len(starts)])
    answers = [await heard(reader) for reader, _ in connections]
    # Of five ways to be slow two have a head: their bodies were waited for. Those too many were not heard.
    assert answers.count(b"") + answers.count(b"HTTP/1.1 408") == 100
    assert 0 < answers.count(b"HTTP/1.1 408") < 40
    for _, writer in connections:
        writer.close()
    assert await scene.answered(await scene.mention("1+1=?"))
    assert await bobbin.stop() == 0
