"""Closes in flight, stuck closes until acknowledged, and plans that wait for a person. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable
from datetime import datetime
from typing import NamedTuple

from core.link.messages import ClosingRow, PlanRow
from core.link.replica import Replica
from core.model import PositionKey
from tui.present.alarms import TONES, Severity, closing_severity, plan_severity
from tui.present.cells import Cell, Row
from tui.present.labels import PARKED
from tui.present.numbers import age, left, number
from tui.present.sanitize import sanitize

ENDED_SHOWN = 20  # ended closes kept at the bottom


class AnswerKey(NamedTuple):
    """The second line of a close: its reason, its progress, and the venue's last answer."""

    key: PositionKey


class PlanKey(NamedTuple):
    """A plan that waits or runs."""

    id: str


def order(replica: Replica) -> list[Hashable]:
    """Return emergencies first, then unacknowledged alarms, waiting plans, closes by their next step, ended closes."""
    rows = replica.closings.values()
    alarms = {c.key for c in rows if c.alarm and not c.acknowledged}
    flying = [c for c in rows if c.outcome is None and c.key not in alarms]
    ended = sorted((c for c in rows if c.outcome is not None and c.key not in alarms), key=lambda c: c.key)
    listed: list[tuple[tuple[int, int, float], tuple[str, ...], tuple[Hashable, ...]]] = []
    for c in (*(c for c in rows if c.key in alarms), *flying):
        place = 1 if c.key in alarms else 3
        due = c.next_at.timestamp() if c.next_at and place == 3 else math.inf
        listed.append(((_urgency(closing_severity(replica, c)), place, due), _name(c.key), (c.key, AnswerKey(c.key))))
    for p in (p for p in replica.plans.values() if p.state == "waiting"):
        rank = (_urgency(plan_severity(replica, p)), 2, p.created_at.timestamp())
        listed.append((rank, (p.id,), (PlanKey(p.id),)))
    listed.sort(key=lambda line: line[:2])
    lines = [k for _, _, keys in listed for k in keys]
    return lines + [k for c in ended[-ENDED_SHOWN:] for k in (c.key, AnswerKey(c.key))]


def _name(key: PositionKey) -> tuple[str, ...]:
    return key.account, key.symbol, key.leg.value


def _urgency(found: Severity) -> int:
    return 0 if found is Severity.EMERGENCY else 1


def row(replica: Replica, key: Hashable, now: datetime) -> Row:
    """Return one line; the line is empty if its close or plan is gone."""
    if isinstance(key, PlanKey):
        waiting = replica.plans.get(key.id)
        return Row() if waiting is None else plan_line(waiting, now, plan_severity(replica, waiting))
    position = key.key if isinstance(key, AnswerKey) else key
    closing = replica.closings.get(position)  # type: ignore[arg-type]
    if closing is None:
        return Row()
    if isinstance(key, AnswerKey):
        return answer_line(closing)
    return closing_line(closing, now, closing_severity(replica, closing))


def closing_of(key: Hashable) -> PositionKey | None:
    """Return the position that a line is about, or None for a plan's line."""
    if isinstance(key, AnswerKey):
        return key.key
    return key if isinstance(key, PositionKey) else None


def state_tag(closing: ClosingRow, found: Severity = Severity.WARNING) -> Cell:
    """Return ``[EMERGENCY]``, ``[STUCK]``, ``[WAITING]``, ``[CLOSING]`` or the outcome."""
    if found is Severity.EMERGENCY and (closing.outcome is None or (not closing.acknowledged and closing.alarm)):
        return Cell("[EMERGENCY][STUCK]" if closing.alarm else "[EMERGENCY]", "emergency")
    if closing.alarm and not closing.acknowledged:
        stuck = "stuck" in (closing.outcome, closing.state)
        return Cell("[STUCK]" if stuck else "[ALARM]", "alarm")
    if closing.outcome is not None:
        good = closing.outcome.startswith("closed")
        return Cell(f"[{sanitize(closing.outcome, 16).upper()}]", "good" if good else "warn")
    waits = "wait" in closing.state or closing.state == PARKED
    return Cell("[WAITING]", "warn") if waits else Cell("[CLOSING]", "strong")


def closing_line(closing: ClosingRow, now: datetime, found: Severity = Severity.WARNING) -> Row:
    """Return ``[CLOSING] ETH-USD ▶ market_ioc r1 → market_gtc in 3s``."""
    parts = [state_tag(closing, found), Cell(f" {sanitize(closing.key.symbol, 40)}", "strong")]
    if closing.tier:
        parts.append(Cell(f" ▶ {sanitize(closing.tier, 20)} r{closing.round}"))
    else:
        state = "market closed" if closing.state == PARKED else sanitize(closing.state, 24).replace("_", " ")
        parts.append(Cell(f" {state}"))
    if closing.outcome is None and (closing.next_tier or closing.next_at):
        step = sanitize(closing.next_tier or "next step", 20)
        due = left(closing.next_at, now)
        parts.append(Cell(f" → {step} {due if due in ('due', '—') else 'in ' + due}", "warn"))
    if closing.alarm and not closing.acknowledged:
        parts.append(Cell("  A acknowledges", "dim"))
    return Row(spans=tuple(parts), group=closing.key)


def answer_line(closing: ClosingRow) -> Row:
    """Return ``    u1/coinbase · severe_loss · 0.2 of 0.5 · "insufficient balance"``."""
    words = [sanitize(closing.key.account, 40), sanitize(closing.reason, 40)]
    if closing.quantity:
        words.append(f"{number(closing.filled)} of {number(closing.quantity)} filled")
    said = Cell(f" · venue: {sanitize(closing.answer, 300)}" if closing.answer else " · no answer yet")
    return Row(spans=(Cell("    " + " · ".join(w for w in words if w), "dim"), said), group=closing.key)


def plan_line(plan: PlanRow, now: datetime, found: Severity = Severity.WARNING) -> Row:
    """Return ``[PLAN] cleanup waits for a person: 51 closes, 3 cancels, for 12s``, with a single position's name."""
    what = f"{plan.closes} close{'s' * (plan.closes != 1)}, {plan.cancels} cancel{'s' * (plan.cancels != 1)}"
    keys = plan.request.keys if plan.request else ()
    only = keys[0] if len(keys) == 1 else None
    parts = (
        Cell("[EMERGENCY]", "emergency") if found is Severity.EMERGENCY else Cell("[PLAN]", "warn"),
        Cell(f" {sanitize(plan.cause, 24)}", "strong"),
        Cell(f" {sanitize(only.symbol, 40)} of {sanitize(only.account, 40)}" if only else ""),
        Cell(f" waits for a person: {what}, for {age(plan.created_at, now)}"),
        Cell(f"  {sanitize(plan.text, 200)}" if plan.text else "", TONES[found]),
    )
    return Row(spans=parts, group=plan.id)
