"""Put back a protective order that a close cancelled: only after a recent read, and never twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial

from msgspec import Struct, structs

from core.errors import JournalError
from core.journal.journal import Journal
from core.ladder.states import PositionRead
from core.model import Order, OrderRequest
from core.orders.lookup import CALL_TIMEOUT
from core.orders.submit import AccountOrders, Submitted
from core.ports import SEND_WITHIN, Clock
from core.records import IntentWritten
from core.units import ZERO, floor_to

TRIES = 3
WAIT = 1.0  # seconds between two tries


class Hands(Struct, frozen=True):
    """The means to put back an order.

    ``look`` reads the account. It returns None when the read fails, and raises InvariantBroken when another writer is
    there.
    ``known``: ids of the orders that existed before. ``why_not`` returns why an order may not be placed now, or "".
    """

    orders: AccountOrders
    journal: Journal
    clock: Clock
    look: Callable[[], Awaitable[PositionRead | None]]
    known: frozenset[str]
    why_not: Callable[[OrderRequest], str] = lambda _: ""


async def put_back(hands: Hands, intent: IntentWritten, order: Order, read_at: float) -> str:
    """Put the order back as ours or as the user's. Return the error text, empty on success.

    ``read_at``: monotonic seconds of the read behind this decision. Raises InvariantBroken when ``look`` does.
    """
    try:
        before = await hands.journal.find_intent(intent.client_id)
        if before is not None:  # sent before a restart: look it up, never send it again
            return await _outcome(hands, before, Submitted("unknown"))
        placed = await hands.journal.find_intent(order.client_id) if order.client_id is not None else None
        intent = structs.replace(intent, protects=placed is not None and placed.protects)
        return await _send(hands, intent, read_at)
    except JournalError as error:
        return str(error)


async def _send(hands: Hands, intent: IntentWritten, read_at: float) -> str:
    """Send the order, a few times while it provably has not rested. Raises JournalError."""
    text = ""
    for tried in range(TRIES):
        if why := hands.why_not(intent.request):
            return f"{intent.client_id}: {why}"
        if tried or hands.clock.monotonic() - read_at > SEND_WITHIN:
            read = await hands.look()  # another writer may have come meanwhile
            if read is None:
                text = text or "the position could not be read"
                await hands.clock.sleep(WAIT)
                continue
            left = _left(intent.request, read)
            if left <= 0:
                return f"{intent.client_id}: nothing is held that the order would protect"
            intent = structs.replace(intent, request=structs.replace(intent.request, quantity=left))
            read_at = hands.clock.monotonic()
        request, intent = intent.request, structs.replace(intent, at=hands.clock.now())
        sent = await hands.orders.submit_order(intent, read_at, partial(_may_leave, hands, request))
        if sent.outcome not in ("refused", "unreachable", "not_sent"):
            return await _outcome(hands, intent, sent)
        text = sent.text
        if sent.outcome != "not_sent":
            silent = sent.refusal.retry_after if sent.refusal else None
            await hands.clock.sleep(min(silent or WAIT, CALL_TIMEOUT))
    return text


def _may_leave(hands: Hands, request: OrderRequest) -> bool:
    return not hands.why_not(request)


def _left(request: OrderRequest, read: PositionRead) -> Decimal:
    """Return the part of the order that the position read just now still needs."""
    position = read.position
    if position is None or position.side.closing is not request.side:
        return ZERO
    most = position.quantity if request.reduce_only else position.free
    return floor_to(min(request.quantity, most), read.instrument.step)


async def _outcome(hands: Hands, intent: IntentWritten, sent: Submitted) -> str:
    """Return why the order does not rest at the venue; empty when it rests. Look up an unknown outcome."""
    if sent.outcome == "unknown":
        sent = await hands.orders.resolve_order(intent, known=hands.known)
    order = sent.order
    if order is None:
        return f"{intent.client_id}: {sent.text}"
    if not order.status.terminal:
        return ""
    hands.orders.record_end(intent, order)
    return f"order {order.id} ended {order.status.value}"
