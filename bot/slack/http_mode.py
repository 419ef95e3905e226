"""HTTP mode: takes Slack's requests in, and answers 200 once what they brought is kept.

What is not from Slack learns nothing but that: 401. Nothing of a request is believed, and no more of it
held than the cap, before its signature is checked. Nor does it matter from which address it comes: behind
a load balancer that is the balancer's.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from time import monotonic, time
from typing import Any
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from bot.errors import StoreError
from bot.slack.intake import OK, Envelope, Intake
from bot.slack.signing import genuine, plausible

_log = structlog.get_logger(__name__)

BODY_BYTES = 2**20
_SMALL_BYTES = 64 * 2**10
"""What a request holds up to here is not counted: hardly one of Slack's is larger, and none of these shall
wait for large ones, which may be anybody's. Of them there are no more than connections (`bot/web.py`)."""
_HELD_BYTES = 64 * 2**20
"""Of what is above that in all requests together: what does not fit comes again, as after any failure."""
_READ_SECONDS = 3.0
"""Slack waits no longer for the answer, so what comes in slower comes again anyhow."""
_SEEN_SECONDS = 5.0
"""Until a load balancer has seen at `/readyz` that a worker leaves; what it says may be a second old."""
_TOLD_SECONDS = 60.0

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_COUNT = re.compile("[0-9]{1,9}")
_NO_RETRY = {"X-Slack-No-Retry": "1"}
"""Sending this again would change nothing."""


class _RefusedRequest(Exception):
    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers


class HttpMode:
    """The way in by requests, signed with `secret`. Until it is opened each is put off (503)."""

    name = "http"

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._intake: Intake | None = None
        self._open = asyncio.Event()
        self._stays = 0.0
        self._left_at: float | None = None
        self._under_way: set[asyncio.Task[Any] | None] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._held = 0
        self._refused: Counter[str] = Counter()
        self._told = -_TOLD_SECONDS

    ages = None
    """See `WayIn`."""

    @property
    def connected(self) -> bool:
        """Whether requests should be sent here; whether Slack can is not to be seen from here."""
        return self._intake is not None and self._left_at is None

    def open(self, intake: Intake, stays: float) -> None:
        """Take requests in from now on; `stays`: the seconds that there are for it once it has to leave."""
        self._intake, self._stays = intake, min(_SEEN_SECONDS, stays)
        self._open.set()

    async def opened(self) -> None:
        """See `WayIn`."""
        await self._open.wait()

    async def keep(self) -> None:
        """See `WayIn`: there is nothing to keep up, the server runs."""
        await asyncio.Event().wait()

    async def leave(self) -> None:
        """See `WayIn`: not ready any more, but what still comes is taken in.

        It is kept, and answered by another worker or after the next start; Slack would repeat a refused one
        after a minute.
        """
        self._left_at = monotonic()

    async def close(self) -> None:
        """See `WayIn`. Whoever sends to several workers has had time to see that this one leaves."""
        if self._left_at is not None:
            await asyncio.sleep(self._left_at + self._stays - monotonic())
        self._intake = None
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("requests were not answered at the end", count=len(self._under_way))

    # ------------------------------------------------------------ one request

    async def handle(self, request: web.Request) -> web.Response:
        """Answer POST /slack/events."""
        task = asyncio.current_task()
        self._under_way.add(task)
        self._idle.clear()
        body = bytearray()
        try:
            return await self._answer(request, body)
        except _RefusedRequest as refused:
            if self._intake is not None:
                self._count(refused.reason)
            return web.Response(status=refused.status, headers=refused.headers)
        finally:
            self._held -= _large(len(body))
            self._under_way.discard(task)
            if not self._under_way:
                self._idle.set()

    async def _answer(self, request: web.Request, body: bytearray) -> web.Response:
        intake = self._intake
        if intake is None:
            raise _RefusedRequest(503, "not ready")
        if (request.content_length or 0) > BODY_BYTES:
            raise _RefusedRequest(413, "too large", _NO_RETRY)
        if not plausible(request.headers, time()):
            raise _RefusedRequest(401, "not signed, or old")
        await self._read(request, body)
        if not genuine(self._secret, request.headers, body, time()):
            raise _RefusedRequest(401, "wrongly signed")
        match _delivery(request.headers, body):
            case {"type": "url_verification", "challenge": str(challenge)}:
                _log.info("Slack has verified the request URL")
                return web.json_response({"challenge": challenge})
            case {"type": "app_rate_limited"}:
                _log.error("Slack drops events: there are more than 30,000 an hour")
                return web.Response()
            case {"type": "ssl_check"}:
                return web.Response()
            case envelope:
                return await self._kept(intake, envelope)

    async def _kept(self, intake: Intake, envelope: Envelope) -> web.Response:
        try:
            response = await intake.take(envelope)
        except StoreError as error:
            _log.warning("an unreadable event was not kept: it comes again", error=str(error))
            raise _RefusedRequest(503, "not kept") from None
        if response is None:
            return web.Response()
        if response.status != OK:
            raise _RefusedRequest(503, "not kept")
        kind = response.first_headers().get("content-type", "text/plain")
        return web.Response(text=response.body, content_type=kind.partition(";")[0])

    async def _read(self, request: web.Request, body: bytearray) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                async for piece in request.content.iter_any():
                    body += piece
                    self._held += _large(len(body)) - _large(len(body) - len(piece))
                    if len(body) > BODY_BYTES:
                        raise _RefusedRequest(413, "too large", _NO_RETRY)
                    if self._held > _HELD_BYTES:
                        raise _RefusedRequest(503, "too many at once")
        except TimeoutError:
            raise _RefusedRequest(408, "too slow") from None
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
            raise _RefusedRequest(400, "broken off") from None

    def _count(self, reason: str) -> None:
        """Say what was refused: at once, then once a minute. A flood must not fill the log."""
        self._refused[reason] += 1
        if monotonic() - self._told >= _TOLD_SECONDS:
            self._told = monotonic()
            _log.warning("requests refused", reasons=dict(self._refused))
            self._refused.clear()


def _large(size: int) -> int:
    """How many bytes of a body of this size count as held."""
    return max(0, size - _SMALL_BYTES)


def _delivery(headers: Mapping[str, str], body: bytearray) -> Envelope:
    """Put a request into the form of Socket Mode; what cannot be read has no payload, and is quarantined."""
    kind = headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    try:
        if kind == _JSON:
            return _event(headers, json.loads(body))
        if kind == _FORM:
            return _form(dict(parse_qsl(body.decode(), keep_blank_values=True)))
    except (ValueError, RecursionError) as error:
        _log.warning("a request that cannot be read", reason=type(error).__name__)
        return _envelope("events_api", None)
    raise _RefusedRequest(415, "neither JSON nor a form", _NO_RETRY)


def _event(headers: Mapping[str, str], payload: Any) -> Envelope:
    if isinstance(payload, dict) and payload.get("type") in ("url_verification", "app_rate_limited"):
        return payload
    attempt = headers.get("X-Slack-Retry-Num", "")
    retry = {
        "retry_attempt": int(attempt) if _COUNT.fullmatch(attempt) else 0,
        "retry_reason": headers.get("X-Slack-Retry-Reason", ""),
    }
    return {**_envelope("events_api", payload), **retry}


def _form(fields: Mapping[str, str]) -> Envelope:
    if "payload" in fields:
        return _envelope("interactive", json.loads(fields["payload"]))
    if fields.get("ssl_check") == "1":
        return {"type": "ssl_check"}
    return _envelope("slash_commands", dict(fields))


def _envelope(kind: str, payload: Any) -> Envelope:
    return {"type": kind, "envelope_id": "", "payload": payload}
