"""An account's stream: orders, fills and positions as they happen, at times twice, late, out of order or not at all."""

from __future__ import annotations

import asyncio

from core.events import BrokerEvent, FillSeen, OrderSeen, PositionSeen
from core.model import Fill, Order, PositionKey
from tests.simulation.faults import Fault, Faults
from tests.simulation.life import Life
from tests.simulation.venue import Venue


class Stream:
    """What one life hears of one account. It ends once in a while, when the fault says so, and may fall silent."""

    def __init__(self, life: Life, venue: Venue, faults: Faults) -> None:
        self._life = life
        self._venue = venue
        self._faults = faults
        self._queue: asyncio.Queue[BrokerEvent | None] = asyncio.Queue()
        self._silent = False

    async def get(self) -> BrokerEvent | None:
        """The next event, or None at its end."""
        return await self._queue.get()

    def put(self, news: Order | Fill | PositionKey) -> None:
        """Something happened at the venue."""
        if self._life.dead:
            return
        faults = self._faults
        self._silent = not faults.quiet and (self._silent or faults.fires(Fault.SILENCE))
        if self._silent:
            return
        if faults.fires(Fault.EVENT_LOST):
            self._life.later(0.01, lambda: self._queue.put_nowait(None))
            return
        event = self._event(news)
        for _ in range(2 if faults.fires(Fault.EVENT_TWICE) else 1):
            delay = faults.between(0.5, 8) if faults.fires(Fault.EVENT_LATE) else faults.between(0.001, 0.02)
            self._life.later(delay, lambda: self._queue.put_nowait(event))

    def _event(self, news: Order | Fill | PositionKey) -> BrokerEvent:
        if isinstance(news, Order):
            return OrderSeen(news)
        if isinstance(news, Fill):
            return FillSeen(news)
        held = self._venue.held.get(news)
        return PositionSeen(news, self._venue.position(news, held) if held else None)
