"""Kraken Futures' JSON made of the truth: instruments, tickers, positions, orders, fills, and its order events.

Values are numbers there. An order has three shapes: in the list of open ones, in an event of its own call, and in
what the account's history tells, where its quantity is what remains of it. Ids are UUIDs.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.paper.wire import ListedInstrument, TopOfBook
from core.model import Fill, Order, OrderSide, OrderStatus, OrderType, Position, Side, TimeInForce
from core.units import ZERO, iso, plain

Row = dict[str, Any]
IDS = {"BTC": "XBT"}
STATUS = {
    OrderStatus.OPEN: "ENTERED_BOOK",
    OrderStatus.FILLED: "FULLY_EXECUTED",
    OrderStatus.CANCELLED: "CANCELLED",
    OrderStatus.EXPIRED: "CANCELLED",
    OrderStatus.REJECTED: "REJECTED",
    OrderStatus.UNKNOWN: "SOME_NEW_WORD",
}


def native(symbol: str) -> str:
    """``BTC/USD:USD`` → ``PF_XBTUSD``, ``BTC/USD:BTC`` → ``PI_XBTUSD``, with a date at the end ``FF_`` and ``FI_``."""
    pair, _, rest = symbol.partition(":")
    base, quote = pair.split("/")
    settle, _, ends = rest.partition("-")
    kind = ("F" if ends else "P") + ("F" if settle == quote else "I")
    return "_".join((kind, IDS.get(base, base) + quote, *([ends] if ends else [])))


def is_inverse(symbol: str) -> bool:
    return native(symbol)[1] == "I"


def uid(name: str) -> str:
    """The UUID of an order or a trade of the truth."""
    found = hashlib.sha256(name.encode()).hexdigest()
    return "-".join((found[:8], found[8:12], found[12:16], found[16:20], found[20:32]))


def num(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def instrument(listing: ListedInstrument) -> Row:
    """``contractValueTradePrecision`` counts decimals of the size; below 0 it counts zeros."""
    known = listing.instrument
    name = native(known.symbol)
    base, quote = known.symbol.partition(":")[0].split("/")
    kind = "futures_inverse" if is_inverse(known.symbol) else "flexible_futures"
    ends = f"20{name[-6:-4]}-{name[-4:-2]}-{name[-2:]}T16:00:00.000Z" if name[0] == "F" else None
    return {
        "symbol": name,
        "type": kind,
        "tickSize": float(known.tick),
        "contractSize": 1,
        "tradeable": known.tradable,
        "base": base,
        "quote": quote,
        "pair": f"{base}:{quote}",
        "impactMidSize": 1,
        "maxPositionSize": 1_000_000,
        "openingDate": "2022-01-01T00:00:00.000Z",
        "marginLevels": [{"contracts": 0, "initialMargin": 0.02, "maintenanceMargin": 0.01}],
        "contractValueTradePrecision": -known.step.normalize().adjusted(),
        "postOnly": False,
        "feeScheduleUid": "5b755fea-c5b0-4307-a66e-b392cd5bd931",
        "category": "Layer 1",
        **({"lastTradingTime": ends} if ends else {}),
    }


def ticker(symbol: str, top: TopOfBook, now: datetime) -> Row:
    row = {
        "symbol": native(symbol),
        "tag": "perpetual",
        "pair": symbol.partition(":")[0].replace("/", ":"),
        "last": num(top.last),
        "lastTime": iso(now),
        "lastSize": 1,
        "markPrice": num(top.mark or top.last),
        "indexPrice": num(top.last),
        "bid": num(top.bid),
        "bidSize": 10,
        "ask": num(top.ask),
        "askSize": 10,
        "vol24h": 1000,
        "volumeQuote": 1000,
        "openInterest": 1000,
        "open24h": num(top.last),
        "change24h": 0,
        "suspended": False,
        "postOnly": False,
    }
    return {key: value for key, value in row.items() if value is not None}


def index(now: datetime) -> Row:
    """An index in the list of tickers, which is no market."""
    return {"symbol": "in_xbtusd", "last": 50000, "lastTime": iso(now)}


def position(held: Position, isolated: bool) -> Row:
    """No mark, and a leverage only where the margin is isolated."""
    leverage = {"maxFixedLeverage": num(held.leverage)} if isolated else {}
    return {
        "side": held.side.value,
        "symbol": native(held.symbol),
        "price": num(held.entry),
        "fillTime": "2022-07-22T14:39:12.376Z",
        "size": num(held.quantity),
        "unrealizedFunding": 0.00001045,
        "pnlCurrency": "USD",
        **leverage,
    }


def accounts(money: Decimal, worth: Decimal, coins: Decimal) -> Row:
    """``worth`` is what it would be with every position closed now; a haircut makes less of it as a margin. What
    inverse contracts are held against is an account for itself, in ``coins``."""
    totals = ("collateralValue", "availableMargin", "marginEquity")
    zero = ("initialMargin", "initialMarginWithOrders", "maintenanceMargin", "pnl", "unrealizedFunding")
    usd = dict.fromkeys(("quantity", "value", "collateral", "available"), num(money))
    flex = {
        "type": "multiCollateralMarginAccount",
        "currencies": {"USD": usd},
        "balanceValue": num(money),
        "portfolioValue": num(worth),
        **dict.fromkeys(totals, num(worth * Decimal("0.95"))),
        **dict.fromkeys((*zero, "totalUnrealized", "totalUnrealizedAsMargin"), 0),
    }
    cash = {"type": "cashAccount", "balances": {"usd": "0.0", "xbt": "0.0"}}
    auxiliary = {**dict.fromkeys(("usd", "pnl", "funding"), "0.0"), **dict.fromkeys(("pv", "af"), plain(coins))}
    single = {"type": "marginAccount", "currency": "xbt", "balances": {"xbt": plain(coins)}, "auxiliary": auxiliary}
    return {"cash": cash, "flex": flex, "fi_xbtusd": single}


def open_order(told: Order, now: datetime) -> Row:
    """A row of ``openorders``, which has conditional orders, too."""
    stop = told.type is OrderType.STOP
    row = {
        **dict.fromkeys(("receivedTime", "lastUpdateTime"), iso(now)),
        "order_id": uid(told.id),
        "cliOrdId": told.client_id,
        "symbol": native(told.symbol),
        "side": told.side.value,
        "orderType": "stop" if stop else "lmt",
        "limitPrice": num(told.price),
        "stopPrice": num(told.trigger),
        "triggerSignal": "last" if stop else None,
        "unfilledSize": num(told.quantity - told.filled),
        "status": "partiallyFilled" if told.filled else "untouched",
        "filledSize": num(told.filled),
        "reduceOnly": told.reduce_only,
    }
    return {key: value for key, value in row.items() if value is not None}


def word_of(told: Order) -> str:
    market = told.type is OrderType.MARKET or told.tif is TimeInForce.IOC
    return "stp" if told.type is OrderType.STOP else "ioc" if market else "lmt"


def event_order(told: Order, filled: Decimal, now: datetime) -> Row:
    """An order inside of an event; ``filled`` as it was then. A market order is one that has a price to protect it."""
    return {
        "orderId": uid(told.id),
        "cliOrdId": told.client_id,
        "type": word_of(told),
        "symbol": native(told.symbol),
        "side": told.side.value,
        "quantity": num(told.quantity),
        "filled": num(filled),
        "limitPrice": num(told.price) or 1,
        "reduceOnly": told.reduce_only,
        **dict.fromkeys(("timestamp", "lastUpdateTimestamp"), iso(now)),
    }


def event_trigger(told: Order, now: datetime) -> Row:
    return {
        "uid": uid(told.id),
        "clientId": told.client_id,
        "type": "ioc",
        "symbol": native(told.symbol),
        "side": told.side.value,
        "quantity": num(told.quantity),
        "limitPrice": None,
        "triggerPrice": num(told.trigger),
        "triggerSide": "trigger_below" if told.side is OrderSide.SELL else "trigger_above",
        "triggerSignal": "last_price",
        "reduceOnly": told.reduce_only,
        **dict.fromkeys(("timestamp", "lastUpdateTimestamp"), iso(now)),
        "startTime": None,
    }


def executions(told: Order, fills: list[Fill], now: datetime) -> list[Row]:
    """An event for each execution, with the order as it was before it."""
    rows, filled = [], ZERO
    for made in fills:
        rows.append(
            {
                "type": "EXECUTION",
                "executionId": uid(made.trade_id),
                "price": num(made.price),
                "amount": num(made.quantity),
                "orderPriorEdit": None,
                "orderPriorExecution": event_order(told, filled, now),
                "takerReducedQuantity": None,
            }
        )
        filled += made.quantity
    return rows


def status(told: Order, now: datetime) -> Row:
    """A row of ``orders/status``."""
    stop = told.type is OrderType.STOP
    trigger = {"triggerPrice": num(told.trigger), "triggerSide": "TRIGGER_BELOW", "triggerSignal": "LAST_PRICE"}
    order = event_order(told, told.filled, now)
    order["type"] = "TRIGGER_ORDER" if stop else "ORDER"
    open_stop = stop and told.status is OrderStatus.OPEN
    return {
        "order": {**order, "priceTriggerOptions": trigger, "triggerTime": None} if stop else order,
        "status": "TRIGGER_PLACED" if open_stop else STATUS[told.status],
        "updateReason": None,
        "error": None,
    }


def fill(made: Fill, at: datetime) -> Row:
    name = {"cliOrdId": made.client_id} if made.client_id else {}
    return {
        "fill_id": uid(made.trade_id),
        "symbol": native(made.symbol),
        "side": made.side.value,
        "order_id": uid(made.order_id),
        **name,
        "size": num(made.quantity),
        "price": num(made.price),
        "fillTime": iso(at),
        "fillType": "taker",
    }


def history(told: Order, at: datetime, kind: str) -> Row:
    """One event of the account's history; numbers are texts there, and the quantity is what remains."""
    order = {
        "uid": uid(told.id),
        "accountUid": "406142dd-7c5c-4a8b-acbc-5f16eca30009",
        "tradeable": native(told.symbol),
        "direction": told.side.value.capitalize(),
        "quantity": plain(told.quantity - told.filled),
        "filled": plain(told.filled),
        "timestamp": str(millis(at)),
        "limitPrice": plain(told.price or ZERO),
        "orderType": {"ioc": "IoC", "lmt": "Limit", "stp": "IoC"}[word_of(told)],
        "clientId": told.client_id or "",
        "reduceOnly": told.reduce_only,
        "lastUpdateTimestamp": str(millis(at)),
    }
    body = {"order": order, "reason": "new_user_order", "reducedQuantity": "", "algoId": ""}
    return {"uid": uid(f"{kind} {told.id}"), "timestamp": millis(at), "event": {kind: body}}


# ----------------------------------------------------------------------------------------------------------- streams


def told_ticker(feed: str, row: Row, now: datetime) -> Row:
    """A ticker as the streams tell it, of the same as REST's."""
    names = {"bidSize": "bid_size", "askSize": "ask_size", "vol24h": "volume", "indexPrice": "index"}
    told = {names.get(key, key): value for key, value in row.items() if key not in ("symbol", "lastTime")}
    lite = ("bid", "ask", "volume", "pair", "tag", "volumeQuote")
    kept = told if feed == "ticker" else {key: told[key] for key in lite if key in told}
    return {"feed": feed, "product_id": row["symbol"], "time": millis(now), "funding_rate": 1e-9, **kept}


def told_position(held: Position, mark: Decimal | None, isolated: bool) -> Row:
    """The balance of a short is negative."""
    leverage = {"max_fixed_leverage": num(held.leverage)} if isolated else {}
    sign = 1 if held.side is Side.LONG else -1
    names = ("pnl", "liquidation_threshold", "return_on_equity", "unrealized_funding")
    margins = ("initial_margin", "initial_margin_with_orders", "maintenance_margin")
    return {
        "instrument": native(held.symbol),
        "balance": num(sign * held.quantity),
        "entry_price": num(held.entry),
        "mark_price": num(mark),
        "index_price": num(mark),
        "effective_leverage": 1.5,
        "pnl_currency": "USD",
        **dict.fromkeys((*names, *margins), 0),
        **leverage,
    }


def told_order(told: Order, now: datetime) -> Row:
    """What remains is its ``qty``."""
    stop = told.type is OrderType.STOP
    row = {
        "instrument": native(told.symbol),
        "time": millis(now),
        "last_update_time": millis(now),
        "qty": num(told.quantity - told.filled),
        "filled": num(told.filled),
        "limit_price": num(told.price) or 0,
        "stop_price": num(told.trigger) or 0,
        "type": "stop" if stop else "limit",
        "order_id": uid(told.id),
        "cli_ord_id": told.client_id,
        "direction": 0 if told.side is OrderSide.BUY else 1,
        "reduce_only": told.reduce_only,
    }
    return {key: value for key, value in row.items() if value is not None}


def told_fill(made: Fill, at: datetime) -> Row:
    name = {"cli_ord_id": made.client_id} if made.client_id else {}
    fee = made.fee or Decimal(0)
    return {
        "instrument": native(made.symbol),
        "time": millis(at),
        "price": num(made.price),
        "seq": 100,
        "buy": made.side is OrderSide.BUY,
        "qty": num(made.quantity),
        "remaining_order_qty": 0,
        "order_id": uid(made.order_id),
        **name,
        "fill_id": uid(made.trade_id),
        "fill_type": "taker",
        "fee_paid": num(fee / made.price**2 if is_inverse(made.symbol) else fee),  # an inverse contract is a dollar
        "fee_currency": "BTC" if is_inverse(made.symbol) else "USD",
        "taker_order_type": "ioc",
        "order_type": "ioc",
    }
