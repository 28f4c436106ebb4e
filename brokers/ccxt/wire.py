"""ccxt's unified structures → positions, orders, fills, quotes, bars and the venue's rules for an instrument. Pure.

ccxt is asked for numbers as the venue's own text. A field that is missing, ``None``, empty or no number is unknown,
never 0. A position that cannot be read is an error, because leaving it out would make the list say "flat"; an order
whose status is a word that is not known keeps ``OrderStatus.UNKNOWN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from core.errors import OutcomeUnknown
from core.ids import is_ours
from core.model import (
    USD_LIKE,
    Fill,
    Leg,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Side,
    TimeInForce as Tif,
)
from core.units import ZERO, decimal

Row = Mapping[str, Any]

MAGNITUDE = 40  # digits before or after the point beyond which nothing is a price or a quantity
SECONDS_MOST = 100_000_000_000  # a time below this is in seconds, above in milliseconds

STATUSES = {
    "open": OrderStatus.OPEN,
    "canceling": OrderStatus.OPEN,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "cancelled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
TIFS = {"IOC": Tif.IOC, "FOK": Tif.FOK, "GTC": Tif.GTC, "DAY": Tif.DAY}
LEGS = {"LONG": Leg.LONG, "SHORT": Leg.SHORT, "1": Leg.LONG, "2": Leg.SHORT}
LEG_FIELDS = ("positionSide", "posSide", "positionIdx", "ps")  # Binance and KuCoin, OKX, Bybit, Binance's stream
# Bitget's word; its unified accounts tell a position's side in ``posSide`` all the same, as BingX in ``positionSide``.
ONE_WAY = "one_way_mode"


def number(value: object) -> Decimal | None:
    """A finite Decimal of a size that exists, or None. A binary fraction is taken as it is written."""
    try:
        found = decimal(str(value) if isinstance(value, float) else value)
    except ValueError:
        return None
    return found if abs(found.adjusted()) <= MAGNITUDE else None


def positive(value: object) -> Decimal | None:
    """A price, a size, a limit: what is 0 or less says that there is none."""
    found = number(value)
    return found if found is not None and found > 0 else None


def text(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def moment(value: object) -> datetime | None:
    """An aware UTC time from milliseconds, or None; seconds are recognised by their size."""
    found = number(value)
    if found is None or found <= 0:
        return None
    try:
        return datetime.fromtimestamp(int(found) / (1000 if found > SECONDS_MOST else 1), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def rows(value: object, what: str, exchange: str) -> list[Row]:
    """The rows of a list; what is no list of objects is no answer."""
    if not isinstance(value, list) or any(not isinstance(row, dict) for row in value):
        raise OutcomeUnknown(f"{exchange}'s answer is no list of {what}")
    return value


def listed(answer: object) -> object:
    """The list in a raw answer: itself, or what is in ``result``, which Kraken makes an object by id now and then."""
    if not isinstance(answer, dict):
        return answer
    found = answer.get("result")
    return list(found.values()) if isinstance(found, dict) else found


def inner(row: Row, key: str) -> Row:
    """An object in a row, empty where there is none."""
    found = row.get(key)
    return found if isinstance(found, dict) else {}


# --------------------------------------------------------------------------------------- positions, orders and fills


def leg_of(row: Row) -> Leg:
    """Which position of hedge mode a row is about, in the exchange's own words; ``NET`` where it does not say."""
    info = inner(row, "info")
    if ONE_WAY in (text(info, "holdMode"), text(info, "posMode")) or info.get("onlyOnePosition") is True:
        return Leg.NET  # as a leg, ccxt would not say that an order only reduces, and BingX refuses it (109400)
    said = next((LEGS[word] for key in LEG_FIELDS if (word := text(info, key).upper()) in LEGS), None)
    if said is not None:
        return said
    side = text(row, "side").upper()
    return LEGS.get(side, Leg.NET) if row.get("hedged") is True else Leg.NET


def position(account: str, row: Row, exchange: str) -> Position | None:
    """One position in contracts; None for a row of none. OutcomeUnknown for a row whose size or side is unreadable."""
    symbol, contracts = text(row, "symbol"), number(row.get("contracts"))
    side = text(row, "side") or _side_by_sign(row)
    if contracts is not None and contracts == 0:
        return None
    if not symbol or contracts is None or (side not in ("long", "short") and contracts > 0):
        raise OutcomeUnknown(f"{exchange}'s list has a position that cannot be read ({symbol or 'no symbol'})")
    leg = leg_of(row)
    short = side == "short" or contracts < 0 if leg is Leg.NET else leg is Leg.SHORT
    return Position(
        account=account,
        symbol=symbol,
        side=Side.SHORT if short else Side.LONG,
        quantity=abs(contracts),
        free=abs(contracts),  # what reduces needs nothing that other orders hold
        entry=positive(row.get("entryPrice")),
        leverage=leverage_of(row),
        leg=leg,
    )


def _side_by_sign(row: Row) -> str:
    """ccxt tells a Binance position's side by its value, which is 0 while there is no mark; its amount has a sign."""
    amount = number(inner(row, "info").get("positionAmt"))
    return "" if not amount else "long" if amount > 0 else "short"


def leverage_of(row: Row) -> Decimal | None:
    """As the exchange says, else what its own margin of the position tells: Binance's newer list has only that. Of
    Kraken Futures' stream ccxt leaves it out, of its lists not."""
    told = number(row.get("leverage"))
    told = told if told is not None else number(inner(row, "info").get("max_fixed_leverage"))
    value, margin = positive(row.get("notional")), positive(inner(row, "info").get("positionInitialMargin"))
    if told is None and value is not None and margin is not None:
        told = (value / margin).to_integral_value()
    return told if told is not None and told >= 1 else None


def order(account: str, row: object, exchange: str) -> Order:
    """One order. Raises OutcomeUnknown for what is none: an answer without an id says nothing about an order."""
    if not isinstance(row, dict) or not text(row, "id") or not text(row, "symbol"):
        raise OutcomeUnknown(f"{exchange}'s answer is no order")
    filled = number(row.get("filled"))
    quantity = positive(row.get("amount"))
    remaining = number(row.get("remaining"))
    if quantity is None:
        quantity = (filled or ZERO) + (remaining or ZERO)
    trigger = next((t for key in _TRIGGERS if (t := positive(row.get(key))) is not None), None)
    return Order(
        account=account,
        symbol=text(row, "symbol"),
        id=text(row, "id"),
        side=OrderSide.BUY if text(row, "side") == "buy" else OrderSide.SELL,
        quantity=abs(quantity),
        filled=abs(filled) if filled is not None else ZERO,
        status=status(row, quantity, filled),
        type=order_type(text(row, "type"), trigger),
        client_id=client_id(row),
        price=positive(row.get("price")),
        trigger=trigger,
        average_price=positive(row.get("average")),
        reduce_only=row.get("reduceOnly") is True or inner(row, "info").get("closeOrder") is True,
        leg=leg_of({**row, "hedged": False}),
        tif=TIFS.get(text(row, "timeInForce").upper(), Tif.GTC),
        text=said(row),
    )


def client_id(row: Row) -> str | None:
    """Who sent it named it so. Of Kraken ccxt tells a number of the user's, which is 0 where there is none; of OKX's
    conditional orders it tells the name of what they will place, of Kraken Futures' executions none."""
    info = inner(row, "info")
    found = text(info, "cl_ord_id") or text(info, "algoClOrdId") or text(row, "clientOrderId")
    found = found or text(info, "cliOrdId") or text(info, "cli_ord_id")
    found = found or text(info, "orderLinkId")  # of Bybit's executions ccxt does not tell it
    found = found.removeprefix("t-") if is_ours(found.removeprefix("t-")) else found  # which Gate's have to begin with
    return found if found not in ("", "0") else None


_TRIGGERS = ("triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice")
_REASONS = ("rejectReason", "reject_reason", "reason", "rejReason", "cancelSourceReason", "cancel_message")


def status(row: Row, quantity: Decimal, filled: Decimal | None) -> OrderStatus:
    """ccxt calls ``closed`` whatever has ended by trading; what was not filled of it was cancelled."""
    found = STATUSES.get(text(row, "status"), OrderStatus.UNKNOWN)
    if found is not OrderStatus.FILLED:
        return found
    if filled is None:
        return OrderStatus.UNKNOWN  # it ended, but how much of it traded is not told
    return OrderStatus.FILLED if filled >= quantity else OrderStatus.CANCELLED


def order_type(word: str, trigger: Decimal | None) -> OrderType:
    low = word.lower()
    if trigger is not None or any(part in low for part in ("stop", "take", "trail", "trigger", "conditional", "oco")):
        return OrderType.STOP
    return OrderType.MARKET if low == "market" else OrderType.LIMIT


def said(row: Row) -> str:
    """Why it was refused or cancelled, in the exchange's words, where it has a field for that."""
    info = inner(row, "info")
    return next((word for key in _REASONS if (word := text(info, key)) and word not in ("0", "EC_NoError")), "")[:200]


def fill(account: str, row: Row, market: Row | None = None) -> Fill | None:
    """One execution; None for a row without a size or a price, which changes nothing. Of Kraken Futures' inverse
    contracts ccxt leaves the size out."""
    quantity, price = positive(row.get("amount")), positive(row.get("price"))
    quantity = quantity if quantity is not None else positive(inner(row, "info").get("size"))
    if quantity is None or price is None or not text(row, "symbol"):
        return None
    side = OrderSide.BUY if text(row, "side") == "buy" else OrderSide.SELL
    return Fill(
        account=account,
        symbol=text(row, "symbol"),
        trade_id=text(row, "id"),
        order_id=text(row, "order"),
        side=side,
        quantity=quantity,
        price=price,
        client_id=client_id(row),
        fee=_fee(row, price, market),
        at=moment(row.get("timestamp")),
        leg=leg_of({**row, "hedged": False}),
    )


def _fee(row: Row, price: Decimal, market: Row | None) -> Decimal:
    """In the quote currency; a fee in a third one is left out, having no price here."""
    fee = inner(row, "fee")
    cost, currency = number(fee.get("cost")), text(fee, "currency")
    base, quote = text(row, "symbol").partition(":")[0].partition("/")[::2]
    if cost is None or (market is not None and market.get("inverse") is True):
        return ZERO
    if currency == base and currency:
        return cost * price
    return cost if currency in (quote, "") or (currency in USD_LIKE and quote in USD_LIKE) else ZERO


# ------------------------------------------------------------------------------------------------------------ prices


def quote(account: str, row: Row, received: float, mark: Decimal | None = None) -> Quote | None:
    """A ticker as a quote; None where it has no price. A side that nobody quotes comes as 0 or not at all."""
    symbol = text(row, "symbol")
    bid, ask, last = (positive(row.get(key)) for key in ("bid", "ask", "last"))
    mark = mark if mark is not None else positive(row.get("markPrice"))
    if not symbol or (bid, ask, last, mark) == (None, None, None, None):
        return None
    return Quote(account, symbol, received, bid, ask, last, mark)
