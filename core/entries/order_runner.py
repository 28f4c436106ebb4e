"""Send one order of an entry, and follow the order until its end is known.

An entry's order gets the same care as a close. The intent is durable before the order leaves. The client id is a pure
function of the entry. An order of unknown outcome is looked up and never sent again. Only a terminal state ends an
order. When the venue cannot tell the outcome, the outcome stays ``unknown`` and the entry stays open. The next start
then asks again.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from core.errors import Refusal
from core.ids import client_order_id
from core.journal.journal import Journal
from core.journal.write_behind import WriteBehind
from core.model import Order, OrderRequest, OrderStatus, OrderType, TimeInForce
from core.orders.account_reader import AccountReader
from core.orders.submit import AccountOrders, Submitted, Timeouts
from core.ports import Broker, Clock
from core.records import Entry, EntryApproved, IntentAnswered, IntentWritten, Record

# Times in force in the order of trying: the next follows when the venue does not support the one before.
AT_MARKET = (TimeInForce.IOC, TimeInForce.GTC, TimeInForce.DAY)
AT_LIMIT = (TimeInForce.GTC, TimeInForce.DAY)


class OrderResult(Struct, frozen=True):
    """Result of an entry's order. ``outcome``: filled, partial, not_filled, refused, unreachable, not_sent, unknown."""

    outcome: str
    order: Order | None = None
    text: str = ""
    refusal: Refusal | None = None


class EntryOrderRunner:
    """Sends and follows the orders of one account's entries."""

    def __init__(self, broker: Broker, reader: AccountReader, journal: Journal, clock: Clock) -> None:
        self._broker = broker
        self._journal = journal
        self._clock = clock
        self._write_behind = WriteBehind(journal)
        self._orders = AccountOrders(broker, reader, clock, self._write_behind)

    async def place_order(self, entry: EntryApproved, known: frozenset[str], patience: Timeouts) -> OrderResult:
        """Send the entry's order and follow it until its end, or until the outcome stays ``unknown``.

        ``known``: ids of the orders that existed before. Raises JournalError when the intent could not be made
        durable: then nothing was sent.
        """
        placed = OrderResult("not_sent")
        for n, tif in enumerate(AT_MARKET if entry.price is None else AT_LIMIT):
            intent = self._intent(entry, self._request(entry, tif, n), n)
            decided = self._clock.monotonic()
            sent = await self._orders.submit_order(intent, decided, lambda: not patience.give_way())
            if sent.outcome == "unknown":
                sent = await self._orders.resolve_order(intent, known=known, total=patience.total)
            placed = await self._follow(intent, sent, patience)
            if placed.refusal is not Refusal.UNSUPPORTED:
                break
        return placed

    async def resume_order(self, entry: EntryApproved, written: Sequence[Entry], patience: Timeouts) -> OrderResult:
        """Find the outcome of an entry that a restart found open. Withdraw its order when the order is still live."""
        records = [e.record for e in written]
        intents = [r for r in records if isinstance(r, IntentWritten)]
        if not intents:
            return OrderResult("not_sent", text="interrupted before anything was sent")
        last = intents[-1]
        answer: IntentAnswered | None = None
        for record in records:
            if isinstance(record, IntentAnswered) and record.client_id == last.client_id:
                answer = record
        match answer:
            case IntentAnswered(outcome="terminal", order=Order() as order):
                return _ended(order)
            case IntentAnswered(outcome="refused" | "unreachable" as outcome):
                return OrderResult(outcome, text=answer.text)
            case IntentAnswered(outcome="not_found"):
                return OrderResult("not_sent", text="was never executed")
        order_id = answer.order.id if answer is not None and answer.order is not None else None
        sent = await self._orders.resolve_order(last, order_id=order_id, total=patience.total)
        return await self._follow(last, sent, patience)

    async def end_entry(self, entry: EntryApproved, *records: Record) -> None:
        """Write the end of the entry, after all its records that still wait for the journal. Raises JournalError."""
        for record in records:
            await self._write_behind.write(entry.key, record)

    def _request(self, entry: EntryApproved, tif: TimeInForce, n: int) -> OrderRequest:
        length = self._broker.capabilities.client_id_length
        return OrderRequest(
            account=entry.key.account,
            symbol=entry.key.symbol,
            side=entry.side,
            quantity=entry.quantity,
            client_id=client_order_id(self._journal.epoch, entry.plan, entry.key, 1, entry.what, n)[:length],
            type=OrderType.MARKET if entry.price is None else OrderType.LIMIT,
            tif=tif,
            price=entry.price,
            reduce_only=entry.reduce_only,
            leg=entry.key.leg,
        )

    def _intent(self, entry: EntryApproved, request: OrderRequest, n: int) -> IntentWritten:
        return IntentWritten(
            plan=entry.plan,
            key=entry.key,
            client_id=request.client_id,
            step=n,
            round=1,
            tier=None,
            request=request,
            position_before=entry.before,
            at=self._clock.now(),
        )

    async def _follow(self, intent: IntentWritten, sent: Submitted, patience: Timeouts) -> OrderResult:
        """Return the result of an order that was sent and looked up, after its end when the venue knows the order."""
        if sent.order is None:
            outcome = "not_sent" if sent.outcome == "not_found" else sent.outcome
            return OrderResult(outcome, None, sent.text, sent.refusal.refusal if sent.refusal else None)
        order, text = await self._orders.settle_order(intent, sent.order, patience)
        if not order.status.terminal:
            return OrderResult("unknown", order, f"it may still be live, its cancel was not confirmed: {text}")
        return _ended(order)


def _ended(order: Order) -> OrderResult:
    """Return a terminal order's result."""
    if order.filled >= order.quantity:
        return OrderResult("filled", order)
    if order.filled > 0:
        return OrderResult("partial", order, order.text or f"the rest was {order.status.value}")
    outcome = "refused" if order.status is OrderStatus.REJECTED else "not_filled"
    return OrderResult(outcome, order, order.text or f"the order was {order.status.value} without a fill")
