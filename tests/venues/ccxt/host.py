"""A loopback exchange on a port of this machine: the paper venue's truth behind one exchange's own API.

What an exchange adds is a ``Stall``: routes over the truth, and what must never have been asked of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Protocol

from aiohttp import web

from brokers.paper.faults import Faults
from brokers.paper.random_streams import seeded
from brokers.paper.venue import Venue
from brokers.paper.wire import parse_book
from core.model import Account, Fill, OrderSide, Side
from core.ports import Clock
from core.units import ZERO
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt.mishaps import Handler, Mishap
from tests.venues.loopback import Loopback

AGE = timedelta(hours=1)  # of the trades that made the positions that are there at the start


class Stall(Protocol):
    """One exchange's API over a truth. ``tell`` says on the streams what has happened."""

    violations: list[str]

    def add_to(self, app: web.Application) -> None: ...

    def tell(self) -> None: ...

    async def hang_up(self) -> None: ...


class Streamed:
    """A stall of a REST and a stream half; who makes one says of which."""

    def __init__(self, rest: Any, streams: Any) -> None:
        self.rest = rest
        self.streams = streams
        self.violations: list[str] = rest.violations

    def add_to(self, app: web.Application) -> None:
        self.rest.add_to(app)
        self.streams.add_to(app)

    def tell(self) -> None:
        self.streams.tell()

    async def hang_up(self) -> None:
        await self.streams.hang_up()


class Exchange(Loopback):
    """``venue`` is the truth and ``stall`` its API. ``book`` has the shape of a paper account's book file."""

    def __init__(self, make: Callable[[Venue], Stall], book: dict[str, Any], clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or FastClock()
        account = Account("user_1/loopback", "user_1", "loopback", "ccxt")
        made = parse_book(json.dumps(book), "book.json", account.id)
        self.venue = Venue(account, made, self.clock, Faults(seeded("loopback")))
        for n, held in enumerate(made.positions, 9001):
            if held.entry is not None:
                side = OrderSide.BUY if held.side is Side.LONG else OrderSide.SELL
                fill = Fill(
                    account.id, held.symbol, f"t{n}", f"p{n}", side, held.quantity, held.entry, leg=held.leg, fee=ZERO
                )
                self.venue.state.fills[fill.trade_id] = _at(fill, self.clock)
        self.stall = make(self.venue)
        self.mishaps: list[Mishap] = []
        self.delay = 0.0  # seconds that every answer takes

    def held(self, symbol: str) -> Decimal:
        """What the account holds of a symbol, a short as a negative number."""
        found = [p.side.sign * p.quantity for p in self.venue.state.positions.values() if p.symbol == symbol]
        return sum(found, Decimal(0))

    def mishap(self, method: str, path: str, do: str, **more: Any) -> Mishap:
        """Have something go wrong with the next request like that."""
        self.mishaps.append(Mishap(method, path, do, **more))
        return self.mishaps[-1]

    def hang_up(self) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.stall.hang_up(), self._loop).result(5)

    def verify(self) -> None:
        """What holds of every run: no order could have opened a position, none turned one around."""
        assert self.stall.violations == []
        assert list(self.venue.crossed_zero) == []

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._faulty])
        self.stall.add_to(app)
        return app

    def beat(self) -> None:
        self.venue.advance()
        self.stall.tell()

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(self.delay)
        mishap = next((m for m in self.mishaps if m.meets(request)), None)
        answer = await (handler(request) if mishap is None else mishap.befall(request, handler))
        if not answer.prepared:
            answer.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
        return answer


def _at(fill: Fill, clock: Clock) -> Fill:
    return Fill(**{f: getattr(fill, f) for f in fill.__struct_fields__ if f != "at"}, at=clock.now() - AGE)
