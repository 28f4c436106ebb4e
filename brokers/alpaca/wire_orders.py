"""Our intents → Alpaca's order payloads, and refusals of orders that must not be sent. Pure.

Time in force by Alpaca's documentation: equities day, gtc, ioc, fok; options day; crypto gtc, ioc; fractional
quantities day. Alpaca queues a market order outside regular hours for the open. So ``MarketHours.admit`` refuses it.
"""

from __future__ import annotations

from decimal import Decimal

from core.errors import Refusal, Refused
from core.model import Kind, OrderRequest, OrderType, TimeInForce as Tif
from core.units import plain

NO_PLAIN_OPTION = (
    "no plain order is sent for an option: Alpaca takes a sell as opening a short, so only its own close call is used"
)
NO_PLAIN = "no plain order is sent for it: only Alpaca's own close call cannot open a position"


def payload(request: OrderRequest, kind: Kind | None, *, extended: bool) -> dict[str, object]:
    """Return the body of ``POST /v2/orders``. Raises Refused for an order that Alpaca lacks or must not get.

    ``extended`` marks an order that leaves outside the regular hours: a limit for the day.
    """
    if kind is Kind.OPTION:
        raise Refused(Refusal.UNSUPPORTED, NO_PLAIN_OPTION)
    if kind not in (Kind.EQUITY, Kind.SPOT):
        raise Refused(Refusal.UNSUPPORTED, NO_PLAIN)
    whole = request.quantity == request.quantity.to_integral_value()
    body: dict[str, object] = {
        "symbol": request.symbol,
        "qty": plain(request.quantity),
        "side": request.side.value,
        "type": _type(request, kind, whole=whole),
        "time_in_force": (_crypto_tif(request) if kind is Kind.SPOT else _equity_tif(request, whole, extended)).value,
        "client_order_id": request.client_id,
    }
    if request.price is not None:
        body["limit_price"] = plain(request.price)
    if request.type is OrderType.STOP:
        body["stop_price"] = plain(_trigger(request))
    if extended:
        body["extended_hours"] = True
    return body


def _type(request: OrderRequest, kind: Kind, *, whole: bool) -> str:
    if request.type is not OrderType.STOP:
        return "market" if request.type is OrderType.MARKET else "limit"
    if kind is not Kind.EQUITY:
        raise Refused(Refusal.UNSUPPORTED, "Alpaca takes no stop orders for crypto; this position has no resting stop")
    if not whole:
        text = f"Alpaca keeps no stop order overnight for a fraction of a share ({plain(request.quantity)})"
        raise Refused(Refusal.UNSUPPORTED, text)
    return "stop" if request.price is None else "stop_limit"


def _trigger(request: OrderRequest) -> Decimal:
    if request.trigger is None:
        raise Refused(Refusal.UNSUPPORTED, "a stop order needs the price at which it is triggered")
    return request.trigger


def _crypto_tif(request: OrderRequest) -> Tif:
    if request.tif is Tif.FOK:
        raise Refused(Refusal.UNSUPPORTED, "Alpaca has no fill-or-kill for crypto")
    return Tif.IOC if request.tif is Tif.IOC else Tif.GTC


def _equity_tif(request: OrderRequest, whole: bool, extended: bool) -> Tif:
    """Return the time in force. A market order waits for the day only: later it would meet another day's prices."""
    if request.tif in (Tif.IOC, Tif.FOK):
        if not whole:
            raise Refused(
                Refusal.UNSUPPORTED, f"Alpaca takes a fraction of a share for the day, not {request.tif.value}"
            )
        return request.tif
    waits = request.type is not OrderType.MARKET and whole and not extended
    return request.tif if waits else Tif.DAY
