"""A desk at a loopback Kraken Futures: the exchange with a book, an operator, a connected account, and its orders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from brokers.ccxt.broker import CcxtBroker, read_options
from core.model import Account, OrderRequest, OrderSide, OrderType, TimeInForce
from core.settings import AccountSettings
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import krakenfutures
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.krakenfutures import INVERSE, LINEAR
from tests.venues.ccxt.operators import Operator

SPEED = 20.0
LONG = krakenfutures.BOOK["positions"][:1]
SHORT = krakenfutures.BOOK["positions"][1:2]
PLACE = "/sendorder"


def opened(speed: float = SPEED, **book: Any) -> Exchange:
    return Exchange(krakenfutures.KrakenFutures, {**krakenfutures.BOOK, **book}, FastClock(speed))


def operator(path: Path, running: Exchange, **more: Any) -> Operator:
    return Operator(path, running, "krakenfutures", krakenfutures.LOGIN, **more)


def sent(running: Exchange, call: str = "POST sendorder") -> list[dict[str, str]]:
    return [{k: v[0] for k, v in given.items()} for name, given in running.stall.rest.calls if name == call]


@asynccontextmanager
async def connected(running: Exchange) -> AsyncIterator[CcxtBroker]:
    """As the configuration makes it, its limits and costs, too."""
    given = {"exchange": "krakenfutures", "endpoint": running.endpoint, "api_key": "env:key", "secret": "env:secret"}
    settings = AccountSettings("user_1/a", "user_1", "a", "ccxt", given)
    login = {"key": krakenfutures.KEY, "secret": krakenfutures.SECRET}
    account = Account("user_1/a", "user_1", "a", "ccxt:krakenfutures")
    broker = CcxtBroker(account, read_options(settings), running.clock, login)
    await broker.connect()
    await broker.holdings()
    try:
        yield broker
    finally:
        await broker.aclose()


def closing(symbol: str = LINEAR, quantity: str = "0.5", name: str = "mine", **more: Any) -> OrderRequest:
    side = OrderSide.BUY if symbol == INVERSE else OrderSide.SELL
    return OrderRequest("user_1/a", symbol, side, Decimal(quantity), name, reduce_only=True, **more)


def resting(price: str = "60000", **more: Any) -> OrderRequest:
    return closing(LINEAR, "0.1", type=OrderType.LIMIT, tif=TimeInForce.GTC, price=Decimal(price), **more)


def stop(**more: Any) -> OrderRequest:
    return closing(type=OrderType.STOP, trigger=Decimal(39000), **more)
