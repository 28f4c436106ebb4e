"""One account's positions, orders and fills at the venue, and how a fill changes them. No I/O.

Every mutation keeps these rules. A position's quantity is the sum of the book's quantity and the position's fills.
The quantity is never negative, and a position of quantity 0 is removed. Each fill is recorded once, under its own
trade id. A terminal order never reopens.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from brokers.paper.wire import CASH, Book, leg_of
from core.model import Fill, Instrument, Leg, Order, OrderSide, OrderStatus, OrderType, Position, Side, TimeInForce
from core.units import ONE, ZERO

KEPT = 10_000  # at least this many ended orders and this many fills can be looked up

Key = tuple[str, Leg]


class VenueOrder(Struct, frozen=True):
    """An order and the facts that only the venue knows. ``own`` is True for the program's orders only."""

    order: Order
    tif: TimeInForce = TimeInForce.GTC
    own: bool = False
    placed: float = 0.0  # monotonic seconds; 0 for an order of the book file


class PositionFlip(Struct, frozen=True):
    """A fill that turned a position from long to short or back. The quantities are signed."""

    order_id: str
    client_id: str | None
    symbol: str
    before: Decimal
    after: Decimal


class State:
    """The account's mutable state. ``dirty_*`` hold the keys that changed since the last save."""

    def __init__(self, book: Book) -> None:
        self.positions: dict[Key, Position] = {(p.symbol, p.leg): p for p in book.positions}
        self.tickets: dict[str, VenueOrder] = {o.id: VenueOrder(o) for o in book.orders}
        self.live: dict[str, None] = dict.fromkeys(self.tickets)  # ids of open orders, in order of arrival
        self.by_client: dict[str, str] = {o.client_id: o.id for o in book.orders if o.client_id}
        self.fills: dict[str, Fill] = {}
        self.last_order = self.last_trade = 0
        self.hedge = book.hedge
        self.dirty_positions: set[Key] = set()
        self.dirty_orders: dict[str, None] = {}  # order ids, in the order of saving
        self.dirty_fills: dict[str, None] = {}

    @property
    def changed(self) -> bool:
        return bool(self.dirty_positions or self.dirty_orders or self.dirty_fills)

    def saved(self) -> None:
        """Mark everything as saved."""
        self.dirty_positions, self.dirty_orders, self.dirty_fills = set(), {}, {}

    def all_changed(self) -> None:
        """Mark everything as unsaved."""
        self.dirty_positions |= set(self.positions)
        self.dirty_orders = dict.fromkeys(self.tickets)
        self.dirty_fills = dict.fromkeys(self.fills)

    def order_id(self) -> str:
        self.last_order += 1
        name = f"p{self.last_order}"
        return name if name not in self.tickets else self.order_id()

    def record_order(self, ticket: VenueOrder) -> Order:
        """Record the order's current state and return the order."""
        order = ticket.order
        self.tickets[order.id] = ticket
        self.dirty_orders[order.id] = None
        if order.client_id:
            self.by_client[order.client_id] = order.id
        if order.status.terminal:
            self.live.pop(order.id, None)
            self._forget()
        else:
            self.live[order.id] = None
        return order

    def find(self, client_id: str | None, order_id: str | None) -> VenueOrder | None:
        known = order_id if order_id is not None else self.by_client.get(client_id or "")
        return self.tickets.get(known or "")

    def live_orders(self, symbol: str | None = None) -> list[VenueOrder]:
        """Return the open orders, the oldest first."""
        found = [self.tickets[i] for i in self.live]
        return found if symbol is None else [t for t in found if t.order.symbol == symbol]

    def closing(self, position: Position) -> list[VenueOrder]:
        """Return the open orders that would reduce a position."""
        side = position.side.closing
        tickets = self.live_orders(position.symbol)
        return [t for t in tickets if t.order.side is side and t.order.leg is position.leg]

    def free(self, position: Position, instrument: Instrument) -> Decimal:
        """Return the quantity that no open order holds. Only spot and equity orders hold quantity."""
        if instrument.kind not in CASH:
            return position.quantity
        return max(position.quantity - sum((t.order.remaining for t in self.closing(position)), ZERO), ZERO)

    def fill(
        self, ticket: VenueOrder, quantity: Decimal, price: Decimal, instrument: Instrument, fee: Decimal, at: datetime
    ) -> tuple[Fill, PositionFlip | None]:
        """Execute ``quantity`` of an order. Return the fill, and the flip if the fill turned the position around."""
        order = ticket.order
        self.last_trade += 1
        fill = Fill(
            account=order.account,
            symbol=order.symbol,
            trade_id=f"t{self.last_trade}",
            order_id=order.id,
            side=order.side,
            quantity=quantity,
            price=price,
            client_id=order.client_id,
            fee=fee,
            at=at,
            leg=order.leg,
        )
        self.fills[fill.trade_id] = fill
        self.dirty_fills[fill.trade_id] = None
        self.record_order(VenueOrder(_filled(order, quantity, price, fee), ticket.tif, ticket.own, ticket.placed))
        before, after = self._trade(fill, instrument)
        crossed = PositionFlip(order.id, order.client_id, order.symbol, before, after) if before * after < 0 else None
        return fill, crossed

    def _trade(self, fill: Fill, instrument: Instrument) -> tuple[Decimal, Decimal]:
        """Apply a fill to its position. Return the signed quantities before and after."""
        held = self.positions.get((fill.symbol, fill.leg))
        before = held.side.sign * held.quantity if held else ZERO
        after = before + fill.side.sign * fill.quantity
        key = (fill.symbol, fill.leg)
        self.dirty_positions.add(key)
        if after == 0:
            self.positions.pop(key, None)
        elif held is None or before * after < 0:
            side = Side.LONG if after > 0 else Side.SHORT
            leg = leg_of(instrument, side, hedge=self.hedge)
            size = abs(after)
            self.positions[key] = Position(fill.account, fill.symbol, side, size, size, fill.price, ONE, fill.at, leg)
        elif abs(after) > abs(before):
            self.positions[key] = _added(held, fill)
        else:
            self.positions[key] = replace(held, quantity=abs(after), free=abs(after))
        return before, after

    def _forget(self) -> None:
        """Drop the oldest ended orders and fills, so that their number stays bounded."""
        if len(self.tickets) - len(self.live) > 2 * KEPT:
            ended = [i for i in self.tickets if i not in self.live]
            for name in ended[:KEPT]:
                gone = self.tickets.pop(name)
                self.dirty_orders.pop(name, None)
                self.by_client.pop(gone.order.client_id or "", None)
        if len(self.fills) > 2 * KEPT:
            for name in list(self.fills)[:KEPT]:
                del self.fills[name]
                self.dirty_fills.pop(name, None)


def end(ticket: VenueOrder, status: OrderStatus, text: str = "") -> VenueOrder:
    """Return the order with a terminal status."""
    return VenueOrder(replace(ticket.order, status=status, text=text), ticket.tif, ticket.own, ticket.placed)


def triggered(ticket: VenueOrder) -> VenueOrder:
    """Return a stop whose trigger was reached as a market order. The order rests until it is filled."""
    return VenueOrder(replace(ticket.order, type=OrderType.MARKET), TimeInForce.GTC, ticket.own, ticket.placed)


def _filled(order: Order, quantity: Decimal, price: Decimal, fee: Decimal) -> Order:
    filled = order.filled + quantity
    average = price if not order.filled else ((order.average_price or price) * order.filled + price * quantity) / filled
    status = OrderStatus.FILLED if filled >= order.quantity else order.status
    return replace(order, filled=filled, average_price=average, status=status, fee=(order.fee or ZERO) + fee)


def _added(held: Position, fill: Fill) -> Position:
    quantity = held.quantity + fill.quantity
    entry = held.entry
    if entry is not None:
        entry = (entry * held.quantity + fill.price * fill.quantity) / quantity
    return replace(held, quantity=quantity, free=quantity, entry=entry)


def would_reduce(position: Position | None, side: OrderSide) -> bool:
    return position is not None and position.side.closing is side
