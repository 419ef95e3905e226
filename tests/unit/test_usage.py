"""Since when something is told; the rest of the command is tested through the process."""

from datetime import UTC, datetime

import pytest

from bot.usage import moment

NOW = datetime(2026, 11, 24, 14, 30, 5, 7, UTC)


@pytest.mark.parametrize(
    ("since", "when"),
    [
        ("month", datetime(2026, 11, 1, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 17, 14, 30, 5, 7, UTC)),
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_day_some_days_ago_or_the_begin_of_the_month(since: str, when: datetime):
    assert moment(since, NOW) == when


@pytest.mark.parametrize(
    "since", ["", "yesterday", "d", "-7d", "7", "99999d", "2026-13-01", "2026-11-24T10:00"]
)
def test_anything_else_is_refused(since: str):
    with pytest.raises(ValueError, match=r"does not match|unconverted|out of range"):
        moment(since, NOW)
