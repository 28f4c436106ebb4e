"""How far behind the price the stop trails: a base times factors, within bounds.

    distance = clamp(base * volatility * profit * momentum, least, most)

The four factors that are kept with a distance are volatility, profit, momentum and *bounds*: what the clamp multiplied
by, so that ``distance == base * volatility * profit * momentum * bounds`` always explains the distance, and all four
are 1 where nothing is adaptive. Fractions everywhere; binary, as these are ratios and no money.
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
    """Every distance there can be, at ``trail_of(...) + band``: volatility varies slowest, the profit band fastest.

    In each group of ``BANDS`` a higher profit never has the wider distance: the quiet band of a guard rests on that.
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
    """Where the group of distances begins that these signals call for; unknown ones are factors of 1."""
    favour = None if signals.momentum is None else sign * signals.momentum
    return _group(tables.volatility.place(signals.volatility), tables.momentum.place(favour), tables)


def place_of(tables: TrailTables, volatility: float, momentum: float, profit: float = 1.0) -> int:
    """The place in ``distances`` of these factors; one that is no longer among them counts as 1."""
    band = tables.profit.index(profit) if profit in tables.profit else 0
    return _group(tables.volatility.place_of(volatility), tables.momentum.place_of(momentum), tables) + band


def _group(volatility: int, momentum: int, tables: TrailTables) -> int:
    return (volatility * len(tables.momentum.factors) + momentum) * BANDS
