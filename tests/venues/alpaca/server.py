"""The loopback venue on a port of this machine, on a loop and thread of its own, so that any client can call it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from core.ports import Clock
from tests.venues.alpaca.clocks import FastClock
from tests.venues.alpaca.rest import Fault, Rest
from tests.venues.alpaca.schema import PATH, Schema
from tests.venues.alpaca.streams import Streams
from tests.venues.alpaca.truth import Manners, Truth
from tests.venues.loopback import Loopback

KEY, SECRET = "PKLOOPBACK", "canary-of-the-alpaca-venue"


class AlpacaVenue(Loopback):
    """``truth`` is the account, ``manners`` how the venue behaves, ``rest`` and ``streams`` what was said to it."""

    def __init__(self, clock: Clock | None = None, **truth: Any) -> None:
        super().__init__()
        self.clock = clock or FastClock()
        self.truth = Truth(self.clock, **truth)
        self.rest = Rest(self.truth, KEY, SECRET, Schema() if PATH.exists() else None)
        self.streams = Streams(self.truth, KEY, SECRET)

    @property
    def manners(self) -> Manners:
        return self.truth.manners

    def fault(self, method: str, path: str, do: str, **more: Any) -> Fault:
        """Have something go wrong with the next requests like that."""
        fault = Fault(method, path, do, **more)
        self.rest.faults.append(fault)
        return fault

    def hang_up(self) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.streams.hang_up(), self._loop).result(5)

    def verify(self) -> None:
        """What holds of every run: bodies as published, and nothing was asked that must never be."""
        assert self.rest.mismatches == []
        assert self.truth.violations == []

    def app(self) -> web.Application:
        app = self.rest.app()
        self.streams.add_to(app)
        return app

    def beat(self) -> None:
        self.truth.advance()
