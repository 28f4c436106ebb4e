"""Planted bugs in what proves that an order was never executed, ended or may follow: look-ups, restarts and lags."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import structs

from core.closing import ladder_runner
from core.errors import Refusal
from core.ladder import after_read, moves, order as ladder_order, recovery
from core.ladder.moves import end
from core.ladder.parts import OrderUnderWay
from core.ladder.states import Ladder, PositionRead, Transition
from core.model import Order, OrderRequest, OrderStatus
from core.orders.lookup import find_sent_order
from core.plans.results import Outcome
from core.ports import OrderRead
from tests.simulation.planting import Mutant, instead

LATER = timedelta(days=1)


def _executions_since_now() -> Any:
    """A look-up asks for executions since now: there are none."""

    async def found(broker: Any, reader: Any, do: Any, since: datetime, asked: float) -> OrderRead:
        return await find_sent_order(broker, reader, do, since + LATER, asked)

    return instead(ladder_runner, "find_sent_order", found)


def _parts_are_forgotten() -> Any:
    return instead(recovery, "_part", lambda _: 0)


def _names_are_expected() -> Any:
    """After a restart a close call is looked for by a client id that it never carried."""
    return instead(recovery, "OrderUnderWay", lambda *a, **k: OrderUnderWay(*a, **{**k, "nameless": False}))


def _stops_keep_their_size() -> Any:
    """A stop is put back with the size that it had, whatever is left of the position."""
    real = moves._again

    def again(ladder: Ladder, order: Order, quantity: Any, nth: int) -> OrderRequest:
        return real(ladder, order, order.remaining if quantity > 0 else quantity, nth)

    return instead(moves, "_again", again)


def _reduce_only_means_flat() -> Any:
    real = ladder_order._refused

    def refused(ladder: Ladder, why: Any, now: float) -> Transition:
        flat = why.refusal in (Refusal.REDUCE_ONLY, Refusal.NO_POSITION)
        return end(ladder, Outcome.CLOSED) if flat else real(ladder, why, now)

    return instead(ladder_order, "_refused", refused)


def _absent_is_cancelled() -> Any:
    """Orders that one list lacks are gone."""
    real = after_read._orders

    def orders(ladder: Ladder, read: PositionRead, now: float) -> Transition | None:
        return real(ladder, structs.replace(read, unsure=frozenset(), alive=()), now)

    return instead(after_read, "_orders", orders)


def _fills_are_cut_to_the_last_word() -> Any:
    """An order that was partly filled and cancelled counts as cancelled without a fill."""
    real = ladder_order._terminal

    def terminal(ladder: Ladder, order: Order, now: float) -> Transition:
        cut = order.status is OrderStatus.CANCELLED and order.filled < order.quantity
        return real(ladder, structs.replace(order, filled=order.filled * 0) if cut else order, now)

    return instead(ladder_order, "_terminal", terminal)


MUTANTS = (
    Mutant("executions-since-now", "a look-up asks for executions since now", _executions_since_now, 3000),
    Mutant(
        "parts-forgotten", "the parts of a split order are forgotten on restart", _parts_are_forgotten, 30, crash=True
    ),
    Mutant("name-expected", "a close call without client id is looked for by one", _names_are_expected, 60, crash=True),
    Mutant("stop-keeps-size", "a stop is put back with the size that it had", _stops_keep_their_size),
    Mutant("reduce-only-is-flat", "a refused reduce-only order means flat", _reduce_only_means_flat),
    Mutant("absent-is-cancelled", "an order that one list lacks is gone", _absent_is_cancelled),
    Mutant("partial-fill-lost", "what a cancelled order had filled is forgotten", _fills_are_cut_to_the_last_word),
)
