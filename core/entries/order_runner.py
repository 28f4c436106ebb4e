"""Send one order of an entry, and follow the order until its end is known.

An entry's order gets the same care as a close. The intent is durable before the order leaves. The client id is a pure
function of the entry. An order of unknown outcome is looked up and never sent again. Only a terminal state ends an
order. When the venue cannot tell the outcome, the outcome stays ``unknown`` and the entry stays open. The next start
then asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from core.errors import FlatdeckError, Refusal, explain
from core.ids import client_order_id
from core.journal.journal import Journal
from core.journal.write_behind import WriteBehind
from core.model import Order, OrderRequest, OrderStatus, OrderType, TimeInForce
from core.orders.account_reader import AccountReader
from core.orders.lookup import limited
from core.orders.submit import LONGEST_POLL, POLL, look, send
from core.ports import LOOK_MARGIN, Broker, Clock, OrderQuery
from core.records import Entry, EntryApproved, IntentAnswered, IntentWritten, Record

GLANCE = 0.05  # seconds between two checks whether a close wants to go first
# Times in force in the order of trying: the next follows when the venue does not support the one before.
AT_MARKET = (TimeInForce.IOC, TimeInForce.GTC, TimeInForce.DAY)
AT_LIMIT = (TimeInForce.GTC, TimeInForce.DAY)


class OrderResult(Struct, frozen=True):
    """Result of an entry's order. ``outcome``: filled, partial, not_filled, refused, unreachable, not_sent, unknown."""

    outcome: str
    order: Order | None = None
    text: str = ""
    refusal: Refusal | None = None


class Timeouts(Struct, frozen=True):
    """Time limits of an entry's order, in seconds."""

    fill: float  # until a live order is withdrawn
    total: float  # until the search for an order, or for the end of a withdrawn order, stops
    give_way: Callable[[], bool] = lambda: False  # True: withdraw now, because a close of the same symbol goes first


class EntryOrderRunner:
    """Sends and follows the orders of one account's entries."""

    def __init__(self, broker: Broker, reader: AccountReader, journal: Journal, clock: Clock) -> None:
        self._broker = broker
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._write_behind = WriteBehind(journal)

    async def place(self, entry: EntryApproved, known: frozenset[str], patience: Timeouts) -> OrderResult:
        """Send the entry's order and follow it until its end, or until the outcome stays ``unknown``.

        ``known``: ids of the orders that existed before. Raises JournalError when the intent could not be made
        durable: then nothing was sent.
        """
        placed = OrderResult("not_sent")
        for n, tif in enumerate(AT_MARKET if entry.price is None else AT_LIMIT):
            request = self._request(entry, tif, n)
            await self._write_behind.write(entry.key, self._intent(entry, request, n))
            placed = await self._send(entry, request, known, patience)
            if placed.refusal is not Refusal.UNSUPPORTED:
                break
        return placed

    async def resume(self, entry: EntryApproved, written: Sequence[Entry], patience: Timeouts) -> OrderResult:
        """Find the outcome of an entry that a restart found open. Withdraw its order when the order is still live."""
        records = [e.record for e in written]
        intents = [r for r in records if isinstance(r, IntentWritten)]
        if not intents:
            return OrderResult("not_sent", text="interrupted before anything was sent")
        last = intents[-1].request
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
            case IntentAnswered(order=Order(id=order_id)):
                return await self._find(entry, last, frozenset(), patience, order_id)
            case _:
                return await self._find(entry, last, frozenset(), patience)

    async def end(self, entry: EntryApproved, *records: Record) -> None:
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

    async def _send(
        self, entry: EntryApproved, request: OrderRequest, known: frozenset[str], patience: Timeouts
    ) -> OrderResult:
        sent = await send(self._broker, request)
        self._answered(entry, request, sent.outcome, sent.order, sent.text)
        if sent.order is not None:
            return await self._settle(entry, request, sent.order, patience)
        if sent.outcome != "unknown":
            return OrderResult(sent.outcome, None, sent.text, sent.refusal.refusal if sent.refusal else None)
        return await self._find(entry, request, known, patience)

    async def _find(
        self,
        entry: EntryApproved,
        request: OrderRequest,
        known: frozenset[str],
        patience: Timeouts,
        order_id: str | None = None,
    ) -> OrderResult:
        """Look for the order until it is found or proven never to have been executed.

        A proof takes two misses after the request's expiry and the lists' lag.
        """
        do = OrderQuery(request, known, order_id, nameless=False, seconds=0.0)
        sent = await look(self._broker, self._reader, self._clock, do, entry.at, patience.total)
        if sent.order is not None:
            return await self._settle(entry, request, sent.order, patience)
        if sent.outcome == "not_found":
            self._answered(entry, request, sent.outcome, None)
            return OrderResult("not_sent", None, sent.text)
        return OrderResult("unknown", None, sent.text)

    async def _settle(
        self, entry: EntryApproved, request: OrderRequest, order: Order, patience: Timeouts
    ) -> OrderResult:
        """Follow our live order until it ends by itself, or until we withdrew it and the venue reports its end."""
        begun, withdrawn, pause, text = self._clock.monotonic(), None, POLL, ""
        while not order.status.terminal:
            now = self._clock.monotonic()
            if withdrawn is None and (now - begun >= patience.fill or patience.give_way()):
                withdrawn = now
            if withdrawn is not None:
                if now - withdrawn > patience.total:
                    return OrderResult("unknown", order, f"it may still be live, its cancel was not confirmed: {text}")
                text = await self._cancel(order) or text
            else:
                await self._rest(min(pause, max(patience.fill - (now - begun), 0)), patience)
            try:
                seen = await limited(self._broker.find_order(order.symbol, order_id=order.id))
            except (FlatdeckError, TimeoutError) as error:
                seen, text = None, explain(error)
            if seen is not None and seen.status is not OrderStatus.UNKNOWN:
                order = structs.replace(seen, filled=max(seen.filled, order.filled))  # cumulative: never falls
            if withdrawn is not None and not order.status.terminal:
                await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_POLL)
        order = await self._counted(order)
        self._answered(entry, request, "terminal", order)
        return _ended(order)

    async def _rest(self, seconds: float, patience: Timeouts) -> None:
        """Sleep ``seconds``, or less when a close wants to go first."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0 and not patience.give_way():
            await self._clock.sleep(min(left, GLANCE))

    async def _counted(self, order: Order) -> Order:
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

    async def _cancel(self, order: Order) -> str:
        try:
            await limited(self._broker.cancel(order))
        except (FlatdeckError, TimeoutError) as error:
            return explain(error)
        return ""

    def _answered(
        self, entry: EntryApproved, request: OrderRequest, outcome: str, order: Order | None, text: str = ""
    ) -> None:
        """Write the answer without waiting. The entry's end is written later and waits for this record too."""
        record = IntentAnswered(entry.plan, entry.key, request.client_id, outcome, order, text)
        self._write_behind.remember(entry.key, record)


def _ended(order: Order) -> OrderResult:
    """Return a terminal order's result."""
    if order.filled >= order.quantity:
        return OrderResult("filled", order)
    if order.filled > 0:
        return OrderResult("partial", order, order.text or f"the rest was {order.status.value}")
    outcome = "refused" if order.status is OrderStatus.REJECTED else "not_filled"
    return OrderResult(outcome, order, order.text or f"the order was {order.status.value} without a fill")
