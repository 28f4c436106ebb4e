"""Compare an order's size with the venue's minimums."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from core.model import Instrument


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
