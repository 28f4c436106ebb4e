"""Send one order that is not a close, and follow the order until its end is known.

Entries, protective orders and stops that are put back share this path: submit, resolve, settle, cancel.

* The intent is durable before the order leaves. An order leaves soon after its decision, or not at all.
* An unreadable answer is an unknown outcome. An order of unknown outcome is looked up and never sent again.
* "There is no such order" counts only after the request's expiry and the lists' lag, and only when the venue has said
  it twice.
* An order has ended when the venue says so. Where the venue forgot the order, two complete reads after the lists' lag
  must lack it.
* A cumulative fill never falls.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct, structs

from core.errors import FlatdeckError, Refusal, Refused, Unreachable, explain
from core.journal.write_behind import WriteBehind
from core.model import Order, OrderStatus
from core.orders.account_reader import AccountReader
from core.orders.lookup import CALL_TIMEOUT, SINCE_MARGIN, find_sent_order, limited
from core.ports import CONCLUSIVE_MISSES, LOOK_MARGIN, SEND_WITHIN, Broker, Clock, OrderQuery
from core.records import CancelAsked, IntentAnswered, IntentWritten
from core.units import ZERO

POLL = 0.1  # seconds
LONGEST_POLL = 1.0  # seconds
GLANCE = 0.05  # seconds between two checks whether a close wants to go first
ASK_AGAIN = 5.0  # seconds between two cancels of one order that the venue takes
TOO_LATE = "it was too late for it"


class Submitted(Struct, frozen=True):
    """Result of a send.

    ``outcome`` as in ``IntentAnswered``: acknowledged, refused, unreachable, unknown, not_found. Also ``not_sent``: we
    held the order back.
    """

    outcome: str
    order: Order | None = None  # the acknowledged order, in any readable state
    text: str = ""
    refusal: Refused | None = None


class Timeouts(Struct, frozen=True):
    """Time limits of an order that is followed to its end, in seconds."""

    fill: float  # until a live order is withdrawn
    total: float  # until the search for an order, or for the end of a withdrawn order, stops
    give_way: Callable[[], bool] = lambda: False  # True: withdraw now, because a close of the same symbol goes first


class AccountOrders:
    """One account's orders that are not closes, from the intent to the end."""

    def __init__(self, broker: Broker, reader: AccountReader, clock: Clock, write_behind: WriteBehind) -> None:
        self._broker = broker
        self._reader = reader
        self._clock = clock
        self._write_behind = write_behind
        self._missing: dict[str, tuple[float, int]] = {}  # order id → first answer without a state, reads that lack it

    async def submit_order(
        self, intent: IntentWritten, decided: float, may_leave: Callable[[], bool] = lambda: True
    ) -> Submitted:
        """Make the intent durable, then send its order once. Raises JournalError: then nothing was sent.

        ``decided``: monotonic seconds of the decision. ``may_leave`` is asked once more right before the order leaves.
        """
        await self._write_behind.write(intent.key, intent)
        if self._clock.monotonic() - decided > SEND_WITHIN or not may_leave():
            self._record(intent, "unreachable", None, TOO_LATE)
            return Submitted("not_sent", None, TOO_LATE)
        sent = await self._send(intent)
        self._record(intent, sent.outcome, sent.order, sent.text)
        return sent

    async def _send(self, intent: IntentWritten) -> Submitted:
        """Send once. A duplicate client id means that an earlier send arrived: the outcome is then unknown."""
        try:
            order = await limited(self._broker.submit(intent.request))
        except Refused as refused:
            outcome = "unknown" if refused.refusal is Refusal.DUPLICATE else "refused"
            return Submitted(outcome, None, str(refused), refused)
        except Unreachable as error:
            return Submitted("unreachable", None, str(error))
        except (FlatdeckError, TimeoutError) as error:
            return Submitted("unknown", None, explain(error))
        if order.id and order.status is not OrderStatus.UNKNOWN:
            return Submitted("acknowledged", order)
        return Submitted("unknown", None, "an answer without a readable order")

    async def resolve_order(
        self,
        intent: IntentWritten,
        *,
        known: frozenset[str] = frozenset(),
        order_id: str | None = None,
        total: float = 0.0,
    ) -> Submitted:
        """Look for an order of unknown outcome, until it is found or proven never to have been executed.

        The search takes at least ``total`` seconds, and as long as a proof takes. The outcome is then ``unknown``. It
        also stays ``unknown`` when the venue promises no expiry and does not know the order.
        """
        able, now = self._broker.capabilities, self._clock.monotonic()
        query = OrderQuery(intent.request, known, order_id, nameless=False, seconds=0.0)
        since = min(self._clock.now() - timedelta(seconds=CALL_TIMEOUT), intent.at) - SINCE_MARGIN
        expired = None if able.request_expiry is None else now + able.request_expiry
        proof = None if expired is None else expired + max(LOOK_MARGIN, able.position_lag)
        deadline = max(now + total, (proof or now) + 2 * LONGEST_POLL + LOOK_MARGIN)
        misses, pause, text = 0, POLL, "there is no such order at the venue yet"
        while True:
            asked = self._clock.monotonic()
            try:
                found = await limited(find_sent_order(self._broker, self._reader, query, since, asked))
            except (FlatdeckError, TimeoutError) as error:
                text = explain(error)
            else:
                if found.order is not None and found.order.status is not OrderStatus.UNKNOWN:
                    if not found.order.status.terminal:  # the caller records the end
                        self._record(intent, "acknowledged", found.order)
                    return Submitted("acknowledged", found.order)
                if found.order is None and found.unattributed == 0 and proof is not None and asked >= proof:
                    misses += 1
                if misses >= CONCLUSIVE_MISSES:
                    self._record(intent, "not_found", None)
                    return Submitted("not_found", None, "was never executed")
            if self._clock.monotonic() >= deadline:
                return Submitted("unknown", None, text)
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_POLL)

    async def settle_order(self, intent: IntentWritten, order: Order, limits: Timeouts) -> tuple[Order, str]:
        """Follow a live order until it ends by itself, or until we withdrew it and it ended.

        Return its last state and the last error. A state that is not terminal: it may still be live.
        """
        until, pause, text = self._clock.monotonic() + limits.fill, POLL, ""
        while not order.status.terminal and not limits.give_way():
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            await self._rest(min(pause, left), limits)
            order, text = await self._look(intent, order, text)
            pause = min(2 * pause, LONGEST_POLL)
        if not order.status.terminal:
            order, text = await self.cancel_order(intent, order, limits.total)
        if order.status.terminal:
            order = await self._count_late_fills(order)
            self.record_end(intent, order)
        return order, text

    async def cancel_order(self, intent: IntentWritten, order: Order, seconds: float) -> tuple[Order, str]:
        """Cancel the order until it has ended, for ``seconds`` at most. Return its last state and the last error."""
        self._write_behind.remember(intent.key, CancelAsked(intent.plan, intent.key, order))
        again, pause, text = self._clock.monotonic(), POLL, ""
        until = again + seconds
        while True:
            if self._clock.monotonic() >= again:
                try:
                    await limited(self._broker.cancel(order))
                    again = self._clock.monotonic() + ASK_AGAIN
                except (FlatdeckError, TimeoutError) as error:
                    text = explain(error)
                    silent = error.retry_after if isinstance(error, Refused) else None
                    again = self._clock.monotonic() + (silent or 0.0)
            order, text = await self._look(intent, order, text)
            if order.status.terminal or self._clock.monotonic() >= until:
                return order, text
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_POLL)

    async def read_order(self, intent: IntentWritten, order: Order) -> Order:
        """Return the order as the venue reports it now. The filled quantity never falls.

        The venue may not know the order, or not tell its state. Then the order has ended when two complete reads after
        the lists' lag lack it. Raises the errors of a query.
        """
        found = await limited(self._broker.find_order(order.symbol, order_id=order.id))
        if found is not None and found.status is not OrderStatus.UNKNOWN:
            self._missing.pop(order.id, None)
            return _further(order, found)
        first, lacked = self._missing.setdefault(order.id, (self._clock.monotonic(), 0))
        holdings = await limited(self._reader.read_account())
        if holdings.orders_flaw or holdings.asked - first <= self._broker.capabilities.position_lag:
            return order
        lacked = 0 if order.id in {o.id for o in holdings.orders} else lacked + 1
        self._missing[order.id] = first, lacked
        if lacked < CONCLUSIVE_MISSES:
            return order
        fills = await limited(self._broker.fills(order.symbol, intent.at - SINCE_MARGIN))
        traded = {f.trade_id: f.quantity for f in fills if f.order_id == order.id}
        text = "the venue forgot it" if found is None else "the venue does not say how it ended"
        ended = structs.replace(found or order, status=OrderStatus.CANCELLED, text=text)
        return _further(order, structs.replace(ended, filled=max(ended.filled, sum(traded.values(), ZERO))))

    def record_end(self, intent: IntentWritten, order: Order) -> None:
        """Record the terminal order, once."""
        self._missing.pop(order.id, None)
        self._record(intent, "terminal", order)

    async def _look(self, intent: IntentWritten, order: Order, text: str) -> tuple[Order, str]:
        """Return the order as it is now, and the text of a query that failed, else ``text``."""
        try:
            return await self.read_order(intent, order), text
        except (FlatdeckError, TimeoutError) as error:
            return order, explain(error)

    async def _rest(self, seconds: float, limits: Timeouts) -> None:
        """Sleep ``seconds``, or less when a close wants to go first."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0 and not limits.give_way():
            await self._clock.sleep(min(left, GLANCE))

    async def _count_late_fills(self, order: Order) -> Order:
        """Return the ended order with its late fills: the venue may report fills after the order's end."""
        until = self._clock.monotonic() + self._broker.capabilities.position_lag + LOOK_MARGIN
        while order.filled < order.quantity and order.status is not OrderStatus.REJECTED:
            if self._clock.monotonic() >= until:
                break
            await self._clock.sleep(LOOK_MARGIN)
            try:
                seen = await limited(self._broker.find_order(order.symbol, order_id=order.id))
            except (FlatdeckError, TimeoutError):
                continue
            if seen is not None and seen.filled > order.filled:
                order = structs.replace(order, filled=seen.filled, average_price=seen.average_price)
        return order

    def _record(self, intent: IntentWritten, outcome: str, order: Order | None, text: str = "") -> None:
        """Record the answer without waiting. After a restart, the venue is asked again for a lost record."""
        record = IntentAnswered(intent.plan, intent.key, intent.client_id, outcome, order, text)
        self._write_behind.remember(intent.key, record)


def _further(known: Order, seen: Order) -> Order:
    """Return the later state of an order, with the larger fill and its price."""
    if seen.filled >= known.filled:
        return seen
    return structs.replace(seen, filled=known.filled, average_price=known.average_price)
