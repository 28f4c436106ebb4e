"""The alarms that wait for a person, the most severe first. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

from core.link.messages import ClosingRow, PlanRow
from core.link.replica import Replica
from core.model import PositionKey
from tui.present.cells import Cell
from tui.present.sanitize import sanitize

SMALL = Decimal(1)  # dollars below which a position makes no emergency
WORDS = ("emergency", "liquidation_risk", "severe_loss", "excessive_loss")  # in the name of an emergency's rule
LARGE = Decimal(1000)  # dollars from which a stuck close is an emergency


class Severity(IntEnum):
    """The worst first."""

    EMERGENCY = 0
    ALARM = 1
    WARNING = 2


TONES = {Severity.EMERGENCY: "emergency", Severity.ALARM: "alarm", Severity.WARNING: "warn"}


class Alarm(NamedTuple):
    """An alarm of a close, which has a ``key``, or of the engine."""

    severity: Severity
    text: str
    key: PositionKey | None = None


def severity(reason: str, usd: Decimal | None, *, stuck: bool = False) -> Severity:
    """Return the severity by reason and by money. An unknown amount of money counts as large."""
    large, small = usd is None or abs(usd) >= LARGE, usd is not None and abs(usd) < SMALL
    if any(word in reason for word in WORDS) and not small:
        return Severity.EMERGENCY
    if stuck:
        return Severity.EMERGENCY if large else Severity.ALARM
    return Severity.WARNING


def closing_severity(replica: Replica, closing: ClosingRow) -> Severity:
    """Return the severity of a close that is in flight or ended."""
    position = replica.positions.get(closing.key)
    usd = position.usd_value if position is not None else None
    stuck = closing.alarm and not closing.acknowledged
    return severity(f"{closing.reason} {closing.text}", usd, stuck=stuck)


def plan_severity(replica: Replica, plan: PlanRow) -> Severity:
    """Return the severity of a plan that waits for a person."""
    rows = [replica.positions.get(key) for key in (plan.request.keys if plan.request else ())]
    values = [row.usd_value if row is not None else None for row in rows]
    usd = None if None in values or not values else sum((abs(v) for v in values if v is not None), Decimal(0))
    return severity(plan.text, usd)


def waiting(replica: Replica) -> list[Alarm]:
    """Return every alarm that nobody has silenced: the most severe first, then the newest."""
    engine = replica.engine
    texts = engine.alarms or ((engine.alarm,) if engine.alarm else ())
    own = [Alarm(min(severity(t, None), Severity.ALARM), t) for t in reversed(texts)]
    closes = [c for c in replica.closings.values() if c.alarm and not c.acknowledged]
    stuck = [Alarm(closing_severity(replica, c), _stuck_text(c), c.key) for c in sorted(closes, key=lambda c: c.key)]
    return sorted([*own, *stuck], key=lambda alarm: alarm.severity)


def _stuck_text(closing: ClosingRow) -> str:
    return f"{closing.key.symbol} at {closing.key.account} is {closing.outcome or closing.state}"


def banner(alarms: Iterable[Alarm], *, read_only: bool) -> list[Cell]:
    """Return the alarm on top, and how many wait behind it."""
    listed = list(alarms)
    if not listed:
        return []
    first = listed[0]
    more = f" 1 of {len(listed)}" if len(listed) > 1 else ""
    keys = "" if read_only else f"  (A acknowledges{', ctrl+a all' if more else ''})"
    word = "EMERGENCY" if first.severity is Severity.EMERGENCY else "ALARM"
    return [Cell(f"{word}{more}: {sanitize(first.text, 300)}{keys}", TONES[first.severity])]


def desktop_notification(alarm: Alarm) -> str:
    """Return the escape sequences that show a notification on the desktop. A terminal ignores those of others.

    The sanitised text has no control character, and so cannot end its sequence.
    """
    text = f"flatdeck: {sanitize(alarm.text, 200)}"
    plain = text.replace(";", ",")
    return f"\x1b]9;{text}\x1b\\\x1b]777;notify;flatdeck;{plain}\x1b\\\x1b]99;;{text}\x1b\\"
