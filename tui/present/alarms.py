"""The alarms that wait for a person, the most severe first. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len

from core.link.messages import AlarmRow, ClosingRow, PlanRow
from core.link.replica import Replica
from core.model import PositionKey
from tui.present.cells import Cell
from tui.present.numbers import clock, usd
from tui.present.sanitize import sanitize

SMALL = Decimal(1)  # dollars below which a position makes no emergency
WORDS = ("emergency", "liquidation_risk", "severe_loss", "excessive_loss")  # in the name of an emergency's rule
LARGE = Decimal(1000)  # dollars from which a stuck close is an emergency
LINES = 2  # lines of the banner


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
    usd: Decimal | None = None  # the position's value now
    since: datetime | None = None


def severity(reason: str, money: Decimal | None, *, stuck: bool = False) -> Severity:
    """Return the severity by reason and by money. An unknown amount of money counts as large."""
    large, small = money is None or abs(money) >= LARGE, money is not None and abs(money) < SMALL
    if any(word in reason for word in WORDS) and not small:
        return Severity.EMERGENCY
    if stuck:
        return Severity.EMERGENCY if large else Severity.ALARM
    return Severity.WARNING


def closing_severity(replica: Replica, closing: ClosingRow) -> Severity:
    """Return the severity of a close that is in flight or ended."""
    stuck = closing.alarm and not closing.acknowledged
    return severity(f"{closing.reason} {closing.text}", _at_stake(replica, closing.key), stuck=stuck)


def plan_severity(replica: Replica, plan: PlanRow) -> Severity:
    """Return the severity of a plan that waits for a person."""
    values = [_at_stake(replica, key) for key in (plan.request.keys if plan.request else ())]
    total = None if None in values or not values else sum((abs(v) for v in values if v is not None), Decimal(0))
    return severity(plan.text, total)


def waiting(replica: Replica) -> list[Alarm]:
    """Return every alarm that nobody has silenced: the most severe first, then the newest."""
    own = [_own(replica, row) for row in reversed(replica.engine.alarms)]
    closes = [c for c in replica.closings.values() if c.alarm and not c.acknowledged]
    stuck = [
        Alarm(closing_severity(replica, c), _stuck_text(c), c.key, _value(replica, c.key))
        for c in sorted(closes, key=lambda c: c.key)
    ]
    return sorted([*own, *stuck], key=lambda alarm: alarm.severity)


def _own(replica: Replica, row: AlarmRow) -> Alarm:
    """Return an alarm of the engine: an emergency by its words and the money at stake, else an alarm."""
    found = severity(row.text, None if row.key is None else _at_stake(replica, row.key))
    value = None if row.key is None else _value(replica, row.key)
    return Alarm(min(found, Severity.ALARM), row.text, usd=value, since=row.since)


def _value(replica: Replica, key: PositionKey) -> Decimal | None:
    position = replica.positions.get(key)
    return None if position is None else position.usd_value


def _at_stake(replica: Replica, key: PositionKey) -> Decimal | None:
    """Return the money that makes an alarm severe: nothing for dust, None if unknown."""
    position = replica.positions.get(key)
    return Decimal(0) if position is not None and "dust" in position.flags else _value(replica, key)


def _stuck_text(closing: ClosingRow) -> str:
    return f"{closing.key.symbol} at {closing.key.account} is {closing.outcome or closing.state}"


def banner(alarms: Iterable[Alarm], *, read_only: bool, width: int) -> list[Cell]:
    """Return the alarm on top, and how many wait behind it. Only the alarm's text is cut to ``LINES`` of ``width``."""
    listed = list(alarms)
    if not listed:
        return []
    first = listed[0]
    more = f" 1 of {len(listed)}" if len(listed) > 1 else ""
    word = "EMERGENCY" if first.severity is Severity.EMERGENCY else "ALARM"
    facts = [usd(first.usd)] if first.usd is not None else []
    facts += [f"since {clock(first.since)}"] if first.since is not None else []
    keys = "" if read_only else f"  (A acknowledges{', ctrl+a all' if more else ''})"
    end = "".join(f" · {fact}" for fact in facts) + keys
    return [Cell(_fitted(f"{word}{more}: ", sanitize(first.text, 300), end, width), TONES[first.severity])]


@lru_cache(maxsize=16)
def _fitted(begin: str, text: str, end: str, width: int) -> str:
    """Return the three parts with ``text`` cut so that they fill at most ``LINES`` lines wrapped at words."""
    shown = text
    while shown and _lines(begin + shown + end, width) > LINES:
        text = text[:-1]
        shown = f"{text.rstrip()}…" if text else ""
    return begin + shown + end


def _lines(text: str, width: int) -> int:
    cells = "".join(character * max(cell_len(character), 1) for character in text)
    return len(textwrap.wrap(cells, max(width, 1), break_on_hyphens=False))


def desktop_notification(alarm: Alarm) -> str:
    """Return the escape sequences that show a notification on the desktop. A terminal ignores those of others.

    The sanitised text has no control character, and so cannot end its sequence.
    """
    text = f"flatdeck: {sanitize(alarm.text, 200)}"
    plain = text.replace(";", ",")
    return f"\x1b]9;{text}\x1b\\\x1b]777;notify;flatdeck;{plain}\x1b\\\x1b]99;;{text}\x1b\\"
