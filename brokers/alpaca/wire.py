"""Alpaca's JSON → positions, orders, fills, quotes and the venue's rules for an instrument. Pure.

It is read leniently: enum values and fields appear there before they are documented, and alpaca-py's models lose the
whole list over one of them. An unknown status becomes ``OrderStatus.UNKNOWN``, an unknown asset class keeps the
position and marks it untradable. Only a position without a readable symbol or quantity is an error, because leaving
it out would make the list say "flat".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from core.errors import OutcomeUnknown
from core.model import (
    Fill,
    Instrument,
    Kind,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    Side,
    Tier,
    TimeInForce as Tif,
)
from core.units import ONE, ZERO, decimal, iso, utc

Row = Mapping[str, Any]

KINDS = {"us_equity": Kind.EQUITY, "us_option": Kind.OPTION, "crypto": Kind.SPOT, "crypto_perp": Kind.PERP}
NOT_PLAIN = frozenset({Kind.OPTION, Kind.PERP})  # closed by the venue's own call and by nothing else
QUOTES = ("USDT", "USDC", "USD", "BTC")  # what crypto is quoted in at Alpaca
CONTRACT = Decimal(100)
PENNY, SUBPENNY = Decimal("0.01"), Decimal("0.0001")
FRACTION = Decimal("0.000000001")  # nine decimals are what a fractional quantity may have
MAGNITUDE = 40  # digits before or after the point beyond which nothing is a price or a quantity
NOT_TRADABLE = "Alpaca lists it as not tradable; ask its support to sell or remove it"
NOT_KNOWN = "it is of an asset class that is not known here; close it on Alpaca's own pages"

STATUSES = {
    **dict.fromkeys(("new", "accepted", "pending_new", "accepted_for_bidding", "pending_review"), OrderStatus.OPEN),
    **dict.fromkeys(("partially_filled", "pending_cancel", "pending_replace", "held"), OrderStatus.OPEN),
    # Guaranteed, paused, or waiting for the books to be settled: Alpaca may still fill each of these.
    **dict.fromkeys(("stopped", "suspended", "calculated", "done_for_day"), OrderStatus.OPEN),
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "replaced": OrderStatus.CANCELLED,  # what replaced it is an order with an id of its own
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    **dict.fromkeys(("stop", "stop_limit", "trailing_stop"), OrderType.STOP),
}
TIFS = {"day": Tif.DAY, "gtc": Tif.GTC, "ioc": Tif.IOC, "fok": Tif.FOK, "opg": Tif.DAY, "cls": Tif.DAY}

_OCC = re.compile(r"[A-Z0-9]{1,6}\d{6}[CP]\d{8}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Asset(Struct, frozen=True):
    """What ``/v2/assets`` says of one symbol."""

    symbol: str
    tradable: bool = True
    increment: Decimal | None = None
    price_increment: Decimal | None = None
    min_order_size: Decimal | None = None


class Held(Struct, frozen=True):
    """A position with its instrument and the price that the venue itself puts on it."""

    position: Position
    instrument: Instrument
    mark: Decimal | None


class Resting(Struct, frozen=True):
    """An order with what is known of its instrument, and when it was sent."""

    order: Order
    instrument: Instrument
    at: datetime | None


def number(value: object) -> Decimal | None:
    """A finite Decimal of a size that exists, or None. A binary fraction is taken as it is written."""
    try:
        found = decimal(str(value) if isinstance(value, float) else value)
    except ValueError:
        return None
    return found if abs(found.adjusted()) <= MAGNITUDE else None


def moment(value: object) -> datetime | None:
    """An aware UTC time from Alpaca's text, whose fractions have up to nine digits, or None."""
    try:
        return utc(value) if isinstance(value, str) else None
    except ValueError:
        return None


def text(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def kind_of(symbol: str, asset_class: str = "") -> Kind | None:
    """What an instrument is by the venue's word, else by the look of its symbol; None for a class not known here."""
    if asset_class:
        return Kind.OPTION if _OCC.fullmatch(symbol) else KINDS.get(asset_class)
    if _OCC.fullmatch(symbol):
        return Kind.OPTION
    return Kind.SPOT if "/" in symbol else Kind.EQUITY


def symbol_of(native: str, kind: Kind | None, pairs: Mapping[str, str]) -> str:
    """``BTC/USD`` for crypto, which positions call ``BTCUSD`` and orders ``BTC/USD``; anything else is its own name."""
    if kind is not Kind.SPOT or "/" in native:
        return native
    known = pairs.get(native)
    quote = next((q for q in QUOTES if native.endswith(q) and native != q), "")
    return known or (f"{native.removesuffix(quote)}/{quote}" if quote else native)


def instrument(symbol: str, native: str, kind: Kind | None, asset: Asset | None, price: Decimal | None) -> Instrument:
    """The venue's rules. Minimums of a whole position's close are not documented: crypto's order minimum is taken."""
    tradable = kind is not None and (asset is None or asset.tradable)
    way_out = "" if tradable else NOT_KNOWN if kind is None else NOT_TRADABLE
    tiers = (Tier.VENUE_CLOSE,) if kind in NOT_PLAIN else ()
    if kind is Kind.OPTION:
        step, tick, least = ONE, PENNY, ZERO
    elif kind is Kind.EQUITY or asset is None:
        step, tick, least = FRACTION, SUBPENNY if price is not None and price < 1 else PENNY, ZERO
    else:
        step, tick = asset.increment or FRACTION, asset.price_increment or FRACTION
        least = asset.min_order_size or ZERO
    return Instrument(
        symbol=symbol,
        native_symbol=native,
        kind=kind or Kind.EQUITY,
        step=step,
        tick=tick,
        min_quantity=least,
        multiplier=CONTRACT if kind is Kind.OPTION else ONE,
        quote=symbol.rpartition("/")[2] if kind is Kind.SPOT and "/" in symbol else "USD",
        tradable=tradable,
        way_out=way_out,
        tiers=tiers,
    )


def positions(account: str, rows: object, pairs: Mapping[str, str], assets: Mapping[str, Asset]) -> list[Held]:
    """Every position, or OutcomeUnknown when one cannot be read or this is no list."""
    return [_held(account, row, pairs, assets) for row in listed(rows, "positions")]


def _held(account: str, row: Row, pairs: Mapping[str, str], assets: Mapping[str, Asset]) -> Held:
    native, quantity = text(row, "symbol"), number(row.get("qty"))
    if not native or quantity is None or quantity == 0:
        raise OutcomeUnknown(f"Alpaca's list has a position that cannot be read ({native or 'no symbol'})")
    kind = kind_of(native, text(row, "asset_class"))
    symbol = symbol_of(native, kind, pairs)
    available, entry, mark = (number(row.get(k)) for k in ("qty_available", "avg_entry_price", "current_price"))
    short = quantity < 0 or text(row, "side") == "short"  # a short's quantity is negative
    rules = instrument(symbol, native, kind, assets.get(symbol), mark)
    size = multiplier(row, quantity, mark, rules)
    return Held(
        position=Position(
            account=account,
            symbol=symbol,
            side=Side.SHORT if short else Side.LONG,
            quantity=abs(quantity),
            free=abs(quantity if available is None else available),
            entry=entry if entry is not None and entry > 0 else None,
            leverage=ONE,
        ),
        instrument=rules if size == rules.multiplier else replace(rules, multiplier=size),
        mark=mark if mark is not None and mark > 0 else None,
    )


def multiplier(row: Row, quantity: Decimal, mark: Decimal | None, rules: Instrument) -> Decimal:
    """Shares per contract, from what the venue says that the position is worth: adjusted contracts are not of 100."""
    value = number(row.get("market_value"))
    if rules.kind is not Kind.OPTION or value is None or mark is None or mark <= 0:
        return rules.multiplier
    found = abs(value / (quantity * mark)).to_integral_value()
    return found if found >= 1 else rules.multiplier


def listed(rows: object, what: str) -> list[Row]:
    """The rows of a list; what is no list of objects is no answer."""
    if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
        raise OutcomeUnknown(f"Alpaca's answer is no list of {what}")
    return rows


def orders(account: str, rows: object, pairs: Mapping[str, str]) -> list[Resting]:
    """Every order of a list that was asked for nested, with the legs of brackets as orders of their own."""
    return [found for row in listed(rows, "orders") for found in _with_legs(account, row, pairs)]


def _with_legs(account: str, row: Row, pairs: Mapping[str, str]) -> Iterable[Resting]:
    given = row.get("legs")
    legs = [leg for leg in given if isinstance(leg, dict)] if isinstance(given, list) else []
    if text(row, "symbol"):
        yield order(account, row, pairs)
        yield from (order(account, leg, pairs) for leg in legs if text(leg, "symbol"))
        return
    # A multi-leg option order has no symbol of its own, and its legs are cancelled through it alone.
    common = {key: row.get(key) for key in ("id", "client_order_id", "status")}
    yield from (order(account, {**leg, **common}, pairs) for leg in legs if text(leg, "symbol"))


def order(account: str, row: object, pairs: Mapping[str, str]) -> Resting:
    """One order. Raises OutcomeUnknown for what is none: an answer without a readable order says nothing."""
    if not isinstance(row, dict) or not text(row, "id") or not text(row, "symbol"):
        raise OutcomeUnknown("Alpaca's answer is no order")
    native = text(row, "symbol")
    kind = Kind.SPOT if native in pairs else kind_of(native, text(row, "asset_class"))
    symbol = symbol_of(native, kind, pairs)
    limit = number(row.get("limit_price"))
    filled = number(row.get("filled_qty")) or ZERO
    name = text(row, "client_order_id")
    status = STATUSES.get(text(row, "status"), OrderStatus.UNKNOWN)
    made = Order(
        account=account,
        symbol=symbol,
        id=text(row, "id"),
        side=OrderSide.BUY if text(row, "side").startswith("buy") else OrderSide.SELL,
        quantity=_quantity(row, filled, limit),
        filled=filled,
        status=status,
        type=TYPES.get(text(row, "type") or text(row, "order_type"), OrderType.LIMIT),
        client_id=None if _UUID.fullmatch(name) else name or None,  # Alpaca gives one to an order that came without
        price=limit,
        trigger=number(row.get("stop_price")),
        average_price=number(row.get("filled_avg_price")),
        tif=TIFS.get(text(row, "time_in_force"), Tif.GTC),
        text=text(row, "reject_reason") or (text(row, "status") if status is OrderStatus.REJECTED else ""),
    )
    sent = moment(row.get("submitted_at")) or moment(row.get("created_at"))
    return Resting(made, instrument(symbol, native, kind, None, limit), sent)


def _quantity(row: Row, filled: Decimal, limit: Decimal | None) -> Decimal:
    """What was ordered. An order for an amount of money has no quantity before it is filled."""
    quantity, notional = number(row.get("qty")), number(row.get("notional"))
    if quantity is not None:
        return abs(quantity)
    return max(filled, notional / limit) if notional is not None and limit else filled


def fills(account: str, rows: object, pairs: Mapping[str, str]) -> list[Fill]:
    """Executions out of ``/v2/account/activities/FILL``."""
    made = (_fill(account, row, pairs) for row in listed(rows, "executions"))
    return [fill for fill in made if fill is not None]


def _fill(account: str, row: Row, pairs: Mapping[str, str]) -> Fill | None:
    quantity, price, native = number(row.get("qty")), number(row.get("price")), text(row, "symbol")
    if quantity is None or price is None or not native:
        return None
    kind = Kind.SPOT if native in pairs or "/" in native else kind_of(native)
    return Fill(
        account=account,
        symbol=symbol_of(native, kind, pairs),
        trade_id=text(row, "id"),
        order_id=text(row, "order_id"),
        side=OrderSide.BUY if text(row, "side").startswith("buy") else OrderSide.SELL,
        quantity=abs(quantity),
        price=price,
        at=moment(row.get("transaction_time")),
    )


def asset(row: Row) -> Asset:
    """One asset; what is not said is permissive."""
    active = text(row, "status") in ("", "active")
    return Asset(
        symbol=text(row, "symbol"),
        tradable=active and row.get("tradable") is not False,
        increment=number(row.get("min_trade_increment")),
        price_increment=number(row.get("price_increment")),
        min_order_size=number(row.get("min_order_size")),
    )


def touch(row: Row) -> tuple[Decimal | None, Decimal | None]:
    """Bid and ask of a quote; a side that nobody quotes comes as 0."""
    bid, ask = number(row.get("bp")), number(row.get("ap"))
    return (bid if bid is not None and bid > 0 else None), (ask if ask is not None and ask > 0 else None)


def equity(row: object) -> Decimal | None:
    return number(row.get("equity")) if isinstance(row, dict) else None


def before(last: datetime) -> str:
    """A millisecond before ``last``, as a query's ``after``, which does not include its own moment."""
    return iso(last - timedelta(milliseconds=1))
