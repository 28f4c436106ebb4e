"""OKX's JSON made of the truth: instruments, tickers, balances, positions, orders of both kinds, fills.

Every value is text there, and what does not apply is an empty text. Ids are numbers: an id of the truth gets one when
it is told.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.paper.wire import ListedInstrument, TopOfBook
from core.model import Fill, Kind, Leg, Order, OrderStatus, OrderType, Position, TimeInForce
from core.units import ZERO, plain

Row = dict[str, Any]
STATES = {
    OrderStatus.OPEN: "live",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.EXPIRED: "canceled",
    OrderStatus.REJECTED: "order_failed",
    OrderStatus.UNKNOWN: "some_new_word",
}
ALGO = {OrderStatus.OPEN: "live", OrderStatus.FILLED: "effective"}
LIMITS = {TimeInForce.IOC: "ioc", TimeInForce.FOK: "fok"}
SETTLED = "USDT"


def native(symbol: str) -> str:
    """``BTC/USDT`` → ``BTC-USDT``, ``BTC/USDT:USDT`` → ``BTC-USDT-SWAP``."""
    pair, _, settle = symbol.partition(":")
    return pair.replace("/", "-") + ("-SWAP" if settle else "")


def kind_of(symbol: str) -> str:
    return "SWAP" if ":" in symbol else "SPOT"


def millis(at: datetime | None) -> str:
    return str(round(at.timestamp() * 1000)) if at is not None else ""


def side_of(leg: Leg, symbol: str) -> str:
    """Which position a row is about; a spot order has none."""
    return leg.value if ":" in symbol else ""


def instrument(listing: ListedInstrument) -> Row:
    known = listing.instrument
    spot = known.kind is Kind.SPOT
    base, _, rest = known.symbol.partition("/")
    quote = rest.partition(":")[0]
    most = known.max_market or Decimal(1_000_000 if spot else 20_000)
    nothing = ("alias", "auctionEndTime", "contTdSwTime", "expTime", "maxMktAmt", "maxPlatOILmt", "openType", "optType")
    family = "" if spot else f"{base}-{quote}"
    unlimited = ("maxIcebergSz", "maxLmtSz", "maxTriggerSz", "maxTwapSz")
    return {
        **dict.fromkeys((*nothing, "posLmtAmt", "posLmtPct", "preMktSwTime", "stk"), ""),
        **dict.fromkeys(unlimited, "100000000.0000000000000000"),
        "baseCcy": base if spot else "",
        "quoteCcy": quote if spot else "",
        "settleCcy": "" if spot else quote,
        "category": "1",
        "ctMult": "" if spot else "1",
        "ctType": "" if spot else "linear",
        "ctVal": "" if spot else plain(known.multiplier),
        "ctValCcy": "" if spot else base,
        "futureSettlement": False,
        "instFamily": family,
        "uly": family,
        "instId": native(known.symbol),
        "instIdCode": 10458,
        "instType": kind_of(known.symbol),
        "lever": "10" if spot else "100",
        "listTime": "1535424203000",
        "lotSz": plain(known.step),
        "minSz": plain(max(known.min_quantity, known.step)),
        "tickSz": plain(known.tick),
        "maxLmtAmt": "20000000",
        "maxMktSz": plain(most),  # of a spot instrument in USDT, of a contract in contracts
        "maxStopSz": plain(most),
        "ruleType": "normal",
        "state": "live" if known.tradable else "suspend",
        "tradeQuoteCcyList": [],
    }


def ticker(symbol: str, top: TopOfBook, now: datetime) -> Row:
    last = _text(top.last)
    return {
        "instType": kind_of(symbol),
        "instId": native(symbol),
        "last": last,
        "lastSz": "1",
        "askPx": _text(top.ask),
        "askSz": "10",
        "bidPx": _text(top.bid),
        "bidSz": "10",
        **dict.fromkeys(("open24h", "high24h", "low24h", "sodUtc0", "sodUtc8"), last),
        **dict.fromkeys(("volCcy24h", "vol24h"), "1000"),
        "ts": millis(now),
    }


def _text(value: Decimal | None) -> str:
    return plain(value) if value is not None else ""


def asset(code: str, total: Decimal, free: Decimal, worth: Decimal, now: datetime) -> Row:
    """One currency of ``account/balance``; ``worth`` in USD."""
    empty = ("accAvgPx", "borrowFroz", "clSpotInUseAmt", "crossLiab", "interest", "isoLiab", "liab", "maxLoan", "upl")
    also = ("maxSpotInUseAmt", "mgnRatio", "openAvgPx", "spotBal", "spotInUseAmt", "spotUpl", "spotUplRatio", "uplLiab")
    zero = ("fixedBal", "imr", "isoEq", "isoUpl", "mmr", "notionalLever", "rewardBal", "smtSyncEq", "spotCopyTradingEq")
    return {
        **dict.fromkeys((*empty, *also, "totalPnl", "totalPnlRatio"), ""),
        **dict.fromkeys((*zero, "spotIsoBal", "stgyEq", "twap"), "0"),
        "availBal": plain(free),
        "availEq": plain(free),
        "cashBal": plain(total),
        "ccy": code,
        "collateralEnabled": False,
        "disEq": plain(worth),
        "eq": plain(total),
        "eqUsd": plain(worth),
        "frozenBal": plain(total - free),
        "ordFrozen": plain(total - free),
        "uTime": millis(now),
    }


def balance(details: list[Row], now: datetime) -> Row:
    names = ("adjEq", "borrowFroz", "imr", "mgnRatio", "mmr", "notionalUsd", "notionalUsdForBorrow", "ordFroz", "upl")
    more = ("notionalUsdForFutures", "notionalUsdForOption", "notionalUsdForSwap")
    worth = sum((Decimal(row["eqUsd"]) for row in details), ZERO)
    totals = {"isoEq": "0", "totalEq": plain(worth), "uTime": millis(now)}
    return {**dict.fromkeys((*names, *more), ""), **totals, "details": details}


def position(held: Position, number: str, mode: str, size: Decimal, mark: Decimal | None, now: datetime) -> Row:
    """``size``: of one contract. One-way mode tells a short by its sign, hedge mode by ``posSide``."""
    value = held.quantity * size * (mark or ZERO)
    leverage = held.leverage or Decimal(1)
    signed = held.quantity * held.side.sign if held.leg is Leg.NET else held.quantity
    empty = ("baseBal", "liqPx", "mgnRatio", "optVal", "pendingCloseOrdLiabVal", "posCcy", "quoteBal", "quoteBorrowed")
    zero = ("interest", "realizedPnl", "upl", "uplRatio", "uplLastPx", "uplRatioLastPx", "fundingFee", "liqPenalty")
    isolated = mode == "isolated"
    return {
        **dict.fromkeys((*empty, "quoteInterest", "spotInUseAmt", "spotInUseCcy"), ""),
        **dict.fromkeys((*zero, "fee", "pnl"), "0"),
        "instId": native(held.symbol),
        "instType": kind_of(held.symbol),
        "mgnMode": mode,
        "posId": number,
        "posSide": held.leg.value,
        "pos": plain(signed),
        "availPos": plain(held.quantity) if held.leg is not Leg.NET else "",
        "avgPx": plain(held.entry) if held.entry is not None else "",
        "bePx": plain(held.entry) if held.entry is not None else "",
        "ccy": SETTLED,
        "lever": plain(leverage),
        "last": _text(mark),
        "markPx": _text(mark),
        "idxPx": _text(mark),
        "usdPx": "1",
        "notionalUsd": plain(value),
        "imr": "" if isolated else plain(value / leverage),
        "margin": plain(value / leverage) if isolated else "",
        "mmr": plain(value / 200),
        "adl": "1",
        "tradeId": "111",
        "cTime": millis(held.opened_at or now),
        "uTime": millis(now),
    }


def order(told: Order, number: str, mode: str, word: str, now: datetime) -> Row:
    """A plain order. ``word``: the ordType it was sent with, where it was."""
    partly = told.status is OrderStatus.OPEN and told.filled > 0
    kind = word or ("market" if told.type is OrderType.MARKET else LIMITS.get(told.tif, "limit"))
    empty = ("algoClOrdId", "algoId", "attachAlgoClOrdId", "cancelSource", "cancelSourceReason", "pxType", "pxUsd")
    stops = ("slOrdPx", "slTriggerPx", "slTriggerPxType", "tpOrdPx", "tpTriggerPx", "tpTriggerPxType")
    traded = _text(told.average_price)
    return {
        **dict.fromkeys((*empty, *stops, "pxVol", "quickMgnType", "source", "stpId", "tag"), ""),
        "accFillSz": plain(told.filled),
        "attachAlgoOrds": [],
        "avgPx": traded,
        "cTime": millis(now),
        "category": "normal",
        "ccy": "",
        "clOrdId": told.client_id or "",
        "fee": "0",
        "feeCcy": SETTLED,
        "fillPx": traded,
        "fillSz": plain(told.filled),
        "fillTime": millis(now) if told.filled else "",
        "instId": native(told.symbol),
        "instType": kind_of(told.symbol),
        "isTpLimit": "false",
        "lever": "",
        "linkedAlgoOrd": {"algoId": ""},
        "ordId": number,
        "ordType": kind,
        "pnl": "0",
        "posSide": side_of(told.leg, told.symbol),
        "px": _text(told.price),
        "rebate": "0",
        "rebateCcy": SETTLED,
        "reduceOnly": "true" if told.reduce_only else "false",
        "side": told.side.value,
        "state": "partially_filled" if partly else STATES[told.status],
        "stpMode": "cancel_maker",
        "sz": plain(told.quantity),
        "tdMode": mode,
        "tgtCcy": "" if ":" in told.symbol else "base_ccy",
        "tradeId": "",
        "uTime": millis(now),
    }


def algo(told: Order, number: str, mode: str, now: datetime, became: str = "") -> Row:
    """A conditional order, which the plain calls do not show; ``actualSz`` is what the order it became was for."""
    empty = ("actualPx", "actualSide", "triggerPx", "triggerPxType", "ordPx", "tag", "pxVar", "pxSpread", "pxLimit")
    also = ("szLimit", "amendPxOnTriggerType", "triggerTime", "tpTriggerPx", "tpOrdPx", "tpTriggerPxType", "lever")
    return {
        **dict.fromkeys((*empty, *also, "clOrdId", "closeFraction"), ""),
        "ordId": became,
        "ordIdList": [became] if became else [],
        "actualSz": plain(told.quantity) if became else "0",
        "algoId": number,
        "algoClOrdId": told.client_id or "",
        "instId": native(told.symbol),
        "instType": kind_of(told.symbol),
        "ordType": "conditional",
        "state": "effective" if became else ALGO.get(told.status, "canceled"),
        "side": told.side.value,
        "posSide": side_of(told.leg, told.symbol),
        "sz": plain(told.quantity),
        "slTriggerPx": _text(told.trigger),
        "slTriggerPxType": "last",
        "slOrdPx": "-1",
        "reduceOnly": "true" if told.reduce_only else "false",
        "tdMode": mode,
        "cTime": millis(now),
        "uTime": millis(now),
    }


def fill(made: Fill, number: str, order_number: str, client_id: str) -> Row:
    """A fee is what the account gets: what it pays is negative."""
    return {
        "instType": kind_of(made.symbol),
        "instId": native(made.symbol),
        "tradeId": number,
        "billId": number,
        "ordId": order_number,
        "clOrdId": client_id,
        "tag": "",
        "fillPx": plain(made.price),
        "fillSz": plain(made.quantity),
        "fillPnl": "0",
        "side": made.side.value,
        "posSide": side_of(made.leg, made.symbol) or "net",
        "execType": "T",
        "feeCcy": made.symbol.partition(":")[0].partition("/")[2],
        "fee": plain(-made.fee),
        "ts": millis(made.at),
        "fillTime": millis(made.at),
    }
