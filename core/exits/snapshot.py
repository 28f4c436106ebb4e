"""The snapshot of one guard for a restart, and the guard made from a snapshot. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, structs

from core.exits import state as exits
from core.exits.rules import Rules
from core.exits.state import ExitState, SavedExit
from core.exits.view import StopMove
from core.market.splits import split_ratio
from core.model import Position, PositionKey, Side


class ExitSnapshot(Struct, frozen=True):
    """The state of one guard that a restart needs. ``quantity`` tells a split from another position."""

    key: PositionKey
    side: Side
    quantity: Decimal
    saved: SavedExit
    ratchets: tuple[StopMove, ...] = ()


def resumed(rules: Rules, kept: ExitSnapshot, position: Position, opened: float | None) -> ExitState | None:
    """Return the saved guard, adapted to the position's changes since then; None when the position is another one."""
    saved = kept.saved
    if kept.side is not position.side or (None not in (saved.opened, opened) and saved.opened != opened):
        return None
    if (saved.entry, kept.quantity) == (position.entry, position.quantity):
        return exits.restored(rules, structs.replace(saved, leverage=position.leverage))
    ratio = split_since(kept, position)
    if ratio is None and saved.entry not in (None, position.entry) and position.quantity <= kept.quantity:
        return None  # a reduced position keeps its entry
    guard = exits.restored(rules, saved)
    if ratio is not None:
        exits.split(guard, ratio)
    exits.changed(guard, position.entry, position.leverage)
    return guard


def split_since(kept: ExitSnapshot, position: Position) -> Decimal | None:
    """Return the new shares for an old share after a split without a trade, else None.

    After a split and a trade the position counts as another position.
    """
    before = structs.replace(position, entry=kept.saved.entry, quantity=kept.quantity)
    return split_ratio(before, position, shares=False)
