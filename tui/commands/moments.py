"""Times on the command line: how long ago, a day, or a time of day. A time without a zone is UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import click

from core.units import iso

FORMS = (
    "how long ago (90s, 30m, 2h, 1h30m, 3d, 1w), a day (today, yesterday, 2026-11-30), "
    "or a time (00:10, 2026-11-30T00:10, with a zone or in UTC)"
)
AHEAD = (
    "how long (90s, 30m, 2h, 1h30m, 3d, 1w), a day (today, tomorrow, 2026-12-31), "
    "or a time (18:00, 2026-12-31T18:00, with a zone or in UTC)"
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(
    r"(\d{1,12}(?:\.\d{1,6})?)\s*"
    r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?=\s|\d|$)(?:\s+|(?=\d)|$)"
)
_DAYS_AGO = {"today": 0, "yesterday": 1, "tomorrow": -1}
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d{1,6})?)?")


def moment_of(text: str, now: datetime, *, end: bool = False) -> datetime:
    """Return the time that a person wrote, in UTC. Raises ValueError with the forms that are known.

    With ``end`` the time ends a range: a day counts to its last moment, and a time of day is today's. Without
    ``end`` a time of day is the latest that has passed.
    """
    said = text.strip()
    try:
        ago = _span(said)
        if ago is not None:
            return now - ago
        return _written(said, now, end)
    except (ValueError, OverflowError):
        if _span_like(said):
            raise ValueError(f"{text!r} is longer ago than there are dates") from None
        raise ValueError(f"{text!r} is no time that is known here; write {FORMS}") from None


def until_of(text: str, now: datetime) -> datetime:
    """Return the time ahead that a person wrote, in UTC. Raises ValueError with the forms that are known.

    A day counts to its last moment. A time of day is the next one.
    """
    said = text.strip()
    try:
        span = None if said.endswith("ago") else _span(said)
        moment = now + span if span is not None else _written(said, now, end=True)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time that is known here; write {AHEAD}") from None
    if moment <= now and _TIME_OF_DAY.fullmatch(said):
        moment += timedelta(days=1)
    if moment <= now:
        raise ValueError(f"{text!r} has passed ({iso(moment)}); write {AHEAD}")
    return moment


def _span(text: str) -> timedelta | None:
    """Return the sum of spans such as ``1h30m`` or ``2 hours ago``; None for another text."""
    if text == "now":
        return timedelta(0)
    if not _span_like(text):
        return None
    parts = _PART.findall(text.removesuffix("ago").strip())
    return sum((timedelta(seconds=float(number) * _UNITS[unit[0]]) for number, unit in parts), timedelta(0))


def _span_like(text: str) -> bool:
    rest = text.removesuffix("ago").strip()
    return bool(rest) and _PART.sub("", rest) == ""


def _written(text: str, now: datetime, end: bool) -> datetime:
    today = now.astimezone(UTC).date()
    if _TIME_OF_DAY.fullmatch(text):
        moment = datetime.combine(today, _clock_time(text), UTC)
        return moment if end or moment <= now else moment - timedelta(days=1)
    first, _, rest = text.lower().partition(" ")
    if first in _DAYS_AGO:
        day = today - timedelta(days=_DAYS_AGO[first])
        return _end_of(day, end) if not rest else datetime.combine(day, _clock_time(rest.strip()), UTC)
    try:
        return _end_of(date.fromisoformat(text), end)
    except ValueError:
        moment = datetime.fromisoformat(text.replace("z", "Z"))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _clock_time(text: str) -> time:
    return time.fromisoformat(text if text.index(":") == 2 else f"0{text}")


def _end_of(day: date, end: bool) -> datetime:
    return datetime.combine(day, time.max if end else time.min, UTC)


class Moment(click.ParamType):
    """A time in any form of ``moment_of``. The environment's clock says what is now."""

    name = "time"

    def __init__(self, *, end: bool = False) -> None:
        self._end = end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        environment: Any = click.get_current_context().find_object(object)
        try:
            return self._read(value, environment.clock.now())
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def _read(self, text: str, now: datetime) -> datetime:
        return moment_of(text, now, end=self._end)


class Until(Moment):
    """A time ahead in any form of ``until_of``."""

    def _read(self, text: str, now: datetime) -> datetime:
        return until_of(text, now)


def utc_note(since: datetime | None, until: datetime | None) -> str:
    """Return the range in words, with its zone."""
    parts = [f"since {iso(since)}"] if since else []
    parts += [f"until {iso(until)}"] if until else []
    return f"Entries {' '.join(parts)} (UTC)."
