"""A loopback Bybit, an operator and an account at it, and what was sent there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from brokers.ccxt.broker import CcxtBroker, Options
from brokers.ccxt.exchanges.read_table import known_calls
from brokers.ccxt.settings import ExchangeSettings
from core.model import Account, OrderRequest, OrderSide
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import bybit
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SPEED = 5.0  # a signature is good for 5 s of the exchange's clock
SWAP = "BTC/USDT:USDT"
PLACE = "/order/create"


def opened(rows: dict[str, Any] = bybit.BOOK, speed: float = SPEED, **book: Any) -> Exchange:
    return Exchange(bybit.Bybit, {**rows, **book}, FastClock(speed))


def operator(path: Path, running: Exchange, **more: Any) -> Operator:
    return Operator(path, running, "bybit", bybit.LOGIN, **more)


def sent(running: Exchange, path: str = PLACE) -> list[dict[str, Any]]:
    """Every order or cancel that arrived."""
    return [body for call, body in running.stall.rest.calls if call == f"POST {path}"]


def asked(running: Exchange, path: str) -> list[dict[str, Any]]:
    """What each question was given."""
    return [given for call, given in running.stall.rest.calls if call == f"GET {path}"]


def closing(symbol: str = SWAP, quantity: str = "0.5", **more: Any) -> OrderRequest:
    """An order of that account that sells a part of what is held, and can do nothing else."""
    given: dict[str, Any] = {"client_id": "mine", "reduce_only": ":" in symbol, **more}
    return OrderRequest("user_1/a", symbol, OrderSide.SELL, Decimal(quantity), **given)


@asynccontextmanager
async def connected(running: Exchange) -> AsyncIterator[CcxtBroker]:
    settings = ExchangeSettings(exchange="bybit", endpoint=running.endpoint, defaults=known_calls("bybit").options)
    options = Options(settings=settings, login={"apiKey": "env:api_key", "secret": "env:secret"})
    broker = CcxtBroker(Account("user_1/a", "user_1", "a", "ccxt:bybit"), options, running.clock, bybit.LOGIN)
    await broker.connect()
    try:
        yield broker
    finally:
        await broker.aclose()
