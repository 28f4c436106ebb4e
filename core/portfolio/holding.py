"""A position with its orders, its price and its value, and one account's state. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from core.events import AccountState
from core.model import Account, Instrument, Leg, Order, Position, PositionKey, Quote, Side
from core.units import ZERO


class Holding(Struct, frozen=True):
    """A position with all that the rules ask about it. ``flaw`` says why the value is unknown, where it is."""

    owner: str
    position: Position
    instrument: Instrument
    orders: tuple[Order, ...] = ()  # the user's open orders on the instrument
    ours: tuple[Order, ...] = ()  # our own: protective ones, or left over from a close that got stuck
    price: Decimal | None = None  # what a close would get
    mark: Decimal | None = None
    value: Decimal | None = None  # USD
    pnl: Decimal | None = None
    roi: Decimal | None = None
    spread: Decimal | None = None  # half of it, as a fraction of the price
    fee_rate: Decimal = ZERO  # of one way, as a fraction of the price
    flaw: str = ""

    @property
    def key(self) -> PositionKey:
        return self.position.key


class AccountView(Struct):
    """How one account is being read. ``asked`` and ``received`` are monotonic, ``as_of`` the last read's wall time."""

    account: Account
    state: AccountState = AccountState.CONNECTING
    error: str | None = None
    latency: float | None = None
    asked: float | None = None
    received: float | None = None
    as_of: datetime | None = None
    equity: Decimal | None = None

    @property
    def readable(self) -> bool:
        return self.state in READABLE and self.received is not None


def _unvalued(instrument: Instrument, price: Decimal | None, fx: Decimal | None) -> str:
    """Why usable prices give no value, or nothing."""
    if price is None:
        return "no price that a close would get"
    return "" if fx is not None else f"no USD rate for {instrument.quote}"


def _half_spread(quote: Quote) -> Decimal | None:
    if quote.bid is None or quote.ask is None:
        return None
    return (quote.ask - quote.bid) / (quote.ask + quote.bid)


def leg_for(side: Side, held: Iterable[Position]) -> Leg:
    """The leg of a new position: its own in an account that holds legs, else the net one."""
    hedged = any(p.leg is not Leg.NET for p in held)
    return Leg(side.value) if hedged else Leg.NET


READABLE = (AccountState.LIVE, AccountState.POLLING)
