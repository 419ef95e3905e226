"""The body of one ConverseStream, its events in order and in real frames; and the faults that befall it."""

import random
import socket
import string
import struct
from asyncio import sleep
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.sandbox import frames
from bot.sandbox.bedrock_rules import DATA, Refusal

STOP_REASONS: list[str] = DATA["stop_reasons"]
KINDS: list[str] = [*DATA["faults"], *STOP_REASONS, *DATA["trouble"]]
_PADDING = string.ascii_letters + string.digits
_EMPTY_DELTAS = 0.05  # share of deltas without text
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time: closing sends RST


@dataclass
class Fault:
    """One of `KINDS`, for `times` requests (None: all); `after_events` of the stream, or before it."""

    kind: str
    times: int | None = 1
    after_events: int | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(self.kind)

    @property
    def refusal(self) -> Refusal | None:
        """The error to answer with, where the fault is one."""
        return Refusal(self.kind) if self.kind in DATA["faults"] else None


class Over(Exception):
    """A fault ended the connection, or its stream: nothing more is sent."""


class Stream:
    """A stream to one client. Text and reasoning have no contentBlockStart. Its methods raise `Over`."""

    def __init__(self, request: web.Request, request_id: str, fault: Fault | None) -> None:
        self.response = web.StreamResponse(headers={"x-amzn-requestid": request_id})
        self.response.content_type = "application/vnd.amazon.eventstream"
        self.response.enable_chunked_encoding()
        self._request = request
        self._fault = fault if fault and fault.after_events is not None else None
        self._sent = 0
        self._block = 0

    async def start(self) -> None:
        """Send the headers and the first event."""
        await self.response.prepare(self._request)
        await self._fail_if_due()
        await self._send("messageStart", role="assistant")

    async def think(self, thought: str) -> None:
        """Send a whole block of reasoning."""
        for part in ({"text": thought}, {"signature": "EpMCCl0I"}):
            await self._delta(reasoningContent=part)
        await self.end_block()

    async def text(self, text: str) -> None:
        """Send a piece of text, with sometimes an empty one before it."""
        if random.random() < _EMPTY_DELTAS:
            await self._delta(text="")
        await self._delta(text=text)

    async def end_block(self) -> None:
        """End the block; the next delta begins another one."""
        await self._send("contentBlockStop", contentBlockIndex=self._block)
        self._block += 1

    async def end(self, reason: str, metadata: dict[str, Any]) -> None:
        """Send what comes last, and end the body."""
        await self._send("messageStop", stopReason=reason)
        await self._send("metadata", **metadata)
        await self.response.write_eof()

    async def _delta(self, **delta: Any) -> None:
        await self._send("contentBlockDelta", contentBlockIndex=self._block, delta=delta)

    async def _send(self, kind: str, **payload: Any) -> None:
        payload["p"] = _PADDING[: random.randint(1, len(_PADDING))]
        await self.response.write(frames.event(kind, payload))
        self._sent += 1
        await self._fail_if_due()

    async def _fail_if_due(self) -> None:
        fault, response = self._fault, self.response
        if not fault or fault.after_events != self._sent:
            return
        if fault.kind in ("stall", "reset"):
            await _hinder(self._request, fault)
            return
        if fault.kind == "unknown_event":
            await response.write(frames.event("brandNewEvent", {"text": "Nobody has seen this one before."}))
            return
        if fault.kind == "bad_crc":
            await response.write(frames.damaged(frames.event("messageStop", {"stopReason": "end_turn"})))
        if refusal := fault.refusal:
            code = refusal.code[0].lower() + refusal.code[1:]
            await response.write(frames.exception(code, {"message": refusal.message}))
        await response.write_eof()
        raise Over


async def befall(request: web.Request, fault: Fault) -> None:
    """Let a fault come before the answer's headers. Raises `Refusal` or `Over` where it is the end."""
    if fault.refusal:
        raise fault.refusal
    await _hinder(request, fault)
    if fault.kind == "cut" and request.transport:
        request.transport.close()
        raise Over


async def _hinder(request: web.Request, fault: Fault) -> None:
    """Keep silent for a while, or cut the connection with RST."""
    if fault.kind == "stall":
        await sleep(fault.seconds)
    if fault.kind == "reset" and request.transport:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
        raise Over
