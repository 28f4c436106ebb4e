"""The recovery of an interrupted plan after a restart: the state of each close, computed from the journal. Pure.

An intent without a definitive answer is an unknown outcome. The order is looked up before anything else is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, structs

from core.ladder import step as ladder
from core.ladder.moves import read
from core.ladder.parts import Cancels, OrderUnderWay
from core.ladder.states import DoRead, Ladder, Limits, Phase, SendUnknown, Transition
from core.ladder.tiers import Step
from core.model import PositionKey, Tier
from core.plans.plan import Action, ActionKind, ApprovedPlan, reopened
from core.records import (
    DEFINITIVE,
    CancelAsked,
    ClosingEnded,
    Entry,
    IntentAnswered,
    IntentWritten,
    PlanApproved,
    Record,
)


class InterruptedPlan(Struct, frozen=True):
    """A plan that was approved and has not ended, with its journal entries."""

    approved: ApprovedPlan
    ended: tuple[ClosingEnded, ...]
    entries: tuple[Entry, ...]

    def age(self, now: datetime) -> float:
        """Return the seconds since the approval."""
        return (now - self.approved.approved_at).total_seconds()

    def open_actions(self) -> list[Action]:
        """Return the actions without a result: closes, and cancels that belong to no close."""
        done = {(e.result.key, e.result.kind, e.result.order_id) for e in self.ended}
        plan = self.approved.plan
        return [a for a in (*plan.closes, *plan.lone_cancels) if action_id(a) not in done]


def action_id(action: Action) -> tuple[PositionKey, str, str | None]:
    """Return the key that identifies an action within its plan."""
    order_id = action.order.id if action.kind is ActionKind.CANCEL_ORDER and action.order else None
    return action.key, action.kind.value, order_id


def interrupted_plan(entries: Sequence[Entry]) -> InterruptedPlan:
    """Make the interrupted plan from all entries of one open plan, in order. The first entry is the approval."""
    opening = entries[0].record
    assert isinstance(opening, PlanApproved)
    return InterruptedPlan(
        approved=reopened(opening.plan, opening.by, opening.at),
        ended=tuple(e.record for e in entries if isinstance(e.record, ClosingEnded)),
        entries=tuple(entries),
    )


def resume_close(
    action: Action, plan: InterruptedPlan, epoch: str, steps: tuple[Step, ...], limits: Limits, now: float
) -> Transition:
    """Resume a close where it was interrupted. Without steps only the order under way is resolved.

    An exit rule's close that has sold nothing, or that was refused last, is judged again before anything is sent.
    """
    move = _resumed(action, plan, epoch, steps, limits, now)
    answers = [e.record for e in plan.entries if isinstance(e.record, IntentAnswered) and e.record.key == action.key]
    refused = bool(answers) and answers[-1].outcome == "refused"
    if not plan.approved.by_exit or (move.ladder.fills.quantity > 0 and not refused):
        return move
    state = structs.replace(move.ladder, judge_from=now)
    if state.phase is Phase.CANCELLING:  # nothing was asked to go yet
        return read(structs.replace(state, cancels=Cancels(action.cancels)))
    return Transition(state, move.do, move.records)


def _resumed(
    action: Action, plan: InterruptedPlan, epoch: str, steps: tuple[Step, ...], limits: Limits, now: float
) -> Transition:
    records = [e.record for e in plan.entries]
    intents = [r for r in records if isinstance(r, IntentWritten) and r.key == action.key and r.step >= 0]
    name = plan.approved.plan.id
    if action.kind is not ActionKind.CLOSE or (steps and not intents):
        return ladder.start(action, name, epoch, steps, limits, now)
    answers: dict[str, IntentAnswered] = {}
    for record in records:
        if isinstance(record, IntentWritten) and not _already_terminal(answers.get(record.client_id)):
            answers.pop(record.client_id, None)  # the answer belongs to an earlier attempt with the same client id
        if isinstance(record, IntentAnswered) and not _already_terminal(answers.get(record.client_id)):
            answers[record.client_id] = record
    state = ladder.start(structs.replace(action, cancels=()), name, epoch, steps, limits, now).ladder
    cancelled = any(isinstance(r, CancelAsked) and r.key == action.key for r in records)
    cancels = Cancels(action.cancels, asked_at=now if cancelled else None)
    state = structs.replace(state, action=action, cancels=cancels, others=_others(action, records))
    state = _accounted(state, intents, answers, now)
    if not intents:
        return Transition(state, DoRead())
    last, answered = intents[-1], answers.get(intents[-1].client_id)
    if answered is not None and answered.outcome in DEFINITIVE:
        split = answered.order is not None and answered.order.filled >= last.request.quantity
        after = answered.outcome != "unreachable" and not split  # an unreachable order is sent again with its client id
        part = 0 if after else state.part + split
        return Transition(structs.replace(state, index=_index(steps, last, after), part=part), DoRead())
    order = OrderUnderWay(
        last.request,
        sent_at=now,
        nameless=last.tier is Tier.VENUE_CLOSE,
        known=None if action.orders_flaw else _known(state),
        since=last.at,
        seen=answered.order if answered is not None else None,
    )
    state = structs.replace(state, phase=Phase.SENDING, index=_index(steps, last, False), order=order)
    return ladder.step(state, SendUnknown("interrupted before its answer was known"), now)


def has_begun(action: Action, plan: InterruptedPlan) -> bool:
    """Return whether the close has sent an order or asked for a cancel, so that it must be resumed."""
    if action.kind is not ActionKind.CLOSE:
        return False
    records = (e.record for e in plan.entries)
    return any(isinstance(r, IntentWritten | CancelAsked) and r.key == action.key for r in records)


def _already_terminal(answer: IntentAnswered | None) -> bool:
    return answer is not None and answer.outcome == "terminal"


def _accounted(state: Ladder, intents: list[IntentWritten], answers: dict[str, IntentAnswered], now: float) -> Ladder:
    """Add the fills of our terminal orders, and the ids of all orders that we sent for this close."""
    fills = state.fills
    sent = {i.client_id for i in intents}
    for intent in intents:
        order = answers[intent.client_id].order if intent.client_id in answers else None
        if order is None:
            continue
        sent.add(order.id)
        if answers[intent.client_id].outcome == "terminal" and order.id not in fills.by_order:
            fills = fills.count(order, intent.tier, now)
    return structs.replace(
        state,
        fills=structs.replace(fills, filled_at=None),
        sent=frozenset(sent),
        expected=state.action.quantity - fills.quantity,
        part=_part(intents),
        failed=any(a.outcome in ("refused", "not_found") for a in answers.values()),
    )


def _part(intents: list[IntentWritten]) -> int:
    """Return the number of the last intent's part. Each part has its own client id and may have been retried."""
    if not intents:
        return 0
    last = intents[-1]
    same = (i for i in intents if (i.round, i.tier, i.step) == (last.round, last.tier, last.step))
    return len({i.client_id for i in same}) - 1


def _known(state: Ladder) -> frozenset[str]:
    return frozenset(state.action.orders_shown) | frozenset(state.fills.by_order) | state.others


def _others(action: Action, records: list[Record]) -> frozenset[str]:
    """Return the ids of orders of the plan's other closes, for example on the other leg of the instrument."""
    answers = [r for r in records if isinstance(r, IntentAnswered) and r.key != action.key]
    return frozenset(r.order.id for r in answers if r.order is not None)


def _index(steps: tuple[Step, ...], last: IntentWritten, after: bool) -> int:
    """Return the index of the last intent's step in the schedule, or with ``after`` of the step behind it."""
    for index, step in enumerate(steps):
        if step.round == last.round and step.tier is last.tier and index >= last.step:
            return index + after
    return min(last.step + after, len(steps))
