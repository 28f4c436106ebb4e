"""What the account is told when it asks: the truth, as far as lags and faults let it through."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from brokers.paper.state import Key
from core.model import Fill, Instrument, Order, OrderStatus, Position, Quote
from core.units import ZERO

if TYPE_CHECKING:
    from brokers.paper.venue import Venue

BAD_PRICES = (Decimal("NaN"), ZERO, Decimal(-1))
TOO_LOW = Decimal("0.67")
CROSSED = Decimal("1.01")


def positions(venue: Venue) -> tuple[Position, ...]:
    """The positions as listed now, with what open orders leave free."""
    floor = venue.floor
    shown: dict[Key, Position | None] = {**floor.state.positions, **floor.lags.positions.shown(floor.time)}
    listed = [
        replace(held, free=floor.state.free(held, floor.market.listing(held.symbol).instrument))
        for held in sorted((p for p in shown.values() if p is not None), key=lambda p: (p.symbol, p.leg.value))
    ]
    if venue.faults.strikes("empty_list"):
        return ()
    if venue.faults.strikes("truncated_list"):
        return tuple(listed[: len(listed) // 2])
    return tuple(listed)


def open_orders(venue: Venue) -> tuple[Order, ...]:
    """The open orders as listed now."""
    shown = [told(venue, t.order) for t in venue.state.live_orders()]
    return tuple(o for o in shown if not o.status.terminal)


def told(venue: Venue, order: Order) -> Order:
    """An order as the venue tells it."""
    order = venue.floor.lags.orders.shown(venue.floor.time).get(order.id, order)
    if venue.faults.strikes("unknown_status", order.symbol):
        return replace(order, status=OrderStatus.UNKNOWN)
    return order


def find(venue: Venue, symbol: str, client_id: str | None, order_id: str | None) -> Order | None:
    """An order by either id, or None when the venue has none to show."""
    ticket = venue.state.find(client_id, order_id)
    if ticket is None or ticket.order.symbol != symbol:
        return None
    young = venue.floor.time - ticket.placed < venue.faults.numbers["lag_seconds"]
    if young and venue.faults.strikes("lookup_not_found_at_first", symbol):
        return None
    return told(venue, ticket.order)


def fills(venue: Venue, symbol: str, since: datetime) -> list[Fill]:
    """The account's executions in a symbol, those that are reported late left out."""
    hidden = venue.floor.lags.fills.shown(venue.floor.time)
    return [
        f
        for f in venue.state.fills.values()
        if f.symbol == symbol and f.trade_id not in hidden and (f.at is None or f.at >= since)
    ]


def instruments(venue: Venue, *lists: tuple[Position, ...] | tuple[Order, ...]) -> tuple[Instrument, ...]:
    """The instrument of every symbol in the lists."""
    symbols = sorted({item.symbol for items in lists for item in items})
    return tuple(venue.floor.market.listing(symbol).instrument for symbol in symbols)


def quote(venue: Venue, symbol: str) -> Quote | None:
    """The prices of a symbol, or None when it has none."""
    top = venue.floor.market.tops.get(symbol)
    faults = venue.faults
    if top is None or faults.strikes("missing_price", symbol):
        return None
    seen = Quote(venue.account.id, symbol, venue.floor.time, top.bid, top.ask, top.last, top.mark)
    price = seen.reference
    if price is None:
        price = seen.bid if seen.bid is not None else seen.ask
    if price is None:
        return None
    if faults.strikes("stale_quote", symbol):
        seen = replace(seen, received=seen.received - faults.numbers["stale_seconds"])
    if faults.strikes("bad_price", symbol):
        bad = BAD_PRICES[int(venue.floor.time) % len(BAD_PRICES)]
        seen = replace(seen, bid=bad, ask=bad, last=bad, mark=None)
    if faults.strikes("crossed_quote", symbol):
        seen = replace(seen, bid=price * CROSSED, ask=price)
    if faults.strikes("price_jump", symbol):
        seen = replace(seen, **{n: p * TOO_LOW for n in ("bid", "ask", "last", "mark") if (p := getattr(seen, n))})
    return seen
