"""How far behind the price the stop trails: a base times factors, within bounds.

    distance = clamp(base * volatility * profit * momentum, least, most)

The four factors that are kept with a distance are volatility, profit, momentum and *bounds*: what the clamp multiplied
by, so that ``distance == base * volatility * profit * momentum * bounds`` always explains the distance, and all four
are 1 where nothing is adaptive. Fractions everywhere; binary, as these are ratios and no money.
"""

from __future__ import annotations

from msgspec import Struct

from core.signals import Signals

PROFITS = (0.10, 0.05, 0.03)  # a move above the first, the second, the third
PROFIT_FACTORS = (1.0, 0.85, 0.7, 0.5)  # by band: below all of them, above the third, the second, the first
BANDS = len(PROFIT_FACTORS)

WIDE, NARROW = 1.5, 0.7  # ATR(14)/price against its median
VOLATILITY_FACTORS = (1.0, 1.3, 0.7)  # usual or unknown, above WIDE, below NARROW

STRONG, WEAK = 1.0, -1.0  # ROC(10) in favour, in ATRs
MOMENTUM_FACTORS = (1.0, 1.2, 0.8)  # usual or unknown, above STRONG, below WEAK


class Distance(Struct, frozen=True, gc=False):
    """A distance as a fraction of the price, and the four factors behind it."""

    distance: float
    volatility: float = 1.0
    profit: float = 1.0
    momentum: float = 1.0
    bounds: float = 1.0


def distances(base: float, least: float, most: float, *, adaptive: bool) -> tuple[Distance, ...]:
    """Every distance there can be, at ``trail_of(...) + band``: volatility varies slowest, the profit band fastest.

    In each group of ``BANDS`` a higher profit never has the wider distance: the quiet band of a guard rests on that.
    """
    return tuple(
        _distance(base, least, most, volatility, profit, momentum)
        for volatility in (VOLATILITY_FACTORS if adaptive else (1.0,) * 3)
        for momentum in (MOMENTUM_FACTORS if adaptive else (1.0,) * 3)
        for profit in (PROFIT_FACTORS if adaptive else (1.0,) * BANDS)
    )


def _distance(base: float, least: float, most: float, volatility: float, profit: float, momentum: float) -> Distance:
    wanted = base * volatility * profit * momentum
    distance = min(max(wanted, least), most)
    bounds = 1.0 if distance == wanted or not wanted else distance / wanted
    return Distance(distance, volatility, profit, momentum, bounds)


def trail_of(signals: Signals, sign: float) -> int:
    """Where the group of distances begins that these signals call for; unknown ones are factors of 1."""
    volatility = momentum = 0
    if signals.volatility is not None:
        volatility = 1 if signals.volatility > WIDE else 2 if signals.volatility < NARROW else 0
    if signals.momentum is not None:
        favour = sign * signals.momentum
        momentum = 1 if favour > STRONG else 2 if favour < WEAK else 0
    return (volatility * len(MOMENTUM_FACTORS) + momentum) * BANDS


def place_of(volatility: float, momentum: float, profit: float = 1.0) -> int:
    """The place in ``distances`` of these factors; one that is no longer among them counts as 1."""
    places = (
        _index(VOLATILITY_FACTORS, volatility),
        _index(MOMENTUM_FACTORS, momentum),
        _index(PROFIT_FACTORS, profit),
    )
    return (places[0] * len(MOMENTUM_FACTORS) + places[1]) * BANDS + places[2]


def _index(factors: tuple[float, ...], factor: float) -> int:
    return factors.index(factor) if factor in factors else 0
