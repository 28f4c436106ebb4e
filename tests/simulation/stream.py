"""An account's stream: orders, fills and positions as they happen, at times twice, late, out of order or not at all."""

from __future__ import annotations

import asyncio

from msgspec import structs

from core.events import BrokerEvent, FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Fill, Order, PositionKey, Quote
from tests.simulation.faults import Fault, Faults
from tests.simulation.history import Quoted
from tests.simulation.life import Life
from tests.simulation.lists import Lists
from tests.simulation.venue import Venue


class Stream:
    """What one life hears of one account. It ends once in a while, when the fault says so, and may fall silent."""

    def __init__(self, life: Life, venue: Venue, faults: Faults, lists: Lists) -> None:
        self._life = life
        self._venue = venue
        self._lists = lists
        self._faults = faults
        self._queue: asyncio.Queue[BrokerEvent | None] = asyncio.Queue()
        self._silent = False

    async def get(self) -> BrokerEvent | None:
        """The next event, or None at its end."""
        return await self._queue.get()

    def put(self, news: Order | Fill | PositionKey | str) -> None:
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
        if event is None:
            return
        stamped = self._life.at
        for _ in range(2 if faults.fires(Fault.EVENT_TWICE) else 1):
            delay = faults.between(0.5, 8) if faults.fires(Fault.EVENT_LATE) else faults.between(0.001, 0.02)
            self._life.later(delay, lambda: self._deliver(event, stamped))

    def _deliver(self, event: BrokerEvent, stamped: float) -> None:
        if isinstance(event, QuoteSeen):
            self._life.record(quoted(self._life.at, stamped, event.quote))
        self._queue.put_nowait(event)

    def _event(self, news: Order | Fill | PositionKey | str) -> BrokerEvent | None:
        if isinstance(news, str):
            quote = self._lists.quote(news)
            return None if quote is None else QuoteSeen(structs.replace(quote, received=self._life.monotonic()))
        if isinstance(news, Order):
            return OrderSeen(news)
        if isinstance(news, Fill):
            return FillSeen(news)
        held = self._venue.held.get(news)
        return PositionSeen(news, self._venue.position(news, held) if held else None)


def quoted(at: float, stamped: float, quote: Quote) -> Quoted:
    """A quote of this venue, which always says all three prices, as evidence."""
    assert quote.bid is not None
    assert quote.ask is not None
    assert quote.last is not None
    return Quoted(at, quote.account, quote.symbol, stamped, quote.bid, quote.ask, quote.last)
