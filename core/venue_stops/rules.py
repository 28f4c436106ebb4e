"""Whether a stop belongs at the venue behind a position's software stop, and where. Pure.

It is for when this machine is gone: it lies ``behind`` the software stop, so that the software stop acts first, it is
moved only in the position's favour, and it never may open a position. Nothing is decided on a read that is not fresh,
beside a close, or while the outcome of one of ours is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum

from msgspec import Struct, field, structs

from core.ladder.sizing import size_close
from core.model import Instrument, Kind, Order, OrderRequest, OrderType, Position, PositionKey, Side, TimeInForce
from core.records import IntentWritten
from core.settings import ProtectSettings
from core.units import ONE, ZERO, plain, round_price

MOST_REFUSALS = 5  # of the same order; then only another one is tried
CASH = (Kind.SPOT, Kind.EQUITY)


class StopAction(Enum):
    NOTHING = "nothing"
    PLACE = "place"
    CANCEL = "cancel"
    REPLACE = "replace"  # cancel, see it gone, look again, place


class StopDecision(Struct, frozen=True):
    """One thing to do. ``why``: of a cancel its reason, of nothing the reason why the position is without an order."""

    do: StopAction = StopAction.NOTHING
    why: str = ""
    orders: tuple[Order, ...] = ()  # that go
    quantity: Decimal = ZERO
    trigger: Decimal = ZERO


NOTHING = StopDecision()


class StopSituation(Struct, frozen=True):
    """What is known of one position and of our own orders that protect it."""

    position: Position | None
    instrument: Instrument
    orders: tuple[Order, ...] = ()  # ours, live
    stop: Decimal | None = None  # the software's
    price: Decimal | None = None  # usable now
    able: bool = True  # the venue has resting stops
    closing: bool = False  # a close there is approved or in flight
    unknown: bool = False  # the outcome of one of ours is being looked up
    fresh: bool = True  # a complete read was asked after the last thing that was done there
    settled: bool = True  # what a close or a former life sent there has arrived by now, or never will
    asked: Decimal | None = None  # the quantity that the live one was sent with
    moved: float | None = None  # when it was last moved; monotonic
    replaced: Decimal | None = None  # the trigger of the one that was cancelled to be placed anew


class VenueStop(Struct):
    """One position's protective order, as far as it is known. Times are monotonic."""

    number: int = -1  # of the last one that was placed
    position: Position | None = None  # as it was last held
    intent: IntentWritten | None = None  # of ``order``, or of one whose outcome is not known
    order: Order | None = None
    gone: set[str] = field(default_factory=set)  # ids that have ended, whatever a list still says
    changed: float = 0.0  # the last thing that was done there
    moved: float | None = None
    replaced: Decimal | None = None
    until: float = 0.0  # a pause
    failures: int = 0
    refusals: int = 0
    refused: tuple[Decimal, Decimal] | None = None  # the quantity and trigger that the venue will not have
    fired: bool = False  # the last one did: once the position is gone, it is gone by that
    note: str = ""  # why nothing rests there
    told: str = ""

    @property
    def unknown(self) -> bool:
        return self.intent is not None and self.order is None

    def stubborn(self, decision: StopDecision, min_move: Decimal) -> bool:
        """Whether the venue said no to this order too often."""
        if self.refused is None or self.refusals < MOST_REFUSALS:
            return False
        quantity, trigger = self.refused
        return quantity == decision.quantity and abs(decision.trigger - trigger) < min_move * trigger


def decide(seen: StopSituation, settings: ProtectSettings, now: float) -> StopDecision:
    """What to do about one position; ``now`` is monotonic, like ``moved``."""
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
        return NOTHING  # it is closing the position
    if bar := barred(position, seen.instrument, able=seen.able):
        return _cancel(live, bar) if live else StopDecision(why=bar)
    if not seen.settled:
        return NOTHING
    if seen.stop is None:
        return NOTHING if live else StopDecision(why="no stop is known that it could rest behind")
    return _wanted(seen, position, seen.stop, settings, now)


def barred(position: Position, instrument: Instrument, *, able: bool) -> str:
    """Why no stop may rest for this position, or empty: it must not be able to open one, whatever happens first."""
    if not able:
        return "the venue has no resting stops"
    held = instrument.kind in CASH and position.side is Side.LONG  # the venue holds what a resting sell is for
    if instrument.reduce_only or held:
        return ""
    return "the venue takes no reduce-only order for it, and a resting stop could open a position"


def trigger_for(position: Position, stop: Decimal, behind: Decimal, tick: Decimal) -> Decimal:
    """``behind`` the stop, and rounded away from the price, so that the software stop always acts first."""
    sign = position.side.sign
    return round_price(stop * (ONE - sign * behind), tick, up=sign < 0)


def request_for(decision: StopDecision, position: Position, instrument: Instrument, client_id: str) -> OrderRequest:
    """The order that a decision to place one sends."""
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
    """Whether an order is on this position's instrument and leg."""
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
        trigger = before  # never back
    ahead = seen.price is not None and sign * (seen.price - trigger) > 0
    if order is None:
        if seen.price is None:
            return StopDecision(why="there is no usable price")
        if not ahead:
            return StopDecision(why="the price is already beyond where it would rest")
        return StopDecision(StopAction.PLACE, "", (), quantity, trigger)
    if order.trigger is None or not ahead:
        return NOTHING  # what rests there is left alone
    waited = seen.moved is None or now - seen.moved >= settings.min_interval
    moves = waited and abs(trigger - order.trigger) >= settings.min_move * order.trigger
    resized = quantity != order.remaining and (waited or quantity != seen.asked)  # a venue may have cut what was sent
    if not resized and not moves:
        return NOTHING
    return StopDecision(StopAction.REPLACE, "", (order,), quantity, trigger)


def _quantity(seen: StopSituation, position: Position, order: Order | None, trigger: Decimal) -> tuple[Decimal, str]:
    """The position's, or what is free of it where there is no reduce-only; and why that is no order's size."""
    own = order.remaining if order is not None else ZERO
    room = structs.replace(position, free=min(position.quantity, max(position.free, ZERO) + own))
    size = size_close(room, seen.instrument, trigger)
    if size.too_small:
        return ZERO, f"{plain(position.quantity)} are {size.too_small}"
    if size.available <= 0:
        return ZERO, "open orders hold all of it"
    small = size_close(structs.replace(room, quantity=size.available), seen.instrument, trigger).too_small
    return size.available, f"{plain(size.available)} are {small}" if small else ""
