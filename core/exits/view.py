"""The display of the rules that watch one position."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

from core.exits import state as exits
from core.exits.rules import Exit
from core.exits.state import ExitState
from core.exits.trailing import Distance
from core.model import Position
from core.units import plain
from core.valuation import move

RATCHETS_KEPT = 20
RATCHET_EVERY = 60.0  # seconds; further moves of the stop within them update the last recorded move
NO_ENTRY = "entry unknown: no stop, target or return from it"
NO_LEVERAGE = "leverage unknown: no emergency stop"


class StopMove(Struct, frozen=True):
    """The stop after its move at the time ``at``."""

    at: datetime
    stop: Decimal


def add_stop_move(past: tuple[StopMove, ...], stop: Decimal | None, at: datetime) -> tuple[StopMove, ...]:
    """Return the latest moves of a stop, with its move at ``at``."""
    if stop is None:
        return past
    if past and (at - past[-1].at).total_seconds() < RATCHET_EVERY:
        return (*past[:-1], StopMove(past[-1].at, stop))
    return (*past, StopMove(at, stop))[-RATCHETS_KEPT:]


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


def view_of(
    guard: ExitState,
    position: Position,
    last: Decimal | None,
    due: Exit | None,
    ratchets: tuple[StopMove, ...],
    tick: Decimal,
) -> ExitView:
    """Return the display of a guard. ``last`` is the last usable price, ``due`` the exit that this price called for."""
    stop, target = exits.stop_price(guard, tick), exits.target_price(guard, tick)
    now = exits.distance_at(guard, exits.as_float(last)) if last is not None else None
    behind = exits.distance_behind(guard) or now
    trail, factors = (None, None) if behind is None else _explained(behind)
    sign, entry, progress = position.side.sign, position.entry, None
    if last is not None and entry is not None and target is not None and sign * (target - entry) > 0:
        progress = (last - entry) / (target - entry)
    return ExitView(
        price=last,
        stop=stop,
        target=target,
        peak=exits.peak_price(guard),
        initial=guard.behind < 0,
        away=None if last is None or stop is None else sign * (last - stop) / last,
        trail=trail,
        base=guard.rules.settings.trailing_base,
        factors=factors,
        progress=progress,
        move=None if last is None else move(position.side, entry, last),
        due=None if due is None else due.reason,
        ratchets=ratchets,
        note=_note(guard, position),
    )


@lru_cache(maxsize=1024)
def _explained(distance: Distance) -> tuple[Decimal, tuple[Decimal, Decimal, Decimal, Decimal]]:
    """Return a distance and its factors as decimals. Cached: few distances exist, and every position shows one."""
    parts = (distance.volatility, distance.profit, distance.momentum, distance.bounds)
    volatility, profit, momentum, bounds = (exits.as_decimal(part) for part in parts)
    return exits.as_decimal(distance.distance), (volatility, profit, momentum, bounds)


def _note(guard: ExitState, position: Position) -> str:
    """Return why rules are silent, or which entry the rules still use; "" when there is nothing to say.

    Rules are silent because entry or leverage is unknown.
    """
    if position.entry is None:
        return NO_ENTRY
    if position.leverage is None and guard.rules.emergency:
        return NO_LEVERAGE
    counted = exits.entry_price(guard)
    if counted is None or exits.as_float(counted) == exits.as_float(position.entry):
        return ""
    return f"its entry became {plain(position.entry)} without a trade: the rules still use {plain(counted)}"
