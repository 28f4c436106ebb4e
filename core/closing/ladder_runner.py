"""Perform the ladder's steps on one account's broker: journal, send, look up, read. The ladder makes the decisions.

Every end of a call becomes the event that the ladder waits for. An unexpected exception from a send counts as "outcome
unknown", because the order may have left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from math import inf

from msgspec import Struct, structs

from core.closing.parked import Judge, wait_for_judgement, wait_for_open
from core.closing.restore_stops import Hands, put_back
from core.errors import (
    FlatdeckError,
    InvariantBroken,
    JournalError,
    OutcomeUnknown,
    Refusal,
    Refused,
    Unreachable,
    explain,
)
from core.events import BrokerEvent, QuoteSeen
from core.journal.journal import Journal
from core.journal.write_behind import WriteBehind
from core.ladder import step as ladder
from core.ladder.invariants import LiveOrders, check_send
from core.ladder.states import (
    Acknowledged,
    CancelsAsked,
    CloseBroken,
    Do,
    DoAwait,
    DoCancel,
    DoEnd,
    DoJudge,
    DoPark,
    DoRead,
    DoRestore,
    DoSend,
    DoWait,
    DoWithdraw,
    Event,
    Ladder,
    LookFailed,
    NotJournaled,
    PositionRead,
    ReadFailed,
    Restored,
    SendRefused,
    SendUnknown,
    SendUnreachable,
    Transition,
    Waited,
)
from core.ladder.tiers import Step
from core.model import Holdings, Instrument, Leg, Order, OrderRequest, PositionKey, Tier
from core.orders.account_reader import AccountReader
from core.orders.lookup import SINCE_MARGIN, find_sent_order, limited, read_beside
from core.orders.other_writer import find_foreign_orders, why_frozen
from core.orders.submit import AccountOrders
from core.plans.plan import ApprovedPlan
from core.portfolio.book import Book
from core.ports import SEND_WITHIN, Broker, Clock, OrderQuery, OrderRead
from core.records import CancelAsked, FillRecorded, IntentWritten, too_small

HOPELESS = frozenset({Refusal.AUTH, Refusal.BANNED})


class LadderRunner:
    """Runs one account's ladders. ``changed`` receives every new state of a ladder, ``emit`` every quote read.

    ``judge`` answers whether the exit rules call for a close at a price since a time; None until there is a price.
    """

    def __init__(
        self,
        broker: Broker,
        reader: AccountReader,
        journal: Journal,
        clock: Clock,
        book: Book,
        why_not_placed: Callable[[Instrument | None, OrderRequest], str] = lambda *_: "",
        *,
        changed: Callable[[Transition], None],
        emit: Callable[[BrokerEvent], None],
        judge: Judge,
    ) -> None:
        self._broker = broker
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._book = book
        self._changed = changed
        self._emit = emit
        self._judge = judge
        self._why_not_placed = why_not_placed
        self._bells: dict[str, asyncio.Event] = {}
        self._live = LiveOrders()
        self._write_behind = WriteBehind(journal)
        self._orders = AccountOrders(broker, reader, clock, self._write_behind)

    async def carry_out(self, approved: ApprovedPlan, move: Transition) -> Ladder:
        """Run a ladder to its end. An ``ApprovedPlan`` is the proof of the approval. Raises InvariantBroken."""
        assert any(a.key == move.ladder.action.key for a in approved.plan.actions)
        while True:
            self._write_behind.remember(move.ladder.action.key, *move.records)
            self._book.refusals |= too_small(move.records)
            self._live.follow(move.ladder)
            self._changed(move)
            if move.ladder.ended:
                state = await self._priced(move.ladder)
                await self._write_behind.written(state.action.key)
                return state
            try:
                event = await self._perform(move.ladder, move.do)
                move = ladder.step(move.ladder, event, self._clock.monotonic())
            except InvariantBroken as breach:
                await self._write_behind.written(move.ladder.action.key)
                if isinstance(breach, CloseBroken):
                    raise
                raise CloseBroken(str(breach), move.ladder) from breach

    async def _priced(self, state: Ladder) -> Ladder:
        """Return the ladder with a missing average price taken from the fills, if the fills are complete."""
        if state.fills.paid is not None or state.fills.quantity <= 0:
            return state
        begun = state.deadline - state.limits.total_timeout - 2.0
        since = self._clock.now() - timedelta(seconds=self._clock.monotonic() - begun)
        try:
            fills = await limited(self._broker.fills(state.action.key.symbol, since))
        except (FlatdeckError, TimeoutError):
            return state
        ours = {f.trade_id: f for f in fills if f.order_id in state.fills.by_order}
        self._write_behind.remember(state.action.key, *(FillRecorded(f) for f in ours.values()))
        return structs.replace(state, fills=state.fills.priced(ours.values()))

    def ring(self, symbol: str) -> None:
        """Wake the task that waits for an order on this symbol: the stream reported an event there."""
        bell = self._bells.get(symbol)
        if bell is not None:
            bell.set()

    async def _perform(self, state: Ladder, do: Do) -> Event:
        match do:
            case DoRead(touch):
                return await self._read(state, touch)
            case DoSend(step, request):
                return await self._send(state, do, step, request)
            case DoCancel(orders):
                return await self._cancel(state, orders)
            case DoWait(seconds):
                await self._clock.sleep(seconds)
                return Waited()
            case DoPark(until):
                return await wait_for_open(self._book, self._clock, state.action.key, until)
            case DoJudge(since):
                return await wait_for_judgement(self._book, self._clock, state.action.key, since, self._judge)
            case OrderQuery():
                return await self._look_up(state, do)
            case DoAwait(order, seconds):
                return await self._await(order, seconds)
            case DoWithdraw(order, seconds):
                await self._ask_cancel(order)
                return await self._await(order, seconds)
            case DoRestore():
                return await self._restore(state, do)
            case DoEnd():
                raise InvariantBroken("a close that ended was asked to go on")

    async def _send(self, state: Ladder, do: DoSend, step: Step, request: OrderRequest) -> Event:
        check_send(state, request, do.position, do.instrument)
        self._live.enter(request)
        try:
            await self._intend(state, step, request, do.position.quantity)
        except JournalError as error:
            return NotJournaled(str(error))
        if (
            self._clock.monotonic() - state.under_way.sent_at > SEND_WITHIN
        ):  # slow disk, blocked loop, suspended machine
            return SendUnreachable("what it was decided on is too old by now; it is read again")
        try:
            return Acknowledged(await limited(self._submit(do)))
        except Refused as refused:
            return SendRefused(refused)
        except Unreachable as error:
            return SendUnreachable(str(error))
        except (OutcomeUnknown, TimeoutError) as error:  # also an adapter's fault: the order may have left
            return SendUnknown(explain(error))

    async def _intend(self, state: Ladder, step: Step, request: OrderRequest, held: Decimal) -> None:
        """Make the intent durable. Raises JournalError."""
        await self._write_behind.write(state.action.key, self._intent(state, step, request, held))

    def _intent(self, state: Ladder, step: Step | None, request: OrderRequest, held: Decimal) -> IntentWritten:
        return IntentWritten(
            plan=state.plan,
            key=state.action.key,
            client_id=request.client_id,
            step=state.index if step else -1,
            round=step.round if step else 0,
            tier=step.tier if step else None,
            request=request,
            position_before=held,
            at=self._clock.now(),
        )

    async def _submit(self, do: DoSend) -> Order:
        match do.step.tier:
            case Tier.VENUE_CLOSE:
                return await self._broker.close_position(do.position, do.request.client_id)
            case Tier.DIRECT_API:
                return await self._broker.submit_direct(do.request)
            case _:
                return await self._broker.submit(do.request)

    async def _cancel(self, state: Ladder, orders: tuple[Order, ...]) -> Event:
        key = state.action.key
        self._write_behind.remember(key, *(CancelAsked(state.plan, key, o) for o in orders))  # the plan is durable
        asked = [asyncio.ensure_future(self._ask_cancel(o)) for o in orders]
        read = await self._read(state, False)  # leaves right after the cancels
        texts = await asyncio.gather(*asked)
        answers = dict(zip([o.id for o in orders], texts, strict=True))
        return CancelsAsked(answers, read if isinstance(read, PositionRead) else None)

    async def _ask_cancel(self, order: Order) -> str:
        """Ask for a cancel. Return the error text, empty when the venue took the request.

        Only a later read shows whether the order is gone.
        """
        try:
            await limited(self._broker.cancel(order))
        except (FlatdeckError, TimeoutError) as error:
            return explain(error)
        return ""

    async def _read(self, state: Ladder, touch: bool) -> Event:
        key = state.action.key
        try:
            asked = state.cancels.unproven
            price = await self._price(key, touch)  # first, so that no call delays the order after the read
            holdings, told = await read_beside(self._broker, self._reader, asked)
            await self._check_ours(state, holdings)
            position = holdings.position(key)
        except Refused as refused:
            return ReadFailed(str(refused), final=refused.refusal in HOPELESS)
        except InvariantBroken:
            raise
        except (FlatdeckError, TimeoutError) as error:
            return ReadFailed(explain(error))
        listed = next((i for i in holdings.instruments if i.symbol == key.symbol), None)
        return PositionRead(
            position=position,
            orders=tuple(o for o in holdings.orders if _concerns(o, key)),
            instrument=listed or self._book.instrument(key.account, key.symbol),
            asked=holdings.asked,
            received=holdings.received,
            price=price,
            ended=tuple(o for o in told if o.status.terminal),
            alive=tuple(o for o in told if not o.status.terminal),
            unsure=frozenset(o.id for o in asked) - {o.id for o in told if o.status.terminal},
            orders_flaw=holdings.orders_flaw,
        )

    async def _price(self, key: PositionKey, touch: bool) -> Decimal | None:
        if touch:
            for quote in await limited(self._broker.quotes([key.symbol])):
                self._emit(QuoteSeen(quote))
                position, market = self._book.position(key), self._book.without_stub(quote)
                return None if market.flaw() or position is None else market.closing_price(position.side)
        holding = self._book.holding(key, self._clock.monotonic())
        return holding.price if holding else None

    async def _check_ours(self, state: Ladder, holdings: Holdings) -> None:
        """Raise InvariantBroken when another flatdeck has an order on the account. Our own orders need no look."""
        foreign = await find_foreign_orders(
            self._journal, [o for o in holdings.orders if o.client_id not in state.sent]
        )
        if foreign:
            raise InvariantBroken(why_frozen(foreign[0]))

    async def _look_up(self, state: Ladder, do: OrderQuery) -> Event:
        await self._pause(do.request.symbol, do.seconds)
        asked, order = self._clock.monotonic(), state.under_way
        since = (order.since or self._clock.now() - timedelta(seconds=asked - order.sent_at)) - SINCE_MARGIN
        return await self._asking(find_sent_order(self._broker, self._reader, do, since, asked))

    async def _await(self, order: Order, seconds: float) -> Event:
        await self._pause(order.symbol, seconds)
        return await self._asking(self._state_of(order))

    async def _state_of(self, order: Order) -> OrderRead:
        asked = self._clock.monotonic()
        return OrderRead(await self._broker.find_order(order.symbol, order_id=order.id), asked)

    async def _asking(self, question: Awaitable[OrderRead]) -> OrderRead | LookFailed:
        try:
            return await limited(question)
        except Refused as refused:
            return LookFailed(str(refused), refused.refusal in HOPELESS, refused.retry_after or 0.0)
        except (FlatdeckError, TimeoutError) as error:
            return LookFailed(explain(error))

    async def _pause(self, symbol: str, seconds: float) -> None:
        """Wait ``seconds``, or less when ``ring`` is called."""
        if seconds <= 0:
            return
        bell = self._bells.setdefault(symbol, asyncio.Event())
        bell.clear()
        try:
            async with asyncio.timeout(seconds):
                await bell.wait()
        except TimeoutError:
            return

    async def _restore(self, state: Ladder, do: DoRestore) -> Restored:
        """Put orders back one after another, each on the last read. After a failed read, read again first."""
        read_at = -inf if state.last_read.outdated else self._clock.monotonic()

        async def look() -> PositionRead | None:
            read = await self._read(state, False)
            return read if isinstance(read, PositionRead) else None

        known = frozenset(state.action.orders_shown) | frozenset(state.fills.by_order) | state.others
        why_not = partial(self._why_not_placed, state.last_read.instrument)
        hands = Hands(self._orders, self._journal, self._clock, look, known, why_not)
        position, answers = state.last_read.position, list[str]()
        for request, order in zip(do.requests, do.orders, strict=True):
            intent = self._intent(state, None, request, position.quantity if position else request.quantity)
            answers.append(await put_back(hands, intent, order, read_at))
        return Restored(tuple(answers))


def _concerns(order: Order, key: PositionKey) -> bool:
    return order.symbol == key.symbol and (order.leg is key.leg or Leg.NET in (order.leg, key.leg))


class AccountTools(Struct):
    """The means to act on one account."""

    broker: Broker
    reader: AccountReader
    carry_out: Callable[[ApprovedPlan, Transition], Awaitable[Ladder]]
