"""What the core asks of the world: a Broker and a Clock, and nothing else.

Every call of a Broker that sends or asks ends in one of: an answer, ``Refused``, ``Unreachable`` (provably not sent)
or ``OutcomeUnknown``. Nothing else may leave an adapter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from core.events import BrokerEvent
from core.model import Account, Bar, Fill, Holdings, Order, OrderRequest, Position, Quote, Tier
from core.units import ZERO


class Capabilities(Struct, frozen=True):
    """What a venue can express and how its answers behave; seconds throughout."""

    tiers: frozenset[Tier]
    request_expiry: float | None = 5.0  # an unanswered request cannot execute later than this; None: no such promise
    position_lag: float = 10.0  # how long its lists may lag behind a fill
    streams: bool = True
    protective_stops: bool = False
    client_id_length: int = 32  # what the venue takes of a client order id; never below 18


class Check(Struct, frozen=True):
    """One thing ``flatdeck check`` tried. ``ok`` is None where it could not be told."""

    name: str
    ok: bool | None
    text: str


class Clock(Protocol):
    """Wall time for records, a monotonic clock (counting suspend) for ages, and sleep on that clock."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Broker(Protocol):
    """One account at one venue."""

    @property
    def account(self) -> Account: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def connect(self) -> None:
        """Open what reading and sending need. May be called again after a failure."""

    async def aclose(self) -> None:
        """Close connections; never raises."""

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        """Every position and open order of the account, complete, or an error.

        An urgent read is one that somebody who acts waits for: it goes before those that only watch.
        """

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Prices of those symbols that have one; a symbol without a price is left out."""

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        """The last ``count`` closed one-minute bars that the venue has, oldest first; [] where it has none at all.

        A minute that is not over yet is no closed bar. A minute that lacks one stays missing. Prices are of the
        instrument as it is now: a share's are adjusted for splits.
        """

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        """USD per unit of each currency that the venue can price, as decimal text."""

    def stream(self) -> AsyncIterator[BrokerEvent]:
        """Live events until it ends or raises; after either, a complete read comes before a new stream."""

    async def submit(self, request: OrderRequest) -> Order:
        """Send one order through the venue's ordinary call."""

    async def submit_direct(self, request: OrderRequest) -> Order:
        """Send one order through the venue's raw endpoint, sized from its own filters."""

    async def close_position(self, position: Position, client_id: str) -> Order:
        """The venue's own close call. A venue that takes no client id for it ignores ``client_id``."""

    async def cancel(self, order: Order) -> None:
        """Ask for a cancel. An answer means only that the request was taken."""

    async def find_order(
        self, symbol: str, *, client_id: str | None = None, order_id: str | None = None
    ) -> Order | None:
        """The order by either id, live or terminal; None when the venue says that there is none. Failing raises."""

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        """Executions of this account in ``symbol`` at or after ``since``."""

    async def check(self) -> list[Check]:
        """Try credentials, permissions, clock skew and limits, and say what is wrong."""


class OrderQuery(Struct, frozen=True):
    """Find an order by client id; one that carries none by what is new among orders and fills.

    ``known`` orders were there before it was sent; a venue's own close call, which may carry none, is ``nameless``.
    """

    request: OrderRequest
    known: frozenset[str]
    order_id: str | None
    nameless: bool
    seconds: float


class OrderRead(Struct, frozen=True):
    """An order's state by the venue; None when the venue says that there is none.

    ``unattributed`` is what the venue reports as executed for the closing side since the order was sent without
    our being able to say by which order; it is 0 or unknown (None) for an ordinary look-up.
    """

    order: Order | None
    asked: float
    unattributed: Decimal | None = ZERO
