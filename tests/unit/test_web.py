import asyncio

import pytest
from aiohttp import ClientSession

from bot.web import health_server


async def get(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    async with (
        ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}") as response,
    ):
        return response.status, dict(response.headers), await response.text()


async def ready() -> dict[str, bool]:
    return {"database": True, "slack": False}


async def test_a_process_whose_loops_run_is_live_and_one_that_misses_slack_is_not_ready():
    async with health_server("127.0.0.1", 0, live=lambda: {"dispatcher": True}, ready=ready) as port:
        assert (await get(port, "/healthz"))[::2] == (200, '{"ok": true, "checks": {"dispatcher": true}}')
        assert (await get(port, "/readyz"))[::2] == (
            503,
            '{"ok": false, "checks": {"database": true, "slack": false}}',
        )


async def test_readiness_is_looked_at_once_a_second_however_many_ask():
    asked = 0

    async def count() -> dict[str, bool]:
        nonlocal asked
        asked += 1
        return {"slack": True}

    async with health_server("127.0.0.1", 0, live=dict, ready=count) as port:
        answers = await asyncio.gather(*(get(port, "/readyz") for _ in range(20)))
    assert {status for status, *_ in answers} == {200}
    assert asked < 20


async def test_nothing_else_is_served_and_no_version_told():
    async with health_server("127.0.0.1", 0, live=dict, ready=ready) as port:
        for path in ("/", "/metrics", "/healthz/x"):
            status, headers, _ = await get(port, path)
            assert (status, "Server" in headers) == (404, False)
        assert (await get(port, "/healthz", "POST"))[0] == 405


async def test_where_all_places_are_kept_who_comes_gets_that_of_the_longest_silent(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("bot.web.CONNECTIONS", 3)
    async with health_server("127.0.0.1", 0, live=dict, ready=ready) as port:
        keepers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for reader, writer in (keepers[1], keepers[0], keepers[2]):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: bobbin.example\r\n\r\n")
            assert await reader.readuntil(b"}}") != b""
            writer.write(b"GET /healthz HTTP/1.1\r\nHost:")  # and no more of it
        assert (await get(port, "/healthz"))[0] == 200
        assert await keepers[1][0].read() == b""
        keepers[0][1].write(b" bobbin.example\r\n\r\n")
        assert await keepers[0][0].readuntil(b"}}") != b""
        for _, writer in keepers:
            writer.close()
