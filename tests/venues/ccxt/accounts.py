"""An account at a loopback exchange, connected by the real adapter, and what its stream tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from brokers.ccxt.broker import CHECKS, CcxtBroker, Options
from brokers.ccxt.exchanges.read_table import known_calls
from brokers.ccxt.settings import ExchangeSettings
from core.events import BrokerEvent
from core.model import Account
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt.host import Exchange

NAMES = {"api_key": "apiKey", "secret": "secret", "password": "password"}
Live = tuple[Exchange, CcxtBroker]


@asynccontextmanager
async def live(
    exchange: str, make: Any, book: dict[str, Any], login: dict[str, str], options: dict[str, Any] | None = None
) -> AsyncIterator[Live]:
    """The exchange with that book, and ``user_1/a`` that is connected there and was read."""
    with Exchange(make, book, FastClock(5.0)) as running:
        settings = ExchangeSettings(
            exchange=exchange,
            endpoint=running.endpoint,
            stream=running.stream_endpoint,
            defaults=known_calls(exchange).options,
            options=options or {},
            burst=60.0,
            check=CHECKS.get(exchange),
        )
        account = Account("user_1/a", "user_1", "a", f"ccxt:{exchange}")
        references = {NAMES[name]: f"env:{name}" for name in login}
        broker = CcxtBroker(account, Options(settings=settings, login=references), running.clock, login)
        await broker.connect()
        await broker.holdings()
        try:
            yield running, broker
        finally:
            await broker.aclose()


async def until(events: AsyncGenerator[BrokerEvent, None], wanted: Callable[[BrokerEvent], bool]) -> BrokerEvent:
    """The first event like that, within twenty seconds."""

    async def look() -> BrokerEvent:
        async for event in events:
            if wanted(event):
                return event
        raise AssertionError("the stream ended without a word")

    return await asyncio.wait_for(look(), 20)
