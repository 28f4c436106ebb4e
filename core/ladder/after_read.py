"""The next action of a close after a complete read. Only this module decides to send an order."""

from __future__ import annotations

from decimal import Decimal

from msgspec import structs

from core.ladder import tiers
from core.ladder.moves import advance, answer, cancel, changed_text, end, give_up, go, settle, wait
from core.ladder.parts import LastRead, OrderUnderWay
from core.ladder.states import DoJudge, DoSend, Ladder, Phase, PositionRead, Transition
from core.model import Kind, Order, Tier
from core.plans.plan import ActionKind, is_our_stop
from core.plans.results import Outcome
from core.plans.sizing import size_close
from core.ports import SEND_WITHIN
from core.units import floor_to, plain

SECOND_LOOK = 0.25  # seconds between two reads that must agree
CONTRACTS = (Kind.PERP, Kind.FUTURE)  # their free quantity does not tell what other orders would close


def decide(ladder: Ladder, read: PositionRead, now: float) -> Transition:
    """Check the orders first, then the position, then make the next order."""
    side = ladder.action.side
    cancels, filled = ladder.cancels.follow((*read.alive, *read.orders), read.ended, side.closing if side else None)
    listed = frozenset(o.id for o in (*read.orders, *read.alive))
    listed |= {o.id for o in cancels.orders} if read.orders_flaw else set()  # a list that failed proves no end
    listed -= cancels.ended
    seen = LastRead(read.position, listed, price=read.price, instrument=read.instrument)
    ladder = structs.replace(ladder, cancels=cancels, expected=ladder.expected - filled, last_read=seen)
    return _orders(ladder, read, now) or _holding(ladder, read, now) or _send(ladder, read, now)


def _closing(ladder: Ladder, order: Order) -> bool:
    return ladder.action.side is not None and order.side is ladder.action.side.closing


def _orders(ladder: Ladder, read: PositionRead, now: float) -> Transition | None:
    """Check our own order first (never two are live), then new orders, then the orders that are to be cancelled."""
    ours = [o for o in read.orders if o.id in ladder.sent or o.client_id in ladder.sent]
    for order in ours:
        if order.id not in ladder.fills.by_order:
            found = OrderUnderWay(None, sent_at=now)
            return settle(structs.replace(ladder, order=found, polls=0, sent=ladder.sent | {order.id}), order)
        if not _lagged(ladder, ladder.fills.filled_at, now):
            return wait(ladder)  # a list that still shows a terminal order lags behind
    if (judgement := _judgement(ladder, read)) is not None:
        return judgement
    listed = {o.id for o in read.orders}
    known = (*read.orders, *(o for o in read.alive if o.id not in listed))  # a list may lag or be truncated
    cancels = ladder.cancels
    foreign = [o for o in known if o not in ours and o.id not in cancels.ended]
    to_cancel = {o.id for o in cancels.orders}
    appeared = [o for o in foreign if o.id not in to_cancel and o.id not in ladder.action.orders_shown]
    pending = tuple(o for o in foreign if o.id in to_cancel)
    late = tuple(o for o in appeared if is_our_stop(o) and _closing(ladder, o))
    if late and len(late) == len(appeared) and ladder.action.kind is ActionKind.CLOSE and ladder.steps:
        return _take_along(ladder, (*pending, *late), late, now)
    if appeared and ladder.action.kind is ActionKind.CLOSE:
        if pending and cancels.asked_at is not None and now - cancels.asked_at < ladder.limits.tier_timeout:
            return wait(ladder)  # cancelled orders can be put back only after they are gone
        return end(ladder, Outcome.CHANGED, changed_text(ladder, f"order {appeared[0].id} appeared"))
    too_late = not ladder.steps and ladder.action.kind is ActionKind.CLOSE
    if pending and not too_late:
        return _pending(_absent(ladder, frozenset()), pending, now)
    absent = read.unsure - cancels.ended
    if absent and not too_late and (doubt := _doubt(ladder, read, absent, now)) is not None:
        return doubt
    if ladder.action.kind is ActionKind.CANCEL_ORDER:
        return end(ladder, Outcome.CANCELLED)
    return None


def _judgement(ladder: Ladder, read: PositionRead) -> Transition | None:
    """Ask the exit rules before anything is cancelled or sent, or end a close that they dropped; None: go on."""
    if read.position is None or read.position.quantity <= 0 or not ladder.steps:
        return None
    if ladder.dropped:
        return end(ladder, Outcome.PARTIAL if ladder.fills.quantity > 0 else Outcome.SKIPPED, ladder.dropped)
    return None if ladder.judge_from is None else Transition(go(ladder, Phase.PARKED), DoJudge(ladder.judge_from))


def _take_along(ladder: Ladder, orders: tuple[Order, ...], late: tuple[Order, ...], now: float) -> Transition:
    """Cancel our protective orders that were placed after the plan was made, like the orders that the plan names."""
    cancels = structs.replace(ladder.cancels, orders=(*ladder.cancels.orders, *late), absent=frozenset(), tries=0)
    return cancel(structs.replace(ladder, cancels=cancels), orders, now)


def _doubt(ladder: Ladder, read: PositionRead, absent: frozenset[str], now: float) -> Transition | None:
    """Wait until the cancelled orders are gone: the venue says so, or two lists lack them, as a list can be truncated.

    Return None when they are gone.
    """
    if read.orders_flaw:
        why = f"whether order {min(absent)} is gone is not known, because the open orders are not: {read.orders_flaw}"
        return give_up(ladder, why) if now >= ladder.deadline else wait(ladder)
    since = _odd_since(ladder, now)
    # the order's fill may not show yet
    doubtful = read.instrument.late_close_opens and not _lagged(ladder, since, now)
    if doubtful or not absent <= ladder.cancels.absent:
        return wait(structs.replace(_absent(ladder, absent), odd_since=since), SECOND_LOOK)
    return None


def _absent(ladder: Ladder, absent: frozenset[str]) -> Ladder:
    return structs.replace(ladder, cancels=structs.replace(ladder.cancels, absent=absent))


def _pending(ladder: Ladder, pending: tuple[Order, ...], now: float) -> Transition:
    """Wait until the cancelled orders are gone. Ask again after the tier's time-out, a limited number of times."""
    if now >= ladder.deadline:
        return give_up(ladder, f"order {pending[0].id} could not be cancelled in time")
    asked, tries = ladder.cancels.asked_at, ladder.cancels.tries
    if asked is None or now - asked >= ladder.limits.tier_timeout:
        if tries >= ladder.limits.attempts:
            return give_up(ladder, f"order {pending[0].id} could not be cancelled")
        return cancel(ladder, pending, now)
    return wait(ladder)


def _holding(ladder: Ladder, read: PositionRead, now: float) -> Transition | None:
    """Handle a position that is flat, flipped or larger; None when the position can be closed as expected."""
    position = read.position
    if position is None or position.quantity <= 0:
        return _flat(ladder, read, now)
    if position.side is not ladder.action.side:
        side = position.side.value
        return end(ladder, Outcome.STUCK, f"position flipped to {side} by someone else; nothing is sent", alarm=True)
    if position.quantity > ladder.expected:
        return _more(ladder, position.quantity, now)
    return None


def _flat(ladder: Ladder, read: PositionRead, now: float) -> Transition:
    """End when our fills explain the flat position, or when a second read, asked after the first arrived, agrees."""
    explained = ladder.fills.quantity >= ladder.action.quantity and ladder.expected <= 0
    if explained or (ladder.flat_asked is not None and read.asked >= ladder.flat_asked):
        return end(ladder, Outcome.CLOSED)
    ladder = structs.replace(ladder, flat_asked=now)
    return wait(ladder, max(SECOND_LOOK, min(ladder.limits.position_lag, 1.0)))


def _more(ladder: Ladder, quantity: Decimal, now: float) -> Transition:
    """Handle a position above the expected size: the list lags behind our fills, or the position grew."""
    ladder = structs.replace(ladder, flat_asked=None)
    since = _odd_since(ladder, now)
    grew = quantity > ladder.action.quantity
    if not grew and not _lagged(ladder, since if ladder.fills.filled_at is None else ladder.fills.filled_at, now):
        return wait(structs.replace(ladder, odd_since=since))
    text = changed_text(ladder, f"position is {plain(quantity)} where {plain(ladder.expected)} was expected")
    return end(ladder, Outcome.CHANGED, text, alarm=ladder.fills.quantity > 0)


def _lagged(ladder: Ladder, since: float | None, now: float) -> bool:
    """Return whether the lists' lag has passed since ``since``; True for None."""
    return since is None or now - since > ladder.limits.position_lag


def _send(ladder: Ladder, read: PositionRead, now: float) -> Transition:
    """Make the next order from the position that was just read."""
    position, instrument = read.position, read.instrument
    assert position is not None
    if now - read.received > SEND_WITHIN:  # after a suspend or a blocked loop the read is too old
        return wait(ladder, 0.0)
    if not instrument.tradable:
        return end(ladder, Outcome.REFUSED, "not tradable at the venue", alarm=True)
    ladder = structs.replace(ladder, expected=position.quantity, flat_asked=None)
    size = size_close(position, instrument, read.price)
    if size.too_small:
        return _too_small(ladder, position.quantity, size.too_small)
    unbound = instrument.late_close_opens and instrument.kind in CONTRACTS
    if read.orders_flaw and unbound:  # a resting order may fill beside ours: both together would open a position
        why = f"the venue takes no reduce-only order, and the open orders are not known: {read.orders_flaw}"
        return give_up(ladder, why) if now >= ladder.deadline else wait(answer(ladder, why))
    if now >= ladder.deadline:
        return give_up(ladder, "out of time")
    held = not instrument.reduce_only and floor_to(position.free, instrument.step) < size.wanted
    if held:
        since = _odd_since(ladder, now)
        if now - since < max(ladder.limits.tier_timeout, ladder.limits.position_lag):
            return wait(structs.replace(ladder, odd_since=since))
        if size.available <= 0:
            return give_up(ladder, "all of it is held by orders at the venue")
    if instrument.late_close_opens and not _lagged(ladder, ladder.fills.ended_at, now):
        # the ended order may have filled more than it reported: another order would open a position
        return wait(ladder)
    return _step(structs.replace(ladder, odd_since=None), read, size.available, now)


def _odd_since(ladder: Ladder, now: float) -> float:
    return now if ladder.odd_since is None else ladder.odd_since


def _too_small(ladder: Ladder, quantity: Decimal, why: str) -> Transition:
    text = f"{plain(quantity)} left, {why}"
    if ladder.fills.quantity > 0 or quantity < ladder.action.quantity:
        return end(ladder, Outcome.CLOSED_RESIDUAL, text)
    return end(ladder, Outcome.REFUSED, text)


def _step(ladder: Ladder, read: PositionRead, quantity: Decimal, now: float) -> Transition:
    """Skip the steps that cannot be used here, and send the order of the next step."""
    position = read.position
    assert position is not None
    while (step := ladder.step) is not None:
        client_id = tiers.client_id(ladder.epoch, ladder.plan, position, step, ladder.part)[
            : ladder.limits.client_id_length
        ]
        request = tiers.request(step, position, read.instrument, quantity, client_id, read.price)
        useful = step.tier not in ladder.unsupported and (step.tier is not Tier.DIRECT_API or ladder.failed)
        if request is not None and useful:
            known = frozenset(o.id for o in read.orders) | frozenset(ladder.fills.by_order) | ladder.others
            before = None if read.orders_flaw else known
            order = OrderUnderWay(request, now, nameless=step.tier is Tier.VENUE_CLOSE, known=before)
            ladder = go(ladder, Phase.SENDING, order=order, sent=ladder.sent | {client_id}, polls=0)
            return Transition(ladder, DoSend(step, request, position, read.instrument))
        ladder = advance(ladder if request is not None else answer(ladder, "no usable price for a limit"))
    if not ladder.steps:  # resumed too late: the fate of the old order is known, and nothing more is sent
        return end(ladder, Outcome.CHANGED, changed_text(ladder, "it was interrupted too long ago"))
    return give_up(ladder, "every tier was tried")
