"""The parts of a close's state: the order under way, the fills, the cancels and the last read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, structs

from core.model import Fill, Instrument, Order, OrderRequest, OrderSide, Position, Tier
from core.units import ZERO


class OrderUnderWay(Struct, frozen=True):
    """Our one order that is on its way, live, or of unknown outcome."""

    request: OrderRequest | None  # None: a list shows an order of ours that we believed to be at its end
    sent_at: float
    nameless: bool = False  # the order is a venue's own close call and may carry no client id
    known: frozenset[str] | None = frozenset()  # ids of orders that were open before ours was sent; None: not known
    since: datetime | None = None  # after a restart: the time at which the order was sent
    seen: Order | None = None  # the order as last seen at the venue
    misses: int = 0  # look-ups past the expiry that found nothing
    withdrawn_at: float | None = None

    @property
    def name(self) -> str:
        """The client id, or the venue's id where the order has no request."""
        if self.request is not None:
            return self.request.client_id
        return self.seen.client_id or self.seen.id if self.seen is not None else ""


class Fills(Struct, frozen=True):
    """The fills of our ended orders. Each order counts once, and a cumulative fill never falls."""

    quantity: Decimal = ZERO
    paid: Decimal | None = ZERO  # Σ fill × price; None once a price is missing
    tier: Tier | None = None  # the last tier that filled something
    by_order: dict[str, Decimal] = {}  # cumulative fill by order id
    fees: dict[str, Decimal | None] = {}  # by id of an order that filled something; None: unknown
    filled_at: float | None = None  # when we last learnt of a fill of ours
    ended_at: float | None = None  # when we last learnt of the end of an order of ours

    @property
    def average_price(self) -> Decimal | None:
        return self.paid / self.quantity if self.paid is not None and self.quantity > 0 else None

    @property
    def fee(self) -> Decimal | None:
        """The fees of all orders; None once the fee of an order is unknown."""
        known = [fee for fee in self.fees.values() if fee is not None]
        return sum(known, ZERO) if len(known) == len(self.fees) else None

    def count(self, order: Order, tier: Tier | None, now: float | None) -> Fills:
        """Return the fills with what an ended order filled beyond the fill known before."""
        before = self.by_order.get(order.id, ZERO)
        fresh = max(order.filled - before, ZERO)
        paid = self.paid
        if fresh > 0:
            paid = None if paid is None or order.average_price is None else paid + fresh * order.average_price
        return Fills(
            quantity=self.quantity + fresh,
            paid=paid,
            tier=tier if fresh > 0 and tier is not None else self.tier,
            by_order={**self.by_order, order.id: before + fresh},
            fees={**self.fees, order.id: order.fee} if fresh > 0 else self.fees,
            filled_at=now if fresh > 0 else self.filled_at,
            ended_at=now,
        )

    def priced(self, executions: Collection[Fill]) -> Fills:
        """Return the fills with the price from these executions, if the executions are complete."""
        if sum((f.quantity for f in executions), ZERO) != self.quantity:
            return self
        return structs.replace(self, paid=sum((f.quantity * f.price for f in executions), ZERO))


class Cancels(Struct, frozen=True):
    """The orders that are cancelled before the first order of ours, and what is known of their ends."""

    orders: tuple[Order, ...] = ()  # the orders that the plan names, and our stops that came to rest later
    asked_at: float | None = None  # when the venue was last asked to cancel
    tries: int = 0
    ended: frozenset[str] = frozenset()  # ids of orders that are known to be terminal
    filled: dict[str, Decimal] = {}  # cumulative fill by order id, where it grew
    absent: frozenset[str] = frozenset()  # ids that the last read lacked, without other proof of their end

    @property
    def unproven(self) -> list[Order]:
        """The orders that the venue was asked to cancel, without those that are known to be terminal."""
        return [o for o in self.orders if o.id not in self.ended] if self.asked_at is not None else []

    def follow(
        self, listed: Sequence[Order], ended: Sequence[Order], closing: OrderSide | None
    ) -> tuple[Cancels, Decimal]:
        """Return the cancels after a read, and what the orders filled on the closing side since the last read."""
        filled = {o.id: o.filled for o in self.orders} | self.filled
        grown = ZERO
        for order in (*ended, *listed):
            before = filled.get(order.id)
            if before is not None and order.filled > before and order.side is closing:
                grown += order.filled - before
                filled[order.id] = order.filled
        return structs.replace(self, filled=filled, ended=self.ended | {o.id for o in ended}), grown


class LastRead(Struct, frozen=True):
    """Values of the last complete read."""

    position: Position | None = None
    open_orders: frozenset[str] = frozenset()  # ids
    outdated: bool = False  # a later read failed
    price: Decimal | None = None  # the price that a close would get
    instrument: Instrument | None = None
