"""Frozen values: accounts, instruments, positions, orders, quotes, fills.

``None`` means unknown. An unknown entry, price, leverage or age is never 0 and never "now".
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from msgspec import Struct

from core.errors import OutcomeUnknown
from core.units import ONE, ZERO

PLATFORM = "platform"


class Side(Enum):
    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        return 1 if self is Side.LONG else -1

    @property
    def closing(self) -> OrderSide:
        """The order side that reduces a position on this side."""
        return OrderSide.SELL if self is Side.LONG else OrderSide.BUY


class OrderSide(Enum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is OrderSide.BUY else -1


class Kind(Enum):
    SPOT = "spot"
    PERP = "perp"
    FUTURE = "future"
    EQUITY = "equity"
    OPTION = "option"


class Leg(Enum):
    """One position of an instrument: ``net`` in one-way mode, ``long`` or ``short`` in hedge mode."""

    NET = "net"
    LONG = "long"
    SHORT = "short"

    def __lt__(self, other: Leg) -> bool:
        """Compare legs, so that positions sort by account, symbol and leg."""
        return self.value < other.value


class Account(Struct, frozen=True):
    """An owner's login at one broker. ``broker`` is the adapter's name, with the exchange where it has one."""

    id: str  # <owner>/<name>
    owner: str
    name: str
    broker: str


class Instrument(Struct, frozen=True):
    """The venue's rules for one symbol. Quantities are contracts; ``multiplier`` is units of the base per contract."""

    symbol: str
    native_symbol: str
    kind: Kind = Kind.SPOT
    step: Decimal = Decimal("0.00000001")
    tick: Decimal = Decimal("0.00000001")
    min_quantity: Decimal = ZERO
    min_cost: Decimal = ZERO
    max_market: Decimal | None = None  # the largest quantity of one market order
    multiplier: Decimal = ONE
    quote: str = "USD"
    reduce_only: bool = False  # the venue accepts a reduce-only flag for this symbol
    minimum_exempt: bool = False  # reduce-only orders may be below the minimums
    tradable: bool = True
    way_out: str = ""  # how a person gets rid of an unsellable rest at this venue, in the venue's words
    tiers: tuple[Tier, ...] = ()  # the only tiers that may close the symbol; empty: all tiers of the account
    venue_id: str = ""  # the venue's id of the instrument, which a new name does not change; empty: none is known

    @property
    def late_close_opens(self) -> bool:
        """True if a late closing order could open a position, because the venue does not prevent it."""
        return not self.reduce_only and self.kind is not Kind.SPOT


class InstrumentKey(NamedTuple):
    """One symbol on one account. Every price looks a key up, so this is a NamedTuple: a Struct hashes slower."""

    account: str
    symbol: str


class PositionKey(Struct, frozen=True, order=True):
    """The key of a position: account, symbol and leg."""

    account: str
    symbol: str
    leg: Leg = Leg.NET

    @property
    def instrument(self) -> InstrumentKey:
        """The account and symbol without the leg."""
        return InstrumentKey(self.account, self.symbol)

    def __hash__(self) -> int:  # an Enum's own hash is slow and seeded
        return hash((self.account, self.symbol, self.leg.value))


class Position(Struct, frozen=True):
    """An account's position in one instrument. ``quantity`` > 0; ``free`` is the quantity that no open order holds."""

    account: str
    symbol: str
    side: Side
    quantity: Decimal
    free: Decimal
    entry: Decimal | None = None
    leverage: Decimal | None = None
    opened_at: datetime | None = None
    leg: Leg = Leg.NET

    @property
    def key(self) -> PositionKey:
        return PositionKey(self.account, self.symbol, self.leg)


class OrderType(Enum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"  # becomes a market order when the price reaches ``trigger``


class TimeInForce(Enum):
    IOC = "ioc"
    FOK = "fok"
    GTC = "gtc"
    DAY = "day"


class OrderStatus(Enum):
    """An order's state. An unreadable or new word of the venue becomes ``UNKNOWN``: neither live nor terminal."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        return self not in (OrderStatus.OPEN, OrderStatus.UNKNOWN)


class Order(Struct, frozen=True):
    """An order as the venue reports it. ``filled`` is cumulative."""

    account: str
    symbol: str
    id: str
    side: OrderSide
    quantity: Decimal
    filled: Decimal = ZERO
    status: OrderStatus = OrderStatus.OPEN
    type: OrderType = OrderType.LIMIT
    client_id: str | None = None
    price: Decimal | None = None
    trigger: Decimal | None = None
    average_price: Decimal | None = None
    reduce_only: bool = False
    leg: Leg = Leg.NET
    tif: TimeInForce = TimeInForce.GTC
    text: str = ""  # why the venue rejected the order, in the venue's words
    fee: Decimal | None = None  # paid for the filled quantity, in the symbol's quote currency; None: unknown

    @property
    def remaining(self) -> Decimal:
        return ZERO if self.status.terminal else max(self.quantity - self.filled, ZERO)


class Tier(Enum):
    """The ways to close a position, in the order of the ladder."""

    MARKET_IOC = "market_ioc"
    MARKET_GTC = "market_gtc"  # Day where the venue has no good-till-cancelled market order
    VENUE_CLOSE = "venue_close"  # the venue's own close-position call
    DIRECT_API = "direct_api"  # the venue's raw endpoint, after the unified call failed
    MARKET_FOK = "market_fok"  # last round only
    LIMIT_AGGRESSIVE = "limit_aggressive"  # last round only


class OrderRequest(Struct, frozen=True):
    """An order before it is sent. ``client_id`` is our name of the order: ``[a-z0-9]``, at most 32 characters."""

    account: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    client_id: str
    type: OrderType = OrderType.MARKET
    tif: TimeInForce = TimeInForce.IOC
    price: Decimal | None = None
    trigger: Decimal | None = None
    reduce_only: bool = False
    leg: Leg = Leg.NET


class Fill(Struct, frozen=True):
    """One execution. The venue's trade id is its key within the account."""

    account: str
    symbol: str
    trade_id: str
    order_id: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    client_id: str | None = None
    fee: Decimal | None = None  # in the symbol's quote currency; None: unknown
    at: datetime | None = None
    leg: Leg = Leg.NET


class Quote(Struct, frozen=True):
    """Prices of one symbol at one account's venue. ``received`` is the local monotonic clock in seconds."""

    account: str
    symbol: str
    received: float
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    mark: Decimal | None = None  # the venue's own mark, where the venue has one
    stub: tuple[Decimal, Decimal] | None = None  # bid and ask that are too far apart to be a market

    def flaw(self) -> str | None:
        """Return why these prices are unusable (not finite, not positive, crossed, all missing), or None."""
        known = [p for p in (self.bid, self.ask, self.last, self.mark) if p is not None]
        if not known:
            return "no price" if self.stub is None else f"bid {self.stub[0]} and ask {self.stub[1]} are no market"
        if any(not p.is_finite() or p <= 0 for p in known):
            return "price not positive"
        return "crossed" if self.bid is not None and self.ask is not None and self.bid > self.ask else None

    @property
    def reference(self) -> Decimal | None:
        """The mark: the venue's own, else the last trade, else the middle of bid and ask.

        A last trade can be hours old. If it lies outside bid and ask, the nearer of the two counts instead.
        """
        if self.mark is not None:
            return self.mark
        if self.last is not None:
            above = self.last if self.bid is None else max(self.last, self.bid)
            return above if self.ask is None else min(above, self.ask)
        if self.bid is not None and self.ask is not None:
            return (self.bid + self.ask) / 2
        return None

    def closing_price(self, side: Side) -> Decimal | None:
        """Return the price a close would get: best bid for a long, best ask for a short, else the mark."""
        touch = self.bid if side is Side.LONG else self.ask
        return touch if touch is not None else self.reference


class Bar(Struct, frozen=True):
    """The prices of one minute. A minute without a trade has no bar."""

    minute: int  # minutes since 1970
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @property
    def sane(self) -> bool:
        """True if these four prices can belong to one minute."""
        prices = (self.open, self.high, self.low, self.close)
        return all(p.is_finite() and p > 0 for p in prices) and self.low <= min(prices) and self.high >= max(prices)


class Holdings(Struct, frozen=True):
    """One read of an account: every position and open order that its lists have. A failed list of positions raises.

    ``asked`` and ``received`` are local monotonic seconds around the request. The read contains all that happened
    before ``asked``, unless the venue's lists lag.
    """

    account: str
    asked: float
    received: float
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    instruments: tuple[Instrument, ...] = ()  # the instruments of all symbols above
    equity: Decimal | None = None
    equity_flaw: str = ""  # why the equity is unknown, where the venue failed to tell it
    orders_flaw: str = ""  # why more orders may be open than the read has
    unlisted: tuple[str, ...] = ()  # parts of the account that no list covers, in words for a person
    unread: tuple[str, ...] = ()  # symbols of rows that could not be read; "" for a row without a symbol

    def tells_of(self, symbol: str) -> bool:
        """Return whether a position that this read lacks is not held."""
        return not any(symbol.startswith(one) for one in self.unread)  # a second position's symbol has a suffix

    def position(self, key: PositionKey) -> Position | None:
        """Return the position; None if the account does not hold it. Raises OutcomeUnknown if its row is unreadable."""
        found = next((p for p in self.positions if p.key == key), None)
        if found is None and not self.tells_of(key.symbol):
            raise OutcomeUnknown(f"the venue's row of {key.symbol} cannot be read")
        return found
