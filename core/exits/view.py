"""What is shown of the rules that watch one position."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class StopMove(Struct, frozen=True):
    """The stop as it was moved at ``at``."""

    at: datetime
    stop: Decimal


class ExitView(Struct, frozen=True):
    """How one position is watched: where its stop and its target are, and why. Fractions are fractions."""

    price: Decimal | None = None  # the last that the rules saw
    stop: Decimal | None = None
    target: Decimal | None = None
    peak: Decimal | None = None
    initial: bool = True  # the stop has not been moved yet
    away: Decimal | None = None  # how far the price is above its stop, of the price
    trail: Decimal | None = None  # the distance behind the stop, else the one that its first move would have
    base: Decimal | None = None
    factors: tuple[Decimal, Decimal, Decimal, Decimal] | None = None  # volatility, profit, momentum, bounds
    progress: Decimal | None = None  # of the way from the entry to the target
    move: Decimal | None = None
    due: str | None = None  # the exit that the last price called for
    ratchets: tuple[StopMove, ...] = ()  # oldest first
    note: str = ""
