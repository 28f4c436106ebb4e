"""Put back a protective order that a close cancelled: once, and only after a recent read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from core.errors import FlatdeckError, InvariantBroken, JournalError, Refusal, Refused, Unreachable, explain
from core.journal.journal import Journal
from core.model import Order, OrderRequest
from core.orders.lookup import CALL_TIMEOUT, limited, why_not_live
from core.ports import SEND_WITHIN, Broker, Clock

TRIES = 3
WAIT = 1.0  # seconds between two tries


class Hands(Struct, frozen=True):
    """The means to put back an order.

    ``look`` reads the account, returns True on success and raises InvariantBroken when another writer is there.
    ``intend`` makes the intent durable; its flag says whether the order is ours.
    """

    broker: Broker
    journal: Journal
    clock: Clock
    look: Callable[[], Awaitable[bool]]
    intend: Callable[[OrderRequest, bool], Awaitable[None]]


async def put_back(hands: Hands, request: OrderRequest, order: Order, read_at: float) -> str:
    """Put the order back as ours or as the user's. Return the error text, empty on success.

    ``read_at``: monotonic seconds of the read behind this decision. Raises InvariantBroken when ``look`` does.
    """
    text = ""
    try:
        if await hands.journal.knows(request.client_id):  # sent before a restart: look it up, never send it again
            return await why_not_live(hands.broker, request)
        ours = order.client_id is not None and await hands.journal.protective(order.client_id) is not None
    except JournalError as error:
        return str(error)
    for tried in range(TRIES):
        try:
            if tried or hands.clock.monotonic() - read_at > SEND_WITHIN:
                if not await hands.look():  # another writer may have come meanwhile
                    text = text or "the position could not be read"
                    await hands.clock.sleep(WAIT)
                    continue
                read_at = hands.clock.monotonic()
            await hands.intend(request, ours)
            if hands.clock.monotonic() - read_at > SEND_WITHIN:  # a slow disk or a suspended machine took too long
                text = "what it was decided on became too old before it could leave"
                continue
            await limited(hands.broker.submit(request))
        except (Refused, Unreachable) as error:
            if isinstance(error, Refused) and error.refusal is Refusal.DUPLICATE:
                return ""  # an earlier try arrived after all
            text, wait = str(error), getattr(error, "retry_after", None)
            await hands.clock.sleep(min(wait or WAIT, CALL_TIMEOUT))
        except InvariantBroken:
            raise
        except (FlatdeckError, TimeoutError) as error:
            return explain(error)
        else:
            return ""
    return text
