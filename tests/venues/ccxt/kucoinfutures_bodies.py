"""KuCoin Futures' JSON made of the truth: contracts, tickers, positions, orders, fills and what its stream says.

Quantities are lots and numbers, most prices of orders are text; bitcoin is called XBT.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.paper.wire import ListedInstrument, TopOfBook
from core.model import Fill, Leg, Order, OrderStatus, OrderType, Position
from core.units import ZERO, plain

Row = dict[str, Any]
SIDES = {Leg.NET: "BOTH", Leg.LONG: "LONG", Leg.SHORT: "SHORT"}


def native(symbol: str) -> str:
    """``BTC/USDT:USDT`` → ``XBTUSDTM``; one that expires has its day behind it."""
    base, _, rest = symbol.partition("/")
    expires = rest.partition("-")[2]
    return f"{coin(base)}M{expires}" if expires else f"{coin(base)}{rest.partition(':')[0]}M"


def coin(code: str) -> str:
    return "XBT" if code == "BTC" else code


def settled(symbol: str) -> str:
    return coin(symbol.partition(":")[2].partition("-")[0])


def inverse(symbol: str) -> bool:
    return settled(symbol) == coin(symbol.partition("/")[0])


def expiry(symbol: str) -> int | None:
    day = symbol.partition("-")[2]
    return millis(datetime.strptime(f"{day}08+0000", "%y%m%d%H%z")) if day else None


def millis(at: datetime | None) -> int:
    return round(at.timestamp() * 1000) if at is not None else 0


def number(value: Decimal | None) -> float | int | None:
    """As JSON has it there: no text."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def text(value: Decimal | None) -> str | None:
    return plain(value) if value is not None else None


def contract(listing: ListedInstrument, top: TopOfBook | None, market_most: int | None) -> Row:
    """``market_most``: of one market order, where that is another limit than of any order."""
    known = listing.instrument
    base, _, rest = known.symbol.partition("/")
    quote = rest.partition(":")[0]
    last = number(top.last) if top is not None else None
    limits = {"maxOrderQty": number(known.max_market) or 1_000_000, "maxPrice": 1_000_000.0}
    if market_most is not None:
        limits["marketMaxOrderQty"] = market_most
    return {
        "symbol": native(known.symbol),
        "rootSymbol": settled(known.symbol),
        "type": "FFICSX" if expiry(known.symbol) else "FFWCSX",
        "firstOpenDate": 1585555200000,
        "expireDate": expiry(known.symbol),
        "settleDate": None,
        "baseCurrency": coin(base),
        "quoteCurrency": quote,
        "settleCurrency": settled(known.symbol),
        **limits,
        "lotSize": number(known.step),
        "tickSize": number(known.tick),
        "multiplier": number(-known.multiplier if inverse(known.symbol) else known.multiplier),
        "makerFeeRate": 0.0002,
        "takerFeeRate": 0.0006,
        "isInverse": inverse(known.symbol),
        "isQuanto": False,
        "status": "Open" if known.tradable else "Paused",
        "markPrice": last,
        "indexPrice": last,
        "lastTradePrice": last,
        "nextFundingRateTime": None if expiry(known.symbol) else 20022985,
        "maxLeverage": 125,
        "supportCross": True,
    }


def ticker(symbol: str, top: TopOfBook, now: datetime) -> Row:
    """``allTickers`` and, without the last trade, ``tickerV2``; there is no mark in either."""
    return {
        "sequence": 1697895100310,
        "symbol": native(symbol),
        "side": "sell",
        "size": 2936,
        "tradeId": "1697901180000",
        "price": text(top.last),
        **touch(symbol, top, now),
    }


def touch(symbol: str, top: TopOfBook, now: datetime) -> Row:
    return {
        "symbol": native(symbol),
        "bestBidPrice": text(top.bid),
        "bestBidSize": 795,
        "bestAskPrice": text(top.ask),
        "bestAskSize": 284,
        "ts": millis(now) * 1_000_000,
    }


def position(held: Position, key: str, mode: str, size: Decimal, mark: Decimal | None, now: datetime) -> Row:
    """A short's quantity is negative, in hedge mode, too."""
    value = held.quantity * size * (mark or ZERO)
    leverage = held.leverage or Decimal(1)
    return {
        "id": key,
        "symbol": native(held.symbol),
        "crossMode": mode == "CROSS",
        "marginMode": mode,
        "positionSide": SIDES[held.leg],
        "delevPercentage": 0.76,
        "openingTimestamp": millis(held.opened_at or now),
        "currentTimestamp": millis(now),
        "currentQty": number(held.quantity * held.side.sign),
        "currentCost": number(value),
        "isOpen": True,
        "markPrice": number(mark),
        "markValue": number(value),
        "posCost": number(value),
        "posInit": number(value / leverage),
        "posMargin": number(value / leverage),
        "posMaint": number(value / 200),
        "realisedPnl": 0,
        "unrealisedPnl": 0,
        "avgEntryPrice": number(held.entry),
        "liquidationPrice": 0,
        "bankruptPrice": 0,
        "settleCurrency": settled(held.symbol),
        "isInverse": inverse(held.symbol),
        "leverage": number(leverage),
        "realLeverage": number(leverage),
        "maintMarginReq": 0.004,
        "riskLimit": 100000,
    }


def order(told: Order, key: str, mode: str, size: Decimal, now: datetime, *, closes: bool = False) -> Row:
    """An order of either kind. ``closes``: it was sent as one that closes, whose size its sender did not say."""
    stop = told.type is OrderType.STOP
    active = told.status is OrderStatus.OPEN
    paid = told.average_price or ZERO
    value = told.filled * size * paid if not inverse(told.symbol) else (told.filled * size / paid if paid else ZERO)
    return {
        "id": key,
        "symbol": native(told.symbol),
        "type": "limit" if told.type is OrderType.LIMIT else "market",
        "side": told.side.value,
        "price": text(told.price),
        "size": number(told.quantity),
        "value": "0",
        "stp": "",
        "stop": ("down" if told.side.value == "sell" else "up") if stop else "",
        "stopPriceType": "MP" if stop else "",
        "stopTriggered": False,
        "stopPrice": text(told.trigger) if stop else None,
        "timeInForce": told.tif.value.upper() if told.type is OrderType.LIMIT else "GTC",
        "postOnly": False,
        "hidden": False,
        "iceberg": False,
        "leverage": "5",
        "forceHold": False,
        "closeOrder": closes,
        "visibleSize": None,
        "clientOid": told.client_id or None,
        "remark": None,
        "tags": None,
        "isActive": active,
        "cancelExist": not active and told.status is not OrderStatus.FILLED,
        "createdAt": millis(now),
        "updatedAt": millis(now),
        "endAt": None if active else millis(now),
        "orderTime": millis(now) * 1_000_000,
        "settleCurrency": settled(told.symbol),
        "marginMode": mode,
        "positionSide": SIDES[told.leg],
        "avgDealPrice": text(told.average_price) or "0",
        "status": "open" if active else "done",
        "filledSize": number(told.filled),
        "filledValue": plain(value),
        "reduceOnly": told.reduce_only,
    }


def fill(made: Fill, key: str, order_key: str, mode: str, size: Decimal) -> Row:
    return {
        "symbol": native(made.symbol),
        "tradeId": key,
        "orderId": order_key,
        "side": made.side.value,
        "liquidity": "taker",
        "forceTaker": True,
        "price": text(made.price),
        "size": number(made.quantity),
        "value": plain(made.quantity * size * made.price),
        "feeRate": "0.0006",
        "fixFee": "0",
        "feeCurrency": settled(made.symbol),
        "stop": "",
        "fee": plain(made.fee),
        "orderType": "market",
        "tradeType": "trade",
        "createdAt": millis(made.at),
        "tradeTime": millis(made.at) * 1_000_000,
        "settleCurrency": settled(made.symbol),
        "marginMode": mode,
    }


def match(told: Order, key: str, mode: str, now: datetime, made: Fill, trade: str) -> Row:
    """An execution, in the order that it changed."""
    matched = {"matchPrice": text(made.price), "matchSize": plain(made.quantity), "tradeId": trade}
    return {**change(told, key, mode, "match", now), **matched, "feeType": "takerFee"}


def change(told: Order, key: str, mode: str, kind: str, now: datetime) -> Row:
    """``tradeOrders`` on the stream: what became of an order. It does not say whether one only reduces."""
    left = told.quantity - told.filled
    gone = kind == "canceled"
    return {
        "symbol": native(told.symbol),
        "orderType": "limit" if told.type is OrderType.LIMIT else "market",
        "side": told.side.value,
        "canceledSize": plain(left) if gone else "0",
        "orderId": key,
        "positionSide": SIDES[told.leg],
        "liquidity": "taker",
        "marginMode": mode,
        "type": kind,
        "orderTime": str(millis(now) * 1_000_000),
        "size": plain(told.quantity),
        "filledSize": plain(told.filled),
        "price": text(told.price) or "0",
        "remainSize": "0" if gone else plain(left),
        "clientOid": told.client_id or "",
        "tradeType": "trade",
        "status": "done" if kind in ("filled", "canceled") else kind,
        "ts": millis(now) * 1_000_000,
    }
