"""The size of a closing order: what is free, on the venue's grid, above its minimum. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from core.model import Instrument, Position
from core.units import floor_to


class Size(Struct, frozen=True):
    """What may be sent for a position now. ``wanted`` is all of it on the step grid; ``available`` what may leave.

    ``too_small`` says why the venue would refuse even ``wanted``.
    """

    wanted: Decimal
    available: Decimal
    too_small: str = ""


def size_close(position: Position, instrument: Instrument, price: Decimal | None) -> Size:
    """All that the broker reports now, rounded down; without reduce-only never more than what is free."""
    wanted = floor_to(position.quantity, instrument.step)
    available = wanted if instrument.reduce_only else floor_to(min(position.quantity, position.free), instrument.step)
    if instrument.max_market is not None:
        available = min(available, floor_to(instrument.max_market, instrument.step))
    return Size(wanted, available, _too_small(wanted, instrument, price))


def _too_small(quantity: Decimal, instrument: Instrument, price: Decimal | None) -> str:
    if quantity <= 0:
        return "below one step"
    if instrument.reduce_only and instrument.minimum_exempt:
        return ""
    if quantity < instrument.min_quantity:
        return "below the venue's minimum quantity"
    if price is not None and quantity * instrument.multiplier * price < instrument.min_cost:
        return "below the venue's minimum cost"
    return ""
