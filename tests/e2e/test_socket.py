"""The socket to Slack: replaced before it ends, noticed when it is silent, and never opened in a hot loop."""

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bot.sandbox.slack import Slack, socket_mode
from bot.slack.socket import PING_SECONDS, PINGS_UNANSWERED
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene

PINGS = 1.0
SILENCE = PINGS * (PINGS_UNANSWERED + 1)
"""Seconds: for nearly so long a busy machine may stand still."""

QUICK = f"""
import sys
import bot.slack.socket
import bot.slack.socket_mode
from bot.__main__ import main

bot.slack.socket.PING_SECONDS = {PINGS}
bot.slack.socket_mode._STAYS_SECONDS = 0.5
sys.exit(main())
"""
HESITANT = f"""
from types import SimpleNamespace
import bot.slack.socket_mode

bot.slack.socket_mode.random = SimpleNamespace(uniform=lambda *_: 60)
{QUICK}"""
"""Whenever it waits before it tries again, that takes a minute: longer than any test does."""


@pytest.fixture
async def quick(make: Callable[..., Bobbin]) -> Bobbin:
    """A running Bobbin whose seconds of waiting for a socket are short."""
    bobbin = make(SLACK_PACING="off")
    bobbin.command = [sys.executable, "-c", QUICK]
    return await bobbin.start()


def test_a_silent_socket_is_replaced_before_slack_delivers_for_the_second_time() -> None:
    assert PING_SECONDS * (PINGS_UNANSWERED + 1) <= 20  # a minute before the second try


def connected(slack: Slack) -> list[int]:
    """How many sockets were open, each time that one was opened or closed."""
    return [entry.data["connected"] for entry in slack.log if entry.kind == "socket"]


def said(bobbin: Bobbin, event: str) -> int:
    """How often Bobbin logged it."""
    return sum(line["event"] == event for line in bobbin.log)


def acks_went_astray(slack: Slack) -> bool:
    """Whether an ack came by another socket than its envelope had gone to."""
    by = {e.data["envelope_id"]: e.data["socket"] for e in slack.log if e.kind == "delivery"}
    return any(e.data["socket"] != by[e.data["envelope_id"]] for e in slack.log if e.kind == "ack")


def every_event_is_acked(slack: Slack) -> bool:
    """Whether of each event one delivery was acknowledged: in a storm, others go down with their sockets."""
    acked = {entry.data["envelope_id"] for entry in slack.log if entry.kind == "ack"}
    delivered = [entry.data for entry in slack.log if entry.kind == "delivery"]
    kept = {each["event_id"] for each in delivered if each["envelope_id"] in acked}
    return {each["event_id"] for each in delivered} <= kept


@asynccontextmanager
async def crowd(slack: Slack, count: int) -> AsyncIterator[None]:
    """So many sockets of the same app, opened by somebody else, who gives no acks."""
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        for _ in range(count):
            headers = {"Authorization": f"Bearer {slack.app_token}"}
            async with session.post(f"{slack.api_url}apps.connections.open", headers=headers) as answer:
                url = (await answer.json())["url"]
            await stack.enter_async_context(session.ws_connect(url))
        yield


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_the_next_socket_is_opened_before_the_old_one_is_closed(
    quick: Bobbin, slack: Slack, reason: str
) -> None:
    scene = Scene(quick)
    await scene.joined()
    await asyncio.sleep(1)  # a socket that lasted is replaced at once
    if reason == "warning":
        await slack.disconnect("warning")
    else:  # Slack closes a moment later, as it says
        for socket in list(slack._sockets.open):
            await socket.send_json({"type": "disconnect", "reason": reason})
    await slack.wait_for(lambda: slack.connected == 2)
    threads = [await scene.mention(f"say exactly: {number}") for number in range(8)]
    for number, thread in enumerate(threads):
        assert await scene.answered(thread) == [str(number)]
    await slack.wait_for(lambda: slack.connected == 1)
    assert connected(slack) == [1, 2, 1]
    assert not acks_went_astray(slack)


async def test_a_socket_that_is_closed_without_a_word_is_replaced_at_once(
    make: Callable[..., Bobbin], slack: Slack
) -> None:
    bobbin = make(SLACK_PACING="off")
    bobbin.command = [sys.executable, "-c", HESITANT]
    scene = Scene(await bobbin.start())
    await scene.joined()
    await asyncio.sleep(1)  # a socket that lasted is replaced at once
    await slack.disconnect(None)
    await slack.wait_for(lambda: connected(slack) == [1, 0, 1])
    assert await scene.joined()


async def test_a_silent_socket_is_noticed_and_replaced(quick: Bobbin, slack: Slack) -> None:
    scene = Scene(quick)
    await scene.joined()
    slack.half_open()
    thread = await scene.mention("say exactly: heard")
    assert await scene.answered(thread) == ["heard"]
    assert said(quick, "socket silent: reconnecting") == 1
    await slack.wait_for(lambda: slack.connected == 1)


async def test_a_healthy_socket_is_never_replaced(quick: Bobbin, slack: Slack) -> None:
    """Though nothing comes but answers to pings, and the process is frozen for longer than a silence."""
    assert quick.process is not None
    await asyncio.sleep(SILENCE + 0.5)  # nothing may happen
    quick.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(SILENCE + 0.5)
    quick.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.5)
    assert await Scene(quick).joined()
    assert connected(slack) == [1]
    assert said(quick, "socket silent: reconnecting") == 0


async def test_in_a_storm_of_disconnects_everything_is_answered_once(quick: Bobbin, slack: Slack) -> None:
    scene = Scene(quick)
    await scene.joined()
    began = asyncio.get_running_loop().time()
    opened = len(slack.calls("apps.connections.open"))
    threads: list[str] = []
    for reason in ("warning", "refresh_requested", None, "too_many_websockets", "link_disabled"):
        for _ in range(6):
            threads.append(await scene.mention(f"say exactly: {len(threads)}"))
            await asyncio.sleep(0.25)
        await slack.disconnect(reason)
    for number, thread in enumerate(threads):
        assert await scene.answered(thread) == [str(number)]
    lasted = asyncio.get_running_loop().time() - began
    assert len(slack.calls("apps.connections.open")) - opened <= lasted + 1
    await slack.wait_for(lambda: every_event_is_acked(slack))
    await scene.joined()
    assert all(len(scene.answers(thread)) == 1 for thread in threads)
    assert len(scene.requests) == len(threads) + 2
    assert not [entry for entry in slack.log if entry.kind == "undelivered"]
    assert not acks_went_astray(slack)


async def test_an_event_larger_than_any_of_slacks_costs_a_socket_a_try_and_keeps_nobody_else_waiting(
    quick: Bobbin, slack: Slack
) -> None:
    """It is more than the socket reads, so that it is never acknowledged; Slack gives it up."""
    scene = Scene(quick)
    await scene.joined()
    event = {"type": "message", "channel": scene.channel, "user": scene.ann, "text": "a" * 10_000_000}
    large = slack.deliver_raw(event, slack.workspace.channels[scene.channel])
    threads = [await scene.mention(f"say exactly: {number}") for number in range(3)]
    for number, thread in enumerate(threads):
        assert await scene.answered(thread) == [str(number)]
    given_up = await slack.wait_for(lambda: [entry for entry in slack.log if entry.kind == "undelivered"])
    assert [entry.data["event_id"] for entry in given_up] == [large]
    tries = [e for e in slack.log if e.kind == "delivery" and e.data["event_id"] == large]
    assert len(slack.calls("apps.connections.open")) <= 1 + len(tries)
    await slack.wait_for(lambda: slack.connected == 1)
    assert await scene.joined()
    assert all(len(scene.answers(thread)) == 1 for thread in threads)


async def test_where_too_many_sockets_are_open_the_remedy_is_said_and_tries_become_rare(
    quick: Bobbin, slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Scene(quick).joined()
    async with crowd(slack, 9):
        monkeypatch.setattr(socket_mode, "MAX_SOCKETS", 9)  # nobody else need be quicker than Bobbin
        opened = len(slack.calls("apps.connections.open"))
        await slack._sockets.open[0].close()
        await slack.wait_for(lambda: len(slack.calls("apps.connections.open")) - opened >= 3)
    times = [entry.at for entry in slack.calls("apps.connections.open")[-3:]]
    assert all(later - earlier >= 0.9 for earlier, later in itertools.pairwise(times))
    assert said(quick, "Slack refuses a socket") >= 2
    await slack.wait_for(lambda: slack.connected == 1)
    assert await Scene(quick).joined()


async def test_what_no_proxy_names_is_reached_without_the_proxy(
    make: Callable[..., Bobbin], slack: Slack
) -> None:
    proxy = "http://127.0.0.1:9"  # nobody is there
    bobbin = await make(HTTP_PROXY=proxy, HTTPS_PROXY=proxy, NO_PROXY="localhost,127.0.0.1").start()
    scene = Scene(bobbin)
    assert await scene.answered(await scene.mention("say exactly: hello")) == ["hello"]


async def test_what_stands_in_netrc_is_not_for_slack(make: Callable[..., Bobbin], tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login ann password secret\n")
    netrc.chmod(0o600)
    scene = Scene(await make(HOME=str(tmp_path), NETRC=str(netrc)).start())
    assert await scene.answered(await scene.mention("say exactly: hello")) == ["hello"]
