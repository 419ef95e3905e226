"""The ledger of a Bobbin beside what its Bedrock knows of the same calls."""

from dataclasses import dataclass
from typing import Any

import aiosqlite

from bot.sandbox.bedrock import Asked
from tests.e2e.conftest import Bobbin

DAY = 24 * 3600 * 1000


@dataclass(frozen=True)
class Row:
    """One row of the ledger."""

    state: str
    estimated: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    micro_usd: int
    request_id: str

    @property
    def tokens(self) -> tuple[int, int, int, int]:
        """Read, from the cache, into the cache, written."""
        return self.input, self.cache_read, self.cache_write, self.output


async def books(bobbin: Bobbin) -> list[Row]:
    """The ledger, oldest call first."""
    names = ", ".join(Row.__dataclass_fields__)
    return [Row(*row) for row in await bobbin.rows(f"SELECT {names} FROM call ORDER BY id")]


async def change(bobbin: Bobbin, sql: str, *values: Any) -> None:
    """Change the database beside the process, as time or earlier days would have."""
    async with aiosqlite.connect(bobbin.folder / "bobbin.db", timeout=60) as database:
        await database.execute(sql, values)
        await database.commit()


async def spend(bobbin: Bobbin, user: str, usd: float, *, days_ago: int = 0) -> None:
    """Put in a call of so many dollars, as if it had been made that long ago."""
    await change(
        bobbin,
        "INSERT INTO call(id, team_id, channel_id, user_id, model, purpose, state, estimated, started_at,"
        " input, cache_read, cache_write, cache_write_1h, output, micro_usd)"
        " VALUES (abs(random()) % 1000000000, ?, 'C1', ?, 'claude', 'answer', 'done', 0,"
        " CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) - ?, 0, 0, 0, 0, 0, ?)",
        bobbin.slack.team_id, user, days_ago * DAY, int(usd * 1_000_000),
    )  # fmt: skip


def billed(asked: Asked) -> tuple[int, int, int, int]:
    """What Bedrock counted for a request."""
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens")
    read, cache_read, cache_write, written = (asked.usage.get(name, 0) for name in names)
    return read, cache_read, cache_write, written


async def agree(bobbin: Bobbin) -> tuple[int, int]:
    """Check the ledger against Bedrock; how many calls are known to the token, and how many estimated.

    A call that was booked but not sent, because its process died in between, is an estimate too.
    """
    rows = await books(bobbin)
    requests = {asked.request_id: asked for asked in bobbin.bedrock.requests}
    exact = [row for row in rows if not row.estimated and row.state == "done"]
    for row in exact:
        assert row.tokens == billed(requests.pop(row.request_id)), row
    estimated = [row for row in rows if row.estimated]
    assert {row.state for row in rows} <= {"done", "failed", "stopped", "lost"}
    assert {row.tokens for row in rows if not row.estimated and row.state != "done"} <= {(0, 0, 0, 0)}
    unread = [asked for asked in requests.values() if asked.read is None]
    assert len(requests) - len(unread) <= len(estimated)
    return len(exact), len(estimated)
