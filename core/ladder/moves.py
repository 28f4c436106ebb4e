"""The transitions that several phases of a close share: read, wait, cancel, settle, end. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import structs

from core.ids import client_order_id
from core.ladder.states import (
    DoAwait,
    DoCancel,
    DoEnd,
    DoRead,
    DoRestore,
    DoWait,
    Ladder,
    Phase,
    Transition,
)
from core.model import Order, OrderRequest, OrderType, Tier
from core.plans.plan import ActionKind
from core.plans.results import Outcome
from core.units import ZERO, floor_to, plain

FIRST_POLL = 0.1  # seconds
SLOWEST_POLL = 2.0  # seconds
ANSWERS_KEPT = 40


def go(ladder: Ladder, phase: Phase, **changes: Any) -> Ladder:
    """Return the ladder in its next phase. ``core.ladder.step.step`` checks the phase against the lifecycle table."""
    return structs.replace(ladder, phase=phase, **changes)


def answer(ladder: Ladder, text: str) -> Ladder:
    """Return the ladder with the venue's answer kept, prefixed with the tier and the round."""
    step = ladder.step
    line = f"{step.tier.value} {step.round}: {text}" if step else text
    return structs.replace(ladder, answers=(*ladder.answers, line)[-ANSWERS_KEPT:])


def poll(ladder: Ladder) -> float:
    """Return the seconds until the next query. The pause grows from query to query."""
    return float(min(FIRST_POLL * 1.6**ladder.polls, SLOWEST_POLL))


def read(ladder: Ladder) -> Transition:
    """Read position and orders next."""
    step = ladder.step
    touch = step is not None and step.tier is Tier.LIMIT_AGGRESSIVE
    return Transition(go(ladder, Phase.READING), DoRead(touch=touch))


def wait(ladder: Ladder, seconds: float | None = None) -> Transition:
    """Read again a little later."""
    pause = poll(ladder) if seconds is None else seconds
    return Transition(go(ladder, Phase.WAITING, polls=ladder.polls + 1), DoWait(pause))


def cancel(ladder: Ladder, orders: tuple[Order, ...], now: float) -> Transition:
    """Ask the venue to cancel the orders."""
    cancels = structs.replace(ladder.cancels, asked_at=now, tries=ladder.cancels.tries + 1)
    return Transition(go(ladder, Phase.CANCELLING, cancels=cancels, polls=0), DoCancel(orders))


def settle(ladder: Ladder, order: Order) -> Transition:
    """Our order is live: ask for its state until it is terminal."""
    seconds = poll(ladder)
    under_way = structs.replace(ladder.under_way, seen=order)
    ladder = go(ladder, Phase.SETTLING, order=under_way, polls=ladder.polls + 1)
    return Transition(ladder, DoAwait(order, seconds))


def advance(ladder: Ladder) -> Ladder:
    """Return the ladder at its next step."""
    return structs.replace(ladder, index=ladder.index + 1, part=0, polls=0, refusals=0)


def give_up(ladder: Ladder, text: str) -> Transition:
    """End the close with something left, and raise an alarm. The answers of every tier are kept."""
    outcome = Outcome.PARTIAL if ladder.fills.quantity > 0 else Outcome.STUCK
    return end(ladder, outcome, text, alarm=True)


def end(ladder: Ladder, outcome: Outcome, error: str | None = None, *, alarm: bool = False) -> Transition:
    """End the close. Where a position is left, put back the protective orders that were cancelled before."""
    done = outcome.settled and outcome is not Outcome.SKIPPED
    back = () if done else _to_restore(ladder)
    requests = tuple(request for request, _ in back)
    bare = () if done else _not_restored(ladder, len(requests))
    if bare:
        error = f"{error}; protective order {', '.join(bare)} was asked to go and is not put back, look at the venue"
    changes = {"outcome": outcome, "error": error, "alarm": alarm or bool(bare)}
    if requests:
        ladder = go(ladder, Phase.RESTORING, **changes, sent=ladder.sent | {r.client_id for r in requests})
        return Transition(ladder, DoRestore(requests, tuple(order for _, order in back)))
    return Transition(go(ladder, Phase.ENDED, **changes), DoEnd())


def _to_restore(ladder: Ladder) -> tuple[tuple[OrderRequest, Order], ...]:
    """Return a request for each protective order to put back: a stop on the closing side that our cancel removed.

    Nothing is put back while an order of ours may still be live.
    """
    position = ladder.last_read.position
    if position is None or ladder.order is not None or position.side is not ladder.action.side:
        return ()
    gone = [o for o in _stops_asked(ladder) if o.id not in ladder.last_read.open_orders]
    room = [position.quantity if o.reduce_only else position.free for o in gone]
    instrument = ladder.last_read.instrument
    lot = instrument.step if instrument is not None else ZERO
    sizes = [floor_to(min(o.remaining, most), lot) for o, most in zip(gone, room, strict=True)]
    made = [_again(ladder, order, sizes[nth], nth) for nth, order in enumerate(gone)]
    return tuple((request, order) for request, order in zip(made, gone, strict=True) if request.quantity > 0)


def _again(ladder: Ladder, order: Order, quantity: Decimal, nth: int) -> OrderRequest:
    name = client_order_id(ladder.epoch, ladder.plan, ladder.action.key, 0, "restore", nth)
    return OrderRequest(
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        client_id=name[: ladder.limits.client_id_length],
        type=order.type,
        tif=order.tif,
        trigger=order.trigger,
        reduce_only=order.reduce_only,
        leg=order.leg,
    )


def _stops_asked(ladder: Ladder) -> list[Order]:
    """Return the stops on the closing side that we asked the venue to cancel."""
    action = ladder.action
    if action.kind is not ActionKind.CLOSE or action.side is None or ladder.cancels.asked_at is None:
        return []
    return [o for o in ladder.cancels.orders if o.type is OrderType.STOP and o.side is action.side.closing]


def _not_restored(ladder: Ladder, restored: int) -> tuple[str, ...]:
    """Return the ids of the cancelled stops that are not put back although the position may still exist."""
    read = ladder.last_read
    if read.position is not None and read.position.side is not ladder.action.side:
        return ()
    gone = [o.id for o in _stops_asked(ladder) if read.outdated or o.id not in read.open_orders]
    return tuple(gone) if len(gone) > restored else ()


def changed_text(ladder: Ladder, what: str) -> str:
    """Return one sentence for a close that differs from what was confirmed."""
    return f"{what}; confirmed were {plain(ladder.action.quantity)}, it is shown again"
