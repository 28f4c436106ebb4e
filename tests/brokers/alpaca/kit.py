"""Adapters at a loopback venue, and requests for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from brokers.alpaca.broker import AlpacaBroker, read_options
from core.model import Account, OrderRequest, OrderSide, OrderType, TimeInForce
from core.settings import AccountSettings
from tests.venues.alpaca.desk import ENV
from tests.venues.alpaca.server import AlpacaVenue

ACCOUNT = "user_1/alpaca"
PUT = "QCOM260220P00145000"


def settings(venue: AlpacaVenue | None = None, **options: Any) -> AccountSettings:
    given = {"api_key": "env:ALPACA_KEY", "secret": "env:ALPACA_SECRET"}
    if venue is not None:
        given |= {"endpoint": venue.endpoint, "stream_endpoint": venue.stream_endpoint}
    return AccountSettings(ACCOUNT, "user_1", "alpaca", "alpaca", {**given, **options})


def broker_at(venue: AlpacaVenue, **options: Any) -> AlpacaBroker:
    account = Account(ACCOUNT, "user_1", "alpaca", "alpaca")
    return AlpacaBroker(account, read_options(settings(venue, **options)), venue.clock, ENV)


def request(symbol: str, quantity: str, **more: Any) -> OrderRequest:
    """A market sell, good for the day, unless something else is said."""
    given = {"side": OrderSide.SELL, "type": OrderType.MARKET, "tif": TimeInForce.DAY, "client_id": "fdtest"}
    return OrderRequest(account=ACCOUNT, symbol=symbol, quantity=Decimal(quantity), **{**given, **more})


async def soon(holds: Callable[[], object]) -> None:
    """Until it holds, within five seconds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # the other side is a thread with a loop of its own
            await asyncio.sleep(0.005)
