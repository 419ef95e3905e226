"""The token goes to Slack's own place for files and nowhere else; nothing said of a file is believed."""

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bot.events import File
from bot.files import DOCUMENT_BYTES
from bot.ports import Fetched
from bot.slack import downloads
from bot.slack.api import SlackAPI
from bot.slack.downloads import Downloads, is_at, origin_of_files
from bot.slack.pacing import Pacer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """Serves /file and /api/files.info by script; the last answer stays."""

    url: str = ""
    script: list[Handler] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    sent: int = 0

    async def file(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        return await (self.script.pop(0) if len(self.script) > 1 else self.script[0])(request)

    async def files_info(self, _: web.Request) -> web.Response:
        return web.json_response(self.info)

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while self.sent < 1 << 30:
            await response.write(b"x" * 100_000)
            self.sent += 100_000
        return response

    def at(self, path: str = "file", **more: Any) -> File:
        return File("F1", "a.txt", url=f"{self.url}/{path}", **more)


def gives(body: bytes = b"Alpha", status: int = 200, kind: str = "text/plain", **headers: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type=kind, headers=headers)

    return handle


async def cuts(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"Al")
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    application = web.Application()
    application.router.add_get("/file", server.file)
    application.router.add_route("*", "/api/files.info", server.files_info)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def files(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Downloads]:
    monkeypatch.setattr(downloads, "_FIRST_WAIT", 0.001)
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient("xoxb-1", f"{server.url}/api/", session=session, retry_handlers=[])
        api = SlackAPI(client, Pacer())
        yield Downloads(api, session, "xoxb-1", origin_of_files(f"{server.url}/api/"))


def test_files_come_from_slacks_own_place_or_from_the_one_origin_that_stands_for_slack():
    assert origin_of_files("https://slack.com/api/") == URL("https://files.slack.com")
    assert origin_of_files("http://127.0.0.1:8080/api/") == URL("http://127.0.0.1:8080")


@pytest.mark.parametrize(
    "url",
    [
        "http://files.slack.com/a",
        "https://files.slack.com.evil.example/a",
        "https://evil.example/files.slack.com/a",
        "https://files.slack.com@evil.example/a",
        "https://user@files.slack.com/a",
        "https://files.slack.com:8443/a",
        "https://slack.com/a",
        "https://files.slack.com%2eevil.example/a",
        "//files.slack.com/a",
        "/a",
        "",
    ],
)
def test_nothing_else_is_slacks_place(url: str):
    origin = origin_of_files("https://slack.com/api/")
    assert not is_at(origin, URL(url))
    assert is_at(origin, URL("https://files.slack.com/files-pri/T1-F1/a.txt?pub_secret=1"))


async def test_a_file_is_fetched_with_the_token(server: Server, files: Downloads):
    server.script = [gives()]
    assert await files.fetch(server.at()) == Fetched("txt", b"Alpha")
    assert server.tokens == ["Bearer xoxb-1"]


@pytest.mark.parametrize(
    "url", ["http://localhost:1/file", "https://evil.example\\@127.0.0.1/", "http://[", "x:y"]
)
async def test_elsewhere_nothing_is_asked_for(server: Server, files: Downloads, url: str):
    server.script = [gives()]
    assert await files.fetch(File("F1", "a.txt", url=url)) == Fetched(reason="withheld")
    assert server.tokens == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(server: Server, files: Downloads, status: int):
    server.script = [gives(status=status, Location=f"{server.url}/file"), gives()]
    assert await files.fetch(server.at()) == Fetched(reason="withheld")
    assert len(server.tokens) == 1


async def test_bytes_are_counted_as_they_come(server: Server, files: Downloads):
    server.script = [server.endless]
    assert await files.fetch(server.at(size=5)) == Fetched(reason="size")
    assert server.sent < 4 * DOCUMENT_BYTES


async def test_what_comes_packed_is_never_unpacked(server: Server, files: Downloads):
    packed = gzip.compress(b"x" * 50_000_000)
    server.script = [gives(packed, 200, "text/plain", **{"Content-Encoding": "gzip"})]
    assert await files.fetch(server.at()) == Fetched(reason="withheld")


async def test_what_says_that_it_is_too_large_is_not_asked_for(server: Server, files: Downloads):
    assert await files.fetch(server.at(size=1 << 30)) == Fetched(reason="size")
    assert server.tokens == []


@pytest.mark.parametrize(
    ("answer", "fetched"),
    [
        (gives(status=404), Fetched(reason="gone")),
        (gives(status=410), Fetched(reason="gone")),
        (gives(status=403), Fetched(reason="withheld")),
        (gives(b"<!DOCTYPE html>Sign in", kind="text/html"), Fetched(reason="withheld")),
        (gives(b""), Fetched(reason="empty")),
        (gives(b"\x00\x01"), Fetched(reason="false")),
    ],
)
async def test_what_is_not_given_has_a_reason(
    server: Server, files: Downloads, answer: Handler, fetched: Fetched
):
    server.script = [answer]
    assert await files.fetch(server.at()) == fetched


async def test_a_page_is_read_where_it_is_the_file(server: Server, files: Downloads):
    server.script = [gives(b"<p>Hi</p>", kind="text/html")]
    page = File("F1", "a.html", "text/html", 9, f"{server.url}/file")
    assert await files.fetch(page) == Fetched("html", b"<p>Hi</p>")
    assert await files.fetch(File("F1", "a.html", "text/html", 9000, page.url)) == Fetched(reason="withheld")


@pytest.mark.parametrize(
    "trouble", [gives(status=500), gives(b"", 429, "text/plain", **{"Retry-After": "0"}), cuts]
)
async def test_it_is_tried_again_three_times_in_all(server: Server, files: Downloads, trouble: Handler):
    server.script = [trouble, trouble, gives()]
    assert await files.fetch(server.at()) == Fetched("txt", b"Alpha")
    server.script = [trouble]
    server.tokens.clear()
    assert await files.fetch(server.at()) == Fetched(reason="withheld")
    assert len(server.tokens) == 3


async def test_slack_is_asked_about_a_file_that_came_without_an_address(server: Server, files: Downloads):
    server.script = [gives()]
    server.info = {"ok": True, "file": {"id": "F1", "name": "far.txt", "url_private": f"{server.url}/file"}}
    assert await files.fetch(File("F1", "a file")) == Fetched("txt", b"Alpha", name="far.txt")


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"ok": False, "error": "file_deleted"}, "gone"),
        ({"ok": False, "error": "file_not_found"}, "gone"),
        ({"ok": False, "error": "access_denied"}, "withheld"),
        ({"ok": True}, "withheld"),
        ({"ok": True, "file": {"id": 5}}, "withheld"),
        ({"ok": True, "file": {"id": "F1", "file_access": "check_file_info"}}, "withheld"),
        ({"ok": True, "file": {"id": "F1", "mode": "external"}}, "elsewhere"),
    ],
)
async def test_what_slack_does_not_describe_has_a_reason(
    server: Server, files: Downloads, info: dict[str, Any], reason: str
):
    server.info = info
    assert (await files.fetch(File("F1", "a file"))).reason == reason
