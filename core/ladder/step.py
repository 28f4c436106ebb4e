"""The escalation ladder: ``step(ladder, event, now)`` decides, under no await, what a close does next.

What it holds, whatever the venue does: an order is sent only from a fresh read with no order of ours live or unknown;
its size is what the broker reports now, never more than what was confirmed less what was filled; an unknown outcome
is looked up until it is known; a position is flat when our own fills explain it or two complete reads say so; what is
not as it was confirmed is not executed. ``core.ladder.states`` has the phases and the legal transitions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from core.errors import InvariantBroken
from core.ladder.after_read import decide
from core.ladder.moves import answer, cancel, end, give_up, read, wait
from core.ladder.order import (
    SEND_WITHIN,
    UNREACHABLE_WAIT,
    acknowledged,
    look_failed,
    looked_up,
    not_journaled,
    order_read,
    send_refused,
    send_unknown,
    settle_failed,
    unreachable,
    withdrawn,
)
from core.ladder.states import (
    Acknowledged,
    CancelsAsked,
    DoEnd,
    DoRead,
    Event,
    Ladder,
    Limits,
    LookFailed,
    NotJournaled,
    Phase,
    PositionRead,
    ReadFailed,
    Restored,
    SendRefused,
    SendUnknown,
    SendUnreachable,
    Transition,
    Waited,
)
from core.ladder.tiers import Step
from core.plans.plan import Action
from core.plans.results import Outcome
from core.ports import OrderRead


def start(action: Action, plan: str, epoch: str, steps: tuple[Step, ...], limits: Limits, now: float) -> Transition:
    """A close, or with an action that only cancels, the cancel of one order."""
    ladder = Ladder(
        plan=plan,
        epoch=epoch,
        action=action,
        steps=steps,
        limits=limits,
        deadline=now + limits.total_timeout,
        expected=action.quantity,
    )
    return cancel(ladder, action.cancels, now) if action.cancels else Transition(ladder, DoRead())


def step(ladder: Ladder, event: Event, now: float) -> Transition:
    """The next state and the one thing to do next. Raises InvariantBroken for an event the phase cannot have."""
    handler = _HANDLERS.get((ladder.phase, type(event)))
    if handler is None:
        raise InvariantBroken(f"{type(event).__name__} while {ladder.phase.value}: a close waits for one thing only")
    return handler(ladder, event, now)


def _cancels_asked(ladder: Ladder, event: CancelsAsked, now: float) -> Transition:
    for order_id, text in event.answers.items():
        if text:
            ladder = answer(ladder, f"cancel of {order_id}: {text}")
    move = read(ladder)
    fresh = event.read is not None and now - event.read.asked <= SEND_WITHIN  # a cancel may have been slow to answer
    return decide(move.ladder, event.read, now) if event.read is not None and fresh else move


def _read_failed(ladder: Ladder, event: ReadFailed, now: float) -> Transition:
    """What is held cannot be read, so nothing is sent."""
    ladder = structs.replace(answer(ladder, event.text), blind=True)
    if event.final:
        return end(ladder, Outcome.STUCK, event.text, alarm=True)
    if now >= ladder.deadline:
        return give_up(ladder, f"position could not be read: {event.text}")
    return wait(ladder, UNREACHABLE_WAIT)


def _read_again(ladder: Ladder, event: Waited, now: float) -> Transition:
    return read(ladder)


def _opened(ladder: Ladder, event: Waited, now: float) -> Transition:
    """Waiting for the open burns no attempts and no time."""
    return read(structs.replace(ladder, deadline=now + ladder.limits.total_timeout))


def _restored(ladder: Ladder, event: Restored, now: float) -> Transition:
    failures = [a for a in event.answers if a]
    error = ladder.error
    if failures:
        error = f"{error}; a protective order could not be put back: {failures[0]}"
    done = structs.replace(ladder, phase=Phase.ENDED, error=error, alarm=ladder.alarm or bool(failures))
    return Transition(done, DoEnd())


_HANDLERS: dict[tuple[Phase, type], Callable[[Ladder, Any, float], Transition]] = {
    (Phase.CANCELLING, CancelsAsked): _cancels_asked,
    (Phase.READING, PositionRead): decide,
    (Phase.READING, ReadFailed): _read_failed,
    (Phase.WAITING, Waited): _read_again,
    (Phase.PARKED, Waited): _opened,
    (Phase.SENDING, NotJournaled): not_journaled,
    (Phase.SENDING, Acknowledged): acknowledged,
    (Phase.SENDING, SendRefused): send_refused,
    (Phase.SENDING, SendUnreachable): unreachable,
    (Phase.SENDING, SendUnknown): send_unknown,
    (Phase.RESOLVING, OrderRead): looked_up,
    (Phase.RESOLVING, LookFailed): look_failed,
    (Phase.SETTLING, OrderRead): order_read,
    (Phase.SETTLING, LookFailed): settle_failed,
    (Phase.WITHDRAWING, OrderRead): withdrawn,
    (Phase.WITHDRAWING, LookFailed): withdrawn,
    (Phase.RESTORING, Restored): _restored,
}
