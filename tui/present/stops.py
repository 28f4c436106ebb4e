"""The stops and the reasons for their distance, the tightest first. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.exits.view import ExitView
from core.link.replica import Replica
from core.model import PositionKey
from core.plans.position_row import PositionRow
from core.units import ONE, ZERO
from tui.present.cells import Cell, Row
from tui.present.numbers import age, number, pct
from tui.present.sanitize import sanitize

SHOWN = 60  # the tightest; the position list has the others
BAR = 11  # cells between the stop and the target
NAMES = ("vol", "profit", "mom", "bounds")


class WhyKey(NamedTuple):
    """The second line of a stop: the levels, and the factors behind the distance."""

    key: PositionKey


def order(replica: Replica) -> list[Hashable]:
    """Return due exits first, then by the distance from price to stop. A position without a stop is omitted."""
    watched = [(p.guard, p.key) for p in replica.positions.values() if p.guard is not None]
    levels = [(g.due is None, g.away is None, g.away or ZERO, k) for g, k in watched if g.stop is not None or g.due]
    return [key for *_, k in heapq.nsmallest(SHOWN, levels) for key in (k, WhyKey(k))]


def row(replica: Replica, key: Hashable, now: datetime) -> Row:
    """Return one line; empty if its position is gone."""
    name = key.key if isinstance(key, WhyKey) else key
    position = replica.positions.get(name)  # type: ignore[arg-type]
    if position is None or position.guard is None:
        return Row()
    return why_line(position, position.guard, now) if isinstance(key, WhyKey) else stop_line(position, position.guard)


def stop_line(position: PositionRow, guard: ExitView) -> Row:
    """``BTC-USD  stop ├────●──────┤ target  1.8 % away``."""
    parts = [Cell(f"{sanitize(position.key.symbol, 28):<10}", "strong"), Cell("  stop "), Cell(bar(guard))]
    parts.append(Cell(" target" if guard.target is not None else " no target"))
    if guard.due:
        parts.append(Cell(f"  [EXIT] {sanitize(guard.due, 40)}", "alarm"))
    elif guard.away is not None:
        parts.append(Cell(f"  {pct(guard.away).lstrip('+')} away", "warn" if guard.away < Decimal("0.005") else ""))
    return Row(spans=tuple(parts), group=position.key)


def bar(guard: ExitView) -> str:
    """Return ``├────●──────┤`` from stop to target; no mark without a price or without one of the ends."""
    if guard.price is None or guard.stop is None or guard.target is None or guard.target == guard.stop:
        return "├" + "─" * BAR + ("┤" if guard.target is not None else "╌")
    share = min(max((guard.price - guard.stop) / (guard.target - guard.stop), ZERO), ONE)
    place = int(share * (BAR - 1) + Decimal("0.5"))
    return "├" + "─" * place + "●" + "─" * (BAR - 1 - place) + "┤"


def why_line(position: PositionRow, guard: ExitView, now: datetime) -> Row:
    """``    ann/coinbase · 98.98 … 110 · 2.00% × vol 1.3 × profit 0.7 × mom 1 = 1.82% · moved 3×, last 12s ago``."""
    words = [sanitize(position.key.account, 32), f"{number(guard.stop)} … {number(guard.target)}", distance(guard)]
    raised = len(guard.ratchets)
    if guard.initial:
        words.append("initial stop")
    elif raised:
        words.append(f"moved {raised}×, last {age(guard.ratchets[-1].at, now)} ago")
    if position.protective is not None:
        words.append(f"rests at {number(position.protective)}")
    if guard.progress is not None:
        words.append(f"{pct(guard.progress).lstrip('+')} of the way")
    return Row(spans=(Cell("    " + " · ".join(w for w in words if w), "dim"),), group=position.key)


def distance(guard: ExitView) -> str:
    """``2.00% × vol 1.3 × profit 0.7 × mom 1 = 1.82%``; factors of the bounds only where they count."""
    if guard.trail is None or guard.base is None or guard.factors is None:
        return ""
    factors = [
        f" × {name} {number(f)}" for name, f in zip(NAMES, guard.factors, strict=True) if name != "bounds" or f != 1
    ]
    return f"{pct(guard.base).lstrip('+')}{''.join(factors)} = {pct(guard.trail).lstrip('+')}"
