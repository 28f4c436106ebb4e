"""The size of a closing order: the free quantity, rounded to the venue's step, checked against minimums. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from core.model import Instrument, Position
from core.plans.minimums import minimum_problem
from core.units import floor_to


class Size(Struct, frozen=True):
    """The size of one closing order.

    ``wanted``: the whole position, rounded down to the venue's step. ``available``: the part that may be sent now.
    ``too_small``: why the venue would refuse even ``wanted``; empty where the venue would accept it.
    """

    wanted: Decimal
    available: Decimal
    too_small: str = ""


def size_close(position: Position, instrument: Instrument, price: Decimal | None) -> Size:
    """Return the size of an order that closes the whole reported position, rounded down to the step.

    Without a reduce-only flag ``available`` is at most the free quantity. ``available`` is also at most the venue's
    largest market order.
    """
    wanted = floor_to(position.quantity, instrument.step)
    available = wanted if instrument.reduce_only else floor_to(min(position.quantity, position.free), instrument.step)
    if instrument.max_market is not None:
        available = min(available, floor_to(instrument.max_market, instrument.step))
    problem = minimum_problem(wanted, instrument, price)
    return Size(wanted, available, problem.value if problem else "")
