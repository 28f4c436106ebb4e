"""The market's hours. The venue is asked rarely and beside the closes: a clock that fails holds no close back."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from brokers.alpaca.client import Client
from brokers.alpaca.wire_hours import (
    ALWAYS,
    ClockRead,
    Day,
    Hours,
    guess_day,
    hours_at,
    is_open_at,
    local_date,
    read_clock,
    read_day,
)
from brokers.sharing import KeptAnswer
from core.errors import Refusal, Refused
from core.model import Kind, OrderType
from core.ports import Clock
from core.units import iso

KEEP, AGAIN = 30.0, 5.0  # seconds to the next question for the clock, also after a failure
DAY_KEEP, DAY_AGAIN = 3600.0, 60.0  # seconds to the next question for the calendar
PATIENCE = 2.0  # seconds that an order waits for an answer
CLOCKED = frozenset({Kind.EQUITY, Kind.OPTION})
LIMITS_ONLY = "outside regular hours Alpaca takes limits only, a market order would wait for the open"


class _Told(Struct, frozen=True):
    read: ClockRead
    asked: float  # monotonic


class MarketHours:
    """The market's hours for one account. ``extended_hours`` allows limits for equities outside regular hours."""

    def __init__(self, client: Client, clock: Clock, *, extended_hours: bool) -> None:
        self._client = client
        self._clock = clock
        self._allowed = extended_hours
        self._read = KeptAnswer(self._ask_clock, clock, keep=KEEP, again=AGAIN)
        self._day = KeptAnswer(self._ask_day, clock, keep=DAY_KEEP, again=DAY_AGAIN)

    def warm(self) -> None:
        """Ask for the hours in the background, so that a later close need not wait for the answer."""
        self._read.refresh()

    async def aclose(self) -> None:
        await self._read.aclose()
        await self._day.aclose()

    @property
    def flaw(self) -> str:
        """Why the venue did not tell whether the market is open, "" when the venue told."""
        why = self._read.flaw or ("" if self._read.value is not None else "no answer yet (GET /v2/clock)")
        return f"Alpaca does not tell whether the market is open: {why}" if why else ""

    async def hours(self) -> Hours:
        """Return the hours as of now. An older answer serves as long as the answer tells the hours.

        Unknown hours count as open: the venue refuses or queues unwanted orders.
        """
        last = self._read.value
        changed = last is not None and is_open_at(last.read, self._now(last)) is not last.read.is_open
        told = await self._read.get(PATIENCE, due=changed)
        if told is None:
            return ALWAYS
        return hours_at(told.read, await self._today(told) if self._allowed else None, self._now(told))

    async def _today(self, told: _Told) -> Day | None:
        """Return the present day of the calendar, where the market is closed. Without a calendar, rules serve."""
        now = self._now(told)
        if is_open_at(told.read, now) is not False:
            return None
        last = self._day.value
        day = await self._day.get(PATIENCE, due=last is not None and last.date != local_date(now))
        return day if day is not None and day.date == local_date(now) else guess_day(now)

    def _now(self, told: _Told) -> datetime:
        """Return the venue's time now, which may differ from this machine's."""
        if told.read.at is None:
            return self._clock.now()
        return told.read.at + timedelta(seconds=self._clock.monotonic() - told.asked)

    async def _ask_clock(self) -> _Told:
        asked = self._clock.monotonic()
        return _Told(read_clock(await self._client.get("/v2/clock")), asked)

    async def _ask_day(self) -> Day:
        told = self._read.value
        day = local_date(self._now(told) if told is not None else self._clock.now())
        rows = await self._client.get("/v2/calendar", {"start": day.isoformat(), "end": day.isoformat()})
        return read_day(rows, day)

    async def admit(self, kind: Kind | None, type_: OrderType) -> bool:
        """Return whether to mark the order for extended hours.

        Raises Refused where the venue would queue the order for the open. A stop may rest while the market is closed.
        """
        if kind not in CLOCKED or type_ is OrderType.STOP:
            return False
        now = await self.hours()
        if now.is_open:
            return False
        if kind is Kind.EQUITY and self._allowed and now.extended:
            if type_ is not OrderType.LIMIT:
                raise Refused(Refusal.UNSUPPORTED, LIMITS_ONLY)
            return True
        when = f" until {iso(now.opens_at)}" if now.opens_at else ""
        raise Refused(Refusal.MARKET_CLOSED, f"the market is closed{when}", code="closed", opens_at=now.opens_at)
