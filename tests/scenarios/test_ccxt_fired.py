"""A stop that rests at the exchange fires while nobody looks: what it traded, and that it rests no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from core.model import Leg, Order, OrderRequest, OrderSide, OrderStatus, OrderType
from tests.venues.ccxt import bybit, krakenfutures, kucoinfutures, okx, usdm
from tests.venues.ccxt.accounts import Live, live

VENUES: dict[str, tuple[Any, Any]] = {
    "binanceusdm": (usdm, usdm.Usdm),
    "okx": (okx, okx.Okx),
    "bybit": (bybit, bybit.Bybit),
    "krakenfutures": (krakenfutures, krakenfutures.KrakenFutures),
    "kucoinfutures": (kucoinfutures, kucoinfutures.KucoinFutures),
}
SYMBOLS = {"krakenfutures": krakenfutures.LINEAR}
TRIGGER = Decimal(39000)
ALL = pytest.mark.parametrize("exchange", list(VENUES))


@asynccontextmanager
async def resting(exchange: str, hedge: bool = False) -> AsyncIterator[tuple[Live, Order]]:
    """An account and its stop for the whole of a long position."""
    module, make = VENUES[exchange]
    rows = {**(module.HEDGED if hedge else module.BOOK), "orders": []}
    login = getattr(module, "LOGIN", None) or {"api_key": module.KEY, "secret": module.SECRET}
    symbol = SYMBOLS.get(exchange, "BTC/USDT:USDT")
    async with live(exchange, make, rows, login) as (running, broker):
        held = next(p for p in (await broker.holdings()).positions if p.symbol == symbol and p.leg is not Leg.SHORT)
        stop = OrderRequest(
            *("user_1/a", symbol, OrderSide.SELL, held.quantity, "mine"),
            type=OrderType.STOP,
            trigger=TRIGGER,
            reduce_only=True,
            leg=held.leg,
        )
        yield (running, broker), await broker.submit(stop)


def fall(at: Live, symbol: str, **more: Decimal) -> None:
    price = TRIGGER - 100
    at[0].do(lambda: at[0].venue.set_quote(symbol, bid=price, ask=price + 1, last=price, mark=price, **more))


@ALL
async def test_a_stop_that_fired_has_filled_whichever_of_its_names_it_is_asked_by(exchange: str) -> None:
    async with resting(exchange) as (at, stop):
        running, broker = at
        fall(at, stop.symbol)
        await asyncio.sleep(0.2)
        assert running.held(stop.symbol) == 0
        for name in ({"order_id": stop.id}, {"client_id": "mine"}):
            found = await broker.find_order(stop.symbol, **name)
            assert found is not None
            assert (found.id, found.status, found.filled) == (stop.id, OrderStatus.FILLED, stop.quantity)
            assert found.average_price in (None, TRIGGER - 100)


@pytest.mark.parametrize("exchange", ["binanceusdm", "okx"])
async def test_what_a_stop_traded_is_what_the_order_that_it_became_traded(exchange: str) -> None:
    async with resting(exchange) as (at, stop):
        running, broker = at
        fall(at, stop.symbol, bid_size=stop.quantity / 5)
        await asyncio.sleep(0.2)
        left = running.held(stop.symbol)
        assert 0 < left < stop.quantity
        found = await broker.find_order(stop.symbol, order_id=stop.id)
        assert found is not None
        assert (found.id, found.status, found.filled) == (stop.id, OrderStatus.OPEN, stop.quantity - left)


@pytest.mark.parametrize("exchange", ["binanceusdm", "okx"])
async def test_until_the_order_is_there_that_a_stop_became_nothing_is_said_of_its_end(exchange: str) -> None:
    denied = {"binanceusdm": '{"code":-2013,"msg":"No."}', "okx": '{"code":"51603","data":[],"msg":"No."}'}
    async with resting(exchange) as (at, stop):
        running, broker = at
        fall(at, stop.symbol)
        await asyncio.sleep(0.2)
        path, after = ("/v1/order", 1) if exchange == "binanceusdm" else ("/trade/order", 2)
        running.mishap("GET", path, "status", after=after, status=400, body=denied[exchange])
        found = await broker.find_order(stop.symbol, order_id=stop.id)
        assert found is not None
        assert (found.id, found.status) == (stop.id, OrderStatus.UNKNOWN)
