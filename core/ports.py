"""The ports of the core: the interfaces of a broker and of a clock.

Every Broker call that sends or asks ends in one of four ways: an answer, ``Refused``, ``Unreachable`` (provably not
sent) or ``OutcomeUnknown``. No other exception may leave an adapter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from msgspec import Struct

from core.events import BrokerEvent
from core.model import Account, Bar, Fill, Holdings, Instrument, Order, OrderRequest, Position, Quote, Tier
from core.units import ZERO

SEND_WITHIN = 1.0  # seconds from a decision until its order leaves; an older decision is made again
LOOK_MARGIN = 0.5  # seconds added to a request's expiry and to a list's lag before a missing order is believed
CONCLUSIVE_MISSES = 2  # look-ups past those times that prove that an order was never executed


class Capabilities(Struct, frozen=True):
    """The abilities of a venue, and the timing of its answers. All durations are seconds."""

    tiers: frozenset[Tier]
    request_expiry: float | None = 5.0  # an unanswered request executes within this time or never; None: no promise
    position_lag: float = 10.0  # how long the venue's lists may lag behind a fill
    streams: bool = True
    protective_stops: bool = False
    names_orders: bool = True  # an order carries our client id; False: an order is known by what is new
    refuses_opposite: bool = False  # no order is taken while an order of the other side rests on the instrument
    client_id_length: int = 32  # characters of a client order id that the venue takes; at least 18
    default_tiers: tuple[
        Tier, ...
    ] = ()  # in sequence, for an account without configured tiers; empty: ``settings.BASE_TIERS``


class Check(Struct, frozen=True):
    """One item of ``flatdeck check``. ``ok`` is None where the venue did not tell."""

    name: str
    ok: bool | None
    text: str


class Clock(Protocol):
    """Wall time for records, a monotonic clock for ages (it counts suspend), and sleep on the monotonic clock."""

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
        """Open the connections that reading and sending need. May be called again after a failure."""

    async def aclose(self) -> None:
        """Close connections; never raises."""

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        """Return every position and open order of the account, complete; raise otherwise.

        A close waits for an urgent read, so urgent reads go before reads that only watch.
        """

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return the prices of these symbols. A symbol without a price is left out."""

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        """Return the venue's last ``count`` closed one-minute bars, oldest first; [] where it has no bars.

        The running minute is not closed. A minute without a bar stays missing. The prices of a share are adjusted for
        splits.
        """

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        """Return USD per unit of each currency that the venue can price, as decimal text."""

    def stream(self) -> AsyncIterator[BrokerEvent]:
        """Yield live events until the stream ends or raises. The caller makes a complete read before a new stream."""

    async def submit(self, request: OrderRequest) -> Order:
        """Send one order through the venue's ordinary call."""

    async def submit_direct(self, request: OrderRequest) -> Order:
        """Send one order through the venue's raw endpoint, with the size rounded by the venue's own filters."""

    async def close_position(self, position: Position, client_id: str) -> Order:
        """Send the venue's own close call. A venue whose close call takes no client id ignores ``client_id``."""

    async def cancel(self, order: Order) -> None:
        """Ask for a cancel. An answer means only that the venue took the request."""

    async def find_order(
        self, symbol: str, *, client_id: str | None = None, order_id: str | None = None
    ) -> Order | None:
        """Return the order by either id, live or terminal; None when the venue says that it has no such order.

        A failed query raises: it never means that the order does not exist.
        """

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        """Return this account's executions in ``symbol`` at or after ``since``."""

    async def check(self) -> list[Check]:
        """Try credentials, permissions, clock skew and limits, and say what is wrong."""


@runtime_checkable
class InstrumentLister(Protocol):
    """A broker that can report its venue's rules for a symbol that the account does not hold."""

    async def instrument(self, symbol: str) -> Instrument | None:
        """Return the rules for this symbol; None where the venue lists no such symbol."""


class OrderQuery(Struct, frozen=True):
    """A question for one order: by client id, or, for a nameless order, by new orders and fills.

    ``known``: ids of orders that existed before ours was sent; None where they were not known. ``nameless``: a venue's
    own close call, which may carry no client id. ``seconds``: the time-out of the question.
    """

    request: OrderRequest
    known: frozenset[str] | None
    order_id: str | None
    nameless: bool
    seconds: float


class OrderRead(Struct, frozen=True):
    """An order's state as the venue reports it; ``order`` is None when the venue says that it has no such order.

    ``unattributed``: quantity executed on the closing side since the order was sent that we can assign to no order.
    It is 0 or None (unknown) for an order with a client id. ``asked`` is monotonic seconds.
    """

    order: Order | None
    asked: float
    unattributed: Decimal | None = ZERO
