"""The size of a closing order: the free quantity, rounded to the venue's step; the venue's minimums. Pure."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.model import Instrument, Position
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


class MinimumProblem(Enum):
    """The reason why a venue refuses a closing order as too small."""

    STEP = "below one step"
    QUANTITY = "below the venue's minimum quantity"
    COST = "below the venue's minimum cost"


def minimum_problem(quantity: Decimal, instrument: Instrument, price: Decimal | None) -> MinimumProblem | None:
    """Return why the venue would refuse to close ``quantity``; None if the venue would accept the order.

    ``quantity`` is a multiple of the instrument's step.
    Some venues exempt reduce-only orders from the minimums. The minimum cost is not checked without a price.
    """
    if quantity <= 0:
        return MinimumProblem.STEP
    if instrument.reduce_only and instrument.minimum_exempt:
        return None
    if quantity < instrument.min_quantity:
        return MinimumProblem.QUANTITY
    if price is not None and instrument.min_cost > 0 and quantity * instrument.multiplier * price < instrument.min_cost:
        return MinimumProblem.COST
    return None
