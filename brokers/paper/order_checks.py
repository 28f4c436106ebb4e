"""Check whether the venue accepts an order. Pure.

``admit`` returns the request as it will stand in the book, or raises Refused. The quantity of a reduce-only order is
clamped to its position.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from brokers.paper.state import State, would_reduce
from brokers.paper.wire import CASH, ListedInstrument
from core.errors import Refusal, Refused
from core.model import Kind, Leg, Order, OrderRequest, OrderSide, OrderType, Position, Side
from core.units import ZERO, floor_to, plain


def admit(
    request: OrderRequest, listing: ListedInstrument, state: State, price: Decimal | None, now: datetime
) -> OrderRequest:
    """Return the request as the venue accepts it. Raises Refused.

    ``price`` is the price at which the order would trade, None if unknown.
    """
    open_for_orders(listing, now)
    _well_formed(request, listing)
    _right_leg(request, listing, state)
    position = state.positions.get((request.symbol, request.leg))
    request = _reducing(request, listing, position)
    if listing.instrument.kind in CASH:
        _covered(request, listing, state, position)
    elif closes_leg(request):
        _within_leg(request, position)
    _large_enough(request, listing, price)
    return request


def open_for_orders(listing: ListedInstrument, now: datetime) -> None:
    """Raise Refused while the instrument is halted or its market is closed."""
    symbol = listing.instrument.symbol
    if not listing.instrument.tradable:
        raise Refused(Refusal.HALTED, f"{symbol} is not tradable", code="halted")
    if listing.hours is not None and not listing.hours.is_open(now):
        opens = listing.hours.next_open(now)
        raise Refused(Refusal.MARKET_CLOSED, f"the market of {symbol} is closed", code="closed", opens_at=opens)


def _well_formed(request: OrderRequest, listing: ListedInstrument) -> None:
    instrument = listing.instrument
    if request.quantity <= 0:
        raise Refused(Refusal.OTHER, "quantity must be more than 0", code="quantity")
    if floor_to(request.quantity, instrument.step) != request.quantity:
        text = f"quantity {plain(request.quantity)} is not a multiple of {plain(instrument.step)}"
        raise Refused(Refusal.PRECISION, text, code="lot_size")
    for name, price in (("price", request.price), ("trigger", request.trigger)):
        if price is not None and floor_to(price, instrument.tick) != price:
            text = f"{name} {plain(price)} is not a multiple of {plain(instrument.tick)}"
            raise Refused(Refusal.PRECISION, text, code="tick_size")
    if request.type is OrderType.LIMIT and (request.price is None or request.price <= 0):
        raise Refused(Refusal.OTHER, "a limit order needs a price", code="price")
    if request.type is OrderType.STOP and (request.trigger is None or request.trigger <= 0):
        raise Refused(Refusal.OTHER, "a stop order needs a trigger", code="trigger")
    if request.type is OrderType.MARKET and instrument.max_market and request.quantity > instrument.max_market:
        text = f"one market order may have at most {plain(instrument.max_market)}"
        raise Refused(Refusal.OTHER, text, code="max_market")


def _right_leg(request: OrderRequest, listing: ListedInstrument, state: State) -> None:
    hedged = state.hedge and listing.instrument.kind not in CASH
    if hedged and request.leg is Leg.NET:
        raise Refused(Refusal.OTHER, "the account is in hedge mode: name the leg", code="position_side")
    if not hedged and request.leg is not Leg.NET:
        raise Refused(Refusal.OTHER, "the account is in one-way mode: there are no legs", code="position_side")


def _reducing(request: OrderRequest, listing: ListedInstrument, position: Position | None) -> OrderRequest:
    """Return the request, a reduce-only order clamped to its position. Raises Refused."""
    if not request.reduce_only:
        return request
    if not listing.instrument.reduce_only:
        raise Refused(Refusal.UNSUPPORTED, f"{request.symbol} takes no reduce-only orders", code="reduce_only")
    if position is None:
        raise Refused(Refusal.NO_POSITION, f"there is no position in {request.symbol}", code="no_position")
    if not would_reduce(position, request.side):
        raise Refused(Refusal.REDUCE_ONLY, "the order would not reduce the position", code="reduce_only")
    return replace(request, quantity=min(request.quantity, position.quantity))


def _covered(request: OrderRequest, listing: ListedInstrument, state: State, position: Position | None) -> None:
    """Check a spot or equity order. Raises Refused.

    A closing order needs free quantity. Without a position no sale is accepted. A short spot position cannot grow.
    """
    if position is None:
        if request.side is OrderSide.SELL:
            raise Refused(Refusal.NO_POSITION, f"there is no position in {request.symbol}", code="no_position")
        return
    if would_reduce(position, request.side):
        free = state.free(position, listing.instrument)
        if request.quantity > free:
            text = f"{plain(free)} of {plain(position.quantity)} {request.symbol} is free"
            raise Refused(Refusal.HELD, text, code="insufficient")
    elif listing.instrument.kind is Kind.SPOT and position.side is Side.SHORT:
        raise Refused(Refusal.OTHER, "spot cannot be sold short", code="short")


def closes_leg(order: OrderRequest | Order) -> bool:
    """Return whether an order is on a hedge-mode leg and reduces that leg."""
    return order.leg is not Leg.NET and (order.leg is Leg.LONG) == (order.side is OrderSide.SELL)


def _within_leg(request: OrderRequest, position: Position | None) -> None:
    """Check a closing order on a hedge-mode leg. Raises Refused if the order is larger than the leg."""
    if position is None:
        raise Refused(Refusal.NO_POSITION, f"there is no {request.leg.value} position", code="no_position")
    if request.quantity > position.quantity:
        raise Refused(Refusal.REDUCE_ONLY, "the order is larger than the leg", code="reduce_only")


def _large_enough(request: OrderRequest, listing: ListedInstrument, price: Decimal | None) -> None:
    instrument = listing.instrument
    if request.reduce_only and instrument.minimum_exempt:
        return
    if request.quantity < instrument.min_quantity:
        text = f"quantity {plain(request.quantity)} is below the minimum of {plain(instrument.min_quantity)}"
        raise Refused(Refusal.BELOW_MINIMUM, text, code="min_quantity")
    cost = request.quantity * instrument.multiplier * (request.price or price or ZERO)
    if ZERO < cost < instrument.min_cost:
        text = f"{plain(cost)} {instrument.quote} is below the minimum of {plain(instrument.min_cost)}"
        raise Refused(Refusal.BELOW_MINIMUM, text, code="min_cost")
