"""The loopback venue on a port of this machine, on a loop and thread of its own, so that any client can call it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from core.ports import Clock
from tests.venues.alpaca.clocks import FastClock
from tests.venues.alpaca.rest import Fault, Rest
from tests.venues.alpaca.schema import PATH, Schema
from tests.venues.alpaca.streams import Streams
from tests.venues.alpaca.truth import Manners, Truth

T = TypeVar("T")
KEY, SECRET = "PKLOOPBACK", "canary-of-the-alpaca-venue"
TICK = 0.01


class AlpacaVenue:
    """``truth`` is the account, ``manners`` how the venue behaves, ``rest`` and ``streams`` what was said to it."""

    def __init__(self, clock: Clock | None = None, **truth: Any) -> None:
        self.clock = clock or FastClock()
        self.truth = Truth(self.clock, **truth)
        self.rest = Rest(self.truth, KEY, SECRET, Schema() if PATH.exists() else None)
        self.streams = Streams(self.truth, KEY, SECRET)
        self.port = 0
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="alpaca-venue", daemon=True)

    @property
    def manners(self) -> Manners:
        return self.truth.manners

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_endpoint(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def fault(self, method: str, path: str, do: str, **more: Any) -> Fault:
        """Have something go wrong with the next requests like that."""
        fault = Fault(method, path, do, **more)
        self.rest.faults.append(fault)
        return fault

    def do(self, act: Callable[[], T]) -> T:
        """Change the truth, or say something on the streams, from the test's thread."""
        assert self._loop is not None

        async def run() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def hang_up(self) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.streams.hang_up(), self._loop).result(5)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the loopback venue did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if kind is None:
            self.verify()

    def verify(self) -> None:
        """What holds of every run: bodies as published, and nothing was asked that must never be."""
        assert self.rest.mismatches == []
        assert self.truth.violations == []

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = self.rest.app()
        self.streams.add_to(app)
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

    async def _tick(self) -> None:
        while True:
            self.truth.advance()
            await asyncio.sleep(TICK)
