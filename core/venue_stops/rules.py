"""Rules for the stop that rests at the venue behind a position's software stop. Pure.

The venue's stop protects the position when this machine is gone. The stop lies ``behind`` the software stop, so that
the software stop acts first. The stop moves only in the position's favour and must never open a position. The rules
do nothing on a stale read, during a close, or while the outcome of a protective order is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum

from msgspec import Struct, field, structs

from core.model import Instrument, Kind, Order, OrderRequest, OrderType, Position, PositionKey, Side, TimeInForce
from core.plans.sizing import size_close
from core.records import IntentWritten
from core.settings import ProtectSettings
from core.units import ONE, ZERO, plain, round_price

MOST_REFUSALS = 5  # of the same order; after that we try only a different order
CASH = (Kind.SPOT, Kind.EQUITY)


class StopAction(Enum):
    NOTHING = "nothing"
    PLACE = "place"
    CANCEL = "cancel"
    REPLACE = "replace"  # cancel, see the order gone, look again, place


class StopDecision(Struct, frozen=True):
    """One step for a position. ``why``: reason for a cancel, or reason why no order rests for the position."""

    do: StopAction = StopAction.NOTHING
    why: str = ""
    orders: tuple[Order, ...] = ()  # to cancel
    quantity: Decimal = ZERO
    trigger: Decimal = ZERO


NOTHING = StopDecision()


class StopSituation(Struct, frozen=True):
    """Facts about one position and our orders that protect it."""

    position: Position | None
    instrument: Instrument
    orders: tuple[Order, ...] = ()  # ours, live
    stop: Decimal | None = None  # the software stop
    price: Decimal | None = None  # a price that is usable now
    able: bool = True  # the venue has resting stops
    closing: bool = False  # a close there is approved or in flight
    unknown: bool = False  # the outcome of a protective order is being looked up
    fresh: bool = True  # the complete read was asked for after our last action there
    settled: bool = True  # orders of a close or an earlier process have arrived, or never will
    asked: Decimal | None = None  # the quantity with which the live order was sent
    moved: float | None = None  # monotonic seconds of the last move
    replaced: Decimal | None = None  # the trigger of the order that was cancelled for a replacement


class VenueStop(Struct):
    """One position's protective order, as far as we know it. Times are monotonic seconds."""

    number: int = -1  # of the last order placed
    position: Position | None = None  # the last state in which the position was held
    intent: IntentWritten | None = None  # the intent of ``order``, or of an order of unknown outcome
    order: Order | None = None
    gone: set[str] = field(default_factory=set)  # ids of ended orders, even when a list still shows them
    changed: float = 0.0  # when we last acted there; a read must be asked for later
    moved: float | None = None  # as in ``StopSituation``
    replaced: Decimal | None = None  # as in ``StopSituation``
    until: float = 0.0  # end of a pause
    failures: int = 0
    refusals: int = 0
    refused: tuple[Decimal, Decimal] | None = None  # the quantity and trigger that the venue refuses
    fired: bool = False  # our last stop filled; if the position disappears, the stop closed it
    note: str = ""  # why no order rests there
    told: str = ""  # the last reason written to the log

    @property
    def unknown(self) -> bool:
        return self.intent is not None and self.order is None

    def stubborn(self, decision: StopDecision, min_move: Decimal) -> bool:
        """Return True when the venue refused about the same order MOST_REFUSALS times."""
        if self.refused is None or self.refusals < MOST_REFUSALS:
            return False
        quantity, trigger = self.refused
        return quantity == decision.quantity and abs(decision.trigger - trigger) < min_move * trigger


def decide(seen: StopSituation, settings: ProtectSettings, now: float) -> StopDecision:
    """Return the next step for one position. ``now`` is monotonic seconds, like ``moved``."""
    if seen.closing or seen.unknown or not seen.fresh:
        return NOTHING
    position, live = seen.position, seen.orders
    if position is None:
        return _cancel(live, "its position is gone")
    if not settings.enabled:
        return _cancel(live, "[protect] is off")
    if wrong := [o for o in live if o.side is not position.side.closing or o.leg is not position.leg]:
        return _cancel(wrong, "it does not reduce the position")
    if len(live) > 1:
        best = max(live, key=lambda o: (o.filled, position.side.sign * (o.trigger or ZERO), o.id))
        return _cancel([o for o in live if o is not best], "there is another one")
    if any(o.filled > 0 for o in live):
        return NOTHING  # the stop is closing the position
    if bar := barred(position, seen.instrument, able=seen.able):
        return _cancel(live, bar) if live else StopDecision(why=bar)
    if not seen.settled:
        return NOTHING
    if seen.stop is None:
        return NOTHING if live else StopDecision(why="no stop is known that it could rest behind")
    return _wanted(seen, position, seen.stop, settings, now)


def barred(position: Position, instrument: Instrument, *, able: bool) -> str:
    """Return why no stop may rest for this position, or empty. A resting stop must never open a position."""
    if not able:
        return "the venue has no resting stops"
    held = instrument.kind in CASH and position.side is Side.LONG  # the venue reserves the quantity for a resting sell
    if instrument.reduce_only or held:
        return ""
    return "the venue takes no reduce-only order for it, and a resting stop could open a position"


def trigger_for(position: Position, stop: Decimal, behind: Decimal, tick: Decimal) -> Decimal:
    """Return the trigger ``behind`` the software stop, rounded away from the price: the software stop acts first.

    ``behind`` is a fraction of the stop.
    """
    sign = position.side.sign
    return round_price(stop * (ONE - sign * behind), tick, up=sign < 0)


def request_for(decision: StopDecision, position: Position, instrument: Instrument, client_id: str) -> OrderRequest:
    """Return the order of a decision to place a stop."""
    return OrderRequest(
        account=position.account,
        symbol=position.symbol,
        side=position.side.closing,
        quantity=decision.quantity,
        client_id=client_id,
        type=OrderType.STOP,
        tif=TimeInForce.GTC,
        trigger=decision.trigger,
        reduce_only=instrument.reduce_only,
        leg=position.leg,
    )


def same_place(order: Order, key: PositionKey) -> bool:
    """Return True when an order is on this position's instrument and leg."""
    return (order.account, order.symbol, order.leg) == (key.account, key.symbol, key.leg)


def _cancel(orders: Sequence[Order], why: str) -> StopDecision:
    return StopDecision(StopAction.CANCEL, why, tuple(orders)) if orders else NOTHING


def _wanted(
    seen: StopSituation, position: Position, stop: Decimal, settings: ProtectSettings, now: float
) -> StopDecision:
    sign, order = position.side.sign, seen.orders[0] if seen.orders else None
    trigger = trigger_for(position, stop, settings.behind, seen.instrument.tick)
    if trigger <= 0:
        return StopDecision(why="it would rest at no price")
    quantity, small = _quantity(seen, position, order, trigger)
    if small:
        return NOTHING if order is not None else StopDecision(why=small)
    before = order.trigger if order is not None else seen.replaced
    if before is not None and sign * (trigger - before) < 0:
        trigger = before  # a stop never moves back
    ahead = seen.price is not None and sign * (seen.price - trigger) > 0
    if order is None:
        if seen.price is None:
            return StopDecision(why="there is no usable price")
        if not ahead:
            return StopDecision(why="the price is already beyond where it would rest")
        return StopDecision(StopAction.PLACE, "", (), quantity, trigger)
    if order.trigger is None or not ahead:
        return NOTHING  # leave the resting order alone
    waited = seen.moved is None or now - seen.moved >= settings.min_interval
    moves = waited and abs(trigger - order.trigger) >= settings.min_move * order.trigger
    resized = quantity != order.remaining and (waited or quantity != seen.asked)  # a venue may cut the quantity
    if not resized and not moves:
        return NOTHING
    return StopDecision(StopAction.REPLACE, "", (order,), quantity, trigger)


def _quantity(seen: StopSituation, position: Position, order: Order | None, trigger: Decimal) -> tuple[Decimal, str]:
    """Return the quantity for a stop, and a reason when the quantity is too small for an order.

    The quantity is the whole position, or its free part when the venue has no reduce-only orders.
    """
    own = order.remaining if order is not None else ZERO
    room = structs.replace(position, free=min(position.quantity, max(position.free, ZERO) + own))
    size = size_close(room, seen.instrument, trigger)
    if size.too_small:
        return ZERO, f"{plain(position.quantity)} are {size.too_small}"
    if size.available <= 0:
        return ZERO, "open orders hold all of it"
    small = size_close(structs.replace(room, quantity=size.available), seen.instrument, trigger).too_small
    return size.available, f"{plain(size.available)} are {small}" if small else ""
