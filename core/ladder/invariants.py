"""The invariants of every closing order at the moment the order is sent. A violation freezes the account. Pure.

The ladder is built to keep all of them. This module checks them again in production, independently of the ladder.
The numbers (I1, I2, …) are the numbers of docs/reliability.md.
"""

from __future__ import annotations

from core.errors import InvariantBroken
from core.ladder.states import Ladder
from core.model import Instrument, OrderRequest, Position
from core.units import floor_to, plain


class LiveOrders:
    """One account's closing orders that are live or unknown: at most one per instrument (I4)."""

    def __init__(self) -> None:
        self._live: dict[str, str] = {}

    def follow(self, ladder: Ladder) -> None:
        """Take a ladder's new state. A ladder without an order under way has no live or unknown order."""
        symbol = ladder.action.key.symbol
        if (ladder.order is None or ladder.ended) and self._live.get(symbol) in ladder.sent:
            del self._live[symbol]

    def enter(self, request: OrderRequest) -> None:
        """Register an order before it is sent. Raises InvariantBroken when another one may be live."""
        other = self._live.setdefault(request.symbol, request.client_id)
        if other != request.client_id:
            raise InvariantBroken(f"I4: {request.symbol} has a live closing order {other} already")


def check_send(ladder: Ladder, request: OrderRequest, position: Position, instrument: Instrument) -> None:
    """Check I1, I2, I3, I5, I7 and I18 of one order against the confirmed action and the last read."""
    action = ladder.action
    left = action.quantity - ladder.fills.quantity
    where = f"{request.symbol} on {request.account}"
    if (request.account, request.symbol, request.leg) != (action.key.account, action.key.symbol, action.key.leg):
        raise InvariantBroken(f"I18: {where} is not what was confirmed")
    if position.side is not action.side or request.side is not position.side.closing:
        raise InvariantBroken(f"I2: an order to {request.side.value} {where} does not reduce what is held")
    if request.quantity <= 0 or request.quantity > left:
        raise InvariantBroken(
            f"I1: {plain(request.quantity)} of {where} are more than the {plain(left)} confirmed and left"
        )
    if request.quantity > position.quantity:
        raise InvariantBroken(
            f"I3: {plain(request.quantity)} of {where} are more than the {plain(position.quantity)} held"
        )
    if instrument.reduce_only and not request.reduce_only:
        raise InvariantBroken(f"I5: {where} takes reduce-only orders and this one is not")
    if not instrument.reduce_only and request.quantity > position.free:
        raise InvariantBroken(f"I5: {plain(request.quantity)} of {where} are more than the {plain(position.free)} free")
    if floor_to(request.quantity, instrument.step) != request.quantity:
        raise InvariantBroken(f"I7: {plain(request.quantity)} of {where} is not on the venue's step")
