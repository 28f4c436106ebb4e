"""The escalation ladder: ``step(ladder, event, now)`` decides, without an await, what a close does next.

The ladder keeps these rules, whatever the venue does:

* An order is sent only after a fresh read, and only while no order of ours is live or unknown.
* The size of an order is what the broker reports now, and never more than what was confirmed less what was filled.
* An unknown outcome is looked up until the outcome is known.
* A position is flat when our own fills explain it, or when two complete reads report it.
* A position that differs from the confirmed position is not closed.
* What an exit rule decided before the open or before a restart is judged again before the next order.

``LIFECYCLE`` is the one table of phases, events, handlers and next phases. ``step`` obeys the table, and the diagram in
docs/architecture.md is made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from core.errors import InvariantBroken
from core.ladder.after_read import decide
from core.ladder.moves import answer, cancel, end, give_up, go, read, wait
from core.ladder.order import (
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
from core.ladder.parts import Cancels
from core.ladder.states import (
    Acknowledged,
    CancelsAsked,
    DoEnd,
    DoRead,
    Event,
    Judged,
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
from core.ports import SEND_WITHIN, OrderRead


def start(action: Action, plan: str, epoch: str, steps: tuple[Step, ...], limits: Limits, now: float) -> Transition:
    """Return the first transition of a close, or of the cancel of one order for an action that only cancels."""
    ladder = Ladder(
        plan=plan,
        epoch=epoch,
        action=action,
        steps=steps,
        limits=limits,
        deadline=now + limits.total_timeout,
        expected=action.quantity,
        cancels=Cancels(action.cancels),
    )
    return cancel(ladder, action.cancels, now) if action.cancels else Transition(ladder, DoRead())


def step(ladder: Ladder, event: Event, now: float) -> Transition:
    """Return the next state and the one thing to do next.

    Raises InvariantBroken for an event that the phase does not wait for. Raises it also for a next phase that LIFECYCLE
    does not list.
    """
    row = LIFECYCLE.get((ladder.phase, type(event)))
    if row is None:
        raise InvariantBroken(f"{type(event).__name__} while {ladder.phase.value}: a close waits for one thing only")
    handler, phases = row
    transition = handler(ladder, event, now)
    reached = transition.ladder.phase
    if reached not in phases:
        raise InvariantBroken(f"a close cannot go from {ladder.phase.value} to {reached.value}")
    if isinstance(event, CancelsAsked) and event.read is not None and now - event.read.asked <= SEND_WITHIN:
        return step(transition.ladder, event.read, now)  # an older read came before a slow answer to a cancel
    return transition


def _cancels_asked(ladder: Ladder, event: CancelsAsked, now: float) -> Transition:
    for order_id, text in event.answers.items():
        if text:
            ladder = answer(ladder, f"cancel of {order_id}: {text}")
    return read(ladder)


def _read_failed(ladder: Ladder, event: ReadFailed, now: float) -> Transition:
    """Send nothing, because the position cannot be read."""
    outdated = structs.replace(ladder.last_read, outdated=True)
    ladder = structs.replace(answer(ladder, event.text), last_read=outdated)
    if event.final:
        return end(ladder, Outcome.STUCK, event.text, alarm=True)
    if now >= ladder.deadline:
        return give_up(ladder, f"position could not be read: {event.text}")
    return wait(ladder, UNREACHABLE_WAIT)


def _read_again(ladder: Ladder, event: Waited, now: float) -> Transition:
    return read(ladder)


def _opened(ladder: Ladder, event: Waited, now: float) -> Transition:
    """Read again with a new deadline: waiting for the market to open costs no attempts and no time.

    What an exit rule decided before the open is judged again. What a person confirmed is not.
    """
    since = now if ladder.by_exit else None
    return read(structs.replace(ladder, deadline=now + ladder.limits.total_timeout, judge_from=since))


def _judged(ladder: Ladder, event: Judged, now: float) -> Transition:
    """Read again with a new deadline. A close that no rule calls for any more ends after that read."""
    deadline = now + ladder.limits.total_timeout
    dropped = "" if event.holds else event.text
    return read(structs.replace(ladder, deadline=deadline, judge_from=None, dropped=dropped))


def _restored(ladder: Ladder, event: Restored, now: float) -> Transition:
    failures = [a for a in event.answers if a]
    error = ladder.error
    if failures:
        error = f"{error}; a protective order could not be put back: {failures[0]}"
    return Transition(go(ladder, Phase.ENDED, error=error, alarm=ladder.alarm or bool(failures)), DoEnd())


Handler = Callable[[Ladder, Any, float], Transition]
_STOPS = frozenset({Phase.RESTORING, Phase.ENDED})  # an end puts protective orders back first where some are missing

# For each phase and each event that the phase may receive: the handler, and the phases that the handler may lead to.
LIFECYCLE: dict[tuple[Phase, type], tuple[Handler, frozenset[Phase]]] = {
    (Phase.CANCELLING, CancelsAsked): (_cancels_asked, frozenset({Phase.READING})),
    (Phase.READING, PositionRead): (
        decide,
        _STOPS | {Phase.CANCELLING, Phase.WAITING, Phase.PARKED, Phase.SENDING, Phase.SETTLING},
    ),
    (Phase.READING, ReadFailed): (_read_failed, _STOPS | {Phase.WAITING}),
    (Phase.WAITING, Waited): (_read_again, frozenset({Phase.READING})),
    (Phase.PARKED, Waited): (_opened, frozenset({Phase.READING})),
    (Phase.PARKED, Judged): (_judged, frozenset({Phase.READING})),
    (Phase.SENDING, NotJournaled): (not_journaled, _STOPS),
    (Phase.SENDING, Acknowledged): (acknowledged, frozenset({Phase.READING, Phase.RESOLVING, Phase.SETTLING})),
    (Phase.SENDING, SendRefused): (
        send_refused,
        _STOPS | {Phase.READING, Phase.WAITING, Phase.PARKED, Phase.RESOLVING},
    ),
    (Phase.SENDING, SendUnreachable): (unreachable, _STOPS | {Phase.WAITING}),
    (Phase.SENDING, SendUnknown): (send_unknown, frozenset({Phase.RESOLVING})),
    (Phase.RESOLVING, OrderRead): (
        looked_up,
        frozenset({Phase.READING, Phase.RESOLVING, Phase.SETTLING, Phase.ENDED}),
    ),
    (Phase.RESOLVING, LookFailed): (look_failed, frozenset({Phase.RESOLVING, Phase.ENDED})),
    (Phase.SETTLING, OrderRead): (
        order_read,
        frozenset({Phase.READING, Phase.RESOLVING, Phase.SETTLING, Phase.WITHDRAWING}),
    ),
    (Phase.SETTLING, LookFailed): (settle_failed, frozenset({Phase.SETTLING, Phase.WITHDRAWING})),
    (Phase.WITHDRAWING, OrderRead): (withdrawn, frozenset({Phase.READING, Phase.WITHDRAWING, Phase.ENDED})),
    (Phase.WITHDRAWING, LookFailed): (withdrawn, frozenset({Phase.WITHDRAWING, Phase.ENDED})),
    (Phase.RESTORING, Restored): (_restored, frozenset({Phase.ENDED})),
}
