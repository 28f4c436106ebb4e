"""Faults of an arriving order: somebody else trades first, or the venue refuses the order.

The functions see the venue only through ``TradableVenue``, so this module does not import the venue.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from brokers.paper.reads import ReadableVenue
from brokers.paper.wire import CASH
from core.errors import Refusal, Refused
from core.model import Leg, Order, OrderRequest, OrderSide, OrderType, TimeInForce
from core.units import ONE, ZERO, floor_to, plain

AWAY = 2  # a foreign order rests at this multiple of the price, or its inverse
COARSER = 10  # factor of the new step and minimums after "limits_changed"

# the fault that refuses an order of the ordinary call
REJECTS = {
    (OrderType.MARKET, TimeInForce.IOC): "reject_ioc",
    (OrderType.MARKET, TimeInForce.GTC): "reject_gtc",
    (OrderType.MARKET, TimeInForce.DAY): "reject_gtc",
    (OrderType.MARKET, TimeInForce.FOK): "reject_fok",
}


class TradableVenue(ReadableVenue, Protocol):
    """The parts of a venue that a fault needs: what a read needs, and trading by hand."""

    def trade_by_hand(self, symbol: str, side: OrderSide, quantity: Decimal, leg: Leg = Leg.NET) -> Order: ...

    def place_by_hand(self, request: OrderRequest) -> Order: ...


def change_before_order(venue: TradableVenue, symbol: str, leg: Leg) -> None:
    """Let the scripted faults change the position or its limits just before an order arrives."""
    faults = venue.faults
    held = venue.state.positions.get((symbol, leg))
    listing = venue.matching.market.listings.get(symbol)
    if listing is None:
        return
    step = listing.instrument.step
    if held is not None and faults.strikes("foreign_order", symbol):
        _foreign_order(venue, symbol, leg)
    if held is not None and faults.strikes("foreign_trade", symbol):
        half = max(floor_to(held.quantity / 2, step), step)
        venue.trade_by_hand(symbol, held.side.closing, min(half, held.quantity), leg)
    held = venue.state.positions.get((symbol, leg))
    can_flip = listing.instrument.kind not in CASH and leg is Leg.NET
    if held is not None and can_flip and faults.strikes("flip", symbol):
        venue.trade_by_hand(symbol, held.side.closing, held.quantity * 2, leg)
    elif held is not None and faults.strikes("liquidation", symbol):
        venue.trade_by_hand(symbol, held.side.closing, held.quantity, leg)
    if faults.strikes("limits_changed", symbol):
        instrument = replace(
            listing.instrument,
            step=step * COARSER,
            min_quantity=listing.instrument.min_quantity * COARSER,
            min_cost=listing.instrument.min_cost * COARSER,
        )
        venue.matching.market.listings[symbol] = replace(listing, instrument=instrument)


def _foreign_order(venue: TradableVenue, symbol: str, leg: Leg) -> None:
    """Place a limit order of the user far from the price. The order would close a tenth of the position."""
    held = venue.state.positions[symbol, leg]
    instrument = venue.matching.market.listing(symbol).instrument
    free = venue.state.free(held, instrument)
    quantity = min(max(floor_to(held.quantity / 10, instrument.step), instrument.step), free)
    touch = venue.matching.market.touch(symbol, held.side.closing, held.entry) or ONE
    price = floor_to(touch * AWAY if held.side.sign > 0 else touch / AWAY, instrument.tick)
    if quantity > 0 and price > 0:
        venue.place_by_hand(
            OrderRequest(
                *(venue.account.id, symbol, held.side.closing, quantity, ""),
                type=OrderType.LIMIT,
                price=price,
                reduce_only=instrument.reduce_only,
                leg=leg,
            )
        )


def refuse_by_fault(venue: TradableVenue, call: str, request: OrderRequest) -> None:
    """Refuse the order if a fault says so. Raises Refused."""
    faults, symbol = venue.faults, request.symbol
    if faults.strikes("halted", symbol):
        raise Refused(Refusal.HALTED, f"trading in {symbol} is halted", code="halted")
    if faults.strikes("market_closed", symbol):
        opens = venue.matching.now() + timedelta(seconds=faults.numbers["closed_seconds"])
        raise Refused(Refusal.MARKET_CLOSED, f"the market of {symbol} is closed", code="closed", opens_at=opens)
    if call == "close_position":
        if faults.strikes("reject_close_call", symbol):
            raise Refused(Refusal.OTHER, "the position cannot be closed by this call", code="close_rejected")
    elif call == "submit_direct":
        if faults.strikes("reject_direct", symbol):
            raise Refused(Refusal.OTHER, "the order was rejected", code="direct_rejected")
    else:
        _refuse_unified(venue, request)
    if request.quantity > ZERO and faults.strikes("held", symbol):
        text = f"open orders hold {plain(request.quantity)} {symbol}"
        raise Refused(Refusal.HELD, text, code="insufficient")
    if (request.reduce_only or call == "close_position") and faults.strikes("reduce_only_rejected", symbol):
        raise Refused(Refusal.REDUCE_ONLY, "reduce-only order is rejected", code="reduce_only")


def _refuse_unified(venue: TradableVenue, request: OrderRequest) -> None:
    faults, symbol = venue.faults, request.symbol
    name = REJECTS.get((request.type, request.tif))
    if request.type is OrderType.LIMIT and faults.strikes("reject_limit", symbol):
        raise Refused(Refusal.UNSUPPORTED, "the price is outside the band", code="price_band")
    if name is not None and faults.strikes(name, symbol):
        text = f"time in force {request.tif.value} is not taken here"
        raise Refused(Refusal.UNSUPPORTED, text, code="time_in_force")
    if faults.strikes("precision_error", symbol):
        text = f"quantity {plain(request.quantity)} has too much precision"
        raise Refused(Refusal.PRECISION, text, code="precision")
