"""The display of the rules that watch one position."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class StopMove(Struct, frozen=True):
    """The stop after its move at the time ``at``."""

    at: datetime
    stop: Decimal


class ExitView(Struct, frozen=True):
    """One position's stop and target, and the reasons. Ratios are fractions, not percentages."""

    price: Decimal | None = None  # the last price that the rules used
    stop: Decimal | None = None
    target: Decimal | None = None
    peak: Decimal | None = None
    initial: bool = True  # the stop has not been moved yet
    away: Decimal | None = None  # distance from the price to the stop, as a fraction of the price
    trail: Decimal | None = None  # the stop's trailing distance, else the distance of its first move
    base: Decimal | None = None
    factors: tuple[Decimal, Decimal, Decimal, Decimal] | None = None  # volatility, profit, momentum, bounds
    progress: Decimal | None = None  # fraction of the way from the entry to the target
    move: Decimal | None = None
    due: str | None = None  # the exit that the last price called for
    ratchets: tuple[StopMove, ...] = ()  # oldest first
    note: str = ""
