"""Kraken's and Coinbase's streams through the account: what happens is told, and a stream that ends says so."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from decimal import Decimal
from typing import Any

import pytest

from core.errors import FlatdeckError
from core.events import OrderSeen, QuoteSeen
from core.model import OrderSide, OrderStatus
from tests.venues.ccxt import accounts, coinbase, kraken
from tests.venues.ccxt.accounts import Live, until

VENUES: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "kraken": (kraken.Kraken, kraken.BOOK, {"api_key": kraken.KEY, "secret": kraken.SECRET}),
    "coinbase": (coinbase.Coinbase, coinbase.BOOK, {"api_key": coinbase.KEY, "secret": coinbase.SECRET}),
}


def live(exchange: str) -> AbstractAsyncContextManager[Live]:
    return accounts.live(exchange, *VENUES[exchange])


@pytest.mark.parametrize("exchange", list(VENUES))
async def test_a_trade_by_hand_and_a_new_price_are_told(exchange: str) -> None:
    async with live(exchange) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen) and e.quote.symbol == "BTC/USD")
        running.do(lambda: running.venue.set_quote("BTC/USD", bid=Decimal(42000), ask=Decimal(42001)))
        await until(events, lambda e: isinstance(e, QuoteSeen) and e.quote.bid == 42000)
        running.do(lambda: running.venue.trade_by_hand("ETH/USD", OrderSide.SELL, Decimal("0.5")))
        told = await until(events, lambda e: isinstance(e, OrderSeen) and e.order.symbol == "ETH/USD")
        assert isinstance(told, OrderSeen)
        assert (told.order.status, told.order.filled) == (OrderStatus.FILLED, Decimal("0.5"))


@pytest.mark.parametrize("exchange", list(VENUES))
async def test_a_stream_that_is_hung_up_ends_with_a_reason_and_another_begins(exchange: str) -> None:
    async with live(exchange) as (running, broker):
        async with aclosing(broker.stream()) as events:
            await until(events, lambda e: isinstance(e, QuoteSeen))
            await asyncio.to_thread(running.hang_up)
            with pytest.raises(FlatdeckError):
                await until(events, lambda _: False)
        async with aclosing(broker.stream()) as events:
            running.do(lambda: running.venue.set_quote("BTC/USD", bid=Decimal(41000), ask=Decimal(41001)))
            await until(events, lambda e: isinstance(e, QuoteSeen) and e.quote.bid == 41000)


async def test_coinbase_keeps_the_channel_of_a_quiet_account_open() -> None:
    async with live("coinbase") as (running, broker):
        running.stall.streams.quiet = 2.0
        async with aclosing(broker.stream()) as events:
            await until(events, lambda e: isinstance(e, QuoteSeen))
            await running.clock.sleep(5.0)
            running.do(lambda: running.venue.trade_by_hand("ETH/USD", OrderSide.SELL, Decimal("0.5")))
            told = await until(events, lambda e: isinstance(e, OrderSeen) and e.order.symbol == "ETH/USD")
            assert isinstance(told, OrderSeen)
            assert told.order.filled == Decimal("0.5")


async def test_a_login_to_coinbase_s_stream_that_is_refused_ends_it_with_its_reason() -> None:
    async with live("coinbase") as (_, broker):
        broker.client.exchange.apiKey = "another"
        async with aclosing(broker.stream()) as events:
            with pytest.raises(FlatdeckError, match="authentication failure"):
                await until(events, lambda _: False)
