"""Tables of factors from the settings: ``(">1.5", 1.3)`` means a factor of 1.3 for a value above 1.5.

The first row that holds counts. The factor is 1 when no row holds or the value is unknown. The place of that factor in
a table is 0. The place of a row is the row's index plus 1.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf

from msgspec import Struct

from core.settings import ExitSettings, Factors

BANDS = 4  # profit bands: below all rows, above the third row, above the second, above the first


class Table(Struct, frozen=True):
    """One table. A row is (True: above, False: below; bound; factor). ``factors`` are in order of place."""

    rows: tuple[tuple[bool, float, float], ...]
    factors: tuple[float, ...]

    def place(self, value: float | None) -> int:
        """Return the place of the first row that holds, else 0. An unknown value is None or NaN: 0."""
        if value is not None:
            for place, (above, bound, _) in enumerate(self.rows, 1):
                if value > bound if above else value < bound:
                    return place
        return 0

    def factor(self, value: float | None) -> float:
        return self.factors[self.place(value)]

    def place_of(self, factor: float) -> int:
        """Return the place of a factor. A factor that is no longer in the table counts as 1: place 0."""
        return self.factors.index(factor) if factor in self.factors else 0


class TrailTables(Struct, frozen=True):
    """The factors of the trailing distance. ``profit`` holds each band's factor, ``profits`` where bands start."""

    volatility: Table
    momentum: Table
    profits: tuple[float, float, float]  # moves above which the bands start, highest first; infinite: no such band
    profit: tuple[float, float, float, float]  # from the lowest band to the highest, never rising


class TargetTables(Struct, frozen=True):
    """The factors of the target's distance, and their bounds."""

    momentum: Table  # ROC(10) in favour, in ATRs
    trend: Table  # ADX(14), negative where EMA(20) is on the other side of EMA(50)
    volatility: Table  # ATR(14)/price against its median
    rsi: Table  # RSI(14); for a short position 100 - RSI(14)
    profit: Table  # move
    age_hours: float
    age_factor: float  # the factor falls linearly from 1 at the opening to this value after ``age_hours``
    least: float  # lower bound of the product of factors
    most: float  # upper bound of the product of factors
    hold: float  # share of the way from entry to target; from here on the target never moves away
    margin: float  # distance before a swing level, as a fraction of the level


def trail_tables(settings: ExitSettings) -> TrailTables:
    rows = [(_bound(condition), float(factor)) for condition, factor in settings.trailing_profit]
    if any(condition[0] != ">" for condition, _ in settings.trailing_profit) or len(rows) >= BANDS:
        raise ValueError("the profit's factors are up to three, each above a move")
    rows.sort(reverse=True)
    padded = [*([(inf, rows[0][1] if rows else 1.0)] * (BANDS - 1 - len(rows))), *rows]
    (high, strongest), (middle, stronger), (low, strong) = padded
    factors = (1.0, strong, stronger, strongest)
    if list(factors) != sorted(factors, reverse=True):
        raise ValueError("a higher profit must not have the wider distance")  # a guard's quiet band needs this
    volatility, momentum = table(settings.trailing_volatility), table(settings.trailing_momentum)
    return TrailTables(volatility, momentum, (high, middle, low), factors)


def target_tables(settings: ExitSettings) -> TargetTables:
    hours, factor = settings.target_age
    return TargetTables(
        momentum=table(settings.target_momentum),
        trend=table(settings.target_trend),
        volatility=table(settings.target_volatility),
        rsi=table(settings.target_rsi),
        profit=table(settings.target_profit),
        age_hours=float(hours),
        age_factor=float(factor),
        least=float(settings.target_min),
        most=float(settings.target_max),
        hold=float(settings.target_hold),
        margin=float(settings.swing_margin),
    )


def table(rows: Factors) -> Table:
    made = tuple((condition[0] == ">", _bound(condition), float(factor)) for condition, factor in rows)
    return Table(made, (1.0, *(factor for _, _, factor in made)))


def _bound(condition: str) -> float:
    return float(Decimal(condition[1:]))
