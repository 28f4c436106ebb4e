"""Puts back a protective order that a close had cancelled: once, and only on what was read a moment ago."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from core.errors import FlatdeckError, InvariantBroken, JournalError, Refusal, Refused, Unreachable, explain
from core.journal.journal import Journal
from core.model import Order, OrderRequest
from core.orders.lookup import CALL_TIMEOUT, limited, why_not_live
from core.ports import SEND_WITHIN, Broker, Clock

TRIES = 3
WAIT = 1.0


class Hands(Struct, frozen=True):
    """``look`` reads the account and raises InvariantBroken when another writer is there; ``intend`` makes durable."""

    broker: Broker
    journal: Journal
    clock: Clock
    look: Callable[[], Awaitable[bool]]
    intend: Callable[[OrderRequest, bool], Awaitable[None]]


async def put_back(hands: Hands, request: OrderRequest, order: Order, read_at: float) -> str:
    """As whose it was; the failure's text, or empty. ``read_at`` is when that was read on which it was decided."""
    text = ""
    try:
        if await hands.journal.knows(request.client_id):  # it left before a restart: looked for, never resent
            return await why_not_live(hands.broker, request)
        ours = order.client_id is not None and await hands.journal.protective(order.client_id) is not None
    except JournalError as error:
        return str(error)
    for tried in range(TRIES):
        try:
            if tried or hands.clock.monotonic() - read_at > SEND_WITHIN:
                if not await hands.look():  # nobody else may have come meanwhile
                    text = text or "the position could not be read"
                    await hands.clock.sleep(WAIT)
                    continue
                read_at = hands.clock.monotonic()
            await hands.intend(request, ours)
            if hands.clock.monotonic() - read_at > SEND_WITHIN:  # a slow disk, a suspended machine
                text = "what it was decided on became too old before it could leave"
                continue
            await limited(hands.broker.submit(request))
        except (Refused, Unreachable) as error:
            if isinstance(error, Refused) and error.refusal is Refusal.DUPLICATE:
                return ""  # it is there: an earlier try arrived after all
            text, wait = str(error), getattr(error, "retry_after", None)
            await hands.clock.sleep(min(wait or WAIT, CALL_TIMEOUT))
        except InvariantBroken:
            raise
        except (FlatdeckError, TimeoutError) as error:
            return explain(error)
        else:
            return ""
    return text
