"""Binance USD-M futures' JSON made of the truth: exchangeInfo, positions, orders of both kinds, trades, prices.

Shapes are those of the documentation's samples. Ids are numbers there: an id of the truth gets one when it is told.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.paper.wire import ListedInstrument, TopOfBook
from core.model import Fill, Leg, Order, OrderStatus, OrderType, Position, TimeInForce
from core.units import ZERO, plain

Row = dict[str, Any]
STATUSES = {
    OrderStatus.OPEN: "NEW",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "REJECTED",
    OrderStatus.UNKNOWN: "SOME_NEW_WORD",
}
ALGO = {OrderStatus.OPEN: "NEW", OrderStatus.FILLED: "FINISHED", OrderStatus.CANCELLED: "CANCELED"}
SIDES = {Leg.NET: "BOTH", Leg.LONG: "LONG", Leg.SHORT: "SHORT"}


def native(symbol: str) -> str:
    """``ALGO/USDT:USDT`` → ``ALGOUSDT``."""
    return symbol.partition(":")[0].replace("/", "")


def millis(at: datetime | None) -> int:
    return int(at.timestamp() * 1000) if at is not None else 0


def symbol_info(listing: ListedInstrument, market_step: Decimal | None) -> Row:
    """``market_step``: what ``MARKET_LOT_SIZE`` says where that is coarser than ``LOT_SIZE``."""
    known = listing.instrument
    base, _, rest = known.symbol.partition("/")
    quote = rest.partition(":")[0]
    step, least = plain(known.step), plain(max(known.min_quantity, known.step))
    return {
        "symbol": native(known.symbol),
        "pair": native(known.symbol),
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING" if known.tradable else "BREAK",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": quote,
        "pricePrecision": -_exponent(known.tick),
        "quantityPrecision": -_exponent(known.step),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.015",
        "marketTakeBound": "0.05",
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": plain(known.tick),
                "maxPrice": "1000000",
                "tickSize": plain(known.tick),
            },
            {"filterType": "LOT_SIZE", "minQty": least, "maxQty": "10000000", "stepSize": step},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": least,
                "maxQty": plain(known.max_market or Decimal(1_000_000)),
                "stepSize": plain(market_step) if market_step is not None else step,
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": plain(known.min_cost)},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95", "multiplierDecimal": "4"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }


def _exponent(value: Decimal) -> int:
    return min(int(value.normalize().as_tuple().exponent), 0)


def position(held: Position, mark: Decimal | None, now: datetime) -> Row:
    """A row of ``positionRisk`` v3, which tells no leverage but the margin."""
    value = held.quantity * (mark or ZERO) * held.side.sign
    leverage = held.leverage or Decimal(1)
    return {
        "symbol": native(held.symbol),
        "positionSide": SIDES[held.leg],
        "positionAmt": plain(held.quantity * held.side.sign),
        "entryPrice": plain(held.entry) if held.entry is not None else "0.0",
        "breakEvenPrice": plain(held.entry) if held.entry is not None else "0.0",
        "markPrice": plain(mark) if mark is not None else "0.00000000",
        "unRealizedProfit": "0.00000000",
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "notional": plain(value),
        "marginAsset": "USDT",
        "isolatedWallet": "0",
        "initialMargin": plain(abs(value) / leverage),
        "maintMargin": "0",
        "positionInitialMargin": plain(abs(value) / leverage),
        "openOrderInitialMargin": "0",
        "adl": 2,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": millis(now),
    }


def order(told: Order, number: int, now: datetime) -> Row:
    """A plain order: of ``order``, ``openOrders`` and ``allOrders``."""
    partly = told.status is OrderStatus.OPEN and told.filled > 0
    kind = "MARKET" if told.type is OrderType.MARKET else "LIMIT"
    return {
        "orderId": number,
        "symbol": native(told.symbol),
        "status": "PARTIALLY_FILLED" if partly else STATUSES[told.status],
        "clientOrderId": told.client_id or f"web_{number}",
        "price": plain(told.price) if told.price is not None else "0.00",
        "avgPrice": plain(told.average_price) if told.average_price is not None else "0.00",
        "origQty": plain(told.quantity),
        "executedQty": plain(told.filled),
        "cumQuote": plain(told.filled * (told.average_price or ZERO)),
        "timeInForce": told.tif.value.upper() if told.tif is not TimeInForce.DAY else "GTC",
        "type": kind,
        "reduceOnly": told.reduce_only,
        "closePosition": False,
        "side": told.side.value.upper(),
        "positionSide": SIDES[told.leg],
        "stopPrice": "0.00",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "time": millis(now),
        "updateTime": millis(now),
    }


def algo(told: Order, number: int, now: datetime, became: int | None = None) -> Row:
    """A conditional order, which the plain calls do not show; what it traded is told of the order that it became."""
    return {
        "algoId": number,
        "clientAlgoId": told.client_id or f"algo_{number}",
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "type": "STOP_MARKET",
        "symbol": native(told.symbol),
        "side": told.side.value.upper(),
        "positionSide": SIDES[told.leg],
        "timeInForce": "GTC",
        "quantity": plain(told.quantity),
        "algoStatus": ALGO.get(told.status, "EXPIRED") if became is None else "FINISHED",
        "actualOrderId": "" if became is None else str(became),
        "actualPrice": "0.00000",
        "triggerPrice": plain(told.trigger) if told.trigger is not None else "0",
        "price": "0.00",
        "workingType": "CONTRACT_PRICE",
        "closePosition": False,
        "priceProtect": False,
        "reduceOnly": told.reduce_only,
        "createTime": millis(now),
        "updateTime": millis(now),
    }


def trade(fill: Fill, number: int, order_number: int) -> Row:
    return {
        "symbol": native(fill.symbol),
        "id": number,
        "orderId": order_number,
        "side": fill.side.value.upper(),
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "realizedPnl": "0",
        "quoteQty": plain(fill.quantity * fill.price),
        "commission": plain(fill.fee),
        "commissionAsset": "USDT",
        "time": millis(fill.at),
        "positionSide": SIDES[fill.leg],
        "buyer": fill.side.value == "buy",
        "maker": False,
    }


def book_ticker(symbol: str, top: TopOfBook, now: datetime) -> Row:
    def text(value: Decimal | None) -> str:
        return plain(value) if value is not None else "0"

    return {
        "symbol": native(symbol),
        "bidPrice": text(top.bid),
        "bidQty": "10",
        "askPrice": text(top.ask),
        "askQty": "10",
        "time": millis(now),
    }


def ticker(symbol: str, top: TopOfBook, now: datetime) -> Row:
    last = plain(top.last) if top.last is not None else "0"
    names = ("lastPrice", "openPrice", "highPrice", "lowPrice", "weightedAvgPrice")
    zeros = dict.fromkeys(("priceChange", "priceChangePercent", "volume", "quoteVolume", "lastQty"), "0")
    times = {"openTime": millis(now) - 86_400_000, "closeTime": millis(now)}
    return {
        "symbol": native(symbol),
        **dict.fromkeys(names, last),
        **zeros,
        **times,
        "firstId": 1,
        "lastId": 2,
        "count": 1,
    }


def premium(symbol: str, top: TopOfBook, now: datetime) -> Row:
    mark = plain(top.mark or top.last or ZERO)
    return {
        "symbol": native(symbol),
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": "0.0001",
        "interestRate": "0.0001",
        "nextFundingTime": millis(now) + 3_600_000,
        "time": millis(now),
    }
