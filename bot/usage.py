"""`python -m bot usage`: what was spent on the model, as a table or as CSV. Read beside a running Bobbin."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Literal

from bot.ports import Spending
from storage import spending

_HEADINGS = ("calls", "input", "cache read", "cache written", "output", "USD")


def moment(since: str, now: datetime | None = None) -> datetime:
    """Return when `since` is: a day, so many days ago (`7d`), or `month`, this one's begin; all in UTC.

    Raises `ValueError` for anything else.
    """
    now = now or datetime.now(UTC)
    if since == "month":
        return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if days := re.fullmatch(r"([0-9]{1,4})d", since):
        return now - timedelta(days=int(days[1]))
    return datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC)


async def usage(
    database_url: str, *, by: Literal["user", "channel", "model", "day"], since: datetime, as_csv: bool
) -> str:
    """Return what was spent. Raises `StoreError`s, and `BadConfiguration` for the url."""
    rows = await spending(database_url, by, int(since.timestamp() * 1000))
    return _csv(rows, by) if as_csv else _table(rows, by, since)


def _csv(rows: Sequence[Spending], by: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([by, *(field.name for field in fields(Spending)[1:])])
    for row in rows:
        values = [getattr(row, field.name) for field in fields(Spending)]
        writer.writerow([_harmless(value) if isinstance(value, str) else value for value in values])
    return text.getvalue().rstrip("\n")


def _table(rows: Sequence[Spending], by: str, since: datetime) -> str:
    title = f"Since {since:%Y-%m-%d %H:%M} UTC"
    if not rows:
        return f"{title}: nothing was spent."
    sums = (sum(getattr(row, field.name) for row in rows) for field in fields(Spending)[2:])
    total = Spending("total", "", *sums)
    cells = [(by, *_HEADINGS), *map(_cells, rows), _cells(total)]
    first, *others = (max(map(len, column)) for column in zip(*cells, strict=True))
    lines = [
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(row, others, strict=True))])
        for name, *row in cells
    ]
    if total.estimated_calls:
        lines.append(
            f"~ is partly estimated: {total.estimated_calls:,} calls ({_usd(total.estimated_micro_usd)} USD) "
            "were stopped, broke off or still run, and Bedrock did not tell what they used."
        )
    return "\n".join([title, "", *lines])


def _cells(row: Spending) -> tuple[str, ...]:
    tokens = (row.calls, row.input, row.cache_read, row.cache_write, row.output)
    mark = "~" if row.estimated_calls else ""
    name = f"{_printable(row.name)} ({row.what})" if row.name else row.what
    return (name, *(f"{count:,}" for count in tokens), mark + _usd(row.micro_usd))


def _usd(micro: int) -> str:
    return f"{micro / 1_000_000:,.4f}"


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name)


def _harmless(value: str) -> str:
    """A spreadsheet must not take somebody's name for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
