"""What the venue shows when it is asked: its truth, at times late, cut short, or not at all.

The budget of what a program is entitled to: nothing is further behind than the venue's own lag, and a list that
leaves something out is followed by right ones: never two of three, and never two within ``APART`` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import structs

from core.errors import OutcomeUnknown, Unreachable
from core.model import Fill, Instrument, Order, OrderStatus, Position, Quote
from tests.simulation.faults import Fault, Faults
from tests.simulation.venue import Venue

APART = 60.0
RIGHT_BETWEEN = 2
STUB = Decimal("0.01")  # of the price: a bid that nobody means
BAD_PRICES = (Decimal("NaN"), Decimal(0), Decimal(-5), Decimal("Infinity"))
Read = tuple[tuple[Position, ...], tuple[Order, ...], tuple[Instrument, ...], bool]


class Lists:
    """One account's answers."""

    def __init__(self, venue: Venue, faults: Faults, moment: Callable[[], float], gone: Callable[[str], bool]) -> None:
        self._venue = venue
        self._faults = faults
        self._moment = moment
        self._gone = gone
        self._wrong_at = -APART
        self._right = RIGHT_BETWEEN

    def read(self) -> Read:
        if self._faults.fires(Fault.LIST_FAILS):
            raise (Unreachable if self._faults.between(0, 1) < 0.5 else OutcomeUnknown)("list cannot be read")
        positions = self._venue.positions(self._behind(Fault.POSITIONS_LAG))
        orders = self._venue.open_orders(self._behind(Fault.ORDERS_LAG))
        wrong = False
        if self._may_be_wrong() and (positions or orders):
            if self._faults.fires(Fault.EMPTY):
                positions, orders, wrong = (), (), True
            elif self._faults.fires(Fault.TRUNCATED):
                positions, orders = positions[:-1], orders[:-1]
                wrong = True
        if wrong:
            self._wrong_at, self._right = self._moment(), 0
        else:
            self._right += 1
        return positions, orders, tuple(map(self._instrument, self._venue.instruments())), wrong

    def find(self, client_id: str | None, order_id: str | None) -> Order | None:
        order = self._venue.find(client_id, order_id, self._behind(Fault.QUERY_LAG))
        if order is not None and self._faults.fires(Fault.NEW_STATUS):
            return structs.replace(order, status=OrderStatus.UNKNOWN)
        return order

    def fills(self, symbol: str, since: datetime) -> list[Fill]:
        return self._venue.executions(symbol, since, self._behind(Fault.FILLS_LAG))

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        return [q for s in symbols if s in self._venue.rules and (q := self.quote(s)) is not None]

    def quote(self, symbol: str) -> Quote | None:
        if self._faults.fires(Fault.NO_PRICE):
            return None
        price = self._venue.price(symbol)
        bid, ask = price * Decimal("0.9995"), price * Decimal("1.0005")
        if self._faults.fires(Fault.STUB):
            bid, ask = price * STUB, price / STUB
        if self._faults.fires(Fault.BAD_PRICE):
            bad = BAD_PRICES[int(self._faults.between(0, len(BAD_PRICES)))]
            bid, ask = (bad, ask) if self._faults.between(0, 1) < 0.5 else (ask, bid)
        return Quote(self._venue.account.id, symbol, 0.0, bid, ask, price)

    def _behind(self, fault: Fault) -> float:
        return self._faults.between(0, self._venue.manners.lag) if self._faults.fires(fault) else 0.0

    def _may_be_wrong(self) -> bool:
        return self._right >= RIGHT_BETWEEN and self._moment() - self._wrong_at >= APART

    def _instrument(self, instrument: Instrument) -> Instrument:
        return structs.replace(instrument, tradable=False) if self._gone(instrument.symbol) else instrument
