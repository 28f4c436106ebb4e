"""The snapshot of one guard for a restart, and the guard made from a snapshot. Pure. JSON stores the field names."""

from __future__ import annotations

from decimal import Decimal
from math import inf

from msgspec import Struct, structs

from core.exits import state as exits, trailing
from core.exits.rules import Rules
from core.exits.state import ExitState
from core.exits.view import StopMove
from core.market.splits import basis_ratio, split_ratio
from core.model import Position, PositionKey, Side


class SavedExit(Struct, frozen=True):
    """The state that must survive a restart: exact decimals of unsigned prices, and factors from when each was set."""

    entry: Decimal | None
    leverage: Decimal | None
    origin: Decimal | None
    opened: float | None
    stop: Decimal | None
    target: Decimal | None
    peak: Decimal | None
    signals: tuple[float, float]  # the factors volatility and momentum of the last closed bar
    behind: tuple[float, float, float] | None  # volatility, profit, momentum behind the stop; None: initial stop


class ExitSnapshot(Struct, frozen=True):
    """The state of one guard that a restart needs. ``quantity`` tells a split from another position."""

    key: PositionKey
    side: Side
    quantity: Decimal
    saved: SavedExit
    ratchets: tuple[StopMove, ...] = ()
    venue_id: str = ""  # tells a renamed instrument from another instrument


def resumed(
    rules: Rules, kept: ExitSnapshot, position: Position, opened: float | None, *, shares: bool = False
) -> ExitState | None:
    """Return the saved guard, adapted to the position's changes since then; None when the position is another one.

    A share's entry that changed without a purchase is left as it was: the price will tell what it means.
    """
    saved = kept.saved
    if kept.side is not position.side or (None not in (saved.opened, opened) and saved.opened != opened):
        return None
    same = _same(saved.entry, position.entry)
    if same and kept.quantity == position.quantity:
        return restored(rules, structs.replace(saved, leverage=position.leverage))
    ratio = split_since(kept, position)
    if ratio is None and shares and not same and basis_since(kept, position) is not None:
        return restored(rules, structs.replace(saved, leverage=position.leverage))
    if ratio is None and saved.entry is not None and not same and position.quantity <= kept.quantity:
        return None  # a reduced position keeps its entry
    guard = restored(rules, saved)
    if ratio is not None:
        exits.split(guard, ratio)
    exits.changed(guard, position.entry, position.leverage)
    return guard


def _same(kept: Decimal | None, entry: Decimal | None) -> bool:
    """Return whether an entry is the kept entry. A snapshot keeps the digits of a float, a venue may tell more."""
    return kept == entry or (kept is not None and entry is not None and float(kept) == float(entry))


def split_since(kept: ExitSnapshot, position: Position) -> Decimal | None:
    """Return the new shares for an old share after a split without a trade, else None.

    After a split and a trade the position counts as another position.
    """
    return split_ratio(_before(kept, position), position, shares=False)


def basis_since(kept: ExitSnapshot, position: Position) -> Decimal | None:
    """Return the old entry over the new entry of a share where no purchase explains the change, else None."""
    return basis_ratio(_before(kept, position), position)


def saved(guard: ExitState) -> SavedExit:
    """Return the guard's state for :func:`restored`."""
    now, sign = guard.rules.distances[guard.trail], guard.rules.sign
    then = guard.rules.distances[guard.behind] if guard.behind >= 0 else None
    return SavedExit(
        entry=exits.exact(guard.entry * sign),
        leverage=exits.exact(guard.leverage),
        origin=exits.exact(guard.origin * sign),
        opened=None if guard.opened != guard.opened else guard.opened,
        stop=exits.exact(guard.stop * sign),
        target=exits.exact(guard.target * sign),
        peak=exits.exact(guard.peak * sign),
        signals=(now.volatility, now.momentum),
        behind=None if then is None else (then.volatility, then.profit, then.momentum),
    )


def restored(rules: Rules, state: SavedExit) -> ExitState:
    """Return the saved guard. New settings apply from now on; stop, target and peak keep their saved values."""
    guard = exits.open_guard(rules, state.entry, state.leverage, opened=state.opened)
    guard.origin = exits.signed(state.origin, rules)
    guard.stop = -inf if state.stop is None else float(state.stop) * rules.sign
    guard.target = inf if state.target is None else float(state.target) * rules.sign
    guard.peak = -inf if state.peak is None else float(state.peak) * rules.sign
    guard.trail = trailing.place_of(rules.trailing, *state.signals)
    if state.behind is not None:
        volatility, profit, momentum = state.behind
        guard.behind = trailing.place_of(rules.trailing, volatility, momentum, profit)
    return guard


def _before(kept: ExitSnapshot, position: Position) -> Position:
    return structs.replace(position, side=kept.side, entry=kept.saved.entry, quantity=kept.quantity)
