"""Send one order that is not a close, and find out its outcome. The caller writes the journal.

Entries and protective orders share this module. An unreadable answer is an unknown outcome. An order of unknown
outcome is never sent again. "There is no such order" counts only after the request's expiry and the lists' lag, and
only when the venue has said it twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from core.errors import FlatdeckError, Refusal, Refused, Unreachable, explain
from core.model import Order, OrderRequest, OrderStatus
from core.orders.account_reader import AccountReader
from core.orders.lookup import CALL_TIMEOUT, find, limited
from core.ports import CONCLUSIVE_MISSES, LOOK_MARGIN, Broker, Clock, OrderQuery

POLL = 0.1  # seconds
LONGEST_POLL = 1.0  # seconds


class Submitted(Struct, frozen=True):
    """Result of a send.

    ``outcome`` as in ``IntentAnswered``: acknowledged, refused, unreachable, unknown, not_found.
    """

    outcome: str
    order: Order | None = None  # the acknowledged order, in any readable state
    text: str = ""
    refusal: Refused | None = None


async def send(broker: Broker, request: OrderRequest) -> Submitted:
    """Send the order once. A duplicate client id means that an earlier send arrived: the outcome is then unknown."""
    try:
        order = await limited(broker.submit(request))
    except Refused as refused:
        if refused.refusal is not Refusal.DUPLICATE:
            return Submitted("refused", None, str(refused), refused)
        text = str(refused)
    except Unreachable as error:
        return Submitted("unreachable", None, str(error))
    except (FlatdeckError, TimeoutError) as error:
        text = explain(error)
    else:
        if order.id and order.status is not OrderStatus.UNKNOWN:
            return Submitted("acknowledged", order)
        text = "an answer without a readable order"
    return Submitted("unknown", None, text)


async def look(
    broker: Broker, reader: AccountReader, clock: Clock, do: OrderQuery, begun: datetime, total: float
) -> Submitted:
    """Look for an order that was sent at ``begun``, until it is found or proven never to have been executed.

    The search takes at least ``total`` seconds, and as long as a proof takes. After that the outcome is ``unknown``.
    The outcome also stays ``unknown`` when the venue promises no expiry and does not know the order.
    """
    able, now = broker.capabilities, clock.monotonic()
    since = min(clock.now() - timedelta(seconds=CALL_TIMEOUT), begun) - timedelta(seconds=2.0)
    expired = None if able.request_expiry is None else now + able.request_expiry
    proof = None if expired is None else expired + max(LOOK_MARGIN, able.position_lag)
    deadline = max(now + total, (proof or now) + 2 * LONGEST_POLL + LOOK_MARGIN)
    misses, pause, text = 0, POLL, "there is no such order at the venue yet"
    while True:
        asked = clock.monotonic()
        try:
            found = await limited(find(broker, reader, do, since, asked))
        except (FlatdeckError, TimeoutError) as error:
            text = explain(error)
        else:
            if found.order is not None and found.order.status is not OrderStatus.UNKNOWN:
                return Submitted("acknowledged", found.order)
            if found.order is None and found.unattributed == 0 and proof is not None and asked >= proof:
                misses += 1
            if misses >= CONCLUSIVE_MISSES:
                return Submitted("not_found", None, "was never executed")
        if clock.monotonic() >= deadline:
            return Submitted("unknown", None, text)
        await clock.sleep(pause)
        pause = min(2 * pause, LONGEST_POLL)
