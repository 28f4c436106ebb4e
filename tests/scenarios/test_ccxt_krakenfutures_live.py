"""Kraken Futures' streams through the account: prices, orders, executions and positions are told as they are, and a
stream that ends says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import FlatdeckError
from core.events import BrokerEvent, FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Order, OrderRequest, OrderSide, OrderStatus, OrderType, PositionKey, TimeInForce
from tests.support.service import marks, service, soon
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import accounts, krakenfutures
from tests.venues.ccxt.accounts import Live, until
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.krakenfutures import INVERSE, LINEAR
from tests.venues.ccxt.krakenfutures_bodies import uid
from tests.venues.ccxt.operators import Operator


def live(**book: Any) -> AbstractAsyncContextManager[Live]:
    rows = {**krakenfutures.BOOK, "orders": [], **book}
    return accounts.live("krakenfutures", krakenfutures.KrakenFutures, rows, krakenfutures.LOGIN)


def bid(price: int) -> Callable[[BrokerEvent], bool]:
    return lambda e: isinstance(e, QuoteSeen) and (e.quote.symbol, e.quote.bid) == (LINEAR, price)


def resting(price: str = "60000", quantity: str = "0.3") -> OrderRequest:
    given = {"type": OrderType.LIMIT, "tif": TimeInForce.GTC, "price": Decimal(price), "reduce_only": True}
    return OrderRequest("user_1/loopback", LINEAR, OrderSide.SELL, Decimal(quantity), "by_hand", **given)


async def listening(events: AsyncGenerator[BrokerEvent, None]) -> None:
    """Until every private feed is there; nothing confirms that of the orders'."""
    await until(events, lambda e: isinstance(e, PositionSeen))
    await asyncio.sleep(0.2)


async def told(events: AsyncGenerator[BrokerEvent, None], wanted: Callable[[Order], bool]) -> Order:
    found = await until(events, lambda e: isinstance(e, OrderSeen) and wanted(e.order))
    assert isinstance(found, OrderSeen)
    return found.order


async def test_the_touch_and_the_mark_are_streamed_for_every_kind_of_contract() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        seen: dict[str, Any] = {}

        def every(event: BrokerEvent) -> bool:
            if isinstance(event, QuoteSeen):
                seen[event.quote.symbol] = event.quote
            return len(seen) == len(krakenfutures.BOOK["positions"])

        await until(events, every)
        assert (seen[LINEAR].bid, seen[LINEAR].ask, seen[LINEAR].mark) == (50000, Decimal("50000.5"), 50000)
        running.do(lambda: running.venue.set_quote(LINEAR, bid=Decimal(51000), ask=Decimal(51001)))
        await until(events, bid(51000))


async def test_a_position_is_told_with_its_side_in_contracts() -> None:
    async with live() as (_, broker), aclosing(broker.stream()) as events:
        key = PositionKey("user_1/a", INVERSE)
        found = await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key)
        assert isinstance(found, PositionSeen)
        assert found.position is not None
        assert (found.position.side.value, found.position.quantity, found.position.entry) == ("short", 3000, 51000)


@pytest.mark.parametrize(("isolated", "leverage"), [(True, 5), (False, None)], ids=["isolated", "cross"])
async def test_reads_and_the_stream_tell_the_same_leverage(isolated: bool, leverage: int | None) -> None:
    async with live() as (running, broker):
        running.stall.rest.isolated = {"PF_XBTUSD"} if isolated else set()
        read = {p.symbol: p.leverage for p in (await broker.holdings()).positions}
        assert read[LINEAR] == leverage
        async with aclosing(broker.stream()) as events:
            key = PositionKey("user_1/a", LINEAR)
            found = await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key)
            assert isinstance(found, PositionSeen)
            assert found.position is not None
            assert found.position.leverage == leverage


@pytest.mark.parametrize(("symbol", "quantity"), [(LINEAR, "0.2"), (INVERSE, "1000")])
async def test_an_execution_is_told_with_its_size_and_what_it_cost(symbol: str, quantity: str) -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await listening(events)
        side = OrderSide.SELL if symbol == LINEAR else OrderSide.BUY
        made = running.do(lambda: running.venue.trade_by_hand(symbol, side, Decimal(quantity)))
        of_it = uid(made.id)
        found = await until(events, lambda e: isinstance(e, FillSeen) and e.fill.order_id == of_it)
        assert isinstance(found, FillSeen)
        assert (found.fill.symbol, found.fill.side, found.fill.quantity) == (symbol, side, Decimal(quantity))
        assert found.fill.fee is not None
        assert round(found.fill.fee, 6) == (5 if symbol == LINEAR else Decimal("0.5"))


async def test_what_was_executed_before_the_stream_began_is_no_news() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await listening(events)
        running.do(lambda: running.venue.trade_by_hand(LINEAR, OrderSide.SELL, Decimal("0.1")))
        first = await until(events, lambda e: isinstance(e, FillSeen))
        assert isinstance(first, FillSeen)
        assert (first.fill.symbol, first.fill.quantity) == (LINEAR, Decimal("0.1"))


async def test_what_happened_between_the_read_and_the_stream_is_told_at_its_beginning() -> None:
    key = PositionKey("user_1/a", INVERSE)
    async with live() as (running, broker):
        running.do(lambda: running.venue.trade_by_hand(INVERSE, OrderSide.BUY, Decimal(3000)))
        seen: set[str] = set()

        def both(event: BrokerEvent) -> bool:
            if isinstance(event, FillSeen) and (event.fill.symbol, event.fill.quantity) == (INVERSE, 3000):
                seen.add("execution")
            if event == PositionSeen(key, None):
                seen.add("gone")
            return seen == {"execution", "gone"}

        async with aclosing(broker.stream()) as events:
            await until(events, both)


async def test_an_order_that_trades_in_parts_is_told_with_what_traded_of_it_in_all() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await listening(events)
        made = running.do(lambda: running.venue.place_by_hand(resting()))
        first = await told(events, lambda o: o.id == uid(made.id))
        assert (first.status, first.quantity, first.filled) == (OrderStatus.OPEN, Decimal("0.3"), 0)
        assert (first.price, first.reduce_only, first.side) == (60000, True, OrderSide.SELL)
        parts: list[Decimal] = []

        def ended(order: Order) -> bool:
            assert order.quantity == Decimal("0.3")
            parts.append(order.filled)
            return order.status.terminal

        touch = {"bid": Decimal(60001), "ask": Decimal(60002), "bid_size": Decimal("0.1")}
        running.do(lambda: running.venue.set_quote(LINEAR, **touch))
        last = await told(events, ended)
        assert parts == sorted(parts)
        assert Decimal("0.1") in parts
        assert (last.status, last.filled) == (OrderStatus.FILLED, Decimal("0.3"))


async def test_an_order_that_is_withdrawn_is_told_as_cancelled_with_what_had_traded() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await listening(events)
        made = running.do(lambda: running.venue.place_by_hand(resting()))
        await told(events, lambda o: o.status is OrderStatus.OPEN)
        running.do(lambda: running.venue.cancel_by_hand(made.id))
        last = await told(events, lambda o: o.status.terminal)
        assert (last.id, last.status, last.filled) == (uid(made.id), OrderStatus.CANCELLED, 0)


async def test_orders_that_rested_when_the_stream_began_are_told_and_so_is_their_end() -> None:
    async with live(orders=krakenfutures.BOOK["orders"]) as (running, broker), aclosing(broker.stream()) as events:
        stop = await told(events, lambda o: o.type is OrderType.STOP)
        assert (stop.trigger, stop.quantity, stop.status) == (Decimal(38000), Decimal("0.5"), OrderStatus.OPEN)
        running.do(lambda: running.venue.cancel_by_hand("h2"))
        gone = await told(events, lambda o: o.status.terminal)
        assert (gone.id, gone.status) == (stop.id, OrderStatus.CANCELLED)


async def test_a_stream_that_is_hung_up_ends_with_a_reason_and_another_begins_with_a_new_challenge() -> None:
    async with live() as (running, broker):
        async with aclosing(broker.stream()) as events:
            await until(events, lambda e: isinstance(e, QuoteSeen))
            await asyncio.to_thread(running.hang_up)
            with pytest.raises(FlatdeckError):
                await until(events, lambda _: False)
        async with aclosing(broker.stream()) as events:
            running.do(lambda: running.venue.set_quote(LINEAR, bid=Decimal(41000), ask=Decimal(41001)))
            await until(events, bid(41000))
            assert running.stall.streams.challenged == 2


async def test_a_stream_that_says_nothing_any_more_ends_with_a_reason() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        running.stall.streams.mute = True
        with pytest.raises(FlatdeckError, match="silent"):
            await until(events, lambda _: False)


async def test_a_challenge_that_is_not_signed_with_the_key_s_secret_is_no_stream() -> None:
    async with live() as (running, broker):
        running.stall.rest.secret = b"another"
        async with aclosing(broker.stream()) as events:
            with pytest.raises(FlatdeckError, match="authenticated feed"):
                await until(events, lambda _: False)


async def test_a_position_that_was_closed_by_hand_leaves_the_list_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue tells all positions that there are: one that is in its list no more is gone once a read agrees."""
    with Exchange(krakenfutures.KrakenFutures, krakenfutures.BOOK, FastClock(2.0)) as running:
        operator = Operator(tmp_path, running, "krakenfutures", krakenfutures.LOGIN, streams=True)
        for name, value in operator.secrets.items():
            monkeypatch.setenv(name, value)
        async with service(operator.config, running.clock) as engine:
            await soon(lambda: str(engine.snapshot().accounts[0].state) == "live")
            await soon(lambda: len(marks(engine)) == len(krakenfutures.BOOK["positions"]))
            await running.clock.sleep(5)
            began = running.clock.monotonic()
            running.do(lambda: running.venue.trade_by_hand(INVERSE, OrderSide.BUY, Decimal(3000)))
            await soon(lambda: INVERSE not in marks(engine))
            assert running.clock.monotonic() - began < 3
