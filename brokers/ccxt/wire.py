"""Convert ccxt's unified structures to positions, orders, fills and quotes. Pure.

ccxt gives numbers as the venue's own text. A field that is missing, ``None``, empty or no number is unknown, never 0.
An unreadable position is an error, because a list without it would say "flat". An order with an unknown status word
keeps ``OrderStatus.UNKNOWN``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from brokers.ccxt.wire_client_ids import decode
from brokers.ccxt.wire_fees import in_quote
from core.errors import OutcomeUnknown
from core.ids import is_ours
from core.model import (
    Fill,
    Leg,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    PositionKey,
    Quote,
    Side,
    TimeInForce as Tif,
)
from core.units import ZERO, decimal

Row = Mapping[str, Any]

MAGNITUDE = 40  # more digits before or after the point are no price or quantity
SECONDS_MOST = 100_000_000_000  # a smaller time is in seconds, a larger one in milliseconds

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
LEGS = {"LONG": Leg.LONG, "SHORT": Leg.SHORT}
# The raw fields that tell the leg: Binance and KuCoin, OKX, Bybit, Binance's stream, Gate, HTX.
LEG_FIELDS: dict[str, dict[str, Leg]] = {
    **dict.fromkeys(("positionSide", "posSide", "ps", "position_side"), LEGS),
    "positionIdx": {"1": Leg.LONG, "2": Leg.SHORT},
    "mode": {"DUAL_LONG": Leg.LONG, "DUAL_SHORT": Leg.SHORT},
}
# Bitget's word. Its unified accounts still have the side in ``posSide``, and BingX has the side in ``positionSide``.
ONE_WAY = "one_way_mode"


def number(value: object) -> Decimal | None:
    """Return a finite Decimal of a plausible size, or None. A binary float is read as it is written."""
    try:
        found = decimal(str(value) if isinstance(value, float) else value)
    except ValueError:
        return None
    return found if abs(found.adjusted()) <= MAGNITUDE else None


def positive(value: object) -> Decimal | None:
    """Return a price, size or limit; None for 0 or less, which means that there is none."""
    found = number(value)
    return found if found is not None and found > 0 else None


def text(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def moment(value: object) -> datetime | None:
    """Return an aware UTC time from milliseconds or seconds (recognised by size), or None."""
    found = number(value)
    if found is None or found <= 0:
        return None
    try:
        return datetime.fromtimestamp(int(found) / (1000 if found > SECONDS_MOST else 1), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def rows(value: object, what: str, exchange: str) -> list[Row]:
    """Return the rows of a list. Raises OutcomeUnknown for anything but a list of objects."""
    if not isinstance(value, list) or any(not isinstance(row, dict) for row in value):
        raise OutcomeUnknown(f"{exchange}'s answer is no list of {what}")
    return value


def listed(answer: object) -> object:
    """Return the list in a raw answer: the answer itself, or ``result``. Kraken's ``result`` may be an object by id."""
    if not isinstance(answer, dict):
        return answer
    found = answer.get("result")
    return list(found.values()) if isinstance(found, dict) else found


def inner(row: Row, key: str) -> Row:
    """Return an object in a row; empty if there is none."""
    found = row.get(key)
    return found if isinstance(found, dict) else {}


# --------------------------------------------------------------------------------------- positions, orders and fills


def leg_of(row: Row) -> Leg:
    """Return the hedge mode position of a row by the exchange's own fields; ``NET`` if the row does not tell."""
    info = inner(row, "info")
    if ONE_WAY in (text(info, "holdMode"), text(info, "posMode")) or info.get("onlyOnePosition") is True:
        return Leg.NET  # with a leg ccxt would not send reduce-only, and BingX refuses the order (109400)
    said = next((legs[word] for key, legs in LEG_FIELDS.items() if (word := text(info, key).upper()) in legs), None)
    if said is not None:
        return said
    side = text(row, "side").upper()
    return LEGS.get(side, Leg.NET) if row.get("hedged") is True else Leg.NET


def position(account: str, row: Row, exchange: str) -> Position | None:
    """Return one position in contracts; None for an empty row. Raises OutcomeUnknown for an unreadable size or side."""
    symbol, contracts = text(row, "symbol"), number(row.get("contracts"))
    side = text(row, "side") or _side_by_sign(row)
    if contracts is None and (raw := _raw_amount(row, exchange)) is not None:
        contracts, side = abs(raw), "long" if raw > 0 else "short"
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
        free=abs(contracts),  # a reducing order needs nothing that other orders hold
        entry=positive(row.get("entryPrice")),
        leverage=leverage_of(row),
        leg=leg,
    )


def part_legs(listed: Sequence[tuple[Position, str]], *, netted: bool = False) -> list[Leg]:
    """Return the leg of each position in a list with their margin modes. ``netted``: no market has two positions.

    A market with a long and a short position on one margin mode is in hedge mode, even if the exchange does not say so.
    """
    sides: dict[tuple[PositionKey, str], set[Side]] = {}
    for made, mode in listed:
        sides.setdefault((made.key, mode), set()).add(made.side)
    return [
        Leg(made.side.value) if not netted and made.leg is Leg.NET and len(sides[made.key, mode]) > 1 else made.leg
        for made, mode in listed
    ]


def _raw_amount(row: Row, exchange: str) -> Decimal | None:
    """Return the signed amount of a raw row, which ccxt leaves out at two exchanges."""
    info = row.get("info")
    if exchange == "bitfinex" and isinstance(info, list) and len(info) > 2:  # [symbol, status, amount, …]
        return number(info[2])
    return number(info.get("amount")) if exchange == "whitebit" and isinstance(info, dict) else None


def _side_by_sign(row: Row) -> str:
    """Return the side by the amount's sign.

    ccxt derives a Binance position's side from its value, which is 0 without a mark.
    """
    amount = number(inner(row, "info").get("positionAmt"))
    return "" if not amount else "long" if amount > 0 else "short"


def leverage_of(row: Row) -> Decimal | None:
    """Return the leverage: the exchange's field, else value / margin (Binance's newer list has only the margin).

    ccxt omits it from Kraken Futures' stream, but not from its lists. Gate tells 0 for cross margin, and the leverage
    in another field.
    """
    told = number(row.get("leverage")) or number(inner(row, "info").get("cross_leverage_limit"))
    told = told if told is not None else number(inner(row, "info").get("max_fixed_leverage"))
    value, margin = positive(row.get("notional")), positive(inner(row, "info").get("positionInitialMargin"))
    if told is None and value is not None and margin is not None:
        told = (value / margin).to_integral_value()
    return told if told is not None and told >= 1 else None


def order(account: str, row: object, exchange: str) -> Order:
    """Return one order. Raises OutcomeUnknown for a row without an id or a symbol: it says nothing about an order."""
    if not isinstance(row, dict) or not text(row, "id") or not text(row, "symbol"):
        raise OutcomeUnknown(f"{exchange}'s answer is no order")
    filled = number(row.get("filled"))
    quantity = positive(row.get("amount"))
    remaining = number(row.get("remaining"))
    if quantity is None:
        quantity = (filled or ZERO) + (remaining or ZERO)
    word = text(inner(inner(row, "info"), "descr"), "ordertype") or text(row, "type")
    trigger = _trigger(row, word)
    return Order(
        account=account,
        symbol=text(row, "symbol"),
        id=text(row, "id"),
        side=OrderSide.BUY if text(row, "side") == "buy" else OrderSide.SELL,
        quantity=abs(quantity),
        filled=abs(filled) if filled is not None else ZERO,
        status=status(row, quantity, filled),
        type=order_type(word, trigger),
        client_id=client_id(row),
        price=_price(row, word),
        trigger=trigger,
        average_price=positive(row.get("average")),
        reduce_only=row.get("reduceOnly") is True or inner(row, "info").get("closeOrder") is True,
        leg=leg_of({**row, "hedged": False}),
        tif=TIFS.get(text(row, "timeInForce").upper(), Tif.GTC),
        text=said(row),
        fee=fee_paid(row, positive(row.get("average"))) or None,  # a 0 here may stand for a fee that comes later
    )


def client_id(row: Row) -> str | None:
    """Return the sender's name of the order.

    For Kraken ccxt gives a number of the user's, 0 if there is none. For OKX's conditional orders it gives the name
    of the order they will place. At many exchanges ccxt omits the name, so a name of ours is found wherever it is.
    """
    info = inner(row, "info")
    found = text(info, "cl_ord_id") or text(info, "algoClOrdId") or text(row, "clientOrderId")
    found = found or text(info, "cliOrdId") or text(info, "cli_ord_id") or text(info, "label")
    found = found or text(info, "orderLinkId")  # ccxt omits it from Bybit's executions
    ours = (name for value in (found, *info.values()) if isinstance(value, str) and is_ours(name := decode(value)))
    found = next(ours, found)
    return found if found not in ("", "0") else None


_TRIGGERS = ("triggerPrice", "stopPrice")
_EXITS = ("stopLossPrice", "takeProfitPrice")
_REASONS = ("rejectReason", "reject_reason", "reason", "rejReason", "cancelSourceReason", "cancel_message")


def status(row: Row, quantity: Decimal, filled: Decimal | None) -> OrderStatus:
    """Return the status. ccxt calls every traded and ended order ``closed``; an unfilled rest was cancelled."""
    found = STATUSES.get(text(row, "status"), OrderStatus.UNKNOWN)
    if found is not OrderStatus.FILLED:
        return found
    if filled is None:
        return OrderStatus.UNKNOWN  # the order ended, but its filled quantity is unknown
    return OrderStatus.FILLED if filled >= quantity else OrderStatus.CANCELLED


def _trigger(row: Row, word: str) -> Decimal | None:
    """Return the price that activates the order.

    A limit order's exits (OKX, Bybit) are attached to it: they wait for its execution and activate nothing. Kraken
    tells the current trigger of a trailing stop only in its raw ``stopprice``.
    """
    keys = _TRIGGERS if word.lower() == "limit" else (*_TRIGGERS, *_EXITS)
    told = next((found for key in keys if (found := positive(row.get(key))) is not None), None)
    return told if told is not None or not word.startswith(_TRAILING) else positive(inner(row, "info").get("stopprice"))


_TRAILING = "trailing-stop"


def _price(row: Row, word: str) -> Decimal | None:
    """Return the limit price. ccxt omits Kraken Futures' and gives Kraken's trailing stop at the market a price."""
    if word == _TRAILING:
        return None
    price, info = positive(row.get("price")), inner(row, "info")
    raw = info.get("limitprice") if word.startswith(_TRAILING) else info.get("limitPrice")
    return price if price is not None else positive(raw)


def order_type(word: str, trigger: Decimal | None) -> OrderType:
    low = word.lower()
    if trigger is not None or any(part in low for part in ("stop", "take", "trail", "trigger", "conditional", "oco")):
        return OrderType.STOP
    return OrderType.MARKET if low == "market" else OrderType.LIMIT


def said(row: Row) -> str:
    """Return the exchange's reason of a refusal or cancellation; "" if there is no field for it."""
    info = inner(row, "info")
    return next((word for key in _REASONS if (word := text(info, key)) and word not in ("0", "EC_NoError")), "")[:200]


def fill(account: str, row: Row) -> Fill | None:
    """Return one execution; None for a row without size or price, which changes nothing.

    ccxt omits the size of Kraken Futures' inverse contracts.
    """
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
        fee=fee_paid(row, price),
        at=moment(row.get("timestamp")),
        leg=leg_of({**row, "hedged": False}),
    )


def fee_paid(row: Row, price: Decimal | None) -> Decimal | None:
    """Return the row's fee in the symbol's quote currency; None where it is not known."""
    told: list[Row] = [fee for fee in (row.get("fees") or []) if isinstance(fee, dict)] or [inner(row, "fee")]
    return in_quote(text(row, "symbol"), [(number(fee.get("cost")), text(fee, "currency")) for fee in told], price)


# ------------------------------------------------------------------------------------------------------------ prices


def quote(account: str, row: Row, received: float, mark: Decimal | None = None) -> Quote | None:
    """Return a ticker as a quote; None without any price. A missing side comes as 0 or not at all."""
    symbol = text(row, "symbol")
    bid, ask, last = (positive(row.get(key)) for key in ("bid", "ask", "last"))
    mark = mark if mark is not None else positive(row.get("markPrice"))
    if not symbol or (bid, ask, last, mark) == (None, None, None, None):
        return None
    return Quote(account, symbol, received, bid, ask, last, mark)
