"""Alpaca's JSON → positions, orders, fills, quotes and the venue's rules for an instrument. Pure.

The parsers are lenient. Alpaca uses enum values and fields before it documents them. alpaca-py's models lose the whole
list over an unknown value. An unknown status becomes ``OrderStatus.UNKNOWN``. A position of an unknown asset class is
kept and marked untradable. Only a position without a readable symbol or quantity is an error: without the position
the list would say "flat".
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
NOT_PLAIN = frozenset({Kind.OPTION, Kind.PERP})  # only the venue's own close call closes these kinds
QUOTES = ("USDT", "USDC", "USD", "BTC")  # currencies of Alpaca's crypto quotes
CONTRACT = Decimal(100)
PENNY, SUBPENNY = Decimal("0.01"), Decimal("0.0001")
FRACTION = Decimal("0.000000001")  # a fractional quantity may have nine decimals
MAGNITUDE = 40  # a number with more digits before or after the point is no price or quantity
NOT_TRADABLE = "Alpaca lists it as not tradable; ask its support to sell or remove it"
NOT_KNOWN = "it is of an asset class that is not known here; close it on Alpaca's own pages"

STATUSES = {
    **dict.fromkeys(("new", "accepted", "pending_new", "accepted_for_bidding", "pending_review"), OrderStatus.OPEN),
    **dict.fromkeys(("partially_filled", "pending_cancel", "pending_replace", "held"), OrderStatus.OPEN),
    # Guaranteed, paused, or waiting for the books to be settled: Alpaca may still fill such an order.
    **dict.fromkeys(("stopped", "suspended", "calculated", "done_for_day"), OrderStatus.OPEN),
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "replaced": OrderStatus.CANCELLED,  # the new order has an id of its own
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
    """One symbol's data from ``/v2/assets``."""

    symbol: str
    tradable: bool = True
    increment: Decimal | None = None
    price_increment: Decimal | None = None
    min_order_size: Decimal | None = None


class Held(Struct, frozen=True):
    """A position with its instrument and the venue's own price of the position."""

    position: Position
    instrument: Instrument
    mark: Decimal | None


class Resting(Struct, frozen=True):
    """An order with the known rules of its instrument, and the time when the order was sent."""

    order: Order
    instrument: Instrument
    at: datetime | None


def number(value: object) -> Decimal | None:
    """Return a finite Decimal of a plausible size, or None. A float is read by its decimal text."""
    try:
        found = decimal(str(value) if isinstance(value, float) else value)
    except ValueError:
        return None
    return found if abs(found.adjusted()) <= MAGNITUDE else None


def moment(value: object) -> datetime | None:
    """Return an aware UTC time from Alpaca's text, or None. The text's fractions have up to nine digits."""
    try:
        return utc(value) if isinstance(value, str) else None
    except ValueError:
        return None


def text(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def kind_of(symbol: str, asset_class: str = "") -> Kind | None:
    """Return an instrument's kind, or None for an unknown asset class.

    An option's symbol decides first, then the asset class. Without a class, the look of the symbol decides.
    """
    if asset_class:
        return Kind.OPTION if _OCC.fullmatch(symbol) else KINDS.get(asset_class)
    if _OCC.fullmatch(symbol):
        return Kind.OPTION
    return Kind.SPOT if "/" in symbol else Kind.EQUITY


def symbol_of(native: str, kind: Kind | None, pairs: Mapping[str, str]) -> str:
    """Return ``BTC/USD`` for crypto, which positions call ``BTCUSD`` and orders ``BTC/USD``; else the native name."""
    if kind is not Kind.SPOT or "/" in native:
        return native
    known = pairs.get(native)
    quote = next((q for q in QUOTES if native.endswith(q) and native != q), "")
    return known or (f"{native.removesuffix(quote)}/{quote}" if quote else native)


def instrument(symbol: str, native: str, kind: Kind | None, asset: Asset | None, price: Decimal | None) -> Instrument:
    """Return the venue's rules. No minimum for closing a whole position is documented: crypto has its order minimum."""
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
    """Return every position. Raises OutcomeUnknown for an unreadable position, or when ``rows`` is no list."""
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
        instrument=replace(rules, multiplier=size, venue_id=text(row, "asset_id")),
        mark=mark if mark is not None and mark > 0 else None,
    )


def multiplier(row: Row, quantity: Decimal, mark: Decimal | None, rules: Instrument) -> Decimal:
    """Return the shares per contract, from the venue's value of the position. Adjusted contracts differ from 100."""
    value = number(row.get("market_value"))
    if rules.kind is not Kind.OPTION or value is None or mark is None or mark <= 0:
        return rules.multiplier
    found = abs(value / (quantity * mark)).to_integral_value()
    return found if found >= 1 else rules.multiplier


def listed(rows: object, what: str) -> list[Row]:
    """Return the rows of a list. Raises OutcomeUnknown for anything but a list of objects."""
    if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
        raise OutcomeUnknown(f"Alpaca's answer is no list of {what}")
    return rows


def orders(account: str, rows: object, pairs: Mapping[str, str]) -> list[Resting]:
    """Return every order of a nested list. The legs of brackets become separate orders."""
    return [found for row in listed(rows, "orders") for found in _with_legs(account, row, pairs)]


def readable_orders(account: str, rows: Iterable[Row], pairs: Mapping[str, str]) -> tuple[list[Resting], str]:
    """Return every order of a nested list that can be read, and why others cannot."""
    made: list[Resting] = []
    flaw = ""
    for row in rows:
        try:
            made += _with_legs(account, row, pairs)
        except OutcomeUnknown as error:
            flaw = f"{error} (order {text(row, 'id') or 'without an id'})"
    return made, flaw


def _with_legs(account: str, row: Row, pairs: Mapping[str, str]) -> Iterable[Resting]:
    given = row.get("legs")
    legs = [leg for leg in given if isinstance(leg, dict)] if isinstance(given, list) else []
    if text(row, "symbol"):
        yield order(account, row, pairs)
        yield from (order(account, leg, pairs) for leg in legs if text(leg, "symbol"))
        return
    # A multi-leg option order has no symbol. Only the id of that order cancels the legs, so the legs get its id.
    common = {key: row.get(key) for key in ("id", "client_order_id", "status")}
    yield from (order(account, {**leg, **common}, pairs) for leg in legs if text(leg, "symbol"))


def order(account: str, row: object, pairs: Mapping[str, str]) -> Resting:
    """Return one order. Raises OutcomeUnknown for an answer without a readable order, which says nothing."""
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
        client_id=None if _UUID.fullmatch(name) else name or None,  # Alpaca gives a UUID where we gave no client id
        price=limit,
        trigger=number(row.get("stop_price")),
        average_price=number(row.get("filled_avg_price")),
        tif=TIFS.get(text(row, "time_in_force"), Tif.GTC),
        text=text(row, "reject_reason") or (text(row, "status") if status is OrderStatus.REJECTED else ""),
    )
    sent = moment(row.get("submitted_at")) or moment(row.get("created_at"))
    return Resting(made, instrument(symbol, native, kind, None, limit), sent)


def _quantity(row: Row, filled: Decimal, limit: Decimal | None) -> Decimal:
    """Return the ordered quantity. An order for an amount of money has no quantity before the order is filled."""
    quantity, notional = number(row.get("qty")), number(row.get("notional"))
    if quantity is not None:
        return abs(quantity)
    return max(filled, notional / limit) if notional is not None and limit else filled


def fills(account: str, rows: object, pairs: Mapping[str, str]) -> list[Fill]:
    """Return the executions in an answer of ``/v2/account/activities/FILL``."""
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
    """Return one asset. A missing field counts as permissive."""
    active = text(row, "status") in ("", "active")
    return Asset(
        symbol=text(row, "symbol"),
        tradable=active and row.get("tradable") is not False,
        increment=number(row.get("min_trade_increment")),
        price_increment=number(row.get("price_increment")),
        min_order_size=number(row.get("min_order_size")),
    )


def touch(row: Row) -> tuple[Decimal | None, Decimal | None]:
    """Return a quote's bid and ask. Alpaca sends 0 for a side that nobody quotes; that side is None here."""
    bid, ask = number(row.get("bp")), number(row.get("ap"))
    return (bid if bid is not None and bid > 0 else None), (ask if ask is not None and ask > 0 else None)


def equity(row: object) -> Decimal | None:
    return number(row.get("equity")) if isinstance(row, dict) else None


def before(last: datetime) -> str:
    """Return a millisecond before ``last``, for a query's ``after``, which excludes its own moment."""
    return iso(last - timedelta(milliseconds=1))
