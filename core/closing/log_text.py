"""Texts of the log: the tags that operators grep for, and the summaries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.plans.plan import Action, ActionKind, OwnerTally, Plan, Reason
from core.plans.results import ResultRow
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
    """Return the tag of a forced close, such as ``[DUST][FORCED]``."""
    return f"{TAGS.get(reason, '[SKIPPED]')}[FORCED]"


def begun(action: Action) -> str:
    """Return the log line for the start of a forced close."""
    size = "unknown" if action.usd_value is None else f"${dollars(action.usd_value)}"
    pnl = "unknown" if action.pnl is None else f"{'+' if action.pnl >= 0 else ''}{percent(action.pnl)}%"
    where = f"Account: {action.key.account}, Reason: {action.text}, Size: {size}, P&L: {pnl}"
    return f"{tag(action.reason)} {action.key.symbol} {where}, PROFIT_STATUS = PENDING"


def would_cancel(action: Action) -> str:
    """Return a dry run's log line for an order."""
    order = action.order
    name = order.id if order else "?"
    return f"{_ORDER_TAGS.get(action.reason, '')}[OPEN_ORDER][WOULD_CANCEL] Order {name} on {action.key.symbol}"


def cancelled(action: Action, order_id: str) -> str:
    """Return the log line for an order that a plan cancelled and that is gone."""
    return f"{_ORDER_TAGS.get(action.reason, '')}[OPEN_ORDER][CANCELLED] Order {order_id} on {action.key.symbol}"


def planned(plan: Plan) -> list[str]:
    """Return a plan as the log lines of a dry run."""
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
    lines.extend(partial(plan.unlisted))
    return [*lines, *summary(plan.owners, "to close")]


def partial(unlisted: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the log lines for parts of accounts that no list covers."""
    return [f"[PARTIAL] {account}: not listed: {', '.join(parts)}" for account, parts in unlisted.items()]


def ended(action: Action, result: ResultRow) -> list[str]:
    """Return the log lines for the end of an action, one fact a line."""
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


def summary(owners: Iterable[OwnerTally], verb: str = "closed", failed: Mapping[str, int] | None = None) -> list[str]:
    """Return a summary for each owner, then a total. ``failed``: number of failed actions by owner."""
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


def triggered(plan: Plan, why: str) -> str:
    """Return the line of a cleanup that is carried out. ``why``: STARTUP, PERIODIC or MANUAL."""
    return f"FORCED CLEANUP TRIGGERED: {why}, {to_do(plan)}"


def to_do(plan: Plan) -> str:
    """Return what a plan does, in numbers."""
    return (
        f"{len(plan.closes)} to close, {plan.totals.orders_to_cancel} orders to cancel, {plan.totals.skipped} skipped"
    )
