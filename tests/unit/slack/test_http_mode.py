import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientSession

from bot.sandbox.slack.requests import sign
from bot.slack.http_mode import HttpMode
from bot.web import health_server

SECRET = "5a6e7b0c1d2f4e3a9b8c7d6e5f4a3b2c"


async def test_large_bodies_that_anybody_may_send_keep_no_small_one_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bot.slack.http_mode._HELD_BYTES", 256 * 2**10)
    http = HttpMode(SECRET)
    to_nobody: Any = object()
    http.open(to_nobody, stays=0)

    async def ready() -> dict[str, bool]:
        return {}

    async with health_server("127.0.0.1", 0, live=dict, ready=ready, events=http.handle) as port:
        made_up = {**sign("guessed", b""), "Content-Type": "application/json", "Content-Length": "1048576"}
        head = "".join(f"{name}: {value}\r\n" for name, value in made_up.items())
        _, large = await asyncio.open_connection("127.0.0.1", port)
        large.write(f"POST /slack/events HTTP/1.1\r\nHost: bobbin.example\r\n{head}\r\n".encode())
        large.write(b" " * 250 * 2**10)
        while http._held < 180 * 2**10:  # noqa: ASYNC110  what has come in tells nobody
            await asyncio.sleep(0.01)
        body = json.dumps(
            {"type": "url_verification", "challenge": "3eZ", "padding": " " * 10 * 2**10}
        ).encode()
        headers = {"Content-Type": "application/json", **sign(SECRET, body)}
        url = f"http://127.0.0.1:{port}/slack/events"
        async with ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            assert (answer.status, await answer.text()) == (200, '{"challenge": "3eZ"}')
        large.close()
