"""Asks Slack once, for a command: no second try, no pacing, and what came in an answer's place is told."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot.checks import Clock
from bot.slack.proxies import proxy_for

SECONDS = 3.5
"""What one call may take; no more than two wait for each other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`error` is Slack's code, or what came in place of an answer; empty where all went well."""

    data: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    lost: bool = False
    scopes: str | None = None


class Probe:
    """Calls methods of the Web API; the clock takes in what time the answers tell."""

    def __init__(self, session: aiohttp.ClientSession, url: str, clock: Clock) -> None:
        self.session = session
        self._url = url
        self._clock = clock

    async def call(self, method: str, token: str, **arguments: str) -> Answer:
        """Call a method. Raises nothing."""
        sent = time.time()
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self.session.post(
                self._url + method, data=arguments, headers=headers, proxy=proxy_for(self._url)
            ) as response:
                self._clock.note(response.headers.get("Date", ""), sent)
                data = await response.json(content_type=None)
                status, scopes = response.status, response.headers.get("x-oauth-scopes")
        except TimeoutError:
            return Answer(error=f"no answer within {SECONDS:g} seconds", lost=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(error=f"no answer that can be read ({type(error).__name__})", lost=True)
        if not isinstance(data, dict) or not (data.get("ok") or data.get("error")):
            return Answer(error=f"no answer of Slack's (HTTP {status})", lost=True)
        return Answer(data, "" if data.get("ok") else str(data["error"]), scopes=scopes)


@asynccontextmanager
async def probing(api_url: str, clock: Clock) -> AsyncIterator[Probe]:
    """Give a probe of the Slack at a base address."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
        yield Probe(session, api_url, clock)
