"""Bybit's V5 JSON made of the truth: instruments, tickers, the wallet, positions, orders, executions.

Every number is text there and what does not apply is an empty text, but ``positionIdx`` and flags are not. A linear
and a spot market have the same id; a list says in ``category`` which of them its rows are of, a stream's row does so.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.paper.order_checks import closes_leg
from brokers.paper.wire import ListedInstrument, TopOfBook
from core.model import Fill, Instrument, Leg, Order, OrderStatus, OrderType, Position, TimeInForce
from core.units import ZERO, plain

Row = dict[str, Any]
INDEXES = {Leg.NET: 0, Leg.LONG: 1, Leg.SHORT: 2}
STATES = {
    OrderStatus.FILLED: "Filled",
    OrderStatus.REJECTED: "Rejected",
    OrderStatus.UNKNOWN: "SomeNewWord",
}
TIFS = {TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}


def native(symbol: str) -> str:
    """``BTC/USDT``, ``BTC/USDT:USDT`` → ``BTCUSDT``, ``BTC/USDC:USDC`` → ``BTCPERP``, ``BTC/USD:BTC`` → ``BTCUSD``."""
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    return f"{base}PERP" if settle == "USDC" else base + quote


def category(symbol: str) -> str:
    pair, _, settle = symbol.partition(":")
    if not settle:
        return "spot"
    return "linear" if pair.endswith(f"/{settle}") else "inverse"


def settles(symbol: str) -> str:
    return symbol.partition(":")[2]


def millis(at: datetime | None) -> str:
    return str(round(at.timestamp() * 1000)) if at is not None else ""


def text(value: Decimal | None) -> str:
    return plain(value) if value is not None else ""


def instrument(listing: ListedInstrument) -> Row:
    known = listing.instrument
    base, _, rest = known.symbol.partition("/")
    quote, _, settle = rest.partition(":")
    shared = {
        "symbol": native(known.symbol),
        "baseCoin": base,
        "quoteCoin": quote,
        "status": "Trading" if known.tradable else "Closed",
        "symbolType": "",
        "priceFilter": {"minPrice": plain(known.tick), "maxPrice": "1999999.8", "tickSize": plain(known.tick)},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }
    if not settle:
        return {**shared, "innovation": "0", "marginTrading": "utaOnly", "lotSizeFilter": _spot_lots(known)}
    return {
        **shared,
        "contractType": "LinearPerpetual" if category(known.symbol) == "linear" else "InversePerpetual",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "lotSizeFilter": _lots(known),
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": settle,
        "copyTrading": "none",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": False,
        "preListingInfo": None,
    }


def _spot_lots(known: Instrument) -> Row:
    most = plain(known.max_market or Decimal(10_000))
    return {
        "basePrecision": plain(known.step),
        "quotePrecision": "0.00000001",
        "minOrderQty": plain(max(known.min_quantity, known.step)),
        "maxOrderQty": "100000",
        "minOrderAmt": plain(known.min_cost),
        "maxOrderAmt": "8000000",
        "maxLimitOrderQty": "100000",
        "maxMarketOrderQty": most,
        "postOnlyMaxLimitOrderSize": "100000",
    }


def _lots(known: Instrument) -> Row:
    return {
        "maxOrderQty": "1000000",
        "minOrderQty": plain(max(known.min_quantity, known.step)),
        "qtyStep": plain(known.step),
        "postOnlyMaxOrderQty": "1000000",
        "maxMktOrderQty": plain(known.max_market or Decimal(500_000)),
        "minNotionalValue": plain(known.min_cost),
    }


def ticker(symbol: str, top: TopOfBook) -> Row:
    """As REST tells it, and a contract's stream in its snapshot."""
    last = text(top.last)
    row = {
        "symbol": native(symbol),
        "bid1Price": text(top.bid),
        "bid1Size": "10",
        "ask1Price": text(top.ask),
        "ask1Size": "10",
        **dict.fromkeys(("lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h"), last),
        "price24hPcnt": "0",
        "turnover24h": "100000",
        "volume24h": "1000",
    }
    if category(symbol) == "spot":
        return {**row, "usdIndexPrice": last}
    mark = text(top.mark or top.last)
    more = {"openInterest": "1", "openInterestValue": "1", "fundingRate": "0.0001", "nextFundingTime": "1763740800000"}
    return {**row, **more, "indexPrice": mark, "markPrice": mark, "prevPrice1h": last, "basis": ""}


def streamed(symbol: str, top: TopOfBook) -> Row:
    """A spot market's stream of tickers has no bid and no ask."""
    row = ticker(symbol, top)
    touch = ("bid1Price", "bid1Size", "ask1Price", "ask1Size")
    return {k: v for k, v in row.items() if k not in touch} if category(symbol) == "spot" else row


def coin(code: str, total: Decimal, locked: Decimal, worth: Decimal) -> Row:
    """One coin of the unified wallet. What may be withdrawn is not told there any more."""
    return {
        "coin": code,
        "equity": plain(total),
        "usdValue": plain(worth),
        "walletBalance": plain(total),
        "free": "",
        "locked": plain(locked),
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "totalPositionMM": "0",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "0",
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
    }


def wallet(coins: list[Row]) -> Row:
    """``totalMarginBalance`` is what counts as collateral, less than what the account is worth."""
    worth = sum((Decimal(row["usdValue"]) for row in coins), ZERO)
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "accountIMRate": "0.1",
        "accountMMRate": "0.05",
        "totalEquity": plain(worth),
        "totalWalletBalance": plain(worth),
        "totalMarginBalance": plain(worth / 2),
        "totalAvailableBalance": plain(worth / 2),
        "totalPerpUPL": "0",
        "totalInitialMargin": "0",
        "totalMaintenanceMargin": "0",
        "coin": coins,
    }


def position(held: Position, mark: Decimal | None, now: datetime, *, streamed: bool = False) -> Row:
    """A stream calls the entry ``entryPrice``, REST ``avgPrice``. One of nothing has no side."""
    inverse = category(held.symbol) == "inverse"
    price = mark or held.entry or Decimal(1)
    value = held.quantity / price if inverse else held.quantity * price
    leverage = held.leverage or Decimal(1)
    side = "" if not held.quantity else "Buy" if held.side.sign > 0 else "Sell"
    return {
        **({"category": category(held.symbol)} if streamed else {}),
        "positionIdx": INDEXES[held.leg],
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": native(held.symbol),
        "side": side,
        "size": plain(held.quantity),
        "entryPrice" if streamed else "avgPrice": plain(held.entry or ZERO) if held.quantity else "0",
        "positionValue": plain(value) if held.quantity else "",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2,
        "leverage": plain(leverage),
        "positionBalance": "",
        "markPrice": text(mark),
        "liqPrice": "",
        "bustPrice": "",
        "positionMM": plain(value / 200),
        "positionIM": plain(value / leverage),
        "tpslMode": "Full",
        **dict.fromkeys(("takeProfit", "stopLoss", "trailingStop"), "0"),
        "unrealisedPnl": "0",
        "curRealisedPnl": "0",
        "cumRealisedPnl": "0",
        "seq": 5723621632,
        "isReduceOnly": False,
        "createdTime": millis(held.opened_at or now),
        "updatedTime": millis(now),
        "sessionAvgPrice": "",
    }


def order(told: Order, number: str, now: datetime, *, streamed: bool = False, reason: str = "") -> Row:
    spot = category(told.symbol) == "spot"
    stop = told.type is OrderType.STOP
    market = told.type is not OrderType.LIMIT
    average = told.average_price
    filter_ = "tpslOrder" if stop and spot else "Stop" if stop else ""
    return {
        **({"category": category(told.symbol)} if streamed else {}),
        "tpslMode": "",
        "symbol": native(told.symbol),
        "orderId": number,
        "orderLinkId": told.client_id or "",
        "blockTradeId": "",
        "side": told.side.value.capitalize(),
        "orderType": "Market" if market else "Limit",
        "positionIdx": INDEXES[told.leg],
        "orderStatus": _state(told, spot=spot),
        "createType": "CreateByUser",
        "cancelType": "UNKNOWN",
        "rejectReason": reason or "EC_NoError",
        "timeInForce": "IOC" if market else TIFS.get(told.tif, "GTC"),
        "isLeverage": "0" if spot else "",
        "price": text(told.price) or "0",
        "qty": plain(told.quantity),
        "avgPrice": text(average),
        "leavesQty": plain(ZERO if told.status.terminal else told.remaining),
        "leavesValue": "0",
        "cumExecQty": plain(told.filled),
        "cumExecValue": plain(told.filled * (average or ZERO)),
        "cumExecFee": "0",
        "cumFeeDetail": {},
        "stopOrderType": filter_,
        "orderIv": "",
        "marketUnit": "baseCoin" if spot and market else "",
        "triggerPrice": text(told.trigger),
        "triggerDirection": (2 if told.side.sign < 0 else 1) if stop else 0,
        "triggerBy": "LastPrice" if stop else "",
        **dict.fromkeys(("takeProfit", "stopLoss", "tpTriggerBy", "slTriggerBy", "placeType"), ""),
        **dict.fromkeys(("tpLimitPrice", "slLimitPrice"), "0"),
        "lastPriceOnCreated": "",
        "reduceOnly": told.reduce_only or closes_leg(told),
        "closeOnTrigger": False,
        "smpGroup": 0,
        "smpType": "None",
        "smpOrderId": "",
        "createdTime": millis(now),
        "updatedTime": millis(now),
    }


def _state(told: Order, *, spot: bool) -> str:
    """What is left of a market order is cancelled; only spot has a word for one that was filled in part."""
    if told.status is OrderStatus.OPEN:
        return "Untriggered" if told.type is OrderType.STOP else "PartiallyFilled" if told.filled else "New"
    if told.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED):
        return "PartiallyFilledCanceled" if spot and told.filled else "Cancelled"
    return STATES[told.status]


def execution(made: Fill, number: str, order_number: str, client_id: str, *, streamed: bool = False) -> Row:
    base, _, rest = made.symbol.partition("/")
    paid = {"spot": rest, "linear": settles(made.symbol), "inverse": base}[category(made.symbol)]
    return {
        **({"category": category(made.symbol)} if streamed else {}),
        "symbol": native(made.symbol),
        "orderId": order_number,
        "orderLinkId": client_id,
        "side": made.side.value.capitalize(),
        "orderPrice": plain(made.price),
        "orderQty": plain(made.quantity),
        "leavesQty": "0",
        "createType": "CreateByUser",
        "orderType": "Market",
        "stopOrderType": "UNKNOWN",
        "execId": number,
        "execFee": plain(made.fee),
        "execPrice": plain(made.price),
        "execQty": plain(made.quantity),
        "execType": "Trade",
        "execValue": plain(made.quantity * made.price),
        "execTime": millis(made.at),
        "feeCurrency" if not streamed else "feeCoin": paid,
        "isMaker": False,
        "feeRate": "0.00055",
        "markPrice": plain(made.price),
        "closedSize": "0",
        "seq": 9517074055,
        "isLeverage": "0",
    }
