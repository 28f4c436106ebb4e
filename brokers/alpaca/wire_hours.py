"""``/v2/clock`` and ``/v2/calendar`` → the hours of equities and options: open now or not, extended session. Pure.

The clock tells regular hours only. The calendar tells a day's extended session too: usually 4:00 to 20:00, and to 17:00
on a day that closes at 13:00. Times are New York's, whatever zone a timestamp is written in.
"""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from msgspec import Struct

from brokers.alpaca.wire import listed, moment, text
from core.errors import OutcomeUnknown

NEW_YORK = ZoneInfo("America/New_York")
EARLY, OPEN = time(4), time(9, 30)
CLOSE, LATE = time(16), time(20)
SHORT_CLOSE, SHORT_LATE = time(13), time(17)


class ClockRead(Struct, frozen=True):
    """An answer of ``/v2/clock``: the market's state at the venue's time ``at``, and when the state changes."""

    at: datetime | None
    is_open: bool
    opens_at: datetime | None = None
    closes_at: datetime | None = None


class Day(Struct, frozen=True):
    """One day of ``/v2/calendar``. Without ``closes_at`` the day has no trading."""

    date: date
    early: time = EARLY  # start of the extended session
    closes_at: time | None = None  # end of the regular session
    late: time = LATE  # end of the extended session


class Hours(Struct, frozen=True):
    """The market's hours at a moment. ``extended``: a session outside regular hours."""

    is_open: bool
    extended: bool = False
    opens_at: datetime | None = None


ALWAYS = Hours(is_open=True)


def read_clock(row: object) -> ClockRead:
    """Return the clock's answer. Raises OutcomeUnknown when the answer does not tell whether the market is open."""
    if not isinstance(row, dict) or not isinstance(row.get("is_open"), bool):
        raise OutcomeUnknown("Alpaca's clock cannot be read (GET /v2/clock)")
    at, opens_at, closes_at = (moment(row.get(key)) for key in ("timestamp", "next_open", "next_close"))
    return ClockRead(at, row["is_open"], opens_at, closes_at)


def read_day(rows: object, day: date) -> Day:
    """Return a day of the calendar. The calendar leaves out days without trading. Raises OutcomeUnknown."""
    row = next((r for r in listed(rows, "trading days") if text(r, "date") == day.isoformat()), None)
    if row is None:
        return Day(day)
    closes_at = _time(text(row, "close"))
    if closes_at is None:
        raise OutcomeUnknown("Alpaca's calendar cannot be read (GET /v2/calendar)")
    late = SHORT_LATE if closes_at < CLOSE else LATE
    early, late = _time(text(row, "session_open")) or EARLY, _time(text(row, "session_close")) or late
    return Day(day, early, closes_at, late)


def guess_day(now: datetime) -> Day:
    """Return the day as the exchanges' rules have it, for a calendar that cannot be read.

    The rules do not tell the evening of a holiday from the evening of a trading day.
    """
    today = local_date(now)
    if today.weekday() >= 5:
        return Day(today)
    return Day(today, EARLY, SHORT_CLOSE, SHORT_LATE) if closes_early(today) else Day(today, EARLY, CLOSE, LATE)


def closes_early(day: date) -> bool:
    """Return whether the exchanges close at 13:00: after Thanksgiving, before Christmas and Independence Day."""
    if (day.month, day.weekday()) == (11, 4):
        return 23 <= day.day <= 29
    return (day.month, day.day) in ((7, 3), (12, 24)) and day.weekday() < 4


def local_date(now: datetime) -> date:
    return now.astimezone(NEW_YORK).date()


def is_open_at(read: ClockRead, now: datetime) -> bool | None:
    """Return the regular session's state at ``now``. An answer tells two changes; later the state is unknown (None)."""
    first, second = (read.closes_at, read.opens_at) if read.is_open else (read.opens_at, read.closes_at)
    if first is None or now < first:
        return read.is_open
    return not read.is_open if second is not None and first < second and now < second else None


def hours_at(read: ClockRead, day: Day | None, now: datetime) -> Hours:
    """Return the hours at ``now``. Unknown hours count as open: the venue refuses or queues unwanted orders.

    Without ``day`` no extended session is known.
    """
    is_open = is_open_at(read, now)
    if is_open is not False:
        return ALWAYS
    return Hours(is_open=False, extended=day is not None and _extended(read, day, now), opens_at=read.opens_at)


def _extended(read: ClockRead, day: Day, now: datetime) -> bool:
    here = now.astimezone(NEW_YORK)
    if day.closes_at is None or here.date() != day.date:
        return False
    before = here.time() < OPEN and read.opens_at is not None and local_date(read.opens_at) == day.date
    after = here.time() >= day.closes_at
    return day.early <= here.time() < day.late and (before or after)


def _time(said: str) -> time | None:
    """Return a time of the calendar, which writes 13:00 as ``13:00`` or ``1300``."""
    try:
        return datetime.strptime(said.replace(":", ""), "%H%M").time()  # noqa: DTZ007 - a time without a day
    except ValueError:
        return None
