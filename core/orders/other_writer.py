"""Orders of another flatdeck: they have our mark, and this journal has no intent for them (I12, I19)."""

from __future__ import annotations

from collections.abc import Iterable

from core.ids import epoch_of, is_ours
from core.journal.journal import JournalView
from core.model import Order


async def find_foreign_orders(journal: JournalView | None, orders: Iterable[Order]) -> list[Order]:
    """Return the orders with our mark that the journal does not know: all of them without one. Raises JournalError."""
    marked = [o for o in orders if is_ours(o.client_id)]
    return [o for o in marked if journal is None or not await journal.knows(o.client_id or "")]


def find_other_epoch(orders: Iterable[Order], epoch: str) -> Order | None:
    """Return an order that carries another journal's epoch. The check reads nothing, so every read can afford it."""
    return next((o for o in orders if epoch_of(o.client_id) not in (None, epoch)), None)


def why_foreign(order: Order) -> str:
    """Return what a foreign order means."""
    return f"order {order.id} on {order.symbol} is another flatdeck's: two act on one account"


def why_frozen(order: Order) -> str:
    """Return why a foreign order freezes its account, and the way out."""
    way = f"stop that one, or cancel the order at the venue, then: flatdeck thaw {order.account}"
    return f"{why_foreign(order)}; {way}"
