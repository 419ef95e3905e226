"""Whether HTTP mode can work, as far as that can be seen from this side."""

import asyncio
import os
import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from bot.checks import Check

_SECONDS = 2.0
_SECRET = re.compile("[0-9a-f]{32}")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  addresses to compare with


async def examine(secret: str, host: str, port: int) -> list[Check]:
    """Look at the signing secret's form and the port; nothing is sent to Slack."""
    return [_secret(secret), await _port(host, port), _reach(port)]


def _secret(secret: str) -> Check:
    name = "slack signing secret"
    if _SECRET.fullmatch(secret):
        return Check(name, "ok", "it has the form of one; whether it is this app's only a request shows")
    todo = "copy the Signing Secret (32 characters of 0-9 and a-f) from the app's page Basic Information"
    return Check(name, "warning", "it does not have the form of Slack's secrets", todo)


async def _port(host: str, port: int) -> Check:
    name = "slack http port"
    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    else:
        server.close()
        return Check(name, "ok", f"port {port} of {host} is free")
    if "checks" in await told(host, port, "/healthz"):
        return Check(name, "ok", f"a running Bobbin listens on port {port}")
    return Check(name, "failed", f"port {port} of {host} cannot be had ({reason})", "choose another PORT")


async def told(host: str, port: int, path: str, seconds: float = _SECONDS) -> Mapping[str, Any]:
    """Ask whoever listens on a port of this machine; empty where that is no Bobbin, or nobody."""
    limit = aiohttp.ClientTimeout(total=seconds)
    host = _ANYWHERE.get(host, host)
    url = f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as response:
            answer = await response.json()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _reach(port: int) -> Check:
    """Slack tells nobody which address it was given, and no call makes it try."""
    return Check(
        "slack http",
        "skipped",
        "whether Slack reaches this machine cannot be seen from here",
        "the app's page Event Subscriptions must show its Request URL, https://…/slack/events, as Verified"
        f" (Retry asks again while Bobbin runs); it must lead to port {port}",
    )
