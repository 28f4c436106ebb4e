"""The exit rules of one side, compiled from the settings: every threshold as a number that is compared with ``<=``.

Binary fractions are right here: rules compare ratios, and a price for a venue becomes a Decimal again at the edge.
``100 * 1.1`` is not 110 in binary, so a comparison could miss an exactly reached level by the last bit. Each compared
quantity is off by a few 1e-16 of the price. Hence ``TOLERANCE`` of the price makes every "reached" true earlier and
every "further than" later. ``TOLERANCE`` is thirty times that error, and a fortieth of a tick of 0.00000001 on a
price of 60,000.

Prices are compared *signed*: ``u = s * price``. So a larger ``u`` is better for a long and for a short position. The
stop lies below ``u`` and the target above ``u``.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import inf

from msgspec import Struct

from core.exits import trailing
from core.exits.factors import target_tables, trail_tables
from core.exits.trailing import Distance
from core.model import Side
from core.settings import ExitSettings
from core.units import ZERO, plain

TOLERANCE = 4e-15  # of the price
SMALLEST_PEAK = 1e-9  # a drawdown needs a positive peak roi
LIQUIDATION, SEVERE, EXCESSIVE = "liquidation_risk", "severe_loss", "excessive_loss"


class Rule(Enum):
    """The five kinds of rules, in their order of precedence."""

    EMERGENCY = "emergency"
    STOP = "stop"
    TARGET = "target"
    SMART_PROFIT = "smart_profit"
    MOMENTUM_LOSS = "momentum_loss"


class Exit(Struct, frozen=True, gc=False):
    """The rule that closes a position, and its name. People and journals see ``reason``."""

    reason: str
    rule: Rule


class Rules:
    """One side's rules. Levels are tuples in order of precedence; each ends with its exit's place in ``exits``.

    ``cost`` is the move that pays the fees of opening and closing; ``roi = leverage * (move - cost)``.
    """

    __slots__ = (
        *("activation", "adaptive", "aiming", "always", "cost", "distances", "drawdown", "emergency", "exits", "keeps"),
        *(
            "mildest",
            "min_peak",
            "profits",
            "reach",
            "roofs",
            "settings",
            "side",
            "sign",
            "smart",
            "smart_least",
            "stop_loss",
        ),
        *("take_profit", "trailing", "trailing_stop", "trails"),
    )

    def __init__(self, settings: ExitSettings, side: Side) -> None:
        self.settings, self.side, self.sign = settings, side, float(side.sign)
        self.adaptive = settings.adaptive
        self.cost = float(settings.fees)
        self.reach = float(settings.take_profit_pct or ZERO)
        self.exits: list[Exit] = []
        self._levels(settings)
        self._trailing(settings)

    def _levels(self, settings: ExitSettings) -> None:
        worst_first = sorted(settings.emergency)
        names = emergency_names(len(worst_first))
        self.emergency = tuple(
            (float(level), self._exit(f"emergency_stop_{name}", Rule.EMERGENCY))
            for level, name in zip(worst_first, names, strict=True)
        )
        self.mildest = self.emergency[-1][0] if self.emergency else -inf
        self.stop_loss = self._exit("stop_loss", Rule.STOP)
        self.trailing_stop = self._exit("trailing_stop", Rule.STOP)
        self.take_profit = self._exit("take_profit", Rule.TARGET)
        self.smart = tuple(
            (
                float(move) - TOLERANCE,
                self._further(float(gap)),
                self._exit(f"smart_profit_{_percent(move)}", Rule.SMART_PROFIT),
            )
            for move, gap in sorted(settings.smart_profit, reverse=True)
        )
        self.smart_least = self.smart[-1][0] if self.smart else inf
        self.min_peak = max(float(settings.min_peak_roi), SMALLEST_PEAK)
        self.drawdown = tuple(
            (
                float(1 - given_back),
                -inf if start is None else float(start),
                inf if end is None else float(end),
                self._exit(f"profit_drawdown_{_percent(given_back)}", Rule.MOMENTUM_LOSS),
            )
            for given_back, start, end in sorted(settings.drawdown, key=lambda level: level[0], reverse=True)
        )

    def _further(self, gap: float) -> float:
        """Return a factor for ``u``: the gap is larger than ``gap`` when ``target > u * factor``; always for 0."""
        return (1 + self.sign * gap) * (1 + self.sign * TOLERANCE) if gap else -self.sign * inf

    def _exit(self, reason: str, rule: Rule) -> int:
        self.exits.append(Exit(reason, rule))
        return len(self.exits) - 1

    def _trailing(self, settings: ExitSettings) -> None:
        self.trails = settings.trailing_base is not None
        self.always = settings.activation_pct == 0
        self.activation = float(settings.activation_pct) - TOLERANCE
        self.trailing, self.aiming = trail_tables(settings), target_tables(settings)
        self.profits = tuple(above + TOLERANCE for above in self.trailing.profits)
        self.roofs = tuple(min(end, self.smart_least) for end in (*reversed(self.profits), inf))  # by band
        base = float(settings.trailing_base or ZERO)
        least, most = float(settings.trailing_min), float(settings.trailing_max)
        self.distances: tuple[Distance, ...] = trailing.distances(
            base, least, most, self.trailing, adaptive=settings.adaptive
        )
        self.keeps = tuple((1 - self.sign * d.distance) * (1 + self.sign * TOLERANCE) for d in self.distances)


def rules_of(settings: ExitSettings, side: Side) -> Rules:
    """Return the compiled rules. Equal arguments give the same object while the cache holds it."""
    return _compiled(settings, side)


_compiled = lru_cache(maxsize=256)(Rules)


def emergency_names(levels: int) -> list[str]:
    """Return the names of ``levels`` levels, worst first. Beyond three, all middle levels are severe losses."""
    if levels <= 3:
        return [LIQUIDATION, SEVERE, EXCESSIVE][:levels]
    return [LIQUIDATION, *[SEVERE] * (levels - 2), EXCESSIVE]


def _percent(fraction: Decimal) -> str:
    return plain(fraction * 100)


def initial_stop(side: Side, entry: Decimal | None, stop_pct: Decimal | None) -> Decimal | None:
    """Return ``entry · (1 − s · stop_pct)``; None without an entry or without a percentage."""
    return None if entry is None or stop_pct is None else entry * (1 - side.sign * stop_pct)
