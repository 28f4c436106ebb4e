"""A loopback exchange on a port of this machine: the paper venue's truth behind one exchange's own API.

It runs on a loop and thread of its own, so that any client can call it, the command line's too. What an exchange adds
is a ``Stall``: routes over the truth, and what must never have been asked of it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from aiohttp import web

from brokers.paper.dice import seeded
from brokers.paper.faults import Faults
from brokers.paper.venue import Venue
from brokers.paper.wire import parse_book
from core.model import Account, Fill, OrderSide, Side
from core.ports import Clock
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt.mishaps import Handler, Mishap

T = TypeVar("T")
BEAT = 0.01
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


class Exchange:
    """``venue`` is the truth and ``stall`` its API. ``book`` has the shape of a paper account's book file."""

    def __init__(self, make: Callable[[Venue], Stall], book: dict[str, Any], clock: Clock | None = None) -> None:
        self.clock = clock or FastClock()
        account = Account("user_1/loopback", "user_1", "loopback", "ccxt")
        made = parse_book(json.dumps(book), "book.json", account.id)
        self.venue = Venue(account, made, self.clock, Faults(seeded("loopback")))
        for n, held in enumerate(made.positions, 9001):
            if held.entry is not None:
                side = OrderSide.BUY if held.side is Side.LONG else OrderSide.SELL
                fill = Fill(account.id, held.symbol, f"t{n}", f"p{n}", side, held.quantity, held.entry, leg=held.leg)
                self.venue.state.fills[fill.trade_id] = _at(fill, self.clock)
        self.stall = make(self.venue)
        self.mishaps: list[Mishap] = []
        self.delay = 0.0  # seconds that every answer takes
        self.port = 0
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="exchange", daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_endpoint(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def held(self, symbol: str) -> Decimal:
        """What the account holds of a symbol, a short as a negative number."""
        found = [p.side.sign * p.quantity for p in self.venue.state.positions.values() if p.symbol == symbol]
        return sum(found, Decimal(0))

    def mishap(self, method: str, path: str, do: str, **more: Any) -> Mishap:
        """Have something go wrong with the next request like that."""
        self.mishaps.append(Mishap(method, path, do, **more))
        return self.mishaps[-1]

    def do(self, act: Callable[[], T]) -> T:
        """Change the truth, or say something on the streams, from the test's thread."""
        assert self._loop is not None

        async def run() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def hang_up(self) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.stall.hang_up(), self._loop).result(5)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the loopback exchange did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if kind is None:
            self.verify()

    def verify(self) -> None:
        """What holds of every run: no order could have opened a position, none turned one around."""
        assert self.stall.violations == []
        assert list(self.venue.crossed_zero) == []

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(middlewares=[self._faulty])
        self.stall.add_to(app)
        runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        ticker = asyncio.create_task(self._tick())
        self._ready.set()
        await self._stop.wait()
        ticker.cancel()
        await runner.cleanup()
        await asyncio.sleep(0.01)  # connections that were closed let go of their sockets

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(self.delay)
        mishap = next((m for m in self.mishaps if m.meets(request)), None)
        return await (handler(request) if mishap is None else mishap.befall(request, handler))

    async def _tick(self) -> None:
        while True:
            self.venue.advance()
            self.stall.tell()
            await asyncio.sleep(BEAT)


def _at(fill: Fill, clock: Clock) -> Fill:
    return Fill(**{f: getattr(fill, f) for f in fill.__struct_fields__ if f != "at"}, at=clock.now() - AGE)
