"""Binance USD-M's streams through the account: what happens is told, and a stream or a listen key that ends says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.paper.wire import TopOfBook
from core.errors import FlatdeckError, OutcomeUnknown
from core.events import BrokerEvent, FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import (
    Fill,
    Leg,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    PositionKey,
    Side,
)
from tests.support.service import marks, service, soon
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import accounts, usdm, usdm_events
from tests.venues.ccxt.accounts import Live, until
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator
from tests.venues.test_ccxt_recorded import faults, recorded

SWAP = "BTC/USDT:USDT"


def live(
    rows: dict[str, Any] = usdm.BOOK, options: dict[str, Any] | None = None, **book: Any
) -> AbstractAsyncContextManager[Live]:
    return accounts.live("binanceusdm", usdm.Usdm, {**rows, "orders": [], **book}, usdm.LOGIN, options)


def bid(price: int) -> Callable[[BrokerEvent], bool]:
    return lambda e: isinstance(e, QuoteSeen) and (e.quote.symbol, e.quote.bid) == (SWAP, price)


def sell(running: Exchange, quantity: str, leg: Leg = Leg.NET) -> None:
    running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal(quantity), leg))


async def listening(running: Exchange, events: AsyncGenerator[BrokerEvent, None], dialled: int = 1) -> None:
    """Until the user data stream is open; the touch that is told meanwhile is asked for."""
    await until(events, lambda e: isinstance(e, QuoteSeen) and len(running.stall.streams.dialled) >= dialled)
    await asyncio.sleep(0.2)


async def test_the_touch_is_streamed_and_the_mark_stands_beside_it() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await listening(running, events)
        price = {"bid": Decimal(42000), "ask": Decimal(42001), "last": Decimal(42005)}
        running.do(lambda: running.venue.set_quote(SWAP, **price))
        told = await until(events, lambda e: bid(42000)(e) and isinstance(e, QuoteSeen) and e.quote.mark is not None)
        assert isinstance(told, QuoteSeen)
        running.do(lambda: running.venue.set_quote(SWAP, **price | {"last": Decimal(42010)}))
        await until(events, lambda e: bid(42000)(e) and isinstance(e, QuoteSeen) and e.quote.mark == 42010)


@pytest.mark.parametrize("rows", [usdm.BOOK, usdm.HEDGED], ids=["one-way", "hedge"])
async def test_a_position_that_was_closed_by_hand_is_told(rows: dict[str, Any]) -> None:
    leg = Leg.LONG if rows is usdm.HEDGED else Leg.NET
    key = PositionKey("user_1/a", SWAP, leg)
    async with live(rows) as (running, broker), aclosing(broker.stream()) as events:
        await listening(running, events)
        sell(running, "0.2", leg)
        told = await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key)
        assert isinstance(told, PositionSeen)
        assert told.position is not None
        assert (told.position.quantity, told.position.side) == (Decimal("0.3"), Side.LONG)
        assert told.position.leverage == 5, "which its stream leaves out, is what the read told"
        sell(running, "0.3", leg)
        await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key and e.position is None)


async def test_an_order_and_what_was_executed_of_it_are_told() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await listening(running, events)
        sell(running, "0.2")
        found: list[BrokerEvent] = []

        def both(event: BrokerEvent) -> bool:
            found.extend([event] if isinstance(event, OrderSeen | FillSeen) else [])
            return {type(e) for e in found} == {OrderSeen, FillSeen}

        await until(events, both)
        fill = next(e.fill for e in found if isinstance(e, FillSeen))
        order = next(e.order for e in found if isinstance(e, OrderSeen))
        assert (fill.symbol, fill.quantity, fill.price, fill.order_id) == (SWAP, Decimal("0.2"), 50000, order.id)
        assert fill.fee > 0
        assert (order.status, order.filled) == (OrderStatus.FILLED, Decimal("0.2"))


async def test_a_conditional_order_is_told_as_a_stop_and_again_when_it_is_cancelled() -> None:
    stop = next(o for o in usdm.BOOK["orders"] if o.get("type") == "stop")
    async with live(orders=[stop]) as (running, broker), aclosing(broker.stream()) as events:
        await listening(running, events)
        (listed,) = (await broker.holdings()).orders
        running.do(lambda: running.venue.cancel("h2"))
        told = await until(events, lambda e: isinstance(e, OrderSeen))
        assert isinstance(told, OrderSeen)
        assert (told.order.id, told.order.type, told.order.status) == (listed.id, OrderType.STOP, OrderStatus.CANCELLED)


async def test_a_stream_that_is_hung_up_ends_with_a_reason_and_another_begins() -> None:
    async with live() as (running, broker):
        async with aclosing(broker.stream()) as events:
            await listening(running, events)
            await asyncio.to_thread(running.hang_up)
            with pytest.raises(FlatdeckError):
                await until(events, lambda _: False)
        async with aclosing(broker.stream()) as events:
            await listening(running, events, 2)
            sell(running, "0.2")
            await until(events, lambda e: isinstance(e, PositionSeen))


async def test_a_stream_that_says_nothing_any_more_ends_with_a_reason() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await listening(running, events)
        running.stall.streams.mute = True
        with pytest.raises(FlatdeckError, match="silent"):
            await until(events, lambda _: False)


async def test_a_listen_key_that_expired_ends_the_stream_although_its_socket_still_answers() -> None:
    async with live() as (running, broker):
        async with aclosing(broker.stream()) as events:
            await listening(running, events)
            running.do(running.stall.streams.expire)
            with pytest.raises(OutcomeUnknown, match="listen key"):
                await until(events, lambda _: False)
        async with aclosing(broker.stream()) as events:
            await listening(running, events, 2)
            first, second = running.stall.streams.dialled
            assert first != second == running.stall.streams.key
            sell(running, "0.2")
            await until(events, lambda e: isinstance(e, PositionSeen))


async def test_a_listen_key_is_prolonged_again_and_again_and_one_that_is_gone_ends_the_stream() -> None:
    often = {"listenKeyRefreshRate": -9000}  # to which ccxt adds ten seconds
    async with live(options=often) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda _: running.stall.streams.prolonged > 3)
        assert len(running.stall.streams.keys) == 1
        running.stall.streams.unsaid = True
        running.do(running.stall.streams.expire)
        with pytest.raises(FlatdeckError, match=r"(?i)listen ?key"):
            await until(events, lambda _: False)


async def test_prices_of_what_is_held_take_no_socket_more_when_that_changes() -> None:
    coins = "BTC/USDT:USDT", "ETH/USDT:USDT", "ALGO/USDT:USDT"
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        for coin in coins:
            await listening(running, events)
            held = {p.symbol: p for p in (await broker.holdings()).positions}[coin]
            running.do(lambda s=coin, p=held: running.venue.trade_by_hand(s, p.side.closing, p.quantity))
            await broker.holdings()
            await running.clock.sleep(8.0)
            assert len(running.stall.streams._heard) <= 3, "the account's, the touch's and the marks'"


async def test_no_listen_key_is_in_a_stream_s_reason() -> None:
    async with live() as (running, broker):
        running.mishap("GET", "/private/ws", "status", times=9)
        async with aclosing(broker.stream()) as events:
            with pytest.raises(FlatdeckError, match="503") as ended:
                await until(events, lambda _: False)
        (key,) = running.stall.streams.keys
        assert key not in str(ended.value)


def test_an_account_is_flattened_over_its_streams(tmp_path: Path) -> None:
    with Exchange(usdm.Usdm, usdm.BOOK, FastClock(5.0)) as running:
        desk = Operator(tmp_path, running, "binanceusdm", usdm.LOGIN, streams=True)
        said = desk.document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed", "cancelled"}
        assert running.venue.state.positions == {}


@pytest.mark.parametrize("trouble", ["key", "hung up", "mute"])
async def test_an_engine_whose_stream_ended_reads_again_and_knows_what_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    with Exchange(usdm.Usdm, usdm.BOOK, FastClock(5.0)) as running:
        streams = running.stall.streams
        desk = Operator(tmp_path, running, "binanceusdm", usdm.LOGIN, streams=True)
        for name, value in desk.secrets.items():
            monkeypatch.setenv(name, value)
        async with service(desk.config, running.clock) as engine:

            def state() -> str:
                return str(engine.snapshot().accounts[0].state)

            await soon(lambda: state() == "live" and len(marks(engine)) == 3 and len(streams.dialled) == 1)
            streams.mute = trouble == "mute"
            if trouble == "key":
                running.do(streams.expire)
            elif trouble == "hung up":
                await asyncio.to_thread(running.hang_up)
            sell(running, "0.5")
            await soon(lambda: state() == "stale")
            streams.mute = False
            await soon(lambda: state() == "live" and SWAP not in marks(engine) and len(streams.dialled) > 1)


AT = datetime(2026, 1, 2, tzinfo=UTC)
TOLD = Order("a", SWAP, "p1", OrderSide.SELL, Decimal("0.5"), price=Decimal(60000), client_id="mine")
FILL = Fill("a", SWAP, "t1", "p1", OrderSide.SELL, Decimal("0.2"), Decimal(60000), at=AT, fee=Decimal(0))
HELD = Position("a", SWAP, Side.LONG, Decimal("0.5"), Decimal("0.5"), Decimal(40000), Decimal(5))
TOP = TopOfBook(Decimal(50000), Decimal("50000.1"), Decimal(50000))
MESSAGES = {
    "user_data_json/account_update": usdm_events.account(HELD.key, HELD, AT),
    "user_data_json/order_update_new": usdm_events.order(TOLD, 1, AT),
    "user_data_json/order_update_trade": usdm_events.order(TOLD, 1, AT, FILL, 2),
    "user_data_json/algo_update_new": usdm_events.algo(TOLD, 1, AT),
    "market_data_json/book_ticker_stream": usdm_events.touch(SWAP, TOP, AT),
    "market_data_json/mark_price_stream": usdm_events.mark(SWAP, TOP, AT),
}


@pytest.mark.parametrize("name", list(MESSAGES))
def test_a_message_has_what_the_recorded_one_has(name: str) -> None:
    real, made = recorded(f"binance/futures/{name}.json"), MESSAGES[name]
    assert list(faults(real, made)) == []
    assert made["e"] == real["e"]
