"""Tables of factors out of the settings: ``(">1.5", 1.3)`` says what a value above 1.5 multiplies by.

The first row that holds counts. Where none does, and where the value is unknown, the factor is 1. A place in a table
is 0 for that, else one more than the row's.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf

from msgspec import Struct

from core.settings import ExitSettings, Factors

BANDS = 4  # of the profit: below all of its rows, and above the third, the second, the first


class Table(Struct, frozen=True):
    """``rows``: whether the value is to be above (else below), its bound, the factor. ``factors`` by place."""

    rows: tuple[tuple[bool, float, float], ...]
    factors: tuple[float, ...]

    def place(self, value: float | None) -> int:
        """The place of the first row that holds; unknown is None or NaN."""
        if value is not None:
            for place, (above, bound, _) in enumerate(self.rows, 1):
                if value > bound if above else value < bound:
                    return place
        return 0

    def factor(self, value: float | None) -> float:
        return self.factors[self.place(value)]

    def place_of(self, factor: float) -> int:
        """Where this factor stands; one that is no longer there counts as 1."""
        return self.factors.index(factor) if factor in self.factors else 0


class TrailTables(Struct, frozen=True):
    """The factors of the trailing distance. ``profit`` has a factor for each band, ``profits`` where bands begin."""

    volatility: Table
    momentum: Table
    profits: tuple[float, float, float]  # a move above the first, the second, the third; infinite: no such band
    profit: tuple[float, float, float, float]  # from the lowest band to the highest, never rising


class TargetTables(Struct, frozen=True):
    """The factors of the target's distance, and what bounds them."""

    momentum: Table  # ROC(10) in favour, in ATRs
    trend: Table  # ADX(14), negative where EMA(20) is on the other side of EMA(50)
    volatility: Table  # ATR(14)/price against its median
    rsi: Table  # RSI(14), for a short counted from 100 down
    profit: Table  # move
    age_hours: float
    age_factor: float  # from 1 at the opening, along a line, to this after ``age_hours``
    least: float  # of the initial distance
    most: float
    hold: float  # of the way from the entry; from here on it never moves away
    margin: float  # before a swing level


def trail_tables(settings: ExitSettings) -> TrailTables:
    rows = [(_bound(condition), float(factor)) for condition, factor in settings.trailing_profit]
    if any(condition[0] != ">" for condition, _ in settings.trailing_profit) or len(rows) >= BANDS:
        raise ValueError("the profit's factors are up to three, each above a move")
    rows.sort(reverse=True)
    padded = [*([(inf, rows[0][1] if rows else 1.0)] * (BANDS - 1 - len(rows))), *rows]
    (high, strongest), (middle, stronger), (low, strong) = padded
    factors = (1.0, strong, stronger, strongest)
    if list(factors) != sorted(factors, reverse=True):
        raise ValueError("a higher profit must not have the wider distance")  # the quiet band of a guard rests on that
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
