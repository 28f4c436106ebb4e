"""Times ahead, as `account --until` takes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.units import iso
from tui.commands.moments import until_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("2h", "2026-03-01T14:00:00.000Z"),
        ("1h30m", "2026-03-01T13:30:00.000Z"),
        ("18:00", "2026-03-01T18:00:00.000Z"),
        ("09:00", "2026-03-02T09:00:00.000Z"),  # today's has passed
        ("2026-03-01T18:00+02:00", "2026-03-01T16:00:00.000Z"),
    ],
)
def test_a_time_ahead_is_read_in_utc(text: str, until: str) -> None:
    assert iso(until_of(text, NOW)) == until


@pytest.mark.parametrize(("text", "day"), [("today", 1), ("tomorrow", 2), ("2026-03-05", 5)])
def test_a_day_counts_to_its_end(text: str, day: int) -> None:
    assert (until_of(text, NOW).day, until_of(text, NOW).hour) == (day, 23)


@pytest.mark.parametrize("text", ["now", "yesterday", "2026-02-28", "2h ago", "soon", "", "99999999999w"])
def test_a_time_that_has_passed_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write how long"):
        until_of(text, NOW)
