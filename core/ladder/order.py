"""One closing order: sent, its unknown outcome resolved, settled or withdrawn, and its fill counted once. Pure."""

from __future__ import annotations

from msgspec import structs

from core.errors import Refusal, Refused
from core.ladder.moves import advance, answer, end, give_up, go, poll, read, settle, wait
from core.ladder.states import (
    Acknowledged,
    CloseBroken,
    DoPark,
    DoWithdraw,
    Ladder,
    LookFailed,
    NotJournaled,
    Phase,
    SendRefused,
    SendUnknown,
    SendUnreachable,
    Transition,
)
from core.model import Order, OrderStatus
from core.plans.results import Outcome
from core.portfolio.holding import MinimumRefusal, limits_of
from core.ports import CONCLUSIVE_MISSES, LOOK_MARGIN, SEND_WITHIN, OrderQuery, OrderRead
from core.records import IntentAnswered, MinimumRefused
from core.units import plain

REREAD = frozenset({Refusal.NO_POSITION, Refusal.REDUCE_ONLY, Refusal.HELD, Refusal.CLOCK})
HOPELESS = frozenset({Refusal.AUTH, Refusal.BANNED, Refusal.HALTED, Refusal.UNKNOWN_SYMBOL})
REREADS = 3  # re-reads after refusals of one step before the ladder takes the next step
RATE_LIMIT_WAIT = 1.0  # seconds
UNREACHABLE_WAIT = 0.5  # seconds


def not_journaled(ladder: Ladder, event: NotJournaled, now: float) -> Transition:
    """End the close: nothing was sent."""
    return end(_unsent(ladder), Outcome.STUCK, f"nothing was sent: {event.text}", alarm=True)


def acknowledged(ladder: Ladder, event: Acknowledged, now: float) -> Transition:
    """Settle the order that the venue accepted. An answer without an id or a readable status counts as no answer."""
    order = event.order
    if not order.id or order.status is OrderStatus.UNKNOWN:
        return send_unknown(ladder, SendUnknown("an answer without a readable order"), now)
    ladder = structs.replace(ladder, sent=ladder.sent | {order.id})
    record = _record(ladder, "acknowledged", order)
    if order.status.terminal:
        return _terminal(ladder, order, now)
    return _recorded(settle(ladder, order), record)


def send_refused(ladder: Ladder, event: SendRefused, now: float) -> Transition:
    """Handle a definitive refusal. What follows depends on the reason."""
    refused = event.refused
    exists = refused.refusal is Refusal.DUPLICATE  # an earlier send reached the venue: look the order up
    record = _record(ladder, "unknown" if exists else "refused", None, str(refused))
    ladder = answer(ladder, str(refused))
    return _recorded(_resolve(ladder) if exists else _refused(_unsent(ladder), refused, now), record)


def _refused(ladder: Ladder, refused: Refused, now: float) -> Transition:
    reason = refused.refusal
    if reason in REREAD:
        return _reread(ladder)
    if reason is Refusal.BLOCKED:
        return _blocked(ladder, str(refused))
    if reason is Refusal.RATE_LIMITED:
        return wait(ladder, refused.retry_after or RATE_LIMIT_WAIT)
    if reason is Refusal.MARKET_CLOSED:
        ladder = structs.replace(ladder, opens_at=refused.opens_at)
        if not ladder.limits.wait_for_open:
            return end(ladder, Outcome.WAITING_OPEN, str(refused))
        return Transition(go(ladder, Phase.PARKED), DoPark(refused.opens_at))
    if reason in HOPELESS:
        return end(ladder, Outcome.STUCK, str(refused), alarm=True)
    if reason is Refusal.BELOW_MINIMUM:
        outcome = Outcome.CLOSED_RESIDUAL if ladder.fills.quantity > 0 else Outcome.REFUSED
        return _recorded(end(ladder, outcome, str(refused)), *_too_small(ladder, str(refused)))
    step = ladder.step
    if reason is Refusal.UNSUPPORTED and step is not None:
        ladder = structs.replace(ladder, unsupported=ladder.unsupported | {step.tier})
    after = advance(structs.replace(ladder, failed=True))
    if (
        step is not None
        and after.step is not None
        and (after.step.tier, after.step.round - 1) == (step.tier, step.round)
    ):
        return wait(after, ladder.limits.position_lag / ladder.limits.attempts)  # nothing else is tried in between
    return read(after)


def _reread(ladder: Ladder) -> Transition:
    """Read the position again before this step is tried again, at once the first time: the position has changed."""
    ladder = structs.replace(ladder, refusals=ladder.refusals + 1)
    if ladder.refusals == 1:
        return read(ladder)
    if ladder.refusals > REREADS:
        ladder = structs.replace(advance(ladder), failed=True)
    return wait(structs.replace(ladder, polls=ladder.refusals))


def _blocked(ladder: Ladder, text: str) -> Transition:
    """Try again while the other order may be going. An order that stays stands against every tier."""
    ladder = structs.replace(ladder, refusals=ladder.refusals + 1)
    if ladder.refusals > REREADS:
        return give_up(ladder, text)
    return wait(ladder, ladder.limits.position_lag / REREADS)


def unreachable(ladder: Ladder, event: SendUnreachable, now: float) -> Transition:
    """Try the same step again a little later, until the deadline: the order provably never left."""
    record = _record(ladder, "unreachable", None, event.text)
    ladder = answer(_unsent(ladder), event.text)
    if now >= ladder.deadline:
        return _recorded(give_up(ladder, f"venue not reachable: {event.text}"), record)
    return _recorded(wait(ladder, max(UNREACHABLE_WAIT, poll(ladder))), record)


def send_unknown(ladder: Ladder, event: SendUnknown, now: float) -> Transition:
    """Look the order up until its outcome is known. It is never sent again, because it may have been executed."""
    return _recorded(_resolve(answer(ladder, event.text)), _record(ladder, "unknown", None, event.text))


def _resolve(ladder: Ladder, seconds: float = 0.0) -> Transition:
    """Begin to look the order up. What was missed before the order was seen proves nothing."""
    order = structs.replace(ladder.under_way, misses=0)
    return _look_up(structs.replace(ladder, order=order, polls=0), seconds)


def _look_up(ladder: Ladder, seconds: float) -> Transition:
    order = ladder.under_way
    assert order.request is not None
    order_id = order.seen.id if order.seen is not None else None
    ladder = go(ladder, Phase.RESOLVING, polls=ladder.polls + 1)
    return Transition(ladder, OrderQuery(order.request, order.known, order_id, order.nameless, seconds))


def looked_up(ladder: Ladder, event: OrderRead, now: float) -> Transition:
    """Go on with the order that was found. Only two misses past the request's expiry and the lists' lag are final."""
    order = event.order
    if order is not None and order.status.terminal:
        return _terminal(structs.replace(ladder, sent=ladder.sent | {order.id}), order, now)
    if order is not None and order.status is not OrderStatus.UNKNOWN:
        return settle(structs.replace(ladder, sent=ladder.sent | {order.id}, polls=0), order)
    out_of_time = now >= ladder.deadline and (ladder.limits.request_expiry is None or _past_expiry(ladder, now))
    if order is not None:  # the order exists with a status that we cannot read
        return _unresolved(ladder) if out_of_time else _look_up(ladder, poll(ladder))
    if not _past_expiry(ladder, event.asked):
        hopeless = out_of_time and ladder.limits.request_expiry is None
        return _unresolved(ladder) if hopeless else _look_up(ladder, poll(ladder))
    if event.unattributed is None or event.unattributed > 0:
        return _unresolved(ladder) if out_of_time else _look_up(ladder, poll(ladder))
    misses = ladder.under_way.misses + 1
    if misses < CONCLUSIVE_MISSES:
        return _look_up(structs.replace(ladder, order=structs.replace(ladder.under_way, misses=misses)), poll(ladder))
    record = _record(ladder, "not_found")
    ladder = answer(_unsent(ladder), "was never executed")  # before advance(): the answer belongs to this tier
    return _recorded(read(advance(structs.replace(ladder, failed=True))), record)


def look_failed(ladder: Ladder, event: LookFailed, now: float) -> Transition:
    """Ask again: a failed query says nothing about the order."""
    may_arrive = ladder.limits.request_expiry is not None and not _past_expiry(ladder, now)
    if not may_arrive and (event.final or now >= ladder.deadline):
        return _unresolved(answer(ladder, event.text))
    return _look_up(ladder, max(poll(ladder), UNREACHABLE_WAIT, event.retry_after))


def _past_expiry(ladder: Ladder, at: float) -> bool:
    expiry = ladder.limits.request_expiry
    margin = SEND_WITHIN + max(LOOK_MARGIN, ladder.limits.position_lag)
    return expiry is not None and at >= ladder.under_way.sent_at + expiry + margin


def _unresolved(ladder: Ladder) -> Transition:
    """End with an alarm and send nothing more, because nobody knows whether the order was executed.

    After the request's expiry the order can no longer execute. Where the venue
    promises no expiry, the account is frozen.
    """
    name = ladder.under_way.name
    text = f"whether order {name} was executed could not be found out; nothing more is sent, look at the venue"
    return give_up(structs.replace(ladder, freeze=ladder.limits.request_expiry is None), text)


def order_read(ladder: Ladder, event: OrderRead, now: float) -> Transition:
    """Take the state of our live order while the order settles."""
    order = event.order
    if order is None and ladder.under_way.request is None:  # a list showed the order: ask again
        order = _seen(ladder)
    if order is None:  # the venue accepted the order and now denies it: neither answer is believed
        return _resolve(ladder, poll(ladder))
    if order.status.terminal:
        return _terminal(ladder, order, now)
    if _settled_too_long(ladder, now):
        return _withdraw(ladder, order, now)
    return settle(ladder, order)


def settle_failed(ladder: Ladder, event: LookFailed, now: float) -> Transition:
    """Go on after a failed query for the order's state. The tier's time-out keeps running."""
    order = _seen(ladder)
    if _settled_too_long(ladder, now):
        return _withdraw(answer(ladder, event.text), order, now)
    return settle(ladder, order)


def _settled_too_long(ladder: Ladder, now: float) -> bool:
    return now >= min(ladder.under_way.sent_at + ladder.limits.tier_timeout, ladder.deadline)


def _seen(ladder: Ladder) -> Order:
    """Return our live order as last seen."""
    order = ladder.under_way.seen
    assert order is not None
    return order


def _withdraw(ladder: Ladder, order: Order, now: float, silent: float = 0.0) -> Transition:
    """Ask for a cancel of our order, ``silent`` seconds later for its state. Only a terminal state ends the tier."""
    since = ladder.under_way.withdrawn_at
    seconds = max(silent, poll(ladder) if ladder.phase is Phase.WITHDRAWING else 0.0)
    under_way = structs.replace(ladder.under_way, seen=order, withdrawn_at=now if since is None else since)
    ladder = go(ladder, Phase.WITHDRAWING, order=under_way, polls=ladder.polls + 1)
    return Transition(ladder, DoWithdraw(order, seconds))


def withdrawn(ladder: Ladder, event: OrderRead | LookFailed, now: float) -> Transition:
    """Go on once the order is terminal. Otherwise the close ends stuck, because the order may still be live."""
    order = event.order if isinstance(event, OrderRead) else None
    if order is not None and order.status.terminal:
        return _terminal(ladder, order, now)
    last, since = _seen(ladder), ladder.under_way.withdrawn_at
    assert since is not None
    silent = event.retry_after if isinstance(event, LookFailed) else 0.0
    if silent > 0 and now + silent < ladder.deadline:  # the venue confirms no cancel during this time
        under_way = structs.replace(ladder.under_way, withdrawn_at=now + silent)
        return _withdraw(structs.replace(ladder, order=under_way), last, now, silent)
    limit = max(ladder.limits.tier_timeout, ladder.limits.position_lag) * 2
    if now - since >= limit or (isinstance(event, LookFailed) and event.final):
        return give_up(ladder, f"order {last.id} may still be live at the venue: its cancel was not confirmed")
    return _withdraw(ladder, order or last, now)


def _terminal(ladder: Ladder, order: Order, now: float) -> Transition:
    """Count the order's fill once, even when it is reported again, and read the position."""
    request, before = ladder.under_way.request, ladder.fills.quantity
    record = _record(ladder, "terminal", order)
    ladder = _counted(ladder, order, now)
    if ladder.fills.quantity > ladder.action.quantity:
        raise CloseBroken(
            f"order {order.id} filled {plain(order.filled)}, more than what was confirmed "
            f"({plain(ladder.action.quantity)}, {plain(before)} filled before)",
            ladder,
        )
    if order.filled == 0:
        ladder = answer(ladder, order.text or order.status.value)
    split = request is not None and order.filled >= request.quantity
    ladder = structs.replace(ladder, part=ladder.part + 1, polls=0) if split else advance(ladder)
    return _recorded(read(ladder), record)


def _counted(ladder: Ladder, order: Order, now: float) -> Ladder:
    """Return the ladder with the fill of our ended order, and with no order under way."""
    step = ladder.step
    fills = ladder.fills.count(order, step.tier if step is not None else None, now)
    return structs.replace(
        ladder,
        order=None,
        fills=fills,
        expected=ladder.expected - (fills.quantity - ladder.fills.quantity),
        judge_from=None if fills.quantity > ladder.fills.quantity else ladder.judge_from,  # a close that fills goes on
        failed=ladder.failed or order.status is OrderStatus.REJECTED,
    )


def _unsent(ladder: Ladder) -> Ladder:
    """Return the ladder with no order of ours on its way or live."""
    return structs.replace(ladder, order=None)


def _recorded(transition: Transition, *records: IntentAnswered | MinimumRefused) -> Transition:
    return structs.replace(transition, records=(*records, *transition.records))


def _too_small(ladder: Ladder, text: str) -> list[MinimumRefused]:
    """Return the record of a refusal as below the minimum, so that the same position is not sent again."""
    position, instrument = ladder.last_read.position, ladder.last_read.instrument
    if position is None or instrument is None:
        return []
    refusal = MinimumRefusal(position.quantity, ladder.last_read.price, limits_of(instrument), text)
    return [MinimumRefused(ladder.plan, ladder.action.key, refusal)]


def _record(ladder: Ladder, outcome: str, order: Order | None = None, text: str = "") -> IntentAnswered:
    return IntentAnswered(ladder.plan, ladder.action.key, ladder.under_way.name, outcome, order, text)
