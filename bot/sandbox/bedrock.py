"""A Bedrock to try Bobbin with: Converse and ConverseStream over HTTP on loopback, in real frames.

It knows nothing of Bobbin, and keeps to what is known of AWS: it refuses what Bedrock refuses, in its words
(`bedrock_rules`), fails on demand (`bedrock_stream`), and answers by script (`scripted`). One event loop with
the tests that use it:

    async with Bedrock() as bedrock:
        bedrock.faults.add("throttled")
        bedrock.hold()
        ...                                       # something that asks `bedrock.url`
        await bedrock.wait_for(lambda it: it.open == 200)
        bedrock.release()
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from bot.sandbox.bedrock_cache import Cache, Read
from bot.sandbox.bedrock_rules import Claude, Refusal, check, model_of, thinking, tokens
from bot.sandbox.bedrock_stream import KINDS, STOP_REASONS, Fault, Over, Stream, befall
from bot.sandbox.faults import Faults
from bot.sandbox.guardrail import judge
from bot.sandbox.scripted import Scripted, deltas

_ROUTE = re.compile(r"/model/(?P<id>[^?]+)/(?P<operation>converse|converse-stream)")
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=.+Signature=|Bearer .+")
_THOUGHT = "Reading the thread."


@dataclass
class Asked:
    """A request as it came and went; times are seconds since 1970."""

    model_id: str
    body: dict[str, Any]
    streaming: bool
    request_id: str
    peer: tuple[str, int]  # the client's end of the connection
    started_at: float = field(default_factory=time.time)
    finished_at: float | None = None
    ended: str = ""  # then completed, refused (by a rule), fault (of the kind `fault`), client_disconnected
    fault: str = ""
    answer: str = ""
    sent: str = ""  # so much of it
    read: Read | None = None  # how many tokens, from where; None: it was not answered

    @property
    def usage(self) -> dict[str, Any]:
        """What Bedrock bills for it, also where the stream did not get to its end to say so."""
        return self.read.usage(tokens(self.sent), always=not self.streaming) if self.read else {}


class Bedrock:
    """The server. `hold` lets no request get past its first event until `release`.

    `window` is the largest prompt that any model takes, in tokens; `delay` are the seconds before the first
    text, `pace` those between deltas; `clock` tells the prompt cache the time, in seconds. All may be changed
    any time.
    """

    def __init__(
        self, *, model: Scripted | None = None, window: int = 200_000, delay: float = 0, pace: float = 0
    ) -> None:
        self.model = model or Scripted()
        self.window, self.delay, self.pace = window, delay, pace
        self.clock: Callable[[], float] = time.monotonic
        self.cache = Cache()
        self.faults = Faults(Fault)
        self.requests: list[Asked] = []
        self.open = self.most_open = 0
        self.url = ""
        self._released = asyncio.Event()
        self._released.set()
        self.hold, self.release = self._released.clear, self._released.set
        self._changed = asyncio.Event()
        app = web.Application(client_max_size=64_000_000)
        app.router.add_route("*", "/{path:.*}", self._serve)  # ids hold encoded slashes: see _ROUTE
        # Cancelling the handler is how a client that goes away is noticed at once.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; `url` is known afterwards."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Cut what is open and stop listening."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_for(self, predicate: Callable[["Bedrock"], bool], timeout: float = 60) -> None:  # noqa: ASYNC109 - its error says more
        """Return once the predicate holds. Raises `TimeoutError`, which tells how things stand."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate(self):
                    await self._changed.wait()
        except TimeoutError:
            ends = [asked.ended or "running" for asked in self.requests[-10:]]
            raise TimeoutError(f"{len(self.requests)} requests, {self.open} open, the last: {ends}") from None

    def _note(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        try:
            asked = await self._read(request, request_id)
        except Refusal as refusal:
            return _error(refusal, request_id)
        self.requests.append(asked)
        response: web.StreamResponse = web.Response()
        ended = "client_disconnected"
        try:
            response = await self._answer(request, asked)
            ended = "completed"
        except Refusal as refusal:
            ended, response = "refused", _error(refusal, request_id)
        except (Over, ConnectionError):
            pass  # nobody is there to be answered
        finally:
            asked.ended = "fault" if asked.fault else ended
            asked.finished_at = time.time()
            self._note()
        return response

    async def _read(self, request: web.Request, request_id: str) -> Asked:
        route = _ROUTE.fullmatch(request.rel_url.raw_path)
        if not route or request.method != "POST":
            raise Refusal("unknown_operation")
        if not _SIGNED.match(request.headers.get("Authorization", "")):
            raise Refusal("unsigned")
        body = None
        with suppress(ValueError):
            body = json.loads(await request.read())
        if not isinstance(body, dict):
            raise Refusal("not_json")
        streaming = route["operation"] == "converse-stream"
        peer = request.transport.get_extra_info("peername") if request.transport else ("", 0)
        return Asked(unquote(route["id"]), body, streaming, request_id, peer)

    async def _answer(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        self._note()
        claude = model_of(asked.model_id)
        check(asked.body, request.content_length or 0, claude, self.window)
        messages = asked.body["messages"]
        fault: Fault | None = self.faults.take()
        if not fault and (word := self.model.fault(messages)) in KINDS:
            fault = Fault(word)
        asked.fault = fault.kind if fault else ""
        if fault and fault.after_events is None:
            await befall(request, fault)
        if asked.fault != "empty":
            system = "\n".join(block.get("text", "") for block in asked.body.get("system") or [])
            asked.answer = self.model.answer(messages, system)
        verdict = judge(asked.body, asked.answer)
        asked.answer = verdict.answer
        reason = "guardrail_intervened" if verdict.intervened else "end_turn"
        reason = asked.fault if asked.fault in STOP_REASONS else reason
        trace = {"trace": {"guardrail": verdict.trace}} if verdict.trace else {}
        asked.read = Read()
        if verdict.asked:
            asked.read = self.cache.read(asked.model_id, asked.body, claude, self.clock())
        if not asked.streaming:
            await self._think(asked)
            return _whole(asked, reason, trace)
        stream = Stream(request, asked.request_id, fault)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with suppress(Over):
                await self._stream(stream, asked, claude)
                await stream.end(reason, _metadata(asked, trace))
        finally:
            self.open -= 1
        return stream.response

    async def _stream(self, stream: Stream, asked: Asked, claude: Claude) -> None:
        await stream.start()
        if thinking(asked.body, claude) in ("adaptive", "enabled"):
            await stream.think(_THOUGHT)
        await self._think(asked)
        for delta in deltas(asked.answer):
            asked.sent += delta
            await stream.text(delta)
            await asyncio.sleep(self.pace)
        await stream.end_block()

    async def _think(self, asked: Asked) -> None:
        self._note()
        await self._released.wait()
        await asyncio.sleep(self.delay + self.model.wait(asked.body["messages"]))


def _whole(asked: Asked, reason: str, trace: dict[str, Any]) -> web.Response:
    asked.sent = asked.answer
    content = [{"text": asked.answer}] if asked.answer else []
    answer: dict[str, Any] = {"output": {"message": {"content": content, "role": "assistant"}}}
    answer |= {"stopReason": reason, **_metadata(asked, trace)}
    return web.json_response(answer, headers={"x-amzn-requestid": asked.request_id})


def _metadata(asked: Asked, trace: dict[str, Any]) -> dict[str, Any]:
    """What Bedrock tells of a call at its end."""
    milliseconds = int(1000 * (time.time() - asked.started_at))
    return {"usage": asked.usage, "metrics": {"latencyMs": milliseconds}, **trace}


def _error(refusal: Refusal, request_id: str) -> web.Response:
    kind = f"{refusal.code}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": kind}
    return web.json_response({"message": refusal.message}, status=refusal.status, headers=headers)
