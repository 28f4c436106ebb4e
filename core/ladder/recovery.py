"""What a restart makes of an interrupted plan: the state of each of its closes, folded from the journal. Pure.

An intent without a definitive answer is an unknown outcome: it is looked up before anything else is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, structs

from core.ladder import step as ladder
from core.ladder.states import Ladder, Limits, Phase, SendUnknown, Transition
from core.ladder.tiers import Step
from core.model import PositionKey, Tier
from core.plans.plan import Action, ActionKind, ApprovedPlan, reopened
from core.records import CancelAsked, ClosingEnded, Entry, IntentAnswered, IntentWritten, PlanApproved, Record
from core.units import ZERO

DEFINITIVE = frozenset({"terminal", "refused", "unreachable", "not_found"})


class InterruptedPlan(Struct, frozen=True):
    """A plan that was approved and has not ended, with what is left of it."""

    approved: ApprovedPlan
    ended: tuple[ClosingEnded, ...]
    entries: tuple[Entry, ...]

    def age(self, now: datetime) -> float:
        """Seconds since it was approved."""
        return (now - self.approved.approved_at).total_seconds()

    def left(self) -> list[Action]:
        """Actions without an end: closes, and cancels that no close carries."""
        done = {(e.result.key, e.result.kind, e.result.order_id) for e in self.ended}
        plan = self.approved.plan
        return [a for a in (*plan.closes, *plan.lone_cancels) if action_id(a) not in done]


def action_id(action: Action) -> tuple[PositionKey, str, str | None]:
    """What tells the actions of one plan apart."""
    order_id = action.order.id if action.kind is ActionKind.CANCEL_ORDER and action.order else None
    return action.key, action.kind.value, order_id


def interrupted(entries: Sequence[Entry]) -> InterruptedPlan:
    """From all entries of one open plan, in order. The first is its approval."""
    opening = entries[0].record
    assert isinstance(opening, PlanApproved)
    return InterruptedPlan(
        approved=reopened(opening.plan, opening.by, opening.at),
        ended=tuple(e.record for e in entries if isinstance(e.record, ClosingEnded)),
        entries=tuple(entries),
    )


def take_up(
    action: Action, plan: InterruptedPlan, epoch: str, steps: tuple[Step, ...], limits: Limits, now: float
) -> Transition:
    """The close where it was interrupted. Without steps it only finds out what was under way."""
    records = [e.record for e in plan.entries]
    intents = [r for r in records if isinstance(r, IntentWritten) and r.key == action.key and r.step >= 0]
    name = plan.approved.plan.id
    if action.kind is not ActionKind.CLOSE or (steps and not intents):
        return ladder.start(action, name, epoch, steps, limits, now)
    answers: dict[str, IntentAnswered] = {}
    for record in records:
        if isinstance(record, IntentWritten) and not _already_terminal(answers.get(record.client_id)):
            answers.pop(record.client_id, None)  # an earlier try under this name was answered, this one was not
        if isinstance(record, IntentAnswered) and not _already_terminal(answers.get(record.client_id)):
            answers[record.client_id] = record
    move = ladder.start(structs.replace(action, cancels=()), name, epoch, steps, limits, now)
    cancelled = any(isinstance(r, CancelAsked) and r.key == action.key for r in records)
    state = _accounted(move.ladder, intents, answers, now)
    state = structs.replace(
        state, action=action, cancelled_at=now if cancelled else None, others=_others(action, records)
    )
    if not intents:
        return Transition(state, move.do)
    last, answered = intents[-1], answers.get(intents[-1].client_id)
    if answered is not None and answered.outcome in DEFINITIVE:
        after = answered.outcome != "unreachable"  # that one leaves again, under its own name
        return Transition(
            structs.replace(state, index=_index(steps, last, after), part=0 if after else state.part), move.do
        )
    order = answered.order if answered is not None else None
    index = _index(steps, last, False)
    state = structs.replace(
        state, phase=Phase.SENDING, index=index, request=last.request, order=order, sent_at=now, known=_known(state)
    )
    state = structs.replace(state, since=last.at, nameless=last.tier is Tier.VENUE_CLOSE)
    return ladder.step(state, SendUnknown("interrupted before its answer was known"), now)


def begun(action: Action, plan: InterruptedPlan) -> bool:
    """Whether anything was done for this close that must be found out, accounted for or put back."""
    if action.kind is not ActionKind.CLOSE:
        return False
    records = (e.record for e in plan.entries)
    return any(isinstance(r, IntentWritten | CancelAsked) and r.key == action.key for r in records)


def _already_terminal(answer: IntentAnswered | None) -> bool:
    return answer is not None and answer.outcome == "terminal"


def _accounted(state: Ladder, intents: list[IntentWritten], answers: dict[str, IntentAnswered], now: float) -> Ladder:
    """What our terminal orders filled, and everything that we ever sent for this close."""
    filled, paid, done, tier = ZERO, state.paid, dict[str, Decimal](), state.tier
    sent = {i.client_id for i in intents}
    for intent in intents:
        order = answers[intent.client_id].order if intent.client_id in answers else None
        if order is None:
            continue
        sent.add(order.id)
        if answers[intent.client_id].outcome == "terminal" and order.id not in done:
            done[order.id] = order.filled
            filled += order.filled
            price = order.average_price
            if order.filled > 0:
                paid = None if paid is None or price is None else paid + order.filled * price
                tier = intent.tier
    return structs.replace(
        state,
        filled=filled,
        paid=paid,
        done=done,
        tier=tier,
        sent=frozenset(sent),
        ended_at=now if done else None,
        expected=state.action.quantity - filled,
        part=_part(intents),
        failed=any(a.outcome in ("refused", "not_found") for a in answers.values()),
    )


def _part(intents: list[IntentWritten]) -> int:
    """Which part of its rung the last intent is: each has a name of its own, and may have been tried more than once."""
    if not intents:
        return 0
    last = intents[-1]
    same = (i for i in intents if (i.round, i.tier, i.step) == (last.round, last.tier, last.step))
    return len({i.client_id for i in same}) - 1


def _known(state: Ladder) -> frozenset[str]:
    return frozenset(state.action.orders_shown) | frozenset(state.done) | state.others


def _others(action: Action, records: list[Record]) -> frozenset[str]:
    """Orders of the plan's other closes: on the other leg of the instrument, say."""
    answers = [r for r in records if isinstance(r, IntentAnswered) and r.key != action.key]
    return frozenset(r.order.id for r in answers if r.order is not None)


def _index(steps: tuple[Step, ...], last: IntentWritten, after: bool) -> int:
    """Where the last intent stands in the schedule, or the rung after it."""
    for index, step in enumerate(steps):
        if step.round == last.round and step.tier is last.tier and index >= last.step:
            return index + after
    return min(last.step + after, len(steps))
