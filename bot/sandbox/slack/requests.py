"""HTTP mode: signed requests to the address that the app has given, in place of envelopes on its sockets."""

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.slack.journal import Journal
from bot.sandbox.slack.workspace import Json

MAX_REDIRECTS = 2
_AGAIN_SECONDS = 0.02
OK, MULTIPLE_CHOICES = 200, 300
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Requests:
    """Sends to `url`, once it has been verified there; empty: the app uses Socket Mode."""

    signing_secret = "5a6e7b0c1d2f4e3a9b8c7d6e5f4a3b2c"

    def __init__(self, journal: Journal, ack_seconds: float) -> None:
        self.url = ""
        self._journal, self._ack_seconds = journal, ack_seconds
        self._session: aiohttp.ClientSession | None = None
        self._reasons: dict[str, str] = {}

    async def verify(self, url: str, seconds: float = 30) -> None:
        """Take an address for the app's once it echoes a challenge. `TimeoutError`: it does not."""
        challenge = uuid.uuid4().hex
        body = json.dumps({"type": "url_verification", "token": "deprecated", "challenge": challenge})
        async with asyncio.timeout(seconds):
            while True:
                status, _, answer = await self.post(body.encode(), JSON, url=url)
                if status == OK and challenge in answer:
                    break
                await asyncio.sleep(_AGAIN_SECONDS)
        self.url = url
        self._journal.add("verified", url, {})

    async def check_ssl(self) -> bool:
        """Ask as Slack does now and then, to see the certificate; whether the app answered 200."""
        status, _, _ = await self.post(urlencode({"ssl_check": "1", "token": "deprecated"}).encode(), FORM)
        return status == OK

    async def ask(self, kind: str, name: str, payload: Json, attempt: int) -> tuple[Json | None, bool]:
        """Send it once; return what the app answered, None where it failed, and whether it is sent again."""
        facts: Json = {"envelope_id": str(uuid.uuid4()), "event_id": payload.get("event_id")}
        event_id = str(facts["event_id"])
        retry: dict[str, str] = {}
        if attempt:
            reason = self._reasons.get(event_id, "connection_failed")
            retry = {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        self._journal.add("delivery", name, {**facts, "payload": payload, "attempt": attempt, **retry})
        status, headers, answer = await self.post(*_encoded(kind, payload), headers=retry)
        if OK <= status < MULTIPLE_CHOICES:
            self._journal.add("ack", name, {**facts, "in_time": True})
            return _answered(headers, answer), False
        self._reasons[event_id] = str(headers.get("reason", "http_error"))
        self._journal.add("refused", name, {**facts, "status": status, "reason": self._reasons[event_id]})
        return None, "X-Slack-No-Retry" not in headers

    async def post(
        self, body: bytes, kind: str, *, headers: dict[str, str] | None = None, url: str = ""
    ) -> tuple[int, dict[str, str], str]:
        """Send a signed request; status 0 where there is no answer: `reason` is then among the headers."""
        self._session = self._session or aiohttp.ClientSession()
        signed = {"Content-Type": kind, **sign(self.signing_secret, body), **(headers or {})}
        limit = aiohttp.ClientTimeout(total=self._ack_seconds)
        try:
            async with self._session.post(
                url or self.url, data=body, headers=signed, timeout=limit, max_redirects=MAX_REDIRECTS
            ) as response:
                return response.status, dict(response.headers), await response.text()
        except TimeoutError:
            return 0, {"reason": "http_timeout"}, ""
        except aiohttp.TooManyRedirects:
            return 0, {"reason": "too_many_redirects"}, ""
        except (aiohttp.ClientError, OSError, ValueError):
            return 0, {"reason": "connection_failed"}, ""

    async def close(self) -> None:
        """Close its connections."""
        if self._session:
            await self._session.close()


def sign(secret: str, body: bytes, at: float | None = None) -> dict[str, str]:
    """Return the headers that say who sends a body, at Unix seconds, now where none are given."""
    timestamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


def _encoded(kind: str, payload: Json) -> tuple[bytes, str]:
    match kind:
        case "interactive":
            return urlencode({"payload": json.dumps(payload)}).encode(), FORM
        case "slash_commands":
            return urlencode(payload).encode(), FORM
    return json.dumps(payload).encode(), JSON


def _answered(headers: dict[str, str], answer: str) -> Any:
    if not answer:
        return {}
    return json.loads(answer) if headers.get("Content-Type", "").startswith(JSON) else {"text": answer}
