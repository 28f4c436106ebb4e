"""Where the target moves when a bar closes: the initial distance times bounded factors, then in front of a swing level.

    target = origin * (1 + s * take_profit_pct * clamp(momentum * trend * volatility * rsi * age * profit, 0.5, 2))

A swing level between the price and that target takes its place, 0.1 % before it. Half the initial distance is the
least for that too: on bars of a minute there is always a swing just ahead, and the next one beyond is looked for. From
70 % of the way on the target never moves away; it may come closer, never through the price.

Prices are signed as in :mod:`core.exits_rules`: larger is better for either side.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf

from msgspec import Struct

from core.exits_rules import TOLERANCE
from core.signals import Signals

NEAR_THE_TARGET = 0.7  # of the way from the entry; from here on it never moves away
LEAST, MOST = 0.5, 2.0  # of the initial distance
BEFORE_A_LEVEL = 0.001


class TargetTables(Struct, frozen=True):
    """The factors. Rows of a table: above this, this factor; the first that holds counts, and 1 where none does."""

    momentum: tuple[tuple[float, float], ...] = ((2.0, 1.15), (1.0, 1.05))  # ROC(10) in favour, in ATRs
    momentum_against: tuple[tuple[float, float], ...] = ((1.0, 0.9),)
    trend: tuple[tuple[float, float], ...] = ((25.0, 1.15), (20.0, 1.05))  # ADX(14), EMA(20) on our side of EMA(50)
    trend_against: tuple[tuple[float, float], ...] = ((25.0, 0.9),)
    volatility: tuple[tuple[float, float], ...] = ((1.5, 1.2),)  # ATR(14)/price against its median
    calm: tuple[float, float] = (0.7, 0.9)  # below this
    exhausted: tuple[float, float] = (70.0, 0.9)  # RSI(14) above this, or below 100 minus it for a short
    age_hours: float = 24.0
    age_factor: float = 0.8  # from 1 at the opening, along a line, to this after ``age_hours``
    profit: tuple[tuple[float, float], ...] = ((0.05, 1.1), (0.03, 1.05))  # move


TABLES = TargetTables()


class Push(Struct, frozen=True):
    """What one closed bar says to every target of one symbol and side. ``levels`` ascend; each ``before`` is nearer."""

    factor: float = 1.0
    levels: tuple[float, ...] = ()
    befores: tuple[float, ...] = ()


def push_of(signals: Signals, sign: float, tables: TargetTables = TABLES) -> Push:
    """The factors that a symbol's positions on one side have in common, and the levels in their way."""
    factor = _momentum(signals, sign, tables) * _trend(signals, sign, tables)
    factor *= _volatility(signals, tables) * _exhaustion(signals, sign, tables)
    levels = signals.resistances if sign > 0 else tuple(-level for level in reversed(signals.supports))
    return Push(factor, levels, tuple(level * (1 - sign * BEFORE_A_LEVEL) for level in levels))


def moved(
    target: float, u: float, *, entry: float, origin: float, sign: float, reach: float, push: Push, personal: float
) -> float:
    """The target after a closed bar. ``reach`` is ``take_profit_pct``, ``personal`` the product of age and profit."""
    if target == inf:
        return target
    factor = push.factor * personal
    factor = LEAST if factor < LEAST else MOST if factor > MOST else factor
    wanted = origin + sign * origin * (reach * factor)
    start = entry if entry == entry else origin  # noqa: PLR0124  (an unknown entry is NaN)
    nearest = origin + sign * origin * (reach * LEAST)
    place = bisect_right(push.befores, u if u > nearest else nearest)
    if place < len(push.levels) and push.levels[place] < wanted:
        wanted = push.befores[place]
    wanted *= 1 - sign * TOLERANCE
    if wanted <= u:
        return target
    if wanted > target and u - start >= NEAR_THE_TARGET * (target - start):
        return target
    return wanted


def personal_factor(age_seconds: float, move: float, tables: TargetTables = TABLES) -> float:
    """Age times profit; an unknown age or move is NaN and a factor of 1."""
    share = age_seconds / 3600 / tables.age_hours if age_seconds > 0 else 0.0
    share = 1.0 if share > 1 else share
    return (1 - (1 - tables.age_factor) * share) * _above(move, tables.profit)


def _above(value: float, table: tuple[tuple[float, float], ...]) -> float:
    for bound, factor in table:
        if value > bound:
            return factor
    return 1.0


def _momentum(signals: Signals, sign: float, tables: TargetTables) -> float:
    if signals.momentum is None:
        return 1.0
    favour = sign * signals.momentum
    return _above(favour, tables.momentum) if favour > 0 else _above(-favour, tables.momentum_against)


def _trend(signals: Signals, sign: float, tables: TargetTables) -> float:
    if signals.adx is None or signals.rising is None:
        return 1.0
    ours = signals.rising == (sign > 0)
    return _above(signals.adx, tables.trend if ours else tables.trend_against)


def _volatility(signals: Signals, tables: TargetTables) -> float:
    if signals.volatility is None:
        return 1.0
    bound, factor = tables.calm
    return factor if signals.volatility < bound else _above(signals.volatility, tables.volatility)


def _exhaustion(signals: Signals, sign: float, tables: TargetTables) -> float:
    if signals.rsi is None:
        return 1.0
    bound, factor = tables.exhausted
    strength = signals.rsi if sign > 0 else 100 - signals.rsi
    return factor if strength > bound else 1.0
