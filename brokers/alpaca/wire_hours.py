"""``/v2/clock`` → the hours of equities and options: open now or not, next open, and extended session. Pure.

Regular hours are 9:30 to 16:00 in New York. Limits with ``extended_hours`` trade from 4:00 until 20:00. Alpaca's
timestamps carry New York's offset, so a timestamp shows New York's wall clock.
"""

from __future__ import annotations

from datetime import datetime, time

from msgspec import Struct

from brokers.alpaca.wire import Row, moment, text

EARLY, OPEN, CLOSE, LATE = time(4), time(9, 30), time(16), time(20)


class Hours(Struct, frozen=True):
    """The market's hours. ``extended``: a session outside regular hours. ``changes_at``: when to ask for them again."""

    is_open: bool
    extended: bool = False
    opens_at: datetime | None = None
    changes_at: datetime | None = None


ALWAYS = Hours(is_open=True)


def hours(row: object) -> Hours:
    """Return the clock's hours. An unreadable clock counts as open: the venue refuses unwanted orders."""
    if not isinstance(row, dict) or not isinstance(row.get("is_open"), bool):
        return ALWAYS
    opens_at, closes_at = moment(row.get("next_open")), moment(row.get("next_close"))
    if row["is_open"]:
        return Hours(is_open=True, opens_at=None, changes_at=closes_at)
    return Hours(is_open=False, extended=_extended(row), opens_at=opens_at, changes_at=opens_at)


def _extended(row: Row) -> bool:
    """Return whether it is before the open of a trading day, or after the close of a weekday.

    A holiday's evening counts too: the clock does not tell holidays apart.
    """
    here, opens = _local(text(row, "timestamp")), _local(text(row, "next_open"))
    if here is None or opens is None or here.weekday() >= 5:
        return False
    before = EARLY <= here.time() < OPEN and opens.date() == here.date()
    return before or CLOSE <= here.time() < LATE


def _local(said: str) -> datetime | None:
    try:
        return datetime.fromisoformat(said.replace("Z", "+00:00"))
    except ValueError:
        return None
