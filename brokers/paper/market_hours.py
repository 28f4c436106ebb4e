"""A market's opening hours: one daily window in UTC on some days of the week. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from msgspec import Struct

EVERY_DAY = frozenset(range(7))


class MarketHours(Struct, frozen=True):
    """Opening hours in UTC. A ``close`` not later than ``open`` is on the next day. Monday is day 0."""

    open: time
    close: time
    days: frozenset[int] = EVERY_DAY

    def is_open(self, at: datetime) -> bool:
        return any(start <= at < end for start, end in self._windows(at, range(-1, 1)))

    def next_open(self, at: datetime) -> datetime | None:
        """Return the next opening after ``at``, or None if no day is a trading day."""
        return next((start for start, _ in self._windows(at, range(9)) if start > at), None)

    def _windows(self, at: datetime, offsets: range) -> list[tuple[datetime, datetime]]:
        """Return the windows that start on the days ``offsets`` from ``at``, in order."""
        found = []
        for offset in offsets:
            day = at.astimezone(UTC).date() + timedelta(days=offset)
            if day.weekday() in self.days:
                start = datetime.combine(day, self.open, UTC)
                end = datetime.combine(day, self.close, UTC)
                found.append((start, end if end > start else end + timedelta(days=1)))
        return found
