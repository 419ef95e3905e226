import asyncio
import json
import os
import signal
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from bot.models import default_model, known
from bot.sandbox.bedrock_rules import DATA

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "bot", "sandbox")


async def start(port: int = 0, *arguments: str) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}  # noqa: TID251 handed on
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        cwd=ROOT,
        env=inherited | {"SANDBOX_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


class Sandbox:
    """The command as a person runs it, and the page as a browser uses it."""

    def __init__(
        self, process: asyncio.subprocess.Process, address: URL, http: aiohttp.ClientSession
    ) -> None:
        self.process, self.address, self.http = process, address, http
        self.base = address.with_query(None)

    async def act(self, name: str, **arguments: Any) -> Any:
        async with self.http.post(self.base / "acts" / name, json=arguments) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def shows(self, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Return what the page was told once it holds; a test's own time limit ends the wait."""
        items: dict[str, Any] = {}
        async with self.http.get(self.base / "events") as events:
            async for line in events.content:
                if line.startswith(b"data: "):
                    for key, text in json.loads(line[6:]).items():
                        items[key] = text and json.loads(text)
                    if holds(items):
                        return items
        raise AssertionError(items)


@pytest.fixture
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    process = await start(0, *getattr(request, "param", ()))
    try:
        assert process.stdout
        line = ""
        while "?token=" not in line:
            line = (await process.stdout.readline()).decode()
            assert line, await process.communicate()
        assert line.startswith("Bobbin's sandbox: http://127.0.0.1:")
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            yield Sandbox(process, URL(line.split()[2]), http)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def opened(sandbox: Sandbox) -> dict[str, Any]:
    async with sandbox.http.get(sandbox.address) as page:
        assert page.status == 200
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert {"HttpOnly", "SameSite=Strict"} <= set(page.headers["Set-Cookie"].split("; "))
        assert "<title>Bobbin's sandbox</title>" in await page.text()
    return await sandbox.shows(lambda items: "people" in items)


def place(items: dict[str, Any], name: str) -> str:
    """The id of a channel that the page shows."""
    return str(
        next(item["id"] for key, item in items.items() if key.startswith("place ") and item["name"] == name)
    )


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def answer(items: dict[str, Any], thread: str) -> str:
    texts = (
        item["text"]
        for key, item in items.items()
        if key.startswith("message ")
        and item
        and item.get("thread_ts") == thread
        and item.get("streaming_state") == "completed"
    )
    return next(texts, "")


async def test_a_question_on_the_page_is_answered_and_the_end_leaves_nothing_running(sandbox: Sandbox):
    items = await opened(sandbox)
    ann, bobbin = (
        next(p["id"] for p in items["people"] if p["display"] == name) for name in ("Ann Lee", "bobbin")
    )
    general = place(items, "general")

    ts = await sandbox.act("say", user=ann, channel=general, text=f"<@{bobbin}> What's 1+1?")
    assert (await sandbox.shows(lambda items: answer(items, ts)))[f"message {general} {ts}"][
        "reply_count"
    ] == 1

    items = await sandbox.shows(lambda items: "bobbin" in items)
    assert items["bobbin"]["connected"] == 1
    sandbox.process.send_signal(signal.SIGTERM)
    assert await sandbox.process.wait() == 0
    assert not is_there(items["bobbin"]["pid"])
    assert not Path(items["bobbin"]["log"]).parent.exists()


@pytest.mark.parametrize("sandbox", [(), ("--http",)], ids=["socket", "http"], indirect=True)
async def test_a_killed_bobbin_is_started_again_and_the_page_says_so(sandbox: Sandbox):
    first = (await opened(sandbox))["bobbin"]["pid"]
    await sandbox.act("kill")
    bobbin = (
        await sandbox.shows(
            lambda items: items["bobbin"]["pid"] != first and items["bobbin"]["connected"],
        )
    )["bobbin"]
    assert bobbin["ends"] == [-signal.SIGKILL]


async def test_files_and_the_apps_own_places_are_reached_from_the_page(sandbox: Sandbox):
    items = await opened(sandbox)
    ann = next(p["id"] for p in items["people"] if p["display"] == "Ann Lee")
    general = place(items, "general")
    content = b64encode(b"words").decode()
    ts = await sandbox.act("say", user=ann, channel=general, text="see", files=[["a.txt", content]])
    items = await sandbox.shows(lambda items: f"message {general} {ts}" in items)
    (file,) = items[f"message {general} {ts}"]["files"]
    assert (file["name"], file["size"]) == ("a.txt", 5)
    async with sandbox.http.get(sandbox.base / "files" / file["id"]) as download:
        assert await download.read() == b"words"
        assert download.headers["Content-Disposition"].startswith("attachment")
    async with sandbox.http.get(sandbox.base / "files" / "F0") as download:
        assert download.status == 404
    assert await sandbox.act("open_home", user=ann)
    assert set(items["menu"]) == {"shortcuts", "slash_commands"}
    for name, facts in (
        ("command", {"text": "/unknown"}),
        ("shortcut", {"callback_id": "unknown", "ts": ts}),
    ):
        url, given = sandbox.base / "acts" / name, {"user": ann, "channel": general, **facts}
        async with sandbox.http.post(url, json=given) as undeclared:
            assert (undeclared.status, "declares no" in (await undeclared.json())["error"]) == (400, True)


async def test_what_happens_beneath_is_told_briefly_and_given_whole(sandbox: Sandbox):
    items = await opened(sandbox)
    ann = next(p["id"] for p in items["people"] if p["display"] == "Ann Lee")
    general = place(items, "general")
    me = next(p["id"] for p in items["people"] if p["display"] == "bobbin")
    ts = await sandbox.act("say", user=ann, channel=general, text=f"<@{me}> What's 1+1?")
    items = await sandbox.shows(lambda items: answer(items, ts) and items["asked 0"]["ended"])

    asked = items["asked 0"]
    assert (asked["roles"], asked["ended"], asked["fault"]) == (["user"], "completed", "")
    assert asked["usage"]["outputTokens"] > 0
    async with sandbox.http.get(sandbox.base / "beneath" / "asked" / "0") as given:
        (whole,) = await given.json()
    assert "What's 1+1?" in json.dumps(whole["body"]["messages"])
    told = {key: item for key, item in items.items() if key.startswith("entry ")}
    key, delivery = next(each for each in told.items() if each[1]["event"].get("text", "").endswith("1+1?"))
    await sandbox.shows(
        lambda items: any(
            (item["kind"], item.get("envelope_id")) == ("ack", delivery["envelope_id"])
            for each, item in items.items()
            if item and each.startswith("entry ")
        )
    )
    async with sandbox.http.get(sandbox.base / "beneath" / "entry" / key.split()[1]) as given:
        (whole,) = await given.json()
    assert whole["data"]["payload"]["event_id"] == delivery["event_id"]
    async with sandbox.http.get(sandbox.base / "beneath" / "asked" / "9") as nothing:
        assert await nothing.json() == []
    await sandbox.shows(
        lambda items: any("turn ended" in str(item) for key, item in items.items() if key.startswith("log "))
    )


def test_the_page_reckons_with_the_price_of_the_model_that_is_asked():
    model = known(default_model("us-east-1")).prices
    factors = {"new": Decimal(1), "read": model.read, "5m": model.write_5m, "1h": model.write_1h}
    prices = {name: float(model.input * factor) for name, factor in factors.items()}
    assert DATA["prices"] == pytest.approx(prices | {"output": float(model.output)})


async def test_without_its_token_or_under_another_name_nothing_is_told(sandbox: Sandbox):
    cases: list[tuple[URL, dict[str, str]]] = [
        (sandbox.base, {}),
        (sandbox.base / "events", {}),
        (sandbox.base / "page.js", {}),
        (sandbox.base / "beneath" / "entry" / "0", {}),
        (sandbox.base.with_query(token="guess"), {}),
        (sandbox.address, {"Host": f"rebound.example:{sandbox.base.port}"}),
        (sandbox.address, {"Host": "127.0.0.1"}),
    ]
    for url, headers in cases:
        async with sandbox.http.get(url, headers=headers) as refused:
            assert refused.status == 403


async def test_only_the_acts_of_people_can_be_sent_and_only_as_json(sandbox: Sandbox):
    await opened(sandbox)
    for act, kind, status in [
        ("say", "text/plain", 415),
        ("close", "application/json", 404),
        ("say", "application/json", 400),
    ]:
        headers = {"Content-Type": kind}
        async with sandbox.http.post(sandbox.base / "acts" / act, data=b"{}", headers=headers) as refused:
            assert refused.status == status


async def test_a_port_that_is_taken_is_said_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(taken.getsockname()[1])
        _, error = await process.communicate()
    assert process.returncode == 1
    assert error.decode().startswith("SANDBOX_PORT: ")
    assert len(error.splitlines()) == 1
