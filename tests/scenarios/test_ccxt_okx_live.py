"""OKX's streams through the account: prices, orders and positions are told, and a stream that ends says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import FlatdeckError
from core.events import BrokerEvent, FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Leg, OrderSide, OrderStatus, PositionKey
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import accounts, okx
from tests.venues.ccxt.accounts import Live, until
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SWAP = "BTC/USDT:USDT"


def live(rows: dict[str, Any] = okx.BOOK) -> AbstractAsyncContextManager[Live]:
    return accounts.live("okx", okx.Okx, {**rows, "orders": []}, okx.LOGIN)


def bid(price: int) -> Callable[[BrokerEvent], bool]:
    return lambda e: isinstance(e, QuoteSeen) and (e.quote.symbol, e.quote.bid) == (SWAP, price)


@pytest.mark.parametrize("rows", [okx.BOOK, okx.HEDGED], ids=["one-way", "hedge"])
async def test_a_position_that_was_closed_by_hand_is_told(rows: dict[str, Any]) -> None:
    leg = Leg.LONG if rows is okx.HEDGED else Leg.NET
    key = PositionKey("user_1/a", SWAP, leg)
    async with live(rows) as (running, broker), aclosing(broker.stream()) as events:
        told = await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key)
        assert isinstance(told, PositionSeen)
        assert told.position is not None
        assert told.position.quantity == 25
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal(25), leg))
        await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key and e.position is None)


async def test_an_order_and_what_was_executed_of_it_are_told() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, PositionSeen))
        await asyncio.sleep(0.2)  # orders are told from their subscription on, which nothing confirms here
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal(5)))
        found: list[BrokerEvent] = []

        def both(event: BrokerEvent) -> bool:
            if isinstance(event, OrderSeen | FillSeen):
                found.append(event)
            return {type(e) for e in found} == {OrderSeen, FillSeen} and ended(found) is not None

        await until(events, both)
        fill = next(e.fill for e in found if isinstance(e, FillSeen))
        assert (fill.symbol, fill.quantity, fill.price) == (SWAP, 5, 50000)
        assert fill.fee > 0


def ended(found: list[BrokerEvent]) -> OrderSeen | None:
    return next((e for e in found if isinstance(e, OrderSeen) and e.order.status is OrderStatus.FILLED), None)


async def test_a_stream_that_is_hung_up_ends_with_a_reason_and_another_begins() -> None:
    async with live() as (running, broker):
        async with aclosing(broker.stream()) as events:
            await until(events, lambda e: isinstance(e, QuoteSeen))
            await asyncio.to_thread(running.hang_up)
            with pytest.raises(FlatdeckError):
                await until(events, lambda _: False)
        async with aclosing(broker.stream()) as events:
            running.do(lambda: running.venue.set_quote(SWAP, bid=Decimal(41000), ask=Decimal(41001)))
            await until(events, bid(41000))
            assert running.stall.streams.logins == 2


async def test_a_stream_that_says_nothing_any_more_ends_with_a_reason() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        running.stall.streams.mute = True
        with pytest.raises(FlatdeckError, match="silent"):
            await until(events, lambda _: False)


def test_an_account_is_flattened_over_its_streams(tmp_path: Path) -> None:
    with Exchange(okx.Okx, okx.BOOK, FastClock(5.0)) as running:
        desk = Operator(tmp_path, running, "okx", okx.LOGIN, streams=True)
        said = desk.document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed", "cancelled"}
        assert running.venue.state.positions == {}
