"""Texts about plans that were interrupted: what a signal leaves open, and what such a plan left when it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.link.messages import ClosingRow, Snapshot
from core.plans.plan import Plan
from core.plans.results import PlanReport, ResultRow
from tui.present.sanitize import sanitize

NAMED = 20  # positions that one sentence names
_DONE = frozenset({"closed", "closed_residual"})


def interrupted_text(plan: Plan, closings: Iterable[ClosingRow], within: float) -> str:
    """Return what a plan that a signal interrupts leaves, and who goes on with it ``within`` how many seconds."""
    rows = {row.key: row for row in closings if row.plan == plan.id}
    states = {key: row.outcome or row.state.replace("_", " ") for key, row in rows.items()}
    left = [a.key for a in plan.closes if states.get(a.key) not in _DONE]
    named = [f"{sanitize(k.symbol)} on {sanitize(k.account)} ({states.get(k, 'not begun')})" for k in left]
    alone = len(plan.lone_cancels)
    orders = f"{alone} order{'s' * (alone != 1)} may still be open" if alone else ""
    held = f"still held or in flight: {_some(named)}" if named else ""
    what = "; ".join(part for part in (held, orders) if part) or "every position is closed, and not verified yet"
    minutes = f"{within / 60:g} minutes"
    return (
        f"Interrupted: {what}. The next acting command, the console or flatdeck run goes on with it within {minutes} "
        "(resume_within); later it only finds out what became of its orders. flatdeck status shows what is unfinished."
    )


def still_there(rows: Iterable[ResultRow], seen: PlanReport | Snapshot | None, snapshot: Snapshot) -> list[ResultRow]:
    """Return the rows whose position is still held, or whose order the plan that just ran has not cancelled."""
    held = {row.key for row in snapshot.positions}
    unread = {row.id for row in snapshot.accounts if row.state not in ("live", "polling")}
    ran = seen.results if isinstance(seen, PlanReport) else ()
    gone = {(row.key, row.order_id) for row in ran if row.outcome == "cancelled"}
    return [
        row
        for row in rows
        if (row.key, row.order_id) not in gone and (row.kind != "close" or row.key in held or row.key.account in unread)
    ]


def unfinished_text(rows: Sequence[ResultRow]) -> str:
    """Return what plans that were interrupted and have ended now left behind."""
    named = [
        f"{f'order {sanitize(r.order_id)} on ' if r.order_id else ''}{sanitize(r.key.symbol)} on "
        f"{sanitize(r.key.account)} ({r.outcome})"
        for r in rows
    ]
    return f"A plan that was interrupted ended, and something remained: {_some(named)}. Run it again for what is left."


def _some(named: Sequence[str]) -> str:
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
