"""The answers to the account's reads: the venue's state, changed by scripted delays and faults.

The functions see the venue only through ``ReadableVenue``, so this module does not import the venue.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from brokers.paper.faults import Faults
from brokers.paper.matching import MatchingEngine
from brokers.paper.state import Key, State
from core.model import Account, Fill, Instrument, Order, OrderStatus, Position, Quote
from core.units import ZERO

BAD_PRICES = (Decimal("NaN"), ZERO, Decimal(-1))
TOO_LOW = Decimal("0.67")
CROSSED = Decimal("1.01")


class ReadableVenue(Protocol):
    """The parts of a venue that a read needs."""

    @property
    def account(self) -> Account: ...

    @property
    def faults(self) -> Faults: ...

    @property
    def matching(self) -> MatchingEngine: ...

    @property
    def state(self) -> State: ...


def positions(venue: ReadableVenue) -> tuple[Position, ...]:
    """Return the positions as the venue lists them now. ``free`` is the quantity that no open order holds."""
    matching = venue.matching
    shown: dict[Key, Position | None] = {**matching.state.positions, **matching.list_lag.positions.shown(matching.time)}
    listed = [
        replace(held, free=matching.state.free(held, matching.market.listing(held.symbol).instrument))
        for held in sorted((p for p in shown.values() if p is not None), key=lambda p: (p.symbol, p.leg.value))
    ]
    if venue.faults.strikes("empty_list"):
        return ()
    if venue.faults.strikes("truncated_list"):
        return tuple(listed[: len(listed) // 2])
    return tuple(listed)


def open_orders(venue: ReadableVenue) -> tuple[Order, ...]:
    """Return the open orders as the venue lists them now."""
    shown = [report_order(venue, t.order) for t in venue.state.live_orders()]
    return tuple(o for o in shown if not o.status.terminal)


def report_order(venue: ReadableVenue, order: Order) -> Order:
    """Return the order as the venue reports it: possibly its former state, or with an unknown status."""
    order = venue.matching.list_lag.orders.shown(venue.matching.time).get(order.id, order)
    if venue.faults.strikes("unknown_status", order.symbol):
        return replace(order, status=OrderStatus.UNKNOWN)
    return order


def find(venue: ReadableVenue, symbol: str, client_id: str | None, order_id: str | None) -> Order | None:
    """Return an order by either id, or None when the venue shows no such order in ``symbol``."""
    ticket = venue.state.find(client_id, order_id)
    if ticket is None or ticket.order.symbol != symbol:
        return None
    young = venue.matching.time - ticket.placed < venue.faults.numbers["lag_seconds"]
    if young and venue.faults.strikes("lookup_not_found_at_first", symbol):
        return None
    return report_order(venue, ticket.order)


def fills(venue: ReadableVenue, symbol: str, since: datetime) -> list[Fill]:
    """Return the account's fills in a symbol since ``since``, without fills that are still reported late."""
    hidden = venue.matching.list_lag.fills.shown(venue.matching.time)
    return [
        f
        for f in venue.state.fills.values()
        if f.symbol == symbol and f.trade_id not in hidden and (f.at is None or f.at >= since)
    ]


def instruments(venue: ReadableVenue, *lists: tuple[Position, ...] | tuple[Order, ...]) -> tuple[Instrument, ...]:
    """Return the instrument of every symbol in the lists, sorted by symbol."""
    symbols = sorted({item.symbol for items in lists for item in items})
    return tuple(venue.matching.market.listing(symbol).instrument for symbol in symbols)


def quote(venue: ReadableVenue, symbol: str) -> Quote | None:
    """Return the quote of a symbol, or None when the symbol has no price."""
    top = venue.matching.market.tops.get(symbol)
    faults = venue.faults
    if top is None or faults.strikes("missing_price", symbol):
        return None
    seen = Quote(venue.account.id, symbol, venue.matching.time, top.bid, top.ask, top.last, top.mark)
    price = seen.reference
    if price is None:
        price = seen.bid if seen.bid is not None else seen.ask
    if price is None:
        return None
    if faults.strikes("stale_quote", symbol):
        seen = replace(seen, received=seen.received - faults.numbers["stale_seconds"])
    if faults.strikes("bad_price", symbol):
        bad = BAD_PRICES[int(venue.matching.time) % len(BAD_PRICES)]
        seen = replace(seen, bid=bad, ask=bad, last=bad, mark=None)
    if faults.strikes("crossed_quote", symbol):
        seen = replace(seen, bid=price * CROSSED, ask=price)
    if faults.strikes("price_jump", symbol):
        seen = replace(seen, **{n: p * TOO_LOW for n in ("bid", "ask", "last", "mark") if (p := getattr(seen, n))})
    return seen
