"""Bedrock's prompt cache: what of a request is read from it, what is written, and for how long it is kept.

A prefix is kept under the hash of the model, of how it thinks, and of every block up to a cache point. A hit
begins its time anew. A point finds prefixes that ended at it or up to 21 blocks before. One that stands below
the model's minimum is passed over in silence.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.bedrock_rules import Body, Claude, block_tokens, lists

TTLS = {"5m": 300.0, "1h": 3600.0}
LOOKBACK = 21  # blocks added since the last point that still hit; one more misses


@dataclass
class Read:
    """The tokens of a request: new ones, those read from the cache, those written to it by TTL."""

    new: int = 0
    cached: int = 0
    written: dict[str, int] = field(default_factory=dict)
    asked: bool = False  # there was a cache point

    def usage(self, output: int, *, always: bool) -> dict[str, Any]:
        """Say it as Bedrock does: without a cache point a stream does not mention the cache."""
        written = sum(self.written.values())
        total = self.new + self.cached + written + output
        usage: dict[str, Any] = {"inputTokens": self.new, "outputTokens": output, "totalTokens": total}
        if self.asked or always:
            usage |= {"cacheReadInputTokens": self.cached, "cacheWriteInputTokens": written}
            details = sorted(self.written.items())  # 1h before 5m
            usage["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in details]
        return usage


@dataclass
class _Entry:
    ttl: str
    until: float


class Cache:
    """All that is kept. Times are seconds of whatever clock the caller has."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def read(self, model_id: str, body: Body, claude: Claude, now: float) -> Read:
        """Account for a request whose answer begins now."""
        prefixes, sizes, points = _prefixes(model_id, body)
        total = sizes[-1]
        asked = bool(points)
        points = {place: ttl for place, ttl in points.items() if sizes[place] >= claude.cache}
        hit = 0
        for place in points:
            near = range(place, max(place - LOOKBACK - 1, 0), -1)
            hit = max(hit, next((at for at in near if self._alive(prefixes[at], now)), 0))
        result, end = Read(total, sizes[hit], asked=asked), hit
        for place, ttl in points.items():
            if place > hit:
                result.written[ttl] = result.written.get(ttl, 0) + sizes[place] - sizes[end]
                self._entries[prefixes[place]] = _Entry(ttl, now + TTLS[ttl])
                end = place
        for place in {hit, *points}:
            if place <= hit and self._alive(prefixes[place], now):
                entry = self._entries[prefixes[place]]
                entry.until = now + TTLS[entry.ttl]
        result.new = total - sizes[end]
        return result

    def _alive(self, prefix: str, now: float) -> bool:
        entry = self._entries.get(prefix)
        return entry is not None and now <= entry.until


def _prefixes(model_id: str, body: Body) -> tuple[list[str], list[int], dict[int, str]]:
    """Return hash and tokens of each prefix by its number of blocks, and where which TTL's points stand."""
    digest = hashlib.sha256(_bytes([model_id, body.get("additionalModelRequestFields")]))
    prefixes, sizes, points = [digest.hexdigest()], [0], {}
    for role, blocks in lists(body):
        for block in blocks:
            if "cachePoint" in block:
                points[len(sizes) - 1] = block["cachePoint"].get("ttl", "5m")
            else:
                digest.update(_bytes([role, block]))
                prefixes.append(digest.hexdigest())
                sizes.append(sizes[-1] + block_tokens(block))
    return prefixes, sizes, points


def _bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"
