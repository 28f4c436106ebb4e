"""Kraken spot's JSON made of the truth: pairs, assets, balances, tickers, orders, trades; REST and WebSocket v2.

Shapes are those of the documentation's samples. An id of the truth is Kraken's with a tail: ``p12`` is
``O00P12-LOOPB-ACKVEN``, so that both sides can be read off each other. Names are Kraken's own: ``XXBT``, ``ZUSD``, a
pair's id ``XXBTZUSD`` beside its altname ``XBTUSD``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.paper.state import VenueOrder
from brokers.paper.wire import ListedInstrument, TopOfBook
from core.model import Fill, Order, OrderStatus, OrderType, Position, Side, TimeInForce
from core.units import ZERO, plain

Row = dict[str, Any]
TAIL = "-LOOPB-ACKVEN"
MARGIN = ":margin"
CODES = {"BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "DOGE": "XXDG", "USD": "ZUSD", "EUR": "ZEUR"}
ALIASES = {"BTC": "XBT", "DOGE": "XDG"}
STATUSES = {
    OrderStatus.OPEN: "open",
    OrderStatus.FILLED: "closed",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "canceled",
    OrderStatus.UNKNOWN: "some_new_word",
}
KINDS = {OrderType.MARKET: "market", OrderType.LIMIT: "limit", OrderType.STOP: "stop-loss"}


def native(name: str, letter: str = "O") -> str:
    """Kraken's id of an order or a trade of the truth."""
    return f"{letter}{name.upper():0>5}{TAIL}"


def own(name: str) -> str:
    """The truth's id of one of Kraken's."""
    return name[1:6].lstrip("0").lower()


def code(currency: str) -> str:
    return CODES.get(currency, currency)


def alias(currency: str) -> str:
    return ALIASES.get(currency, currency)


def split(symbol: str) -> tuple[str, str]:
    base, _, quote = symbol.removesuffix(MARGIN).partition("/")
    return base, quote


def on_margin(symbol: str) -> bool:
    """Whether the truth holds it on margin, beside the balance of the same pair."""
    return symbol.endswith(MARGIN)


def pair_id(symbol: str) -> str:
    """``XXBTZUSD`` where both are old names, ``SOLUSD`` else."""
    base, quote = split(symbol)
    both = base in CODES and quote in CODES
    return code(base) + code(quote) if both else alias(base) + alias(quote)


def altname(symbol: str) -> str:
    return "".join(alias(part) for part in split(symbol))


def pair(listing: ListedInstrument) -> Row:
    """One row of ``AssetPairs``."""
    instrument = listing.instrument
    base, quote = split(instrument.symbol)
    fee = float(listing.fee_rate * 100)
    return {
        "altname": altname(instrument.symbol),
        "wsname": f"{alias(base)}/{alias(quote)}",
        "aclass_base": "currency",
        "base": code(base),
        "aclass_quote": "currency",
        "quote": code(quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": places(instrument.tick),
        "lot_decimals": places(instrument.step),
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, fee]],
        "fees_maker": [[0, fee]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": plain(instrument.min_quantity),
        "costmin": plain(instrument.min_cost),
        "tick_size": plain(instrument.tick),
        "status": "online" if instrument.tradable else "cancel_only",
    }


def places(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(-exponent, 0)


def asset(name: str) -> Row:
    """One row of ``Assets``."""
    return {
        "aclass": "currency",
        "altname": alias(name),
        "decimals": 4 if code(name).startswith("Z") else 10,
        "display_decimals": 2 if code(name).startswith("Z") else 5,
        "status": "enabled",
    }


def balance(total: Decimal, held: Decimal) -> Row:
    """One row of ``BalanceEx``."""
    return {"balance": f"{total:.10f}", "hold_trade": f"{held:.10f}"}


def ticker(top: TopOfBook) -> Row:
    """One row of ``Ticker``; a side that nobody quotes is 0, as Kraken writes it."""
    bid, ask = top.bid or ZERO, top.ask or ZERO
    last = top.last or bid
    day = [plain(last), plain(last)]
    return {
        "a": [plain(ask), "1", plain(top.ask_size or Decimal("1.000"))],
        "b": [plain(bid), "1", plain(top.bid_size or Decimal("1.000"))],
        "c": [plain(last), "0.00009443"],
        "v": ["0.78648221", "163.28908096"],
        "p": day,
        "t": [35, 3276],
        "l": day,
        "h": day,
        "o": plain(last),
    }


def candle(at: float, price: Decimal) -> list[Any]:
    """One row of ``OHLC``: time, open, high, low, close, vwap, volume, count."""
    text = plain(price)
    return [int(at), text, text, text, text, text, "1.00000000", 3]


def sentence(order: Order) -> str:
    """What an order is, in Kraken's words, which is all that ``AddOrder`` answers beside the id."""
    said = f"{order.side.value} {order.quantity:.8f} {altname(order.symbol)} @ "
    if order.type is OrderType.LIMIT:
        return said + f"limit {plain(order.price or ZERO)}"
    return said + (f"stop loss {plain(order.trigger or ZERO)} -> market" if order.type is OrderType.STOP else "market")


def describe(order: Order) -> Row:
    price = order.price if order.type is OrderType.LIMIT else order.trigger
    return {
        "pair": altname(order.symbol),
        "type": order.side.value,
        "ordertype": KINDS[order.type],
        "price": plain(price or ZERO),
        "price2": "0",
        "leverage": "2:1" if on_margin(order.symbol) else "none",
        "order": sentence(order),
        "close": "",
    }


def order(ticket: VenueOrder, order: Order, placed: float, trades: list[str]) -> Row:
    """One of ``OpenOrders``, ``ClosedOrders`` or ``QueryOrders``. ``order`` is as told; ``placed`` epoch seconds."""
    spent = order.filled * (order.average_price or ZERO)
    row: Row = {
        "refid": None,
        "userref": None,
        "cl_ord_id": order.client_id,
        "status": STATUSES[order.status],
        "reason": order.text or None,
        "opentm": placed,
        "starttm": 0,
        "expiretm": 0,
        "descr": describe(order),
        "vol": f"{order.quantity:.8f}",
        "vol_exec": f"{order.filled:.8f}",
        "cost": f"{spent:.5f}",
        "fee": "0.00000",
        "price": plain(order.average_price or ZERO),
        "stopprice": plain(order.trigger or ZERO),
        "limitprice": "0.00000",
        "margin": on_margin(order.symbol),
        "misc": "",
        "oflags": "fciq",
    }
    if order.status.terminal:
        row["closetm"] = placed
    else:
        del row["reason"]
    if ticket.own and order.client_id is None:
        del row["cl_ord_id"]
    return {**row, "trades": [native(t, "T") for t in trades]} if trades else row


def trade(fill: Fill, kind: str) -> Row:
    """One of ``TradesHistory`` or ``QueryTrades``."""
    return {
        "ordertxid": native(fill.order_id),
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": pair_id(fill.symbol),
        "time": stamp(fill.at),
        "type": fill.side.value,
        "ordertype": kind,
        "price": plain(fill.price),
        "cost": f"{fill.price * fill.quantity:.5f}",
        "fee": f"{fill.fee:.5f}",
        "vol": f"{fill.quantity:.8f}",
        "margin": "0.00000",
        "leverage": "2" if on_margin(fill.symbol) else "0",
        "misc": "closing" if on_margin(fill.symbol) else "",
        "trade_id": int(fill.trade_id[1:]),
        "maker": False,
    }


def stamp(at: datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()


# ------------------------------------------------------------------------------------------------------- WebSocket v2


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def position(held: Position) -> Row:
    """One of ``OpenPositions``, consolidated by market."""
    cost = held.quantity * (held.entry or ZERO)
    return {
        "pair": pair_id(held.symbol),
        "positions": "1",
        "type": "buy" if held.side is Side.LONG else "sell",
        "leverage": "2.00000",
        "cost": f"{cost:.5f}",
        "fee": "0.00000",
        "vol": f"{held.quantity:.8f}",
        "vol_closed": "0.00000000",
        "margin": f"{cost / 2:.5f}",
    }


def ws_ticker(symbol: str, top: TopOfBook, kind: str) -> Row:
    bid, ask = float(top.bid or ZERO), float(top.ask or ZERO)
    last = float(top.last or top.bid or ZERO)
    sizes = {"bid_qty": float(top.bid_size or 1), "ask_qty": float(top.ask_size or 1)}
    day = {"volume": 163.28908096, "vwap": last, "low": last, "high": last, "change": 0.0, "change_pct": 0.0}
    row = {"symbol": symbol, "bid": bid, "ask": ask, "last": last, **sizes, **day}
    return {"channel": "ticker", "type": kind, "data": [row]}


def ws_order(order: Order, at: datetime, tif: TimeInForce = TimeInForce.GTC) -> Row:
    """A state of an order in ``executions``; an update names its quantity and symbol, a cancel does not."""
    statuses = {OrderStatus.OPEN: "partially_filled" if order.filled else "new", OrderStatus.FILLED: "filled"}
    status = statuses.get(order.status, STATUSES[order.status])
    row: Row = {
        "order_id": native(order.id),
        "order_userref": 0,
        "exec_type": status,
        "order_status": status,
        "cum_qty": float(order.filled),
        "cum_cost": float(order.filled * (order.average_price or ZERO)),
        "avg_price": float(order.average_price or ZERO),
        "fee_usd_equiv": 0.0,
        "timestamp": iso(at),
    }
    if order.client_id:
        row["cl_ord_id"] = order.client_id
    if status == "canceled":
        return {**row, "cancel_reason": "User requested", "reason": "User requested"}
    stop = {"stop_price": float(order.trigger)} if order.trigger else {}
    limit = {"limit_price": float(order.price)} if order.price else {}
    return {
        **row,
        **stop,
        **limit,
        **({"margin": on_margin(order.symbol)} if status == "new" else {}),
        "symbol": "/".join(split(order.symbol)),
        "order_qty": float(order.quantity),
        "side": order.side.value,
        "order_type": KINDS[order.type],
        "time_in_force": tif.value.upper(),
    }


def ws_trade(fill: Fill) -> Row:
    return {
        "order_id": native(fill.order_id),
        "exec_id": native(fill.trade_id, "T"),
        "exec_type": "trade",
        "trade_id": int(fill.trade_id[1:]),
        "symbol": "/".join(split(fill.symbol)),
        "margin_borrow": on_margin(fill.symbol),
        "side": fill.side.value,
        "last_qty": float(fill.quantity),
        "last_price": float(fill.price),
        "liquidity_ind": "t",
        "cost": float(fill.quantity * fill.price),
        "order_userref": 0,
        "order_status": "filled",
        "order_type": "market",
        "fee_usd_equiv": float(fill.fee),
        "fees": [{"asset": split(fill.symbol)[1], "qty": float(fill.fee)}],
        **({"cl_ord_id": fill.client_id} if fill.client_id else {}),
        **({"timestamp": iso(fill.at)} if fill.at is not None else {}),
    }


def ws_balance(currency: str, total: Decimal) -> Row:
    wallet = {"type": "spot", "id": "main", "balance": float(total)}
    return {"asset": currency, "asset_class": "currency", "balance": float(total), "wallets": [wallet]}
