"""Every execution is read where an exchange tells a page of the newest: nothing of a close that took many is missed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from brokers.ccxt.broker import CcxtBroker, Options
from brokers.ccxt.settings import ExchangeSettings
from core.model import Account, OrderSide
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import kraken, krakenfutures, okx
from tests.venues.ccxt.host import Exchange

VENUES: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "kraken": (kraken.Kraken, kraken.BOOK, {"api_key": kraken.KEY, "secret": kraken.SECRET}),
    "krakenfutures": (krakenfutures.KrakenFutures, krakenfutures.BOOK, krakenfutures.LOGIN),
    "okx": (okx.Okx, okx.BOOK, okx.LOGIN),
}
SYMBOLS = {
    "kraken": ("BTC/USD", "ETH/USD"),
    "krakenfutures": (krakenfutures.LINEAR, krakenfutures.DATED),
    "okx": ("BTC/USDT:USDT", "SOL/USDT"),
}
NAMES = {"api_key": "apiKey", "secret": "secret", "password": "password"}


@pytest.mark.parametrize("exchange", list(VENUES))
async def test_the_executions_of_many_pages_are_read_without_those_of_another_symbol(exchange: str) -> None:
    made, rows, env = VENUES[exchange]
    wanted, other = SYMBOLS[exchange]
    with Exchange(made, {**rows, "orders": []}, FastClock(1.0)) as running:
        login = {NAMES[name]: f"env:{name}" for name in env}
        options = Options(
            settings=ExchangeSettings(exchange=exchange, endpoint=running.endpoint, burst=60.0), login=login
        )
        broker = CcxtBroker(Account("user_1/a", "user_1", "a", f"ccxt:{exchange}"), options, running.clock, env)
        await broker.connect()
        await broker.holdings()
        since = running.clock.now() - timedelta(seconds=1)  # what is told is cut to a millisecond
        for nth in range(240):  # more of the other one than a page has, between those that are asked for
            symbol = other if 80 <= nth < 200 else wanted
            running.do(lambda s=symbol: running.venue.trade_by_hand(s, OrderSide.SELL, Decimal("0.001")))
            if nth % 40 == 0:
                await running.clock.sleep(0.01)
        found = await broker.fills(wanted, since)
        assert {fill.symbol for fill in found} == {wanted}
        assert sum((fill.quantity for fill in found), Decimal(0)) == Decimal("0.120")
        await broker.aclose()
