"""The target's move when a bar closes: the initial distance times bounded factors, then in front of a swing level.

    target = origin * (1 + s * take_profit_pct * clamp(momentum * trend * volatility * rsi * age * profit, least, most))

When a swing level lies between the price and that target, the target moves to a margin before the level. Levels nearer
than the least distance do not count: minute bars always have a swing just ahead. The next level beyond counts instead.
After the share ``hold`` of the way the target never moves away. The target may come closer, never through the price.

Prices are signed as in :mod:`core.exits.rules`: larger is better for either side.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf

from msgspec import Struct

from core.exits.factors import TargetTables
from core.exits.rules import TOLERANCE
from core.market.indicators import Indicators


class Push(Struct, frozen=True):
    """One closed bar's update for every target of one symbol and side.

    ``levels`` ascend. ``befores`` holds the price one margin before each level.
    """

    factor: float = 1.0
    levels: tuple[float, ...] = ()
    befores: tuple[float, ...] = ()


def push_of(signals: Indicators, sign: float, tables: TargetTables) -> Push:
    """Return the factor that a symbol's positions on one side share, and the swing levels ahead."""
    momentum = None if signals.momentum is None else sign * signals.momentum
    trend = None
    if signals.adx is not None and signals.rising is not None:
        trend = signals.adx if signals.rising == (sign > 0) else -signals.adx
    strength = signals.rsi if signals.rsi is None or sign > 0 else 100 - signals.rsi
    factor = tables.momentum.factor(momentum) * tables.trend.factor(trend)
    factor *= tables.volatility.factor(signals.volatility) * tables.rsi.factor(strength)
    levels = signals.resistances if sign > 0 else tuple(-level for level in reversed(signals.supports))
    return Push(factor, levels, tuple(level * (1 - sign * tables.margin) for level in levels))


def moved(
    target: float,
    u: float,
    *,
    entry: float,
    origin: float,
    sign: float,
    reach: float,
    push: Push,
    personal: float,
    tables: TargetTables,
) -> float:
    """Return the target after a closed bar.

    ``reach`` is ``take_profit_pct``. ``personal`` is the product of the factors of age and profit.
    """
    if target == inf:
        return target
    factor = push.factor * personal
    factor = tables.least if factor < tables.least else tables.most if factor > tables.most else factor
    wanted = origin + sign * origin * (reach * factor)
    start = entry if entry == entry else origin  # noqa: PLR0124  (an unknown entry is NaN)
    nearest = origin + sign * origin * (reach * tables.least)
    place = bisect_right(push.befores, u if u > nearest else nearest)
    if place < len(push.levels) and push.levels[place] < wanted:
        wanted = push.befores[place]
    wanted *= 1 - sign * TOLERANCE
    if wanted <= u:
        return target
    if wanted > target and u - start >= tables.hold * (target - start):
        return target
    return wanted


def personal_factor(age_seconds: float, move: float, tables: TargetTables) -> float:
    """Return the factor of age times the factor of profit. An unknown age or move is NaN: a factor of 1."""
    share = age_seconds / 3600 / tables.age_hours if age_seconds > 0 else 0.0
    share = 1.0 if share > 1 else share
    return (1 - (1 - tables.age_factor) * share) * tables.profit.factor(move)
