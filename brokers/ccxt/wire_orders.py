"""Convert our order to ccxt's unified call, checked against the exchange's rules before anything is sent. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from brokers.ccxt import wire
from brokers.ccxt.exchanges.kraken_margin import MARGIN, listed_as
from brokers.ccxt.exchanges.order_table import OrderFields, Params
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_client_ids import encode
from brokers.ccxt.wire_errors import VenueError, translate
from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Instrument, Kind, Leg, Order, OrderRequest, OrderStatus, OrderType, Position, TimeInForce
from core.units import floor_to, iso, plain

ANY_LEVERAGE = "2"  # Kraken requires one of the pair's leverages in a margin close, and uses the position's


class OrderArguments(Struct, frozen=True):
    """The arguments of ``create_order``.

    Sizes and prices are text, so that no digit is lost; a number of lots is an int.
    """

    symbol: str
    type: str
    side: str
    amount: str | int
    price: str | None
    params: Params


def check(request: OrderRequest, instrument: Instrument) -> None:
    """Raise Refused for an order that violates the exchange's rules. Nothing was sent."""
    quantity, rule = request.quantity, ""
    if not instrument.tradable:
        raise Refused(Refusal.HALTED, f"nothing was sent: {request.symbol} cannot be traded there")
    if floor_to(quantity, instrument.step) != quantity:
        rule = f"{plain(quantity)} is no multiple of the step {plain(instrument.step)}"
        raise Refused(Refusal.PRECISION, f"nothing was sent: {rule}")
    exempt = request.reduce_only and instrument.minimum_exempt
    if quantity < instrument.min_quantity and not exempt:
        rule = f"{plain(quantity)} is below the minimum of {plain(instrument.min_quantity)}"
        raise Refused(Refusal.BELOW_MINIMUM, f"nothing was sent: {rule}")
    if request.type is OrderType.MARKET and instrument.max_market is not None and quantity > instrument.max_market:
        rule = f"{plain(quantity)} is more than the {plain(instrument.max_market)} of one market order"
        raise Refused(Refusal.OTHER, f"nothing was sent: {rule}")


class Held(Struct, frozen=True):
    """The parts of a position and its market that an order needs. A default means: not known, or not needed."""

    mode: str = ""  # the margin mode of the position to close
    leverage: Decimal | None = None
    touch: Decimal | None = None  # the price that a market order trades against, where the exchange asks for it
    inverse: bool = False  # the contract is inverse


NOTHING = Held()


def send(
    request: OrderRequest, kind: Kind, fields: OrderFields, now: datetime, held: Held = NOTHING, *, named: bool = True
) -> OrderArguments:
    """Return the arguments of the unified call. ``named``: the order carries our name where the exchange has a word.

    Raises Refused with UNSUPPORTED for what the exchange cannot express.
    """
    name = encode(request.client_id, fields.names.form)
    word = fields.names.word_of(spot=kind is Kind.SPOT, inverse=held.inverse) if named else ""
    params: Params = {**fields.window, **({word: name} if word else {})}
    if fields.deadline and fields.expiry is not None:
        params[fields.deadline] = iso(now + timedelta(seconds=fields.expiry))
    params |= _reduces(request, fields)
    if held.mode and fields.margin_mode and kind is not Kind.SPOT:
        params[fields.margin_mode] = held.mode
        if fields.isolated_leverage and held.mode == "isolated" and held.leverage is not None:
            params["leverage"] = int(held.leverage)
    if held.inverse and request.reduce_only and fields.inverse_close:
        params |= fields.inverse_close | ({"leverRate": int(held.leverage)} if held.leverage is not None else {})
    price = plain(request.price) if request.price is not None else None
    if request.type is OrderType.STOP:
        if not fields.stop or kind not in fields.stops or request.trigger is None:
            raise Refused(Refusal.UNSUPPORTED, "nothing was sent: no such stop can rest at this exchange")
        params |= {fields.stop_id: name} if fields.stop_id else {}
        params[fields.stop] = plain(request.trigger)
    elif request.type is OrderType.LIMIT:
        params |= _said(request, fields.tifs)
    else:
        params |= _said(request, fields.market)
        price = plain(held.touch) if held.touch is not None else None
    type_ = "limit" if request.type is OrderType.LIMIT else "market"
    symbol = listed_as(request.symbol)
    return OrderArguments(symbol, type_, request.side.value, _amount(request, kind, fields), price, params)


def _amount(request: OrderRequest, kind: Kind, fields: OrderFields) -> str | int:
    """Return the size as text, or as an int where sizes are whole lots.

    ccxt's KuCoin compares the size with 1. With a text that fails only after ccxt has sent a request.
    """
    if not fields.whole or kind is Kind.SPOT:
        return plain(request.quantity)
    if request.quantity != request.quantity.to_integral_value():
        raise Refused(Refusal.PRECISION, f"nothing was sent: {plain(request.quantity)} is no whole number of lots")
    return int(request.quantity)


def _reduces(request: OrderRequest, fields: OrderFields) -> Params:
    """Return reduce-only or the position's side. Never ``reduceOnly: false``, which some exchanges refuse."""
    if request.symbol.endswith(MARGIN):
        return {"reduceOnly": True, "leverage": ANY_LEVERAGE}
    if request.leg is Leg.NET and request.reduce_only and fields.sized:
        if request.type is not OrderType.MARKET:  # ccxt would close at the market and drop the price
            raise Refused(Refusal.UNSUPPORTED, "nothing was sent: only a market order can be reduce-only there")
        return {"reduceOnly": True, fields.sized: plain(request.quantity)}
    if request.leg is Leg.NET or fields.leg_by_side:
        return {"reduceOnly": True} if request.reduce_only or request.leg is not Leg.NET else {}
    if not fields.leg and not fields.hedged:
        text = "nothing was sent: there are two positions of it, and ccxt does not say there which one an order is of"
        raise Refused(Refusal.UNSUPPORTED, text)
    if not fields.leg:
        return {"hedged": True, "reduceOnly": True}
    named: Params = {fields.leg: fields.legs[request.leg]}
    return {**named, "reduceOnly": True} if fields.reduce_with_leg else named


def _said(request: OrderRequest, words: dict[TimeInForce, str]) -> Params:
    word = words.get(request.tif)
    if word is None:
        name = f"a {request.type.value} order that is {request.tif.value}"
        raise Refused(Refusal.UNSUPPORTED, f"nothing was sent: this exchange cannot express {name}")
    return {"timeInForce": word} if word else {}


def answered(account: str, row: object, request: OrderRequest, exchange: str) -> Order:
    """Return the order that the exchange took. Many exchanges answer with the id only: then the order counts as open.

    The missing fields are the request's. Raises OutcomeUnknown for an answer without an id. Raises the venue's error
    for a refused row in a successful answer, which ccxt reports as a rejected order (OKX).
    """
    if isinstance(row, dict) and not wire.text(row, "id") and row.get("status") == "rejected":
        body = msgspec.json.encode({"data": [wire.inner(row, "info")]}).decode()
        raise translate(VenueError(exchange, ("ExchangeError", "BaseError"), body), acts=True)
    if not isinstance(row, dict) or not wire.text(row, "id"):
        raise OutcomeUnknown(f"{exchange} answered without an order's id")
    said = {key: value for key, value in row.items() if value is not None}
    asked: Row = {
        "symbol": request.symbol,
        "side": request.side.value,
        "type": request.type.value,
        "amount": plain(request.quantity),
        "status": "open",
        "clientOrderId": request.client_id,
    }
    made = wire.order(account, {**asked, **said}, exchange)
    if made.symbol != listed_as(request.symbol) and made.symbol != request.symbol:
        raise OutcomeUnknown(f"{exchange} answered with an order of {made.symbol}, asked was for {request.symbol}")
    quantity = made.quantity if made.quantity > 0 else request.quantity
    made = replace(made, symbol=request.symbol, quantity=quantity, client_id=request.client_id, leg=request.leg)
    partly = made.status is OrderStatus.UNKNOWN and "filled" not in said
    return replace(made, status=OrderStatus.OPEN) if partly else made


def closing(position: Position, client_id: str) -> OrderRequest:
    """Return the request that equals the exchange's close call, for its answer and for look-ups."""
    return OrderRequest(
        account=position.account,
        symbol=position.symbol,
        side=position.side.closing,
        quantity=position.quantity,
        client_id=client_id,
        reduce_only=True,
        leg=position.leg,
    )
