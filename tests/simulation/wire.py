"""A simulated account as the program's Broker: requests travel, arrive or not, and are answered or not.

Every call is recorded when it is made, and every send once it is certain that nothing came of it. The process that
made a call may be dead when the answer comes: a dead life's calls reach nothing and nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import structs

from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import BrokerEvent
from core.model import Account, Bar, Fill, Holdings, Order, OrderRequest, OrderStatus, Position, Quote
from core.ports import Capabilities, Check
from tests.simulation.faults import Fault
from tests.simulation.gate import Gate
from tests.simulation.history import Answered, Called, Listed, Nothing
from tests.simulation.life import Life
from tests.simulation.lists import Lists
from tests.simulation.stream import Stream, quoted

SENDS = frozenset({"submit", "submit_direct", "close_position"})
WORDS = {Unreachable: "unreachable", OutcomeUnknown: "unknown"}


class Wire:
    """One life's connection to one account."""

    def __init__(self, life: Life, gate: Gate, lists: Lists, capabilities: Capabilities) -> None:
        self._life = life
        self._gate = gate
        self._lists = lists
        self._venue = gate.venue
        self._faults = gate.faults
        self._capabilities = capabilities

    @property
    def account(self) -> Account:
        return self._venue.account

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def connect(self) -> None:
        if self._life.dead:
            raise asyncio.CancelledError

    async def aclose(self) -> None:
        return

    async def check(self) -> list[Check]:
        return []

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        asked = self._life.monotonic()
        positions, orders, instruments, wrong = await self._call("holdings", self._lists.read)
        received = self._life.monotonic()
        self._life.record(Listed(self._life.at, self.account.id, asked, positions, orders, wrong))
        equity = None if self._faults.fires(Fault.NO_EQUITY) else Decimal(1000)
        return Holdings(self.account.id, asked, received, positions, orders, instruments, equity)

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        seen = await self._call("quotes", lambda: self._one_fails(Fault.PRICES_FAIL) or self._lists.quotes(symbols))
        for quote in seen:
            self._life.record(quoted(self._life.at, self._life.at, quote))
        return [structs.replace(q, received=self._life.monotonic()) for q in seen]

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        return []

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        rates: dict[str, str] = await self._call(
            "rates", lambda: self._one_fails(Fault.RATES_FAIL) or dict.fromkeys(currencies, "1.1")
        )
        return rates

    def _one_fails(self, fault: Fault) -> None:
        """One endpoint answers with an error while the others go on."""
        if self._faults.fires(fault):
            raise OutcomeUnknown(fault.value)

    async def stream(self) -> AsyncIterator[BrokerEvent]:
        stream = Stream(self._life, self._venue, self._faults, self._lists)
        self._venue.told = stream.put
        try:
            while True:
                event = await stream.get()
                if event is None:
                    return
                yield event
        finally:
            if self._venue.told == stream.put:
                self._venue.told = None

    async def submit(self, request: OrderRequest) -> Order:
        return await self._send("submit", request, lambda n: self._gate.place(request, n))

    async def submit_direct(self, request: OrderRequest) -> Order:
        return await self._send("submit_direct", request, lambda n: self._gate.place(request, n))

    async def close_position(self, position: Position, client_id: str) -> Order:
        named = None if self._venue.manners.nameless_close else client_id
        described = OrderRequest(
            position.account,
            position.symbol,
            position.side.closing,
            position.quantity,
            client_id,
            reduce_only=self._venue.rules[position.symbol].instrument.reduce_only,
            leg=position.leg,
        )
        return await self._send("close_position", described, lambda n: self._gate.close(position.key, named, n))

    async def cancel(self, order: Order) -> None:
        await self._call("cancel", lambda: self._gate.cancel(order.id), order_id=order.id)

    async def find_order(
        self, symbol: str, *, client_id: str | None = None, order_id: str | None = None
    ) -> Order | None:
        name = client_id or order_id
        found: Order | None = await self._call(
            "find_order", lambda: self._lists.find(client_id, order_id), order_id=name
        )
        return found

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        found: list[Fill] = await self._call("fills", lambda: self._lists.fills(symbol, since))
        return found

    # ------------------------------------------------------------------------------------------------- on the way

    async def _send(self, what: str, request: OrderRequest, arrives: Callable[[int], Order]) -> Order:
        order: Order = await self._call(what, arrives, request=request)
        if self._faults.fires(Fault.UNREADABLE):
            return structs.replace(order, id="", status=OrderStatus.UNKNOWN)
        return order

    async def _call(
        self, what: str, arrives: Callable[..., Any], request: OrderRequest | None = None, order_id: str | None = None
    ) -> Any:
        """One request and its answer."""
        life = self._life
        if life.dead:
            raise asyncio.CancelledError
        n = life.number()
        life.record(Called(life.at, life.nth, self.account.id, n, what, request, order_id))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        work = (lambda: arrives(n)) if what in SENDS else arrives
        self._travel(what, n, work, answer)
        try:
            value = await answer
        except asyncio.CancelledError:
            raise
        except Exception as error:
            word = WORDS.get(type(error), "broken")
            wait = None
            if isinstance(error, Refused):
                word, wait = f"refused:{error.refusal.value}", error.retry_after
            life.record(Answered(life.at, self.account.id, n, what, word, retry_after=wait))
            raise
        told = value if isinstance(value, Order) else None
        life.record(Answered(life.at, self.account.id, n, what, "ok", told))
        return value

    def _travel(self, what: str, n: int, work: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        """Decide what becomes of a request and of its answer, and put both on the agenda."""
        faults, agenda, sends = self._faults, self._life.later, what in SENDS
        there, back = faults.between(0.002, 0.03), faults.between(0.002, 0.03)
        patience = faults.between(1.0, 8.0)
        if faults.fires(Fault.REFUSED_CONNECTION):
            agenda(there, lambda: self._nothing(sends, n))
            agenda(there, lambda: self._fail(answer, Unreachable("connection refused")))
            return
        if faults.fires(Fault.REQUEST_LOST):
            self._nothing(sends, n)
            agenda(patience, lambda: self._fail(answer, OutcomeUnknown("no answer in time")))
            return
        if faults.fires(Fault.REQUEST_LATE):
            there = faults.between(0.0, 1.2) * (self._venue.manners.expiry or 20.0)
        if faults.fires(Fault.RESPONSE_LATE):
            back = faults.between(0.5, 10.0)
        reply: Callable[[Any, Exception | None], None] = lambda value, error: self._reply(answer, value, error)  # noqa: E731
        if faults.fires(Fault.RESPONSE_LOST):
            reply = self._lost
        elif faults.fires(Fault.SERVER_ERROR):
            reply = lambda _v, _e: self._fail(answer, OutcomeUnknown("502 Bad Gateway"))  # noqa: E731
        elif faults.fires(Fault.GARBLED):
            broken = ValueError("Expecting value: line 1 column 1") if sends else OutcomeUnknown("unreadable answer")
            reply = lambda _v, _e: self._fail(answer, broken)  # noqa: E731
        hangs = faults.fires(Fault.HANGS)
        if hangs:
            reply = self._lost
        elif there + back > patience or reply == self._lost:
            agenda(patience, lambda: self._fail(answer, OutcomeUnknown("no answer in time")))
        sent = self._life.at
        agenda(there, lambda: self._arrive(what, n, sent, work, back, reply))

    def _arrive(
        self,
        what: str,
        n: int,
        sent: float,
        work: Callable[[], Any],
        back: float,
        reply: Callable[[Any, Exception | None], None],
    ) -> None:
        """The request is at the venue: judged there, and the answer sent off."""
        try:
            self._gate.open(what, sent)
            value, error = work(), None
        except (Refused, Unreachable, OutcomeUnknown) as no:
            value, error = None, no
            self._nothing(what in SENDS, n)
        if error is None and what in SENDS and value.client_id and self._faults.fires(Fault.DELIVERED_TWICE):
            # A proxy delivered the request twice; the venue knows the id, and the second answer is what comes back.
            value, error = None, Refused(Refusal.DUPLICATE, "client order id is not unique")
        self._life.later(back, lambda: reply(value, error))

    def _nothing(self, sends: bool, n: int) -> None:
        if sends:
            self._life.truth(Nothing(self._life.at, self.account.id, n))

    def _reply(self, answer: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
        if not answer.done() and not self._life.dead:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)

    def _fail(self, answer: asyncio.Future[Any], error: Exception) -> None:
        self._reply(answer, None, error)

    def _lost(self, _value: Any, _error: Exception | None) -> None:
        """Nobody hears it."""
