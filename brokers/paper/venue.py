"""The paper venue of one account: performs requests and price ticks in order, and saves their changes.

Time moves only when ``advance`` is called. ``advance`` performs, in order, the requests that have arrived and the
price ticks that are due by now. Everything is synchronous. The changes of a command are saved as one transaction.
Nobody sees the command's answer or events before the save. A command that cannot be saved changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from brokers.paper.faults import Faults
from brokers.paper.market import Market
from brokers.paper.matching import AUDITED, MatchingEngine
from brokers.paper.order_checks import admit
from brokers.paper.order_faults import change_before_order, refuse_by_fault
from brokers.paper.prices import SLOWEST_TICK, Feed
from brokers.paper.reads import quote
from brokers.paper.scheduled_requests import Reply, RequestSchedule
from brokers.paper.state import PositionFlip, State, VenueOrder, would_reduce
from brokers.paper.store import Store, restore
from brokers.paper.wire import Book, likely_kind
from core.errors import Refusal, Refused
from core.events import BrokerEvent, QuoteSeen
from core.model import (
    Account,
    Leg,
    Order,
    OrderRequest,
    OrderSide,
    OrderType,
    Position,
    TimeInForce,
)
from core.ports import Clock
from core.units import ZERO

CATCH_UP = 3  # most ticks that the venue makes up for after a pause; after a longer pause the last tick stands for all
UNIFIED, DIRECT, CLOSE, CANCEL = "submit", "submit_direct", "close_position", "cancel"


class ReceivedRequest(Struct, frozen=True):
    """A request as it arrived.

    ``live`` are the ids of the program's open orders, without stops, that were closing the same position then.
    """

    at: float  # monotonic
    call: str
    symbol: str
    quantity: Decimal
    name: str = ""  # the client order id; for a cancel, the order id
    closing: bool = False
    live: tuple[str, ...] = ()


class Venue:
    """One account at the paper venue. Tests and drills audit ``requests``, ``close_sends`` and ``crossed_zero``."""

    def __init__(
        self,
        account: Account,
        book: Book,
        clock: Clock,
        faults: Faults,
        *,
        feeds: Mapping[str, Feed] | None = None,
        tick: float = SLOWEST_TICK,
        store: Store | None = None,
    ) -> None:
        self.account, self.book, self.faults = account, book, faults
        self.requests: deque[ReceivedRequest] = deque(maxlen=AUDITED)
        self.close_sends: deque[ReceivedRequest] = deque(maxlen=AUDITED)
        self.passive = True  # nothing is saved before somebody trades or subscribes, so no resting order trades either
        self.warning = ""
        self._clock, self._feeds, self._store = clock, dict(feeds or {}), store
        self._schedule = RequestSchedule()
        self._started = clock.monotonic()
        self._tick, self._next_tick, self._emitted = tick, self._started, -1
        self._advancing = False
        self.matching = MatchingEngine(account.id, self._load(), Market(book.listings, book.quotes), faults, clock)
        for position in self.state.positions.values():
            self.matching.market.listing(position.symbol, likely_kind(position))
        for symbol in self._feeds:
            self.matching.market.listing(symbol)

    @property
    def state(self) -> State:
        """The account's positions, orders and fills."""
        return self.matching.state

    @property
    def crossed_zero(self) -> deque[PositionFlip]:
        """Fills of the program's own orders that turned a position around."""
        return self.matching.crossed_zero

    @property
    def next_tick(self) -> float:
        """Monotonic time of the next price tick."""
        return self._next_tick

    def advance(self) -> None:
        """Perform the requests and price ticks that are due by now."""
        if self._advancing:
            return
        self._advancing, now = True, self._clock.monotonic()
        self._skip_ticks(now)
        try:
            while (at := min(self._schedule.next_at, self._next_tick)) <= now:
                self.matching.time = max(self.matching.time, at)
                if self._schedule.next_at <= self._next_tick:
                    self._schedule.pop_request().perform()
                else:
                    self._next_tick += self._tick
                    self._prices()
            self.matching.time = max(self.matching.time, now)
        finally:
            self._advancing = False
        self.matching.event_log.flush(now)

    def _skip_ticks(self, now: float) -> None:
        """Leave out all missed ticks but the last: on a slow machine the work of one stall would cause the next."""
        missed = int((now - self._next_tick) / self._tick)
        self._next_tick += missed * self._tick if missed >= CATCH_UP else 0.0

    def post(self, delay: float, act: Callable[[], Any]) -> Reply:
        """Send a request that arrives in ``delay`` seconds, even if the sender stops waiting."""
        return self._schedule.schedule_request(self._clock.monotonic() + delay, act)

    def place(self, request: OrderRequest, *, direct: bool = False) -> Order:
        """Accept an order of the program and match the order. Raises Refused."""
        with self._command():
            change_before_order(self, request.symbol, request.leg)
            call = DIRECT if direct else UNIFIED
            self._audit(call, request)
            refuse_by_fault(self, call, request)
            return self._admitted(request)

    def close(self, position: Position) -> Order:
        """Close a position's free quantity with a market order, as the venue's own close call does.

        The call cancels no order and takes no client id. Raises Refused.
        """
        with self._command():
            change_before_order(self, position.symbol, position.leg)
            held = self.state.positions.get((position.symbol, position.leg))
            listing = self.matching.market.listings.get(position.symbol)
            free = self.state.free(held, listing.instrument) if held and listing else ZERO
            side = (held or position).side.closing
            request = OrderRequest(self.account.id, position.symbol, side, free, "", leg=position.leg)
            self._audit(CLOSE, request)
            if held is None or listing is None:
                raise Refused(Refusal.NO_POSITION, f"there is no position in {position.symbol}", code="no_position")
            refuse_by_fault(self, CLOSE, request)
            if free <= 0:
                raise Refused(Refusal.HELD, f"open orders hold all of {position.symbol}", code="insufficient")
            return self._admitted(replace(request, reduce_only=listing.instrument.reduce_only), whole=True)

    def cancel(self, order_id: str) -> None:
        """Cancel an open order. Raises Refused if the order is unknown or has ended, or ``cancel_fails`` strikes."""
        with self._command():
            ticket = self.state.tickets.get(order_id)
            symbol = ticket.order.symbol if ticket else ""
            self.requests.append(ReceivedRequest(self.matching.time, CANCEL, symbol, ZERO, order_id))
            if ticket is None or ticket.order.status.terminal:
                text = "there is no such order" if ticket is None else f"the order is {ticket.order.status.value}"
                raise Refused(Refusal.UNKNOWN_ORDER, text, code="unknown_order")
            if self.faults.strikes("cancel_fails", symbol):
                raise Refused(Refusal.OTHER, "the order cannot be cancelled now", code="cancel_rejected")
            if self.faults.strikes("cancel_fill_race", symbol):
                self.matching.fill_whole(order_id)
            elif self.faults.strikes("cancel_lag", symbol):
                self._schedule.schedule_request(
                    self.matching.time + self.faults.numbers["lag_seconds"], lambda: self.cancel_by_hand(order_id)
                )
            else:
                self.matching.end_order(order_id)

    def trade_by_hand(self, symbol: str, side: OrderSide, quantity: Decimal, leg: Leg = Leg.NET) -> Order:
        """Trade for the user or for the venue itself, whatever the depth.

        A trade never opens a short position in spot or equity.
        """
        request = OrderRequest(self.account.id, symbol, side, quantity, "", leg=leg)
        with self._command():
            ticket = self._ticket(request, own=False)
            order = self.state.record_order(ticket)
            self.matching.fill_whole(order.id)
            self.matching.end_order(order.id)
            return self.state.tickets[order.id].order

    def place_by_hand(self, request: OrderRequest) -> Order:
        """Place an order of the user. The order is GTC, so that its remainder rests."""
        with self._command():
            return self.matching.enter_order(self._ticket(replace(request, tif=TimeInForce.GTC), own=False))

    def cancel_by_hand(self, order_id: str) -> None:
        """Cancel an order for the user, the user's own or the program's."""
        with self._command():
            self.matching.end_order(order_id)

    def set_quote(self, symbol: str, **prices: Decimal | None) -> None:
        """Set ``bid``, ``ask``, ``last``, ``mark``, ``bid_size`` or ``ask_size``. The other fields stay."""
        with self._command():
            self.matching.move_price(symbol, replace(self.matching.market.top(symbol), **prices))
            self._emit((symbol,))

    def subscribe(self, wake: Callable[[], None]) -> deque[BrokerEvent]:
        """Return a queue that gets all events from now on, first a quote of each symbol.

        The event log calls ``wake`` after it added events.
        """
        self.passive = False
        reader = self.matching.event_log.subscribe(wake)
        self._emit(self.matching.market.tops)
        self.matching.event_log.flush(self.matching.time)
        return reader

    def aclose(self) -> None:
        """Close the store file."""
        if self._store is not None:
            self._store.close()

    @contextmanager
    def _command(self) -> Iterator[None]:
        """Run a command at the current time, and save its changes before anybody sees them."""
        self.advance()
        self.passive = False
        try:
            yield
        finally:
            self._settle()

    def _settle(self) -> None:
        if self._store is not None and self.state.changed:
            try:
                self._store.save(self.state)
            except Refused:
                self.matching.event_log.drop()
                self.matching.state = self._load()
                raise
        if not self._advancing:
            self.matching.event_log.flush(self.matching.time)

    def _load(self) -> State:
        stored = self._store.load() if self._store is not None else None
        if stored is None:
            return State(self.book)
        if stored.fingerprint != self.book.fingerprint:
            self.warning = "The book file has changed since this account began to trade; its state was kept."
        return restore(self.book, stored)

    def _prices(self) -> None:
        """Run one tick: advance the prices, refresh the depth, match the resting orders.

        Orders rest while nobody trades or subscribes. Emit a quote of every symbol at least once a second.
        """
        elapsed = self.matching.time - self._started
        market = self.matching.market
        move = market.set_top if self.passive else self.matching.move_price
        moved = []
        for symbol, feed in self._feeds.items():
            tops = feed.advance(elapsed, market.top(symbol))
            for top in tops:
                move(symbol, top)
                self._emit((symbol,))
            moved.extend([symbol] if tops else [])
        market.refresh()
        if not self.passive:
            self.matching.match_resting()
        if int(elapsed) != self._emitted:
            self._emitted = int(elapsed)
            self._emit([s for s in market.tops if s not in moved])
        self._settle()

    def _emit(self, symbols: Iterable[str]) -> None:
        for symbol in symbols if self.matching.event_log.has_readers else ():
            seen = quote(self, symbol)
            if seen is not None:
                self.matching.event_log.schedule_event(QuoteSeen(seen), self.matching.time)

    def _admitted(self, request: OrderRequest, *, whole: bool = False) -> Order:
        """Check a request by the venue's rules and enter the order. Raises Refused.

        ``whole`` ignores the step, because the close call takes the exact free quantity.
        """
        listing = self.matching.market.listings.get(request.symbol)
        if listing is None:
            raise Refused(Refusal.UNKNOWN_SYMBOL, f"there is no symbol {request.symbol}", code="symbol")
        if request.client_id and request.client_id in self.state.by_client:
            raise Refused(Refusal.DUPLICATE, f"client order id {request.client_id} exists already", code="duplicate")
        held = self.state.positions.get((request.symbol, request.leg))
        price = self.matching.market.touch(request.symbol, request.side, held.entry if held else None)
        if whole:
            listing = replace(listing, instrument=replace(listing.instrument, step=ZERO))
        return self.matching.enter_order(
            self._ticket(admit(request, listing, self.state, price, self.matching.now()), own=True)
        )

    def _ticket(self, request: OrderRequest, *, own: bool) -> VenueOrder:
        order = Order(
            account=self.account.id,
            symbol=request.symbol,
            id=self.state.order_id(),
            side=request.side,
            quantity=request.quantity,
            type=request.type,
            client_id=request.client_id or None,
            price=request.price,
            trigger=request.trigger,
            reduce_only=request.reduce_only,
            leg=request.leg,
        )
        return VenueOrder(order, request.tif, own, self.matching.time)

    def _audit(self, call: str, request: OrderRequest) -> None:
        held = self.state.positions.get((request.symbol, request.leg))
        closing = call == CLOSE or would_reduce(held, request.side)
        rivals = self.state.closing(held) if held else []
        live = tuple(t.order.id for t in rivals if t.own and t.order.type is not OrderType.STOP)
        sent = ReceivedRequest(
            self.matching.time, call, request.symbol, request.quantity, request.client_id, closing=closing, live=live
        )
        self.requests.append(sent)
        if closing and request.type is not OrderType.STOP:
            self.close_sends.append(sent)
