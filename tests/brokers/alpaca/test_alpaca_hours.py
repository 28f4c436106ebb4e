"""The market's hours: regular, extended, half days, holidays, and what an answer of before still tells."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from brokers.alpaca.wire_hours import closes_early, guess_day, hours_at, read_clock, read_day
from core.errors import OutcomeUnknown

FRIDAY, MONDAY = "2026-11-27", "2026-11-30T09:30:00-05:00"  # the day after Thanksgiving closes at 13:00
HALF_DAY = {"date": FRIDAY, "open": "09:30", "close": "13:00", "session_open": "0400", "session_close": "1700"}


def clock_row(timestamp: str, opens: str, *, is_open: bool = False, closes: str | None = None) -> dict[str, Any]:
    later = (datetime.fromisoformat(opens) + timedelta(hours=6.5)).isoformat()
    return {"timestamp": timestamp, "is_open": is_open, "next_open": opens, "next_close": closes or later}


def closed(timestamp: str, opens: str, calendar: list[dict[str, Any]] | None = None) -> bool:
    """Return whether an extended session is on, while the market is closed."""
    read = read_clock(clock_row(timestamp, opens))
    assert read.at is not None
    day = guess_day(read.at) if calendar is None else read_day(calendar, date.fromisoformat(timestamp[:10]))
    now = hours_at(read, day, read.at)
    assert (now.is_open, now.opens_at) == (False, read.opens_at)
    return now.extended


@pytest.mark.parametrize(
    ("timestamp", "opens", "extended"),
    [
        ("2026-02-03T08:00:00-05:00", "2026-02-03T09:30:00-05:00", True),
        ("2026-02-03T13:00:00Z", "2026-02-03T14:30:00Z", True),
        ("2026-07-07T12:00:00Z", "2026-07-07T13:30:00Z", True),
        ("2026-02-03T03:59:00-05:00", "2026-02-03T09:30:00-05:00", False),
        ("2026-02-03T08:59:00Z", "2026-02-03T14:30:00Z", False),
        ("2026-02-03T16:00:00.123456789-05:00", "2026-02-04T09:30:00-05:00", True),
        ("2026-02-04T00:59:00Z", "2026-02-04T14:30:00Z", True),  # the evening before in New York
        ("2026-02-03T20:00:00-05:00", "2026-02-04T09:30:00-05:00", False),
        ("2026-02-07T12:00:00-05:00", "2026-02-09T09:30:00-05:00", False),  # a Saturday
        ("2026-02-16T08:00:00-05:00", "2026-02-17T09:30:00-05:00", False),  # a holiday's morning
        ("2026-11-27T12:59:00-05:00", MONDAY, False),
        ("2026-11-27T13:30:00-05:00", MONDAY, True),
        ("2026-11-27T17:00:00-05:00", MONDAY, False),
        ("2026-11-27T17:30:00-05:00", MONDAY, False),
    ],
)
def test_limits_go_beside_the_regular_hours_as_new_yorks_clock_says(timestamp: str, opens: str, extended: bool) -> None:
    assert closed(timestamp, opens) is extended


@pytest.mark.parametrize(
    ("timestamp", "calendar", "extended"),
    [
        (f"{FRIDAY}T13:30:00-05:00", [HALF_DAY], True),
        (f"{FRIDAY}T17:00:00-05:00", [HALF_DAY], False),
        (f"{FRIDAY}T18:00:00-05:00", [{**HALF_DAY, "session_close": "19:00"}], True),  # the calendar overrules
        (f"{FRIDAY}T17:30:00-05:00", [{"date": FRIDAY, "close": "13:00"}], False),  # without the extended session
        ("2026-11-26T17:00:00-05:00", [HALF_DAY], False),  # a holiday's evening
        ("2026-11-26T17:00:00-05:00", [], False),
    ],
)
def test_the_calendar_tells_half_days_and_holidays(
    timestamp: str, calendar: list[dict[str, Any]], extended: bool
) -> None:
    assert closed(timestamp, MONDAY, calendar) is extended


def test_the_exchanges_close_early_on_these_days() -> None:
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(366 * 3)]
    early = [d.isoformat() for d in days if closes_early(d)]
    assert early == [
        *("2024-07-03", "2024-11-29", "2024-12-24"),
        *("2025-07-03", "2025-11-28", "2025-12-24"),
        *("2026-11-27", "2026-12-24"),
    ]


def test_an_answer_tells_the_hours_until_its_second_change() -> None:
    closes, opens = "2026-02-03T16:00:00-05:00", "2026-02-04T09:30:00-05:00"
    read = read_clock(clock_row("2026-02-03T15:00:00-05:00", opens, is_open=True, closes=closes))
    told = {
        hour: hours_at(read, None, datetime.fromisoformat(f"2026-02-0{hour}:00:00-05:00")) for hour in ("3T15", "3T17")
    }
    assert [h.is_open for h in told.values()] == [True, False]
    assert hours_at(
        read, None, datetime.fromisoformat("2026-02-04T10:00:00-05:00")
    ).is_open  # unknown: the venue decides
    before = read_clock(clock_row("2026-02-04T09:00:00-05:00", opens))
    assert hours_at(before, None, datetime.fromisoformat("2026-02-04T09:30:00-05:00")).is_open


@pytest.mark.parametrize("row", [None, {}, [], {"is_open": "no"}])
def test_a_clock_without_a_readable_state_is_no_answer(row: object) -> None:
    with pytest.raises(OutcomeUnknown, match="cannot be read"):
        read_clock(row)


@pytest.mark.parametrize("rows", [None, {}, [{"date": FRIDAY, "close": "one"}], [{"date": FRIDAY}]])
def test_a_calendar_without_a_readable_close_is_no_answer(rows: object) -> None:
    with pytest.raises(OutcomeUnknown):
        read_day(rows, date.fromisoformat(FRIDAY))
