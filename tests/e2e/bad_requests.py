"""Requests that are not Slack's, or not as Slack sends them: forged, stale, oversized, truncated."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bot.sandbox.slack.requests import FORM, JSON, sign

MARK = "zanzibar"
"""Stands in every body: it must not come into the log."""
MIB = 2**20


@dataclass(frozen=True)
class Request:
    """The bytes of a request, and the statuses that it may be answered with; 0: none, the line is cut."""

    kind: str
    head: bytes
    body: bytes
    refused: tuple[int, ...]
    ends: bool = False
    """Whether the sender closes its side after it."""


def _head(headers: dict[str, str], method: str = "POST", path: str = "/slack/events") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bobbin.example", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


_CHUNKED = {"Transfer-Encoding": "chunked"}


def _long(size: int) -> dict[str, str]:
    return {"Content-Length": str(size)}


class Corpus:
    """Makes `count` of each of four kinds about a sound event; the same ones for the same seed."""

    def __init__(self, secret: str, event: dict[str, object], *, seed: int = 1) -> None:
        self._secret = secret
        self._event = event
        self._chance = random.Random(seed)
        self._number = 0

    def requests(self, count: int) -> list[Request]:
        """Return all of them, mixed."""
        kinds = (self._forged, self._stale, self._oversized, self._truncated)
        made = [next(kind) for kind in (make() for make in kinds) for _ in range(count)]
        self._chance.shuffle(made)
        return made

    def _body(self) -> bytes:
        self._number += 1
        return json.dumps({**self._event, "event_id": f"EvBad{self._number}"}).encode()

    def _signed(self, body: bytes, at: float | None = None) -> dict[str, str]:
        return {"Content-Type": JSON, **sign(self._secret, body, at)}

    def _forged(self) -> Iterator[Request]:
        while True:
            body = self._body()
            right = self._signed(body)
            signature, at = right["X-Slack-Signature"], right["X-Slack-Request-Timestamp"]
            place = self._chance.randrange(3, len(signature))
            digit = "1" if signature[place] == "0" else "0"
            times = ("", "now", f"{at}.0", f"+{at}", "9" * 400, "\u0661" * 10, f"{int(at) + 1}")
            wrong: dict[str, str | None] = self._chance.choice(
                [
                    dict.fromkeys(("X-Slack-Signature", "X-Slack-Request-Timestamp")),
                    {"X-Slack-Signature": None},
                    {"X-Slack-Request-Timestamp": None},
                    dict(sign("0" * 32, body)),
                    {"X-Slack-Signature": signature.upper()},
                    {"X-Slack-Signature": signature[:-1]},
                    {"X-Slack-Signature": "v1=" + signature[3:]},
                    {"X-Slack-Signature": signature[:place] + digit + signature[place + 1 :]},
                    {"X-Slack-Request-Timestamp": self._chance.choice(times)},
                    {"Content-Type": None, "X-Slack-Signature": "v0=" + "0" * 64},
                ]
            )
            if self._chance.random() < 0.1:
                wrong, body = {}, self._chance.choice((body.replace(b"Ev", b"EV"), body[::-1]))
            headers = {name: value for name, value in (right | wrong).items() if value is not None}
            yield Request("forged", _head(headers | _long(len(body))), body, (401,))

    def _stale(self) -> Iterator[Request]:
        while True:
            body = self._body()
            age = self._chance.choice((-1, 1)) * self._chance.choice((400, 3600, 86_400, 10**9))
            headers = self._signed(body, max(0, time.time() - age)) | _long(len(body))
            yield Request("stale", _head(headers), body, (401,))

    def _oversized(self) -> Iterator[Request]:
        number = 0
        while True:
            number += 1
            body = self._body()
            if number % 50 == 0:  # the whole of it is sent
                body += b" " * (MIB + 1 - len(body))
                piece = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                headers = self._signed(body) | _CHUNKED
                yield Request("oversized", _head(headers), piece, (413,))
            elif number % 10 == 0:
                more = {f"X-Header-{each}": "x" for each in range(200)}
                yield Request("oversized", _head({**self._signed(body), **more}), body, (400,))
            elif number % 10 == 1:
                yield Request("oversized", _head({**self._signed(body), "X-Long": "x" * 9000}), body, (400,))
            else:
                size = self._chance.choice((MIB + 1, 10 * MIB, 2**40, 10**18))
                headers = self._signed(body) | _long(size)
                yield Request("oversized", _head(headers), body, (413,))

    def _truncated(self) -> Iterator[Request]:
        while True:
            for change in range(6):
                body = self._body()
                cut = self._chance.randrange(1, len(body))
                whole = self._signed(body) | _long(len(body))
                match change:
                    case 0:  # the rest never comes
                        yield Request("truncated", _head(whole), body[:cut], (0, 400), ends=True)
                    case 1:  # as if that were all
                        short = whole | _long(cut)
                        yield Request("truncated", _head(short), body[:cut], (401,))
                    case 2:
                        chunked = self._signed(body) | _CHUNKED
                        piece = b"%x\r\n%b" % (len(body), body[:cut])
                        yield Request("truncated", _head(chunked), piece, (0, 400), ends=True)
                    case 3:
                        chunked = self._signed(body) | _CHUNKED
                        yield Request("truncated", _head(chunked), b"zz\r\n" + body + b"\r\n", (0, 400))
                    case 4:
                        head = _head(whole)
                        yield Request(
                            "truncated",
                            head[: self._chance.randrange(1, len(head))],
                            b"",
                            (0, 400),
                            ends=True,
                        )
                    case 5:  # what is not HTTP at all
                        yield Request("truncated", b"\x16\x03\x01" + body[:80], b"\r\n\r\n", (0, 400))


def oddities(secret: str) -> list[tuple[str, dict[str, str], bytes, int]]:
    """What is signed and yet no event: its name, headers, body, and the status it is answered with."""

    def of(name: str, body: bytes, kind: str, status: int) -> tuple[str, dict[str, str], bytes, int]:
        return name, {"Content-Type": kind, **sign(secret, body)}, body, status

    return [
        of("challenge", b'{"type":"url_verification","challenge":"' + b"3eZ" * 9 + b'"}', JSON, 200),
        of("a certificate looked at", b"ssl_check=1&token=x", FORM, 200),
        of("too many events", b'{"type":"app_rate_limited","minute_rate_limited":1}', JSON, 200),
        of("no type", b'{"type":"event_callback","event_id":"EvOdd1","event":{}}', JSON, 200),
        of("no event", b'{"type":"event_callback","event_id":"EvOdd2"}', JSON, 200),
        of("half of a body", b'{"type":"event_callback"', JSON, 200),
        of("no text", b"\xff\xfe", JSON, 200),
        of("a deep body", b"[" * 50_000, JSON, 200),
        of("a long number", b'{"event":' + b"9" * 5000 + b"}", JSON, 200),
        of("a payload that is none", b"payload=%7B", FORM, 200),
        of("an empty form", b"", FORM, 200),
        of("JSON with a charset", b'{"type":"event_callback"}', "Application/JSON; charset=utf-8", 200),
        of("another content type", b"<event/>", "text/xml", 415),
        of("no content type", b"{}", "", 415),
    ]


async def send(port: int, request: Request) -> int:
    """Send it over a connection of its own; the status of the answer, 0 where there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.head + request.body)
        if request.ends:
            writer.write_eof()
        line = await reader.readline()
        return int(line.split()[1]) if line else 0
    except ConnectionError:
        return 0
    finally:
        writer.transport.abort()
