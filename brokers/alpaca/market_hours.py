"""The market's hours. The venue is asked rarely: one answer serves every close of a moment."""

from __future__ import annotations

import asyncio

from brokers.alpaca.client import Client
from brokers.alpaca.wire_hours import ALWAYS, Hours, hours
from core.errors import FlatdeckError, Refusal, Refused
from core.model import Kind, OrderType
from core.ports import Clock
from core.units import iso

KEEP = 30.0  # seconds for which an answer is used
CLOCKED = frozenset({Kind.EQUITY, Kind.OPTION})
LIMITS_ONLY = "outside regular hours Alpaca takes limits only, a market order would wait for the open"


class MarketHours:
    """The market's hours for one account. ``extended_hours`` allows limits for equities outside regular hours."""

    def __init__(self, client: Client, clock: Clock, *, extended_hours: bool) -> None:
        self._client = client
        self._clock = clock
        self._allowed = extended_hours
        self._lock = asyncio.Lock()
        self._known: tuple[float, Hours] | None = None
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Ask for the hours in the background, so that a later close need not wait for the answer."""
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm())

    async def _warm(self) -> None:
        try:
            await self.hours()
        except FlatdeckError:
            return  # a caller that needs the hours asks again and gets the error

    async def aclose(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)

    async def hours(self) -> Hours:
        """Return the hours as of now. A venue without a clock counts as open: the venue refuses unwanted orders."""
        async with self._lock:
            if self._known is None or self._stale(*self._known):
                asked = self._clock.monotonic()
                try:
                    found = hours(await self._client.get("/v2/clock"))
                except Refused as refused:
                    if refused.code not in ("404", "40410000"):
                        raise
                    found = ALWAYS
                self._known = asked, found
            return self._known[1]

    def _stale(self, asked: float, known: Hours) -> bool:
        over = known.changes_at is not None and self._clock.now() >= known.changes_at
        return over or self._clock.monotonic() - asked > KEEP

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
