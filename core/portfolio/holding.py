"""A position with its orders, its price and its value, and one account's state. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from core.events import AccountState
from core.model import Account, Instrument, Leg, Order, Position, PositionKey, Quote, Side
from core.units import ZERO

SAME_PRICE = Decimal("0.01")  # a price within this part of another price counts as unchanged


class Holding(Struct, frozen=True):
    """A position with its orders, price and value. ``flaw`` is the reason why the value is unknown, "" when known."""

    owner: str
    position: Position
    instrument: Instrument
    orders: tuple[Order, ...] = ()  # the user's open orders on the instrument
    ours: tuple[Order, ...] = ()  # our own orders: protective orders, or leftovers of a stuck close
    orders_flaw: str = ""  # why more orders may be open than are known
    price: Decimal | None = None  # the price that a close would get
    mark: Decimal | None = None
    value: Decimal | None = None  # USD
    rate: Decimal | None = None  # USD of one unit of the instrument's currency
    pnl: Decimal | None = None
    roi: Decimal | None = None
    spread: Decimal | None = None  # what a close loses against the mark, as a fraction of the price
    fee_rate: Decimal = ZERO  # fee of one order, as a fraction of the price
    flaw: str = ""
    too_small: str = ""  # the venue's refusal of a close of just this size, "" without one

    @property
    def key(self) -> PositionKey:
        return self.position.key


class MinimumRefusal(Struct, frozen=True):
    """A venue's refusal of a close as below its minimum, and what the venue judged."""

    quantity: Decimal  # of the position
    price: Decimal | None
    limits: tuple[Decimal, ...]  # the instrument's step, minimum quantity and minimum cost
    text: str

    def holds(self, quantity: Decimal, price: Decimal | None, instrument: Instrument) -> bool:
        """Return whether the refusal still holds: quantity, price and limits are what the venue judged."""
        same = quantity == self.quantity and limits_of(instrument) == self.limits
        if price is None or self.price is None:
            return same and price == self.price
        return same and abs(price - self.price) <= SAME_PRICE * self.price


def limits_of(instrument: Instrument) -> tuple[Decimal, ...]:
    """Return the limits of a small order: step, minimum quantity and minimum cost."""
    return instrument.step, instrument.min_quantity, instrument.min_cost


class AccountView(Struct):
    """One account's connection and last read. ``asked`` and ``received`` are monotonic; ``as_of`` is a wall time."""

    account: Account
    state: AccountState = AccountState.CONNECTING
    error: str | None = None
    latency: float | None = None
    asked: float | None = None
    received: float | None = None
    as_of: datetime | None = None
    equity: Decimal | None = None
    equity_flaw: str = ""  # why the equity is unknown
    unlisted: tuple[str, ...] = ()  # parts of the account that the last read did not cover
    orders_flaw: str = ""  # why more orders may be open than the last read has

    @property
    def readable(self) -> bool:
        return self.state in READABLE and self.received is not None

    @property
    def unread(self) -> str:
        """Why the account's positions or open orders are not known; "" when both are."""
        if not self.readable:
            return self.error or "not read yet"
        return f"its open orders are not known: {self.orders_flaw}" if self.orders_flaw else ""

    @property
    def whole(self) -> bool:
        """True if the last read covered the whole account. Only then is an account without positions flat."""
        return self.readable and not self.unlisted


def _unvalued(instrument: Instrument, price: Decimal | None, fx: Decimal | None) -> str:
    """Return the reason why a usable quote gives no value; "" when a value is known."""
    if price is None:
        return "no price that a close would get"
    return "" if fx is not None else f"no USD rate for {instrument.quote}"


def closing_loss(quote: Quote, side: Side) -> Decimal | None:
    """Return the loss of a close as a fraction of the mark: half of the spread, or the distance to a stub."""
    if quote.bid is not None and quote.ask is not None:
        return (quote.ask - quote.bid) / (quote.ask + quote.bid)
    if quote.stub is None or quote.reference is None:
        return None
    return abs(quote.reference - quote.stub[side is Side.SHORT]) / quote.reference


def leg_for(side: Side, held: Iterable[Position]) -> Leg:
    """Return the leg of a new position: the side's own leg in an account with legs, else the net leg."""
    hedged = any(p.leg is not Leg.NET for p in held)
    return Leg(side.value) if hedged else Leg.NET


READABLE = (AccountState.LIVE, AccountState.POLLING)
