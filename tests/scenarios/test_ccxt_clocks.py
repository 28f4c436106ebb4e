"""Clocks that differ: what an order and a question say of a moment is by the exchange's clock, as it tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from brokers.ccxt.broker import CcxtBroker, read_options
from core.errors import OutcomeUnknown, Refused
from core.model import Account, OrderRequest, OrderSide
from core.settings import AccountSettings
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import kraken, krakenfutures
from tests.venues.ccxt.host import Exchange

SPEED = 20.0
VENUES: dict[str, tuple[Any, Any, str, str]] = {
    "kraken": (kraken, kraken.Kraken, "BTC/USD", "AddOrder"),
    "krakenfutures": (krakenfutures, krakenfutures.KrakenFutures, krakenfutures.LINEAR, "sendorder"),
}
BOTH = pytest.mark.parametrize("exchange", list(VENUES))


def opened(exchange: str) -> Exchange:
    module, make, *_ = VENUES[exchange]
    return Exchange(make, {**module.BOOK, "orders": []}, FastClock(SPEED))


@asynccontextmanager
async def apart(running: Exchange, exchange: str, seconds: float) -> AsyncIterator[CcxtBroker]:
    """An account on a machine whose clock is that far ahead of the exchange's."""
    module = VENUES[exchange][0]
    given = {"exchange": exchange, "endpoint": running.endpoint, "api_key": "env:key", "secret": "env:secret"}
    account = Account("user_1/a", "user_1", "a", f"ccxt:{exchange}")
    clock = FastClock(SPEED, running.clock.now() + timedelta(seconds=seconds))
    options = read_options(AccountSettings("user_1/a", "user_1", "a", "ccxt", given))
    broker = CcxtBroker(account, options, clock, {"key": module.KEY, "secret": module.SECRET})
    try:
        await broker.connect()
        await broker.holdings()
        yield broker
    finally:
        await broker.aclose()


def closing(exchange: str, **more: Any) -> OrderRequest:
    symbol, reduces = VENUES[exchange][2], exchange == "krakenfutures"
    return OrderRequest("user_1/a", symbol, OrderSide.SELL, Decimal("0.5"), "mine", reduce_only=reduces, **more)


SENDS: dict[str, Callable[[CcxtBroker], Any]] = {
    "submit": lambda broker: broker.submit,
    "direct": lambda broker: broker.submit_direct,
}


@pytest.mark.parametrize("seconds", [-40.0, 40.0, 100.0])
@pytest.mark.parametrize("send", list(SENDS))
@BOTH
async def test_an_order_is_taken_whatever_this_machine_s_clock_says(exchange: str, send: str, seconds: float) -> None:
    with opened(exchange) as running:
        async with apart(running, exchange, seconds) as broker:
            await SENDS[send](broker)(closing(exchange))
        assert running.held(VENUES[exchange][2]) == 0


@pytest.mark.parametrize("send", list(SENDS))
@BOTH
async def test_an_order_dies_when_it_was_promised_to_by_a_clock_that_is_ahead(exchange: str, send: str) -> None:
    symbol, place = VENUES[exchange][2:]
    with opened(exchange) as running:
        async with apart(running, exchange, 40.0) as broker:
            running.mishap("POST", place, "late", seconds=0.6)  # twelve of the clock's
            with pytest.raises((OutcomeUnknown, Refused)):
                await SENDS[send](broker)(closing(exchange))
            await running.clock.sleep(15)
        assert running.held(symbol) == Decimal("0.5")


@BOTH
async def test_an_execution_after_the_order_is_found_by_a_clock_that_is_ahead(exchange: str) -> None:
    symbol = VENUES[exchange][2]
    with opened(exchange) as running:
        async with apart(running, exchange, 40.0) as broker:
            since = broker.client._clock.now() - timedelta(seconds=2)
            await broker.submit(closing(exchange))
            fills = await broker.fills(symbol, since)
            assert sum((fill.quantity for fill in fills), Decimal(0)) == Decimal("0.5")


@BOTH
async def test_an_order_that_has_ended_is_found_by_its_name_by_a_clock_that_is_hours_ahead(exchange: str) -> None:
    with opened(exchange) as running:
        async with apart(running, exchange, 7200.0) as broker:
            made = await broker.submit(closing(exchange))
            await running.clock.sleep(6)  # Kraken Futures knows it for five
            found = await broker.find_order(VENUES[exchange][2], client_id="mine")
            assert found is not None
            assert (found.id, found.filled) == (made.id, Decimal("0.5"))
