"""The result rows of a ladder, for the plan's results and the journal. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import structs

from core.ladder.states import Ladder, Phase
from core.plans.plan import Action, ActionKind
from core.plans.results import Outcome, ResultRow, earned, profit
from core.units import ZERO


def result(action: Action, ladder: Ladder) -> ResultRow:
    """Return the result of an action."""
    outcome, fills = ladder.outcome or Outcome.STUCK, ladder.fills
    close = action.kind is ActionKind.CLOSE
    closed = close and (fills.quantity > 0 or outcome in (Outcome.CLOSED, Outcome.CLOSED_RESIDUAL))
    return ResultRow(
        key=action.key,
        kind=action.kind.value,
        outcome=outcome.value,
        order_id=action.order.id if action.order and not close else None,
        tier=fills.tier.value if fills.tier else None,
        filled=fills.quantity,
        average_price=fills.average_price,
        residual=_residual(ladder) if close else None,
        profit_status="CONFIRMED" if closed else None,
        profit=profit(action, fills.average_price) if closed else None,
        error=_why(ladder, outcome),
        reason=action.reason.value,
        why=action.text,
        money=earned(action, fills.quantity, fills.average_price, fills.fee) if close else None,
    )


MAY_BE_LIVE = frozenset({Phase.RESOLVING, Phase.SETTLING, Phase.WITHDRAWING})


def stopped(action: Action, ladder: Ladder, outcome: Outcome, why: str) -> ResultRow:
    """Return the result of an aborted close: what it closed so far, and what is unknown."""
    if ladder.phase in MAY_BE_LIVE and ladder.order is not None:
        outcome = Outcome.STUCK
        why = f"{why}; whether order {ladder.order.name} was executed is not known, look at the venue"
    if ladder.phase is Phase.RESTORING:
        why = f"{why}; a protective order that was cancelled may not have been put back, look at the venue"
    outcome = Outcome.PARTIAL if ladder.fills.quantity > 0 else outcome
    return result(action, structs.replace(ladder, outcome=outcome, error=why))


def cancel_results(action: Action, ladder: Ladder) -> list[ResultRow]:
    """Return a row for each order that the close had to cancel first: cancelled, or still open."""
    asked = ladder.cancels.asked_at is not None
    rows = []
    for order in action.cancels if action.kind is ActionKind.CLOSE else ():
        gone = asked and order.id not in ladder.last_read.open_orders
        kept = ladder.outcome if ladder.outcome and not ladder.outcome.settled else Outcome.STUCK
        outcome = Outcome.CANCELLED if gone else kept
        error = None if gone else _why(ladder, outcome)
        rows.append(
            ResultRow(
                *(action.key, ActionKind.CANCEL_ORDER.value, outcome.value),
                order_id=order.id,
                residual=None,
                error=error,
                reason=action.reason.value,
                why=action.text,
            )
        )
    return rows


def _why(ladder: Ladder, outcome: Outcome) -> str | None:
    """Return the reason of the outcome, with the venue's last answer where something remains."""
    last = ladder.answers[-1] if ladder.answers else ""
    if outcome.settled or ladder.error is None or not last or ladder.error in last:
        return ladder.error
    return f"{ladder.error}; last answer: {last}"


def _residual(ladder: Ladder) -> Decimal | None:
    if ladder.outcome is Outcome.CLOSED:
        return ZERO
    position = ladder.last_read.position
    return position.quantity if position is not None else None
