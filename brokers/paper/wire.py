"""Parse the paper venue's book file: JSON → instruments, quotes, positions and orders. Pure.

docs/paper.md has every key, ``example_book.json`` an example of each.

A missing instrument gets permissive defaults. A position without a quote has no price. A missing entry is unknown.
``depth`` is the quantity that one side of the book offers until the next refresh. Without ``depth`` and a size in the
quote, the quantity is unlimited.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time
from decimal import Decimal
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from brokers.paper.json_fields import Fields, read_json
from brokers.paper.market_hours import EVERY_DAY, MarketHours
from core.model import Instrument, Kind, Leg, Order, OrderSide, OrderType, Position, PositionKey, Side
from core.units import ONE, ZERO, decimal

FINE = Decimal("0.00000001")
CASH = frozenset({Kind.SPOT, Kind.EQUITY})  # in these kinds open orders hold quantity, and no order flips a position
FLAGGED = frozenset({Kind.PERP, Kind.FUTURE})  # kinds that have reduce-only orders unless the book says otherwise

TOP = ("instruments", "quotes", "positions", "orders", "rates", "hedge", "equity")
INSTRUMENT = (
    *("symbol", "native_symbol", "kind", "step", "tick", "min_quantity", "min_cost", "max_market", "multiplier"),
    *("quote", "reduce_only", "minimum_exempt", "tradable", "way_out", "hours", "fee_rate", "depth"),
)
QUOTE = ("bid", "ask", "last", "mark", "bid_size", "ask_size")
POSITION = ("symbol", "side", "quantity", "entry", "leverage", "opened_at")
ORDER = ("id", "symbol", "side", "quantity", "price", "type", "trigger", "reduce_only", "client_id", "leg")


class ListedInstrument(Struct, frozen=True):
    """An instrument and the facts that only the venue knows. ``fee_rate`` is a fraction of the value traded."""

    instrument: Instrument
    hours: MarketHours | None = None
    fee_rate: Decimal = ZERO
    depth: Decimal | None = None


class TopOfBook(Struct, frozen=True):
    """The top of one book. A size of None means the instrument's ``depth``."""

    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    mark: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None


class Book(Struct, frozen=True):
    """The content of a book file. ``fingerprint`` is a hash of the file's text."""

    listings: dict[str, ListedInstrument] = {}
    quotes: dict[str, TopOfBook] = {}
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    rates: dict[str, Decimal] = {}
    hedge: bool = False
    equity: Decimal | None = None
    fingerprint: str = ""


def parse_book(text: str, file: str, account: str) -> Book:
    """Return the book of ``account``. Raises ConfigError naming ``file``, the line and the key."""
    top = Fields(read_json(text, file), file, "", TOP)
    hedge = top.flag("hedge")
    listings = _listings(top)
    quotes = {name: _quote(Fields(item, file, f"quotes.{name}", QUOTE)) for name, item in top.members("quotes")}
    positions: dict[PositionKey, Position] = {}
    for path, item in top.items("positions"):
        fields = Fields(item, file, path, POSITION)
        position = _position(fields, account)
        listing = listings.setdefault(position.symbol, default_listing(position.symbol, likely_kind(position)))
        if listing.instrument.kind is Kind.SPOT and position.side is Side.SHORT:
            raise fields.error("side", "a spot position cannot be short; give its instrument another kind.")
        position = replace(position, leg=leg_of(listing.instrument, position.side, hedge=hedge))
        if position.key in positions:
            raise fields.error(
                "symbol", f"{position.symbol} has two positions; only hedge mode takes one of each side."
            )
        positions[position.key] = position
    orders = _orders(top, account, list(positions.values()), listings)
    for name in quotes:
        listings.setdefault(name, default_listing(name))
    return Book(
        listings=listings,
        quotes=quotes,
        positions=tuple(positions.values()),
        orders=orders,
        rates=_rates(top),
        hedge=hedge,
        equity=top.decimal("equity"),
        fingerprint=fingerprint(text),
    )


def fingerprint(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def default_listing(symbol: str, kind: Kind = Kind.SPOT) -> ListedInstrument:
    """Return a listing for an instrument that the book does not describe. The listing permits nearly any order."""
    return ListedInstrument(Instrument(symbol=symbol, native_symbol=symbol, kind=kind, reduce_only=kind in FLAGGED))


def leg_of(instrument: Instrument, side: Side, *, hedge: bool) -> Leg:
    """Return the leg of a position. Only derivatives of a hedged account have two legs."""
    return Leg(side.value) if hedge and instrument.kind not in CASH else Leg.NET


def likely_kind(position: Position) -> Kind:
    """Return the kind of an instrument that the book does not describe, from a position in it.

    A leveraged or short position is in a perpetual, any other position is spot.
    """
    leveraged = position.leverage is not None and position.leverage > 1
    return Kind.PERP if leveraged or position.side is Side.SHORT else Kind.SPOT


def _listings(top: Fields) -> dict[str, ListedInstrument]:
    listings: dict[str, ListedInstrument] = {}
    for path, item in top.items("instruments"):
        fields = Fields(item, top.file, path, INSTRUMENT)
        listing = _listing(fields)
        if listing.instrument.symbol in listings:
            raise fields.error("symbol", f"{listing.instrument.symbol} is described twice.")
        listings[listing.instrument.symbol] = listing
    return listings


def _listing(fields: Fields) -> ListedInstrument:
    symbol = fields.text("symbol")
    kind = fields.word("kind", Kind, Kind.SPOT)
    instrument = Instrument(
        symbol=symbol,
        native_symbol=fields.text("native_symbol", symbol),
        kind=kind,
        step=fields.decimal("step", FINE, least=ZERO),
        tick=fields.decimal("tick", FINE, least=ZERO),
        min_quantity=fields.decimal("min_quantity", ZERO, least=ZERO),
        min_cost=fields.decimal("min_cost", ZERO, least=ZERO),
        max_market=fields.decimal("max_market", above=0),
        multiplier=fields.decimal("multiplier", ONE, above=0),
        quote=fields.text("quote", "USD"),
        reduce_only=fields.flag("reduce_only", kind in FLAGGED),
        minimum_exempt=fields.flag("minimum_exempt"),
        tradable=fields.flag("tradable", True),
        way_out=fields.text("way_out", ""),
    )
    return ListedInstrument(
        instrument,
        hours=_hours(fields),
        fee_rate=fields.decimal("fee_rate", ZERO),
        depth=fields.decimal("depth", least=ZERO),
    )


def _hours(fields: Fields) -> MarketHours | None:
    if fields.node.get("hours") is None:
        return None
    hours = Fields(fields.node["hours"], fields.file, f"{fields.path}.hours", ("open", "close", "days"))
    days = hours.node.get("days", list(EVERY_DAY))
    if not isinstance(days, list) or any(isinstance(d, bool) or d not in EVERY_DAY for d in days):
        raise hours.error("days", "must be a list of days from 0, Monday, to 6, Sunday.")
    return MarketHours(_time(hours, "open", "00:00"), _time(hours, "close", "00:00"), frozenset(days))


def _time(fields: Fields, key: str, default: str) -> time:
    try:
        return time.fromisoformat(fields.text(key, default))
    except ValueError:
        raise fields.error(key, 'must be a time in UTC like "14:30".') from None


def _quote(fields: Fields) -> TopOfBook:
    return TopOfBook(**{key: fields.decimal(key) for key in QUOTE})


def _position(fields: Fields, account: str) -> Position:
    quantity = fields.decimal("quantity", above=0)
    if quantity is None:
        raise fields.error("quantity", "is missing.")
    entry = fields.decimal("entry", ZERO)
    return Position(
        account=account,
        symbol=fields.text("symbol"),
        side=fields.word("side", Side),
        quantity=quantity,
        free=quantity,
        entry=entry if entry > 0 else None,  # no purchase costs 0, so an entry of 0 is unknown
        leverage=fields.decimal("leverage", least=ONE),
        opened_at=fields.time("opened_at"),
    )


def _orders(
    top: Fields, account: str, positions: Iterable[Position], listings: dict[str, ListedInstrument]
) -> tuple[Order, ...]:
    orders: dict[str, Order] = {}
    held = {p.symbol: p for p in positions}
    for number, (path, item) in enumerate(top.items("orders"), 1):
        fields = Fields(item, top.file, path, ORDER)
        order = _order(fields, account, f"o{number}")
        listing = listings.setdefault(order.symbol, default_listing(order.symbol))
        if order.leg is Leg.NET and order.symbol in held and listing.instrument.kind not in CASH:
            order = replace(order, leg=held[order.symbol].leg)
        if order.id in orders:
            raise fields.error("id", f'"{order.id}" is the id of two orders.')
        orders[order.id] = order
    return tuple(orders.values())


def _order(fields: Fields, account: str, default_id: str) -> Order:
    quantity = fields.decimal("quantity", above=0)
    price, trigger = fields.decimal("price", above=0), fields.decimal("trigger", above=0)
    kind = fields.word("type", OrderType, OrderType.STOP if trigger is not None else OrderType.LIMIT)
    if quantity is None:
        raise fields.error("quantity", "is missing.")
    if kind is OrderType.LIMIT and price is None:
        raise fields.error("price", "is missing; a limit order has one.")
    if kind is OrderType.STOP and trigger is None:
        raise fields.error("trigger", "is missing; a stop order has one.")
    return Order(
        account=account,
        symbol=fields.text("symbol"),
        id=fields.text("id", default_id),
        side=fields.word("side", OrderSide),
        quantity=quantity,
        type=kind,
        client_id=fields.node.get("client_id") and fields.text("client_id"),
        price=price,
        trigger=trigger,
        reduce_only=fields.flag("reduce_only"),
        leg=fields.word("leg", Leg, Leg.NET),
    )


def _rates(top: Fields) -> dict[str, Decimal]:
    rates: dict[str, Decimal] = {}
    for currency, value in top.members("rates"):
        try:
            rates[currency] = decimal(value)
        except ValueError as error:
            raise top.error("rates", f"{currency}: {error}.") from None
        if rates[currency] <= 0:
            raise top.error("rates", f"{currency} must be more than 0.")
    return rates
