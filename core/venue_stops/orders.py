"""Place the protective orders of one account, and keep them out of the way of other orders.

A protective order takes the same path as every order that is not a close. Its client id is a function of the position
and a number that the journal counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

from msgspec import Struct

from core.errors import FlatdeckError
from core.ids import client_order_id
from core.journal.journal import Journal
from core.journal.query import EntryFilter
from core.journal.write_behind import WriteBehind
from core.model import Fill, Instrument, Order, OrderRequest, Position, PositionKey
from core.orders.account_reader import AccountReader
from core.orders.instrument_locks import InstrumentLocks
from core.orders.lookup import CALL_TIMEOUT, limited
from core.orders.submit import AccountOrders, Submitted
from core.plans.plan import is_our_stop
from core.ports import Broker, Clock
from core.records import DEFINITIVE, FillRecorded, IntentAnswered, IntentWritten, Record
from core.units import floor_to
from core.venue_stops.rules import StopAction, StopDecision, request_for, same_place

YIELD = 2.0  # seconds that a close waits for a protective order that cannot open a position
WITHDRAW = 20.0  # seconds until we leave an unconfirmed cancel for later


class PastStops(Struct, frozen=True):
    """A position's last protective order in the journal: its number, and its intent when the order may be live."""

    number: int = -1
    open: IntentWritten | None = None


def plan_of(key: PositionKey) -> str:
    """Return the plan id that the records of a position's protective orders carry."""
    return f"protect|{key.account}|{key.symbol}|{key.leg.value}"


class VenueStopOrders:
    """The protective orders of one account. ``broker`` and ``reader`` belong to this account."""

    def __init__(
        self, broker: Broker, reader: AccountReader, journal: Journal, clock: Clock, locks: InstrumentLocks
    ) -> None:
        self.broker = broker
        self.reader = reader
        self._journal = journal
        self._clock = clock
        self._locks = locks
        self._write_behind = WriteBehind(journal)
        self.orders = AccountOrders(broker, reader, clock, self._write_behind)

    @asynccontextmanager
    async def keep_aside(self, key: PositionKey, orders: Iterable[Order]) -> AsyncIterator[list[Order]]:
        """Keep our stops away while another order of ours changes the position and a resting stop would bar the order.

        Cancel our stops first, and place none until the block ends. When a stop stays, the venue may refuse the order.
        The block gets the stops that ended. Raises JournalError.
        """
        where, gone = key.instrument, list[Order]()
        with self._locks.stops_away(where):
            await self._locks.settled(where)
            for order in orders:
                intent = await self._journal.find_intent(order.client_id or "") if is_our_stop(order) else None
                if intent is not None and intent.protects and same_place(order, key):
                    ended, _ = await self.orders.cancel_order(intent, order, WITHDRAW)
                    if ended.status.terminal:
                        self.orders.record_end(intent, ended)
                        gone.append(ended)
            yield gone

    async def place_again(self, key: PositionKey, instrument: Instrument, gone: Order) -> str:
        """Place a stop in place of an ended stop, for what the position holds now.

        Return why no stop rests; empty when a stop rests, or when nothing is held. Raises the errors of a read.
        """
        position = (await limited(self.reader.read_account())).position(key)
        if position is None or gone.trigger is None:
            return ""
        quantity = floor_to(position.quantity if instrument.reduce_only else position.free, instrument.step)
        decision = StopDecision(StopAction.PLACE, quantity=quantity, trigger=gone.trigger)
        intent, sent = await self.place_stop(position, instrument, decision, (await self.read_past(key)).number + 1)
        if sent.outcome == "unknown":
            sent = await self.orders.resolve_order(intent)
        if sent.order is None:
            return sent.text or "the venue did not take it"
        if not sent.order.status.terminal:
            return ""
        self.orders.record_end(intent, sent.order)
        return f"order {sent.order.id} ended {sent.order.status.value}"

    async def read_past(self, key: PositionKey) -> PastStops:
        """Return the last protective order of an earlier process. Raises JournalError."""
        name = plan_of(key)
        last = await self._journal.entries(EntryFilter(kinds=("intent_written",), plans=(name,)), limit=1, tail=True)
        intent = last[0].record if last else None
        if not isinstance(intent, IntentWritten):
            return PastStops()
        answers = await self._journal.entries(EntryFilter(kinds=("intent_answered",), plans=(name,)), after=last[0].seq)
        said = {r.outcome for e in answers if isinstance(r := e.record, IntentAnswered)}
        return PastStops(intent.step, None if said & DEFINITIVE else intent)

    async def place_stop(
        self, position: Position, instrument: Instrument, decision: StopDecision, number: int
    ) -> tuple[IntentWritten, Submitted]:
        """Send a protective order that was decided just now on a fresh read. Raises JournalError.

        The outcome is ``not_sent`` when a close comes first, or when the journal took too long.
        """
        key, where = position.key, position.key.instrument
        name = client_order_id(self._journal.epoch, plan_of(key), key, 0, "protect", number)
        request = request_for(decision, position, instrument, name[: self.broker.capabilities.client_id_length])
        intent = self._intent(key, request, number, position)
        with self._locks.placing(where, CALL_TIMEOUT if instrument.late_close_opens else YIELD):
            if self._locks.closing(where):
                return intent, Submitted("not_sent")
            decided = self._clock.monotonic()
            sent = await self.orders.submit_order(intent, decided, lambda: not self._locks.closing(where))
        return intent, sent

    async def read_fills(self, intent: IntentWritten, order: Order) -> list[Fill]:
        """Return the order's fills and record them in the journal. Return an empty list when the query fails."""
        since = intent.at - timedelta(seconds=2.0)
        try:
            fills = [f for f in await limited(self.broker.fills(order.symbol, since)) if f.order_id == order.id]
        except (FlatdeckError, TimeoutError):
            return []
        once = {f.trade_id: f for f in fills}
        self.remember(intent.key, *(FillRecorded(f) for f in once.values()))
        return list(once.values())

    def remember(self, key: PositionKey, *records: Record) -> None:
        """Write records without waiting. After a restart, the venue is asked again for lost records."""
        self._write_behind.remember(key, *records)

    def _intent(self, key: PositionKey, request: OrderRequest, number: int, position: Position) -> IntentWritten:
        return IntentWritten(
            plan=plan_of(key),
            key=key,
            client_id=request.client_id,
            step=number,
            round=0,
            tier=None,
            request=request,
            position_before=position.quantity,
            at=self._clock.now(),
            protects=True,
        )
