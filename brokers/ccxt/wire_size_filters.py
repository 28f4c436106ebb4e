"""Apply an exchange's own size filters to a market order. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from core.errors import Refusal, Refused
from core.model import OrderRequest
from core.units import ZERO, floor_to, plain


class SizeFilters(Struct, frozen=True):
    """The filters of a market order's size, in the exchange's units."""

    step: Decimal
    least: Decimal = ZERO
    most: Decimal | None = None
    finer: Decimal | None = None  # the step of other orders, which can close a rest below ``step``


def sized(request: OrderRequest, filters: SizeFilters | None) -> OrderRequest:
    """Return the order with its size reduced to the filters. Raises Refused below the minimum.

    The refusal is PRECISION if only the step of market orders is too coarse for the size.
    """
    if filters is None:
        raise Refused(Refusal.UNKNOWN_SYMBOL, f"nothing was sent: the exchange lists no filters of {request.symbol}")
    most = request.quantity if filters.most is None else min(request.quantity, filters.most)
    quantity = floor_to(most, filters.step)
    if quantity <= 0 and filters.finer is not None and request.quantity >= filters.finer:
        text = f"{plain(request.quantity)} is below the step of market orders, {plain(filters.step)}"
        raise Refused(Refusal.PRECISION, f"nothing was sent: {text}")
    if quantity <= 0 or (quantity < filters.least and not request.reduce_only):
        text = f"{plain(request.quantity)} is below the minimum of {plain(max(filters.least, filters.step))}"
        raise Refused(Refusal.BELOW_MINIMUM, f"nothing was sent: {text}")
    return replace(request, quantity=quantity)
