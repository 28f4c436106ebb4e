"""Builders: clocks, books, requests and accounts of the paper venue."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.paper.broker import PaperBroker, open_account
from brokers.paper.faults import Faults
from brokers.paper.random_streams import seeded
from brokers.paper.venue import Venue
from brokers.paper.wire import parse_book
from core.errors import Refused
from core.model import Account, Leg, OrderRequest, OrderSide, OrderType, TimeInForce
from core.settings import AccountSettings

D = Decimal
ACCOUNT = "user_1/paper"
DAWN = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
BUY, SELL = OrderSide.BUY, OrderSide.SELL
IOC, FOK, GTC = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC
MARKET, LIMIT, STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP
KEY = ("BTC", Leg.NET)
BTC_QUOTE = {"bid": "99.9", "ask": "100.1", "last": "100"}


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return DAWN + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class LoopClock:
    """The clock of the running loop."""

    def now(self) -> datetime:
        return DAWN + timedelta(seconds=self.monotonic() - 1000.0)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def book(kind: str = "spot", quantity: str = "2", side: str = "long", **more: Any) -> dict[str, Any]:
    """One instrument, BTC, with one position in it; ``more`` goes into the instrument."""
    instrument = {"symbol": "BTC", "kind": kind, "step": "0.1", "tick": "0.1", **more}
    position = {"symbol": "BTC", "side": side, "quantity": quantity, "entry": "90"}
    return {"instruments": [instrument], "quotes": {"BTC": dict(BTC_QUOTE)}, "positions": [position]}


def make_venue(content: dict[str, Any] | None = None, clock: Any = None, **more: Any) -> tuple[Venue, Any]:
    """A venue that nothing stores, with frozen prices, and its clock."""
    clock = clock or HandClock()
    parsed = parse_book(json.dumps(content or book()), "book.json", ACCOUNT)
    account = Account(ACCOUNT, "user_1", "paper", "paper")
    return Venue(account, parsed, clock, Faults(seeded("test")), **more), clock


def make_broker(content: dict[str, Any] | None = None, latency: float = 0.05) -> PaperBroker:
    """A broker on the running loop's clock."""
    venue, clock = make_venue(content, LoopClock())
    return PaperBroker(venue, clock, latency)


def settings(directory: Path, content: dict[str, Any] | None = None, **options: Any) -> AccountSettings:
    """An account whose book is a file in ``directory``; an option of None is left out."""
    path = directory / "book.json"
    if content is not None or not path.exists():
        path.write_text(json.dumps(content or book()))
    options = {"book": str(path), "frozen": True, **options}
    given = {k: v for k, v in options.items() if v is not None}
    return AccountSettings(ACCOUNT, "user_1", "paper", "paper", given)


def opened(directory: Path, content: dict[str, Any] | None = None, **options: Any) -> PaperBroker:
    """An account with its state kept in ``directory / "data"``."""
    return open_account(settings(directory, content, **options), directory / "data", HandClock())


def ask(quantity: str = "1", side: OrderSide = SELL, client_id: str = "", **more: Any) -> OrderRequest:
    """A market IOC order, unless ``more`` says otherwise."""
    return OrderRequest(ACCOUNT, more.pop("symbol", "BTC"), side, D(quantity), client_id, **more)


def held(venue: Venue, symbol: str = "BTC") -> Decimal:
    """The signed quantity that is true at the venue."""
    return sum((p.side.sign * p.quantity for p in venue.state.positions.values() if p.symbol == symbol), D(0))


def struck(name, content=None, **script):
    """An account at which ``name`` strikes once."""
    broker = make_broker(content)
    broker.venue.faults.script(name, **script)
    return broker


async def refusal(call):
    with pytest.raises(Refused) as caught:
        await call
    return caught.value


async def listen(broker, seconds, act=None):
    """What a stream tells within some seconds; ``act`` happens after the first of them."""
    events = []

    async def read():
        async for event in broker.stream():
            events.append(event)

    reading = asyncio.create_task(read())
    await asyncio.sleep(1)
    if act is not None:
        await act()
    await asyncio.sleep(seconds - 1)
    broken = reading.exception() if reading.done() else None
    reading.cancel()
    return events, broken
