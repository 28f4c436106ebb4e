"""Match orders with prices: executions, triggers, and the effect of a fill on other orders.

Synchronous and without I/O. ``time`` is the venue's monotonic now. The venue sets ``time`` and saves the changes.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from brokers.paper.event_log import EventLog
from brokers.paper.faults import Faults
from brokers.paper.list_lag import ListLag
from brokers.paper.market import Market
from brokers.paper.order_checks import closes_leg
from brokers.paper.state import Key, PositionFlip, State, VenueOrder, end, triggered, would_reduce
from brokers.paper.wire import CASH, TopOfBook
from core.events import FillSeen, OrderSeen, PositionSeen
from core.model import Order, OrderSide, OrderStatus, OrderType, PositionKey, TimeInForce
from core.ports import Clock
from core.units import ONE, ZERO, floor_to

AUDITED = 10_000
AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class MatchingEngine:
    """Matches the orders of one account with its market, and changes the account's state."""

    def __init__(self, account: str, state: State, market: Market, faults: Faults, clock: Clock) -> None:
        self.account, self.state, self.market, self.faults, self.clock = account, state, market, faults, clock
        self.event_log, self.list_lag = EventLog(), ListLag()
        self.time = clock.monotonic()
        self.crossed_zero: deque[PositionFlip] = deque(maxlen=AUDITED)

    def now(self) -> datetime:
        """Return the wall time that belongs to ``time``."""
        return self.clock.now() - timedelta(seconds=self.clock.monotonic() - self.time)

    def enter_order(self, ticket: VenueOrder) -> Order:
        """Enter an accepted order and trade what the market allows. Return the order.

        The remainder of an IOC or FOK order expires. Another remainder rests.
        """
        self._report(self.state.record_order(ticket))
        if ticket.order.type is not OrderType.STOP or self.market.reached(ticket.order):
            self._match(self._triggered(ticket), arriving=True)
        left = self.state.tickets[ticket.order.id]
        if left.tif in AT_ONCE and not left.order.status.terminal:
            self.end_order(left.order.id, OrderStatus.EXPIRED)
        return self.state.tickets[ticket.order.id].order

    def end_order(self, order_id: str, status: OrderStatus = OrderStatus.CANCELLED) -> None:
        """End an order that has not ended yet."""
        ticket = self.state.tickets.get(order_id)
        if ticket is not None and not ticket.order.status.terminal:
            self._report(self.state.record_order(end(ticket, status)))
            self._report_position((ticket.order.symbol, ticket.order.leg), self.time)

    def move_price(self, symbol: str, top: TopOfBook) -> None:
        """Set a price with new depth, then match the symbol's resting orders."""
        self.market.set_top(symbol, top)
        self.match_resting(symbol)

    def match_resting(self, symbol: str | None = None) -> None:
        """Match the resting orders, the oldest first. Orders of a closed market wait."""
        for waiting in self.state.live_orders(symbol):
            ticket = self.state.tickets[waiting.order.id]
            hours = self.market.listing(ticket.order.symbol).hours
            if ticket.order.status.terminal or (hours is not None and not hours.is_open(self.now())):
                continue
            if ticket.order.type is not OrderType.STOP or self.market.reached(ticket.order):
                self._match(self._triggered(ticket), arriving=False)

    def fill_whole(self, order_id: str) -> None:
        """Trade the remainder of an order at the touch, whatever the depth."""
        ticket = self.state.tickets[order_id]
        quantity = self._wanted(ticket)
        if quantity > 0:
            self._execute(ticket, quantity, self._price(ticket.order, arriving=True) or ONE)

    def _triggered(self, ticket: VenueOrder) -> VenueOrder:
        if ticket.order.type is not OrderType.STOP:
            return ticket
        ticket = triggered(ticket)
        self._report(self.state.record_order(ticket))
        return ticket

    def _match(self, ticket: VenueOrder, *, arriving: bool) -> None:
        order = ticket.order
        wanted = self._wanted(ticket)
        if wanted <= 0:
            self.end_order(order.id)
            return
        price = self._price(order, arriving=arriving)
        if price is None or not self.market.crosses(order):
            return
        available = self.market.available(order.symbol, order.side)
        quantity = self._tampered(order, wanted if available is None else min(wanted, available))
        if quantity <= 0 or (ticket.tif is TimeInForce.FOK and quantity < wanted):
            return
        self.market.take(order.symbol, order.side, quantity)
        self._execute(ticket, quantity, price)

    def _wanted(self, ticket: VenueOrder) -> Decimal:
        """Return the quantity that an order may still trade. Where no flip is allowed, the position is the limit."""
        order = ticket.order
        held = self.state.positions.get((order.symbol, order.leg))
        cash = self.market.listing(order.symbol).instrument.kind in CASH
        if held is not None and would_reduce(held, order.side):
            bound = cash or order.reduce_only or closes_leg(order)
            return min(order.remaining, held.quantity) if bound else order.remaining
        uncovered = cash and held is None and order.side is OrderSide.SELL
        return ZERO if uncovered or order.reduce_only or closes_leg(order) else order.remaining

    def _tampered(self, order: Order, quantity: Decimal) -> Decimal:
        """Return the quantity of a trade after the faults ``no_fill`` and ``partial_fill``."""
        if self.faults.strikes("no_fill", order.symbol):
            return ZERO
        if self.faults.strikes("partial_fill", order.symbol):
            step = self.market.listing(order.symbol).instrument.step
            return min(max(floor_to(quantity / 2, step), step), quantity)
        return quantity

    def _price(self, order: Order, *, arriving: bool) -> Decimal | None:
        """Return the price at which an order trades, or None if the symbol has neither a price nor a position.

        A resting limit order trades at its own price, every other order at the touch. A position whose symbol shows
        no price can still be closed: at its entry, or at 1 if the entry is unknown.
        """
        if order.type is OrderType.LIMIT and not arriving:
            return order.price
        held = self.state.positions.get((order.symbol, order.leg))
        touch = self.market.touch(order.symbol, order.side, held.entry if held else None)
        return ONE if touch is None and held is not None else touch

    def _execute(self, ticket: VenueOrder, quantity: Decimal, price: Decimal) -> None:
        order = ticket.order
        key = (order.symbol, order.leg)
        listing = self.market.listing(order.symbol)
        seen_at = self._veil(ticket, key)
        fee = listing.fee_rate * quantity * listing.instrument.multiplier * price
        fill, crossed = self.state.fill(ticket, quantity, price, listing.instrument, fee, self.now())
        if seen_at > self.time:
            self.list_lag.fills.add(fill.trade_id, seen_at, None)
        if crossed is not None and ticket.own:
            self.crossed_zero.append(crossed)
        self.event_log.schedule_event(FillSeen(fill), seen_at)
        self._report(self.state.tickets[order.id].order, seen_at)
        self._report_position(key, seen_at)
        self._tidy(order.symbol)

    def _veil(self, ticket: VenueOrder, key: Key) -> float:
        """Keep the former values that the faults show after the next fill. Return when the fill's events are seen."""
        symbol, until = key[0], self.time + self.faults.numbers["lag_seconds"]
        late = self.faults.strikes("late_fill", symbol)
        if late or self.faults.strikes("position_lag", symbol):
            self.list_lag.positions.add(key, until, self.state.positions.get(key))
        if late:
            status = OrderStatus.EXPIRED if ticket.tif in AT_ONCE else ticket.order.status
            self.list_lag.orders.add(ticket.order.id, until, replace(ticket.order, status=status))
        return until if late else self.time

    def _tidy(self, symbol: str) -> None:
        """End the orders that were to close a position and no longer can.

        In spot and equity, the oldest orders claim the position's quantity first. Orders beyond the quantity end.
        """
        kind = self.market.listing(symbol).instrument.kind
        room: dict[Key, Decimal] = {}
        for ticket in self.state.live_orders(symbol):
            order = ticket.order
            held = self.state.positions.get((symbol, order.leg))
            if (order.reduce_only or closes_leg(order)) and not would_reduce(held, order.side):
                self.end_order(order.id)
            elif kind in CASH and held and would_reduce(held, order.side):
                left = room.setdefault((symbol, order.leg), held.quantity) - order.remaining
                if left < 0:
                    self.end_order(order.id)
                else:
                    room[symbol, order.leg] = left

    def _report(self, order: Order, at: float | None = None) -> None:
        self.event_log.schedule_event(OrderSeen(order), self.time if at is None else at)

    def _report_position(self, key: Key, at: float) -> None:
        held = self.state.positions.get(key)
        if held is not None:
            held = replace(held, free=self.state.free(held, self.market.listing(key[0]).instrument))
        self.event_log.schedule_event(PositionSeen(PositionKey(self.account, *key), held), at)
