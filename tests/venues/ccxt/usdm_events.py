"""Binance USD-M's messages over its WebSocket: what its user data stream and its market streams say."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from brokers.paper.wire import TopOfBook
from core.model import Fill, Order, OrderStatus, OrderType, Position, PositionKey
from core.units import ZERO, plain
from tests.venues.ccxt.usdm_bodies import ALGO, SIDES, STATUSES, Row, millis, native

EXECUTIONS = {OrderStatus.OPEN: "NEW", OrderStatus.CANCELLED: "CANCELED", OrderStatus.EXPIRED: "EXPIRED"}


def event(kind: str, at: datetime, **more: object) -> Row:
    return {"e": kind, "E": millis(at), "T": millis(at), **more}


def account(key: PositionKey, held: Position | None, at: datetime) -> Row:
    """``ACCOUNT_UPDATE`` after a trade: the position that it changed, with an amount of 0 once it is closed."""
    amount = held.quantity * held.side.sign if held is not None else ZERO
    entry = plain(held.entry) if held is not None and held.entry is not None else "0"
    row = {
        "s": native(key.symbol),
        "pa": plain(amount),
        "ep": entry,
        "bep": entry,
        "cr": "0",
        "up": "0",
        "mt": "cross",
        "iw": "0",
        "ps": SIDES[key.leg],
    }
    money = {"a": "USDT", "wb": "10000", "cw": "10000", "bc": "0"}
    return event("ACCOUNT_UPDATE", at, a={"m": "ORDER", "B": [money], "P": [row]})


def order(told: Order, number: int, at: datetime, fill: Fill | None = None, trade: int = 0) -> Row:
    """``ORDER_TRADE_UPDATE``: an order, and the execution that changed it."""
    partly = told.status is OrderStatus.OPEN and told.filled > 0
    kind = "LIMIT" if told.type is OrderType.LIMIT else "MARKET"  # a stop that is hit becomes one of these
    row = {
        "s": native(told.symbol),
        "c": told.client_id or f"web_{number}",
        "S": told.side.value.upper(),
        "o": kind,
        "f": told.tif.value.upper(),
        "q": plain(told.quantity),
        "p": plain(told.price) if told.price is not None else "0",
        "ap": plain(told.average_price) if told.average_price is not None else "0",
        "sp": "0",
        "x": "TRADE" if fill is not None else EXECUTIONS[told.status],
        "X": "PARTIALLY_FILLED" if partly else STATUSES[told.status],
        "i": number,
        "l": plain(fill.quantity) if fill is not None else "0",
        "z": plain(told.filled),
        "L": plain(fill.price) if fill is not None else "0",
        "N": "USDT",
        "n": plain(fill.fee) if fill is not None else "0",
        "T": millis(at),
        "t": trade,
        "b": "0",
        "a": "0",
        "m": False,
        "R": told.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": kind,
        "ps": SIDES[told.leg],
        "cp": False,
        "AP": "0",
        "cr": "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "rp": "0",
        "V": "EXPIRE_MAKER",
    }
    return event("ORDER_TRADE_UPDATE", at, o=row)


def algo(told: Order, number: int, at: datetime) -> Row:
    """``ALGO_UPDATE``: a conditional order, which ``ORDER_TRADE_UPDATE`` does not tell."""
    row = {
        "caid": told.client_id or f"algo_{number}",
        "aid": number,
        "at": "CONDITIONAL",
        "o": "STOP_MARKET",
        "s": native(told.symbol),
        "S": told.side.value.upper(),
        "ps": SIDES[told.leg],
        "f": "GTC",
        "q": plain(told.quantity),
        "X": ALGO.get(told.status, "EXPIRED"),
        "ai": str(number) if told.filled else "",
        "ap": plain(told.average_price) if told.average_price is not None else "0",
        "aq": plain(told.filled),
        "act": "MARKET" if told.filled else "0",
        "tp": plain(told.trigger) if told.trigger is not None else "0",
        "p": "0",
        "V": "EXPIRE_MAKER",
        "wt": "CONTRACT_PRICE",
        "pm": "NONE",
        "cp": False,
        "pP": False,
        "R": told.reduce_only,
        "tt": millis(at) if told.filled else 0,
        "gtd": 0,
        "rm": "",
    }
    return event("ALGO_UPDATE", at, o=row)


def expired(key: str, at: datetime) -> Row:
    """The key of a user data stream has ended. The connection stays, and nothing more is said on it."""
    return {"e": "listenKeyExpired", "E": millis(at), "listenKey": key}


def touch(symbol: str, top: TopOfBook, at: datetime) -> Row:
    """``bookTicker``, when the best bid or ask changed."""

    def text(value: Decimal | None) -> str:
        return plain(value) if value is not None else "0"

    return event(
        "bookTicker",
        at,
        u=400900217,
        s=native(symbol),
        b=text(top.bid),
        B="31.21",
        a=text(top.ask),
        A="40.66",
        st=1,
        ps=native(symbol),
    )


def mark(symbol: str, top: TopOfBook, at: datetime) -> Row:
    """``markPriceUpdate``, each second."""
    price = plain(top.mark or top.last or ZERO)
    told = event("markPriceUpdate", at, s=native(symbol), p=price, i=price, P=price, r="0.00038167", st=1)
    return {**told, "T": millis(at) + 3_600_000}  # of the next funding
