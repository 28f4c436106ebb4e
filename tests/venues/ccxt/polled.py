"""What the exchanges without streams here share: the truth, an audit of orders, and what is told of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brokers.paper import reads as reports
from brokers.paper.order_checks import closes_leg
from brokers.paper.state import VenueOrder, would_reduce
from brokers.paper.venue import Venue
from brokers.paper.wire import CASH
from core.model import Fill, Instrument, Order, OrderRequest, Position

Row = dict[str, Any]


class Polled:
    """One account. ``calls`` are the bodies that placed or cancelled; ``violations`` must stay empty."""

    def __init__(self, venue: Venue, key: str, secret: str) -> None:
        self.venue, self.key, self.secret = venue, key, secret
        self.calls: list[tuple[str, Row]] = []
        self.violations: list[str] = []

    def tell(self) -> None:
        """There is nobody to tell."""

    async def hang_up(self) -> None:
        """There is nothing to hang up."""

    def place(self, request: OrderRequest) -> Order:
        """Take an order, and note one that could open a position or turn it around. Raises Refused."""
        held = self.venue.state.positions.get((request.symbol, request.leg))
        larger = held is not None and request.quantity > held.quantity
        flips = larger and self.instrument(request.symbol).kind not in CASH
        bound = request.reduce_only or closes_leg(request)
        if not bound and (flips or not would_reduce(held, request.side)):
            self.violations.append(f"an order to {request.side.value} {request.quantity} {request.symbol} opens")
        return self.venue.place(request)

    def instrument(self, symbol: str) -> Instrument:
        return self.venue.matching.market.listing(symbol).instrument

    def instruments(self) -> list[Instrument]:
        return [listing.instrument for _, listing in sorted(self.venue.matching.market.listings.items())]

    def positions(self) -> tuple[Position, ...]:
        return reports.positions(self.venue)

    def fills(self) -> list[Fill]:
        """The newest first, those that are reported late left out."""
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        return [f for f in reversed(self.venue.state.fills.values()) if f.trade_id not in hidden]

    def told(self, ticket: VenueOrder) -> Order:
        return reports.report_order(self.venue, ticket.order)

    def open_orders(self) -> list[VenueOrder]:
        return [t for t in self.venue.state.live_orders() if not self.told(t).status.terminal]

    def find(self, client_id: str | None, order_id: str | None) -> VenueOrder | None:
        ticket = self.venue.state.find(client_id, order_id)
        if ticket is None or reports.find(self.venue, ticket.order.symbol, None, ticket.order.id) is None:
            return None
        return ticket

    def price(self, symbol: str) -> Decimal:
        top = self.venue.matching.market.top(symbol)
        return top.last or top.bid or Decimal(0)

    def millis(self) -> int:
        return int(self.venue.matching.now().timestamp() * 1000)
