"""``/v2/clock`` → whether equities and options trade now, when they do next, and whether limits do beside. Pure.

Regular hours are 9:30 to 16:00 in New York; limits with ``extended_hours`` trade from 4:00 and until 20:00. Alpaca's
timestamps carry New York's offset, so its wall clock is theirs.
"""

from __future__ import annotations

from datetime import datetime, time

from msgspec import Struct

from brokers.alpaca.wire import Row, moment, text

EARLY, OPEN, CLOSE, LATE = time(4), time(9, 30), time(16), time(20)


class Hours(Struct, frozen=True):
    """``extended`` is a session beside the regular hours; ``changes_at`` is when all of this is to be asked anew."""

    is_open: bool
    extended: bool = False
    opens_at: datetime | None = None
    changes_at: datetime | None = None


ALWAYS = Hours(is_open=True)


def hours(row: object) -> Hours:
    """What the clock says. One that cannot be read is taken for open: the venue refuses what it does not want."""
    if not isinstance(row, dict) or not isinstance(row.get("is_open"), bool):
        return ALWAYS
    opens_at, closes_at = moment(row.get("next_open")), moment(row.get("next_close"))
    if row["is_open"]:
        return Hours(is_open=True, opens_at=None, changes_at=closes_at)
    return Hours(is_open=False, extended=_extended(row), opens_at=opens_at, changes_at=opens_at)


def _extended(row: Row) -> bool:
    """Before the open of a trading day, or after the close of a weekday (a holiday's evening is not told apart)."""
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
