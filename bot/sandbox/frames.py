"""Frames of AWS's event-stream encoding (application/vnd.amazon.eventstream).

A frame is `[total length][headers' length][CRC32 of both][headers][payload][CRC32 of all before]`, numbers of
4 bytes, big-endian; a header is `[length of its name: 1 byte][name][7: a string follows][length: 2][value]`.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

_STRING = b"\x07"


def event(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return one event of a stream; Bedrock sorts the payload's keys and names the event in a header only."""
    return _frame("event", kind, payload)


def exception(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return an error inside a stream; its kind is in camelCase."""
    return _frame("exception", kind, payload)


def damaged(frame: bytes) -> bytes:
    """Return the same frame with a checksum that does not fit."""
    return frame[:-1] + bytes([frame[-1] ^ 0xFF])


def _frame(message: str, kind: str, payload: Mapping[str, Any]) -> bytes:
    headers = {f":{message}-type": kind, ":content-type": "application/json", ":message-type": message}
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    body = json.dumps(payload, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    prelude = struct.pack(">II", 12 + len(head) + len(body) + 4, len(head))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return frame + struct.pack(">I", zlib.crc32(frame))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + _STRING + struct.pack(">H", len(value)) + value
