"""The distance of the trailing stop behind the price: a base times factors, within bounds.

    distance = clamp(base * volatility * profit * momentum, least, most)

A distance keeps four factors: volatility, profit, momentum and *bounds*. ``bounds`` is the factor that the clamp
applied. So ``distance == base * volatility * profit * momentum * bounds`` always explains the distance. Without
adaptive exits volatility, profit and momentum are 1. All numbers are fractions, in binary: ratios are not money.
"""

from __future__ import annotations

from msgspec import Struct

from core.exits.factors import BANDS, TrailTables
from core.market.indicators import Indicators


class Distance(Struct, frozen=True, gc=False):
    """A distance as a fraction of the price, and the four factors behind it."""

    distance: float
    volatility: float = 1.0
    profit: float = 1.0
    momentum: float = 1.0
    bounds: float = 1.0


def distances(
    base: float, least: float, most: float, tables: TrailTables, *, adaptive: bool = True
) -> tuple[Distance, ...]:
    """Return every possible distance, at ``trail_of(...) + band``: volatility varies slowest, the profit band fastest.

    In each group of ``BANDS`` a higher profit never has the wider distance: a guard's quiet band needs this.
    """

    def of(factors: tuple[float, ...]) -> tuple[float, ...]:
        return factors if adaptive else (1.0,) * len(factors)

    return tuple(
        _distance(base, least, most, volatility, profit, momentum)
        for volatility in of(tables.volatility.factors)
        for momentum in of(tables.momentum.factors)
        for profit in of(tables.profit)
    )


def _distance(base: float, least: float, most: float, volatility: float, profit: float, momentum: float) -> Distance:
    wanted = base * volatility * profit * momentum
    distance = min(max(wanted, least), most)
    bounds = 1.0 if distance == wanted or not wanted else distance / wanted
    return Distance(distance, volatility, profit, momentum, bounds)


def trail_of(signals: Indicators, sign: float, tables: TrailTables) -> int:
    """Return the start of the group of distances for these signals. An unknown signal has a factor of 1."""
    favour = None if signals.momentum is None else sign * signals.momentum
    return _group(tables.volatility.place(signals.volatility), tables.momentum.place(favour), tables)


def place_of(tables: TrailTables, volatility: float, momentum: float, profit: float = 1.0) -> int:
    """Return the place of these factors in ``distances``. A factor that is no longer in its table counts as 1."""
    band = tables.profit.index(profit) if profit in tables.profit else 0
    return _group(tables.volatility.place_of(volatility), tables.momentum.place_of(momentum), tables) + band


def _group(volatility: int, momentum: int, tables: TrailTables) -> int:
    return (volatility * len(tables.momentum.factors) + momentum) * BANDS
