"""Ages, distances to stops, and positions that do not count against the cap, for a status. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from core.exits.view import NO_LEVERAGE
from core.link.messages import OwnerRow
from core.model import Side
from core.plans.position_row import PositionRow
from core.units import percent, plain
from tui.present.numbers import pct
from tui.present.sanitize import sanitize

NAMED = 3  # positions that a note names


def away(row: PositionRow) -> Decimal | None:
    """Return the distance from the mark to the stop as a fraction of the mark: negative beyond, None if unknown."""
    if row.mark is None or row.stop is None or row.mark <= 0:
        return None
    return Side(row.side).sign * (row.mark - row.stop) / row.mark


def nearest(positions: Iterable[PositionRow]) -> tuple[PositionRow, Decimal] | None:
    """Return the position whose stop is nearest to its mark, and the distance; None without a known distance."""
    known = [(distance, row.key, row) for row in positions if (distance := away(row)) is not None]
    return min(((row, distance) for distance, _, row in known), key=lambda pair: (pair[1], pair[0].key), default=None)


def nearest_line(positions: Iterable[PositionRow]) -> list[str]:
    """Return ``nearest stop: SHIB-USD alice/main, 0.25 % away``, if there is one."""
    found = nearest(positions)
    if found is None:
        return []
    row, distance = found
    where = f"{sanitize(row.key.symbol)} {sanitize(row.key.account)}"
    if distance < 0:
        return [f"  beyond its stop: {where}, by {pct(-distance).lstrip('+')}"]
    return [f"  nearest stop: {where}, {pct(distance).lstrip('+')} away"]


def nearest_document(positions: Iterable[PositionRow]) -> dict[str, str] | None:
    found = nearest(positions)
    if found is None:
        return None
    key = found[0].key
    place = {"account": key.account, "symbol": key.symbol, "leg": key.leg.value}
    return {**place, "stop": plain(found[0].stop or Decimal(0)), "stop_distance_pct": percent(found[1])}


def lasting(row: PositionRow, now: datetime) -> dict[str, object]:
    """Return a position's age in whole seconds and its distance to the stop in percent, for the JSON."""
    held, distance = row.opened_at, away(row)
    return {
        "held_seconds": None if held is None else max(int((now - held).total_seconds()), 0),
        "stop_distance_pct": None if distance is None else percent(distance),
    }


def held_against_cap(row: OwnerRow) -> str:
    """Return ``4/4 + 3 dust``."""
    others = ((row.dust, "dust"), (row.unsellable, "unsellable"))
    return " + ".join([f"{row.counted}/{row.cap}", *(f"{number} {flag}" for number, flag in others if number)])


def without_leverage_note(row: PositionRow) -> str:
    """Return a row's note without the note that :func:`leverage_line` tells once for all rows."""
    return row.reason if _unknown_leverage(row) else row.note


def leverage_line(positions: Iterable[PositionRow]) -> list[str]:
    """Return one note about all positions whose leverage is unknown, if there are any."""
    rows = [row for row in positions if _unknown_leverage(row)]
    if not rows:
        return []
    named = ", ".join(f"{sanitize(row.key.symbol)} {sanitize(row.key.account)}" for row in rows[:NAMED])
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return [f"  {NO_LEVERAGE}: {named}{more}"]


def _unknown_leverage(row: PositionRow) -> bool:
    return row.guard is not None and row.guard.note == NO_LEVERAGE
