"""An account at a loopback KuCoin Futures: by the command line or the adapter, and what it sent there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.ccxt.broker import CcxtBroker, Options
from brokers.ccxt.exchanges.read_table import known_calls
from brokers.ccxt.settings import ExchangeSettings
from core.model import Account, OrderRequest, OrderSide
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import kucoinfutures as kucoin
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.kucoinfutures import BTC
from tests.venues.ccxt.operators import Operator

SPEED = 5.0  # at more, what is signed is too old after a quarter of a second
LONG = kucoin.BOOK["positions"][:1]
PLACE = "/api/v1/orders"
HEDGES = pytest.mark.parametrize("rows", [kucoin.BOOK, kucoin.HEDGED], ids=["one-way", "hedge"])


def opened(rows: dict[str, Any] = kucoin.BOOK, speed: float = SPEED, **book: Any) -> Exchange:
    return Exchange(kucoin.KucoinFutures, {**rows, **book}, FastClock(speed))


def operator(path: Path, running: Exchange, **more: Any) -> Operator:
    return Operator(path, running, "kucoinfutures", kucoin.LOGIN, **more)


def sent(running: Exchange) -> list[dict[str, Any]]:
    return [given for call, given in running.stall.rest.calls if call == "POST /orders"]


def asked(running: Exchange, call: str) -> list[dict[str, Any]]:
    return [given for name, given in running.stall.rest.calls if name == call]


@asynccontextmanager
async def connected(running: Exchange, *, read: bool = True) -> AsyncIterator[CcxtBroker]:
    login = {"apiKey": "env:api_key", "secret": "env:secret", "password": "env:password"}
    settings = ExchangeSettings(
        "kucoinfutures", endpoint=running.endpoint, defaults=known_calls("kucoinfutures").options
    )
    account = Account("user_1/a", "user_1", "a", "ccxt:kucoinfutures")
    broker = CcxtBroker(account, Options(settings=settings, login=login), running.clock, kucoin.LOGIN)
    await broker.connect()
    try:
        if read:
            await broker.holdings()
        yield broker
    finally:
        await broker.aclose()


def close(quantity: int = 500, **more: Any) -> OrderRequest:
    fields: dict[str, Any] = {"symbol": BTC, "side": OrderSide.SELL, "client_id": "mine", "reduce_only": True, **more}
    return OrderRequest(account="user_1/a", quantity=Decimal(quantity), **fields)
