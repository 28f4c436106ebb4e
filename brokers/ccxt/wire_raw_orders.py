"""The exchanges' raw calls for a market order, and their size filters at that moment. Pure.

A raw call avoids a wrong size by the unified call: quantities are rounded down to the step that the exchange itself
reports now (``filters``). Sources: the exchanges' documentation of ``exchangeInfo``, ``instruments``, ``AssetPairs``,
``products``, and of their order calls.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from brokers.ccxt import wire
from brokers.ccxt.exchanges.kraken_margin import MARGIN
from brokers.ccxt.exchanges.order_table import OrderFields, Params
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_orders import ANY_LEVERAGE
from brokers.ccxt.wire_size_filters import SizeFilters
from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Leg, OrderRequest
from core.units import ONE, ZERO, iso, plain

Order = Callable[[OrderRequest, Row, OrderFields, str, datetime], tuple[str, Params]]


class RawOrder(Struct, frozen=True):
    """The raw calls of one exchange. ``rules`` is the call for the filters; ``rules_of`` makes its parameters."""

    rules: str
    rules_of: Callable[[Row], Params]
    filters: Callable[[object, Row], SizeFilters | None]
    order: Order
    row: Callable[[Any, object, Row], object]  # the answer as ccxt's unified order, or at least a row with an id


def raw_of(exchange: str, market: Row) -> RawOrder:
    """Return the raw calls for a market. Raises Refused where we know no raw call for that kind of market."""
    found = _TABLE.get((exchange, "spot" if market.get("spot") is True else "contract"))
    if found is None:
        raise Refused(Refusal.UNSUPPORTED, f"nothing was sent: no raw call of {exchange} is known for this market")
    return found


def _dated(fields: OrderFields, now: datetime) -> Params:
    if not fields.deadline or fields.expiry is None:
        return {}
    return {fields.deadline: iso(now + timedelta(seconds=fields.expiry))}


def _leg(request: OrderRequest, fields: OrderFields, yes: object) -> Params:
    """Return the reduce-only parameter, or the parameter that names the position in hedge mode."""
    if request.leg is Leg.NET:
        return {"reduceOnly": yes} if request.reduce_only else {}
    named: Params = {fields.leg: fields.legs[request.leg]}
    return {**named, "reduceOnly": yes} if fields.reduce_with_leg else named


def _listed(answer: object, *path: str) -> Row:
    """Return the first row of the list at ``path`` in an answer; {} without a row."""
    for key in path:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], dict) else {}


# ----------------------------------------------------------------------------------------------------------- Binance


def _binance_filters(answer: object, market: Row) -> SizeFilters | None:
    """Combine ``MARKET_LOT_SIZE`` and ``LOT_SIZE``: both apply. A step of 0 is no limit."""
    symbols = answer.get("symbols") if isinstance(answer, dict) else None
    rows = [s for s in symbols if isinstance(s, dict) and s.get("symbol") == market["id"]] if symbols else []
    kinds = ("LOT_SIZE", "MARKET_LOT_SIZE")
    found = [f for f in (rows[0].get("filters") or [] if rows else []) if f.get("filterType") in kinds]
    steps = [s for f in found if (s := wire.positive(f.get("stepSize"))) is not None]
    if not steps:
        return None
    most = [m for f in found if (m := wire.positive(f.get("maxQty"))) is not None]
    least = max(wire.number(f.get("minQty")) or ZERO for f in found)
    return SizeFilters(max(steps), least, min(most, default=None), min(steps))


def _binance(method: str) -> Order:
    def order(request: OrderRequest, market: Row, fields: OrderFields, mode: str, now: datetime) -> tuple[str, Params]:
        return method, {
            "symbol": market["id"],
            "side": request.side.value.upper(),
            "type": "MARKET",
            "quantity": plain(request.quantity),
            "newClientOrderId": request.client_id,
            **fields.window,
            **_leg(request, fields, "true"),
        }

    return order


def _parsed(exchange: Any, answer: object, market: Row) -> object:
    return exchange.parse_order(answer, market) if isinstance(answer, dict) else None


# --------------------------------------------------------------------------------------------------------------- OKX


def _okx_kind(market: Row) -> Params:
    kind = "SPOT" if market.get("spot") is True else "SWAP" if market.get("swap") is True else "FUTURES"
    return {"instType": kind, "instId": market["id"]}


def _okx_filters(answer: object, market: Row) -> SizeFilters | None:
    """Return the filters. For a coin OKX gives the maximum of a market order in USDT, so it limits no size."""
    row = _listed(answer, "data")
    step = wire.positive(row.get("lotSz"))
    most = None if market.get("spot") is True else wire.positive(row.get("maxMktSz"))
    return SizeFilters(step, wire.number(row.get("minSz")) or ZERO, most) if step else None


def _okx(request: OrderRequest, market: Row, fields: OrderFields, mode: str, now: datetime) -> tuple[str, Params]:
    spot = market.get("spot") is True
    return "privatePostTradeOrder", {
        "instId": market["id"],
        "tdMode": "cash" if spot else mode or "cross",
        "side": request.side.value,
        "ordType": "market",
        "sz": plain(request.quantity),
        "clOrdId": request.client_id,
        **({"tgtCcy": "base_ccy"} if spot else _leg(request, fields, True)),
    }


def _okx_row(exchange: Any, answer: object, market: Row) -> object:
    return {"id": wire.text(_listed(answer, "data"), "ordId")}


# ------------------------------------------------------------------------------------------------------------ Kraken


def _kraken_filters(answer: object, market: Row) -> SizeFilters | None:
    pairs = wire.inner(answer, "result") if isinstance(answer, dict) else {}
    row = next((r for r in pairs.values() if isinstance(r, dict)), {})
    places = wire.number(row.get("lot_decimals"))
    if places is None:
        return None
    return SizeFilters(Decimal(1).scaleb(-int(places)), wire.number(row.get("ordermin")) or ZERO)


def _kraken(request: OrderRequest, market: Row, fields: OrderFields, mode: str, now: datetime) -> tuple[str, Params]:
    margin = request.symbol.endswith(MARGIN)
    return "privatePostAddOrder", {
        "pair": market["id"],
        "type": request.side.value,
        "ordertype": "market",
        "volume": plain(request.quantity),
        "cl_ord_id": request.client_id,
        **_dated(fields, now),
        **({"reduce_only": "true", "leverage": ANY_LEVERAGE} if margin else {}),
    }


def _kraken_row(exchange: Any, answer: object, market: Row) -> object:
    ids = wire.inner(answer, "result").get("txid") if isinstance(answer, dict) else None
    return {"id": ids[0] if isinstance(ids, list) and ids else None}


# ---------------------------------------------------------------------------------------------------------- Coinbase


def _coinbase_filters(answer: object, market: Row) -> SizeFilters | None:
    row = answer if isinstance(answer, dict) else {}
    step = wire.positive(row.get("base_increment"))
    least = wire.number(row.get("base_min_size")) or ZERO
    return SizeFilters(step, least, wire.positive(row.get("base_max_size"))) if step else None


def _coinbase(request: OrderRequest, market: Row, fields: OrderFields, mode: str, now: datetime) -> tuple[str, Params]:
    return "v3PrivatePostBrokerageOrders", {
        "client_order_id": request.client_id,
        "product_id": market["id"],
        "side": request.side.value.upper(),
        "order_configuration": {"market_market_ioc": {"base_size": plain(request.quantity)}},
    }


def _coinbase_row(exchange: Any, answer: object, market: Row) -> object:
    """Return the row of a taken order. Raises Refused for a refusal, which Coinbase sends in a successful answer."""
    if not isinstance(answer, dict) or "success" not in answer:
        raise OutcomeUnknown("coinbase answered without saying whether it took the order")
    if answer.get("success") is not True:
        said = wire.inner(answer, "error_response")
        words = [wire.text(said, key) for key in ("preview_failure_reason", "error", "message")]
        raise Refused(Refusal.OTHER, ": ".join(w for w in words if w) or "refused", code=words[0])
    return {"id": wire.text(wire.inner(answer, "success_response"), "order_id")}


# ------------------------------------------------------------------------------------------------------------- Bybit


def _bybit_kind(market: Row) -> Params:
    kind = "spot" if market.get("spot") is True else "inverse" if market.get("inverse") is True else "linear"
    return {"category": kind, "symbol": market["id"]}


def _bybit_filters(answer: object, market: Row) -> SizeFilters | None:
    row = wire.inner(_listed(answer, "result", "list"), "lotSizeFilter")
    step = wire.positive(row.get("qtyStep")) or wire.positive(row.get("basePrecision"))
    least = wire.number(row.get("minOrderQty")) or ZERO
    most = wire.positive(row.get("maxMktOrderQty")) or wire.positive(row.get("maxMarketOrderQty"))
    return SizeFilters(step, least, most) if step else None


def _bybit(request: OrderRequest, market: Row, fields: OrderFields, mode: str, now: datetime) -> tuple[str, Params]:
    spot = market.get("spot") is True
    return "privatePostV5OrderCreate", {
        **_bybit_kind(market),
        "side": request.side.value.capitalize(),
        "orderType": "Market",
        "qty": plain(request.quantity),
        "orderLinkId": request.client_id,
        **({"marketUnit": "baseCoin"} if spot else _leg(request, fields, True)),
    }


def _bybit_row(exchange: Any, answer: object, market: Row) -> object:
    return {"id": wire.text(wire.inner(answer, "result"), "orderId") if isinstance(answer, dict) else None}


# ------------------------------------------------------------------------------------------------------------ KuCoin


def _kucoin_filters(answer: object, market: Row) -> SizeFilters | None:
    """Return the filters in whole lots. Some contracts have a separate limit for market orders."""
    row = wire.inner(answer, "data") if isinstance(answer, dict) else {}
    step = wire.positive(row.get("lotSize"))
    most = [m for key in ("maxOrderQty", "marketMaxOrderQty") if (m := wire.positive(row.get(key))) is not None]
    return SizeFilters(max(step, ONE), step, min(most, default=None)) if step else None


def _kucoin(request: OrderRequest, market: Row, fields: OrderFields, mode: str, now: datetime) -> tuple[str, Params]:
    """Return the call without a leverage, because a closing order does not need a leverage."""
    return "futuresPrivatePostOrders", {
        "clientOid": request.client_id,
        "symbol": market["id"],
        "side": request.side.value,
        "type": "market",
        "size": int(request.quantity),
        **({"marginMode": mode.upper()} if mode else {}),
        **_leg(request, fields, True),
    }


def _kucoin_row(exchange: Any, answer: object, market: Row) -> object:
    return {"id": wire.text(wire.inner(answer, "data"), "orderId") if isinstance(answer, dict) else None}


# --------------------------------------------------------------------------------------------------- Kraken Futures


def _krakenfutures_filters(answer: object, market: Row) -> SizeFilters | None:
    """Return the step from the number of decimals. The minimum is one step.

    The number of decimals is negative for lots of 10, 100 and so on.
    """
    listed = answer.get("instruments") if isinstance(answer, dict) else None
    rows = [r for r in listed if isinstance(r, dict) and r.get("symbol") == market["id"]] if listed else []
    places = wire.number(rows[0].get("contractValueTradePrecision")) if rows else None
    if places is None or places != places.to_integral_value() or abs(places) > wire.MAGNITUDE:
        return None
    step = Decimal(1).scaleb(-int(places))
    return SizeFilters(step, step)


def _krakenfutures(
    request: OrderRequest, market: Row, fields: OrderFields, mode: str, now: datetime
) -> tuple[str, Params]:
    return "privatePostSendorder", {
        "orderType": "mkt",
        "symbol": market["id"],
        "side": request.side.value,
        "size": plain(request.quantity),
        "cliOrdId": request.client_id,
        **_dated(fields, now),
        **_leg(request, fields, "true"),
    }


def _krakenfutures_row(exchange: Any, answer: object, market: Row) -> object:
    """Return the status of the sent order as ``info``. The caller reads it like the unified call's answer.

    The status tells whether the exchange took the order.
    """
    return {"info": wire.inner(answer, "sendStatus") if isinstance(answer, dict) else {}}


def _by_symbol(market: Row) -> Params:
    return {"symbol": market["id"]}


def _nothing(market: Row) -> Params:
    return {}


_KRAKEN = RawOrder("publicGetAssetPairs", lambda m: {"pair": m["id"]}, _kraken_filters, _kraken, _kraken_row)
_COINBASE = RawOrder(
    "v3PrivateGetBrokerageProductsProductId",
    lambda m: {"product_id": m["id"]},
    _coinbase_filters,
    _coinbase,
    _coinbase_row,
)
_OKX = RawOrder("publicGetPublicInstruments", _okx_kind, _okx_filters, _okx, _okx_row)
_BYBIT = RawOrder("publicGetV5MarketInstrumentsInfo", _bybit_kind, _bybit_filters, _bybit, _bybit_row)
_TABLE: dict[tuple[str, str], RawOrder] = {
    ("binance", "spot"): RawOrder(
        "publicGetExchangeInfo", _by_symbol, _binance_filters, _binance("privatePostOrder"), _parsed
    ),
    ("binanceusdm", "contract"): RawOrder(
        "fapiPublicGetExchangeInfo", _nothing, _binance_filters, _binance("fapiPrivatePostOrder"), _parsed
    ),
    ("binancecoinm", "contract"): RawOrder(
        "dapiPublicGetExchangeInfo", _nothing, _binance_filters, _binance("dapiPrivatePostOrder"), _parsed
    ),
    ("okx", "spot"): _OKX,
    ("okx", "contract"): _OKX,
    ("kraken", "spot"): _KRAKEN,
    ("coinbase", "spot"): _COINBASE,
    ("bybit", "spot"): _BYBIT,
    ("bybit", "contract"): _BYBIT,
    ("kucoinfutures", "contract"): RawOrder(
        "futuresPublicGetContractsSymbol", _by_symbol, _kucoin_filters, _kucoin, _kucoin_row
    ),
    ("krakenfutures", "contract"): RawOrder(
        "publicGetInstruments", _nothing, _krakenfutures_filters, _krakenfutures, _krakenfutures_row
    ),
}
