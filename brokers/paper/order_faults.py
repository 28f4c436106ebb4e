"""Faults that strike at the venue when an order arrives: others act first, or the venue refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from brokers.paper.wire import CASH
from core.errors import Refusal, Refused
from core.model import Leg, OrderRequest, OrderType, TimeInForce
from core.units import ONE, ZERO, floor_to, plain

if TYPE_CHECKING:
    from brokers.paper.venue import Venue

AWAY = 2  # a foreign order rests at this multiple of the price, or its inverse
COARSER = 10

# ordinary call: which fault refuses which order
REJECTS = {
    (OrderType.MARKET, TimeInForce.IOC): "reject_ioc",
    (OrderType.MARKET, TimeInForce.GTC): "reject_gtc",
    (OrderType.MARKET, TimeInForce.DAY): "reject_gtc",
    (OrderType.MARKET, TimeInForce.FOK): "reject_fok",
}


def befall(venue: Venue, symbol: str, leg: Leg) -> None:
    """What others do to the position just before the order arrives."""
    faults = venue.faults
    held = venue.state.positions.get((symbol, leg))
    listing = venue.floor.market.listings.get(symbol)
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
        venue.floor.market.listings[symbol] = replace(listing, instrument=instrument)


def _foreign_order(venue: Venue, symbol: str, leg: Leg) -> None:
    """A limit order of the user far from the price, that would close a tenth of the position."""
    held = venue.state.positions[symbol, leg]
    instrument = venue.floor.market.listing(symbol).instrument
    free = venue.state.free(held, instrument)
    quantity = min(max(floor_to(held.quantity / 10, instrument.step), instrument.step), free)
    touch = venue.floor.market.touch(symbol, held.side.closing, held.entry) or ONE
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


def refuse(venue: Venue, call: str, request: OrderRequest) -> None:
    """The refusals that are scripted for this order. Raises Refused."""
    faults, symbol = venue.faults, request.symbol
    if faults.strikes("halted", symbol):
        raise Refused(Refusal.HALTED, f"trading in {symbol} is halted", code="halted")
    if faults.strikes("market_closed", symbol):
        opens = venue.floor.now() + timedelta(seconds=faults.numbers["closed_seconds"])
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


def _refuse_unified(venue: Venue, request: OrderRequest) -> None:
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
