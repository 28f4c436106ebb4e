"""The words of the log: the tags that operators grep for, and the summaries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import structs

from core.ladder.states import Ladder, Outcome, Phase
from core.link.messages import ResultRow
from core.model import Side
from core.plans.plan import Action, ActionKind, OwnerTally, Plan, Reason
from core.units import ZERO, dollars, percent, plain

TAGS = {
    Reason.DUST: "[DUST]",
    Reason.CAP_EXCEEDED: "[CAP_EXCEEDED]",
    Reason.FLATTEN: "[FLATTEN]",
    Reason.CANCEL_ORDERS: "[CANCEL_ORDERS]",
    Reason.LEGACY: "[LEGACY]",
    Reason.EXIT: "[EXIT]",
}
_ORDER_TAGS = {**TAGS, Reason.CAP_EXCEEDED: "[CAP]"}


def tag(reason: Reason) -> str:
    """``[DUST][FORCED]`` and its like."""
    return f"{TAGS.get(reason, '[SKIPPED]')}[FORCED]"


def begun(action: Action) -> str:
    """The line that opens a forced close."""
    size = "unknown" if action.usd_value is None else f"${dollars(action.usd_value)}"
    pnl = "unknown" if action.pnl is None else f"{'+' if action.pnl >= 0 else ''}{percent(action.pnl)}%"
    where = f"Account: {action.key.account}, Reason: {action.text}, Size: {size}, P&L: {pnl}"
    return f"{tag(action.reason)} {action.key.symbol} {where}, PROFIT_STATUS = PENDING"


def would_cancel(action: Action) -> str:
    """A dry run's line for an order."""
    order = action.order
    name = order.id if order else "?"
    return f"{_ORDER_TAGS.get(action.reason, '')}[OPEN_ORDER][WOULD_CANCEL] Order {name} on {action.key.symbol}"


def cancelled(action: Action, order_id: str) -> str:
    """An order that a plan cancelled and that was seen gone."""
    return f"{_ORDER_TAGS.get(action.reason, '')}[OPEN_ORDER][CANCELLED] Order {order_id} on {action.key.symbol}"


def planned(plan: Plan) -> list[str]:
    """A plan as log lines, in the form of a dry run."""
    lines = []
    for action in plan.actions:
        match action.kind:
            case ActionKind.CANCEL_ORDER:
                lines.append(would_cancel(action))
            case ActionKind.CLOSE:
                where = f"{action.key.symbol} Account: {action.key.account}"
                lines.append(f"{tag(action.reason)} {where}, WOULD CLOSE: {action.text}")
            case ActionKind.SKIP:
                lines.append(f"[SKIPPED] {action.key.symbol} Account: {action.key.account}, Reason: {action.text}")
    lines.extend(f"[PARTIAL] {account} could not be read: {why}" for account, why in plan.unreadable.items())
    return [*lines, *summary(plan.owners, "to close")]


def ended(action: Action, result: ResultRow) -> list[str]:
    """The lines that close an action, one fact each."""
    name = f"{tag(action.reason)} {action.key.symbol}"
    lines = []
    if result.profit_status == "CONFIRMED":
        lines.append(f"{name} PROFIT_STATUS = PENDING → CONFIRMED")
        lines.append(f"{name} OUTCOME = {result.profit}")
    match result.outcome:
        case "closed":
            lines.append(f"{name} CLOSED SUCCESSFULLY ({result.tier or 'it was gone already'})")
        case "closed_residual":
            lines.append(f"{name} CLOSED, {plain(result.residual or ZERO)} remain: {result.error}")
        case "cancelled":
            pass
        case outcome:
            lines.append(f"{name} {outcome.upper()}: {result.error}")
    return lines


def result(action: Action, ladder: Ladder) -> ResultRow:
    """What came of an action."""
    outcome = ladder.outcome or Outcome.STUCK
    close = action.kind is ActionKind.CLOSE
    closed = close and (ladder.filled > 0 or outcome in (Outcome.CLOSED, Outcome.CLOSED_RESIDUAL))
    return ResultRow(
        key=action.key,
        kind=action.kind.value,
        outcome=outcome.value,
        order_id=action.order.id if action.order and not close else None,
        tier=ladder.tier.value if ladder.tier else None,
        filled=ladder.filled,
        average_price=ladder.average_price,
        residual=_residual(ladder) if close else None,
        profit_status="CONFIRMED" if closed else None,
        profit=profit(action, ladder.average_price) if closed else None,
        error=_why(ladder, outcome),
    )


MAY_BE_LIVE = frozenset({Phase.RESOLVING, Phase.SETTLING, Phase.WITHDRAWING})


def stopped(action: Action, ladder: Ladder, outcome: Outcome, why: str) -> ResultRow:
    """A close that goes no further: what it had closed until then counts, and what is not known of it is said."""
    if ladder.phase in MAY_BE_LIVE and ladder.request is not None:
        outcome = Outcome.STUCK
        why = f"{why}; whether order {ladder.request.client_id} was executed is not known, look at the venue"
    if ladder.phase is Phase.RESTORING:
        why = f"{why}; a protective order that was cancelled may not have been put back, look at the venue"
    outcome = Outcome.PARTIAL if ladder.filled > 0 else outcome
    return result(action, structs.replace(ladder, outcome=outcome, error=why))


def cancel_results(action: Action, ladder: Ladder) -> list[ResultRow]:
    """A row for each order that a close was to cancel first: whether it was seen gone."""
    asked = ladder.cancelled_at is not None
    rows = []
    for order in action.cancels if action.kind is ActionKind.CLOSE else ():
        gone = asked and order.id not in ladder.still_open
        kept = ladder.outcome if ladder.outcome and not ladder.outcome.settled else Outcome.STUCK
        outcome = Outcome.CANCELLED if gone else kept
        error = None if gone else _why(ladder, outcome)
        rows.append(
            ResultRow(
                action.key, ActionKind.CANCEL_ORDER.value, outcome.value, order_id=order.id, residual=None, error=error
            )
        )
    return rows


def _why(ladder: Ladder, outcome: Outcome) -> str | None:
    """Why it ended so; where something is left, with the last thing that the venue said about it."""
    last = ladder.answers[-1] if ladder.answers else ""
    if outcome.settled or ladder.error is None or not last or ladder.error in last:
        return ladder.error
    return f"{ladder.error}; last answer: {last}"


def _residual(ladder: Ladder) -> Decimal | None:
    if ladder.outcome is Outcome.CLOSED:
        return ZERO
    return ladder.position.quantity if ladder.position is not None else None


def profit(action: Action, price: Decimal | None) -> str:
    """WIN or LOSS by the realised P&L against the entry; UNKNOWN without an entry or a price."""
    return win_or_loss(action.side, action.entry, price)


def win_or_loss(side: Side | None, entry: Decimal | None, price: Decimal | None) -> str:
    """By the realised P&L of a close at ``price``; UNKNOWN where one of them is."""
    if side is None or entry is None or price is None:
        return "UNKNOWN"
    return "WIN" if (price - entry) * side.sign > 0 else "LOSS"


def not_done(action: Action, outcome: Outcome, error: str) -> ResultRow:
    """The result of an action that was not begun."""
    order_id = action.order.id if action.order and action.kind is ActionKind.CANCEL_ORDER else None
    return ResultRow(action.key, action.kind.value, outcome.value, order_id=order_id, residual=None, error=error)


def tallies(plan: Plan, results: Iterable[ResultRow], final: dict[str, int]) -> tuple[OwnerTally, ...]:
    """What was really done per owner, with what the brokers reported at the end."""
    rows = list(results)
    closed = (Outcome.CLOSED.value, Outcome.CLOSED_RESIDUAL.value)
    gone = {r.key for r in rows if r.order_id is None and r.outcome in closed}
    orders = {(r.key.account, r.order_id) for r in rows if r.outcome == Outcome.CANCELLED.value}
    out = []
    for owner in plan.owners:
        closes = [a for a in plan.closes if a.owner == owner.id and a.key in gone]
        accounts = {a.key.account for a in plan.actions if a.owner == owner.id}
        out.append(
            structs.replace(
                owner,
                dust=sum(a.reason is Reason.DUST for a in closes),
                cap_excess=sum(a.reason is Reason.CAP_EXCEEDED for a in closes),
                orders_to_cancel=sum(account in accounts for account, _ in orders),
                final=final.get(owner.id, owner.initial - len(closes)),
            )
        )
    return tuple(out)


def summary(owners: Iterable[OwnerTally], verb: str = "closed", failed: Mapping[str, int] | None = None) -> list[str]:
    """The summaries per owner, then in all; ``failed`` counts by owner what was not done."""
    lines, rows, failures = [], list(owners), failed or {}
    cancelled = "cancelled" if verb == "closed" else "to cancel"
    for owner in rows:
        who = "PLATFORM" if owner.id == "platform" else f"USER {owner.id}"
        partial = "" if owner.complete else " PARTIAL"
        lines.append(
            f"{who} SUMMARY:{partial} Initial: {owner.initial} positions, Dust {verb}: {owner.dust}, "
            f"Cap excess {verb}: {owner.cap_excess}, Skipped: {owner.skipped}, Unsellable: {owner.unsellable}, "
            f"Open orders {cancelled}: {owner.orders_to_cancel}, Failed: {failures.get(owner.id, 0)}, "
            f"Final: {owner.final} positions, Reduced by: {owner.initial - owner.final}"
        )

    def total(name: str) -> int:
        return sum(getattr(o, name) for o in rows)

    lines.append(
        f"FINAL SUMMARY Initial total positions: {total('initial')}, Dust positions {verb}: {total('dust')}, "
        f"Cap excess {verb}: {total('cap_excess')}, Open orders {cancelled}: {total('orders_to_cancel')}, "
        f"Failed: {sum(failures.values())}, Final total positions: {total('final')}, "
        f"Total reduced by: {total('initial') - total('final')}"
    )
    return lines
