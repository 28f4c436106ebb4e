"""Bybit's streams through the account: prices, orders and positions are told, and a stream that ends says so."""

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
from core.model import Leg, OrderRequest, OrderSide, OrderStatus, PositionKey
from core.plans.request import PlanRequest
from tests.support.service import service, soon
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import accounts, bybit
from tests.venues.ccxt.accounts import Live, until
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SWAP = "BTC/USDT:USDT"


def live(rows: dict[str, Any] = bybit.BOOK) -> AbstractAsyncContextManager[Live]:
    return accounts.live("bybit", bybit.Bybit, {**rows, "orders": []}, bybit.LOGIN)


def touch(symbol: str, bid: int, ask: int) -> Callable[[BrokerEvent], bool]:
    wanted = (symbol, bid, ask)
    return lambda e: isinstance(e, QuoteSeen) and (e.quote.symbol, e.quote.bid, e.quote.ask) == wanted


async def subscribed(running: Exchange) -> None:
    """Once the private topics are, nothing that happens is missed."""
    async with asyncio.timeout(10):
        while not running.stall.streams.subscribed:  # noqa: ASYNC110  # the venue is a thread with a loop of its own
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("symbol", [SWAP, "ETH/USDC:USDC", "XRP/USD:XRP", "SOL/USDT"])
async def test_a_price_of_each_kind_of_market_is_told_by_its_stream(symbol: str) -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen) and e.quote.symbol == symbol)
        before = len(running.stall.rest.asked)
        running.do(lambda: running.venue.set_quote(symbol, bid=Decimal(700)))
        running.do(lambda: running.venue.set_quote(symbol, ask=Decimal(701)))
        await until(events, touch(symbol, 700, 701))
        assert [call for call in running.stall.rest.asked[before:] if "tickers" in call] == []


async def test_the_prices_of_many_coins_are_told() -> None:
    names = [f"C{n}/USDT" for n in range(23)]
    rows = {
        "instruments": [bybit.spot(name) for name in names],
        "quotes": {name: {"bid": "100", "ask": "101", "last": "100"} for name in names},
        "positions": [{"symbol": name, "side": "long", "quantity": "1", "entry": "90"} for name in names],
    }
    async with live(rows) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        await running.clock.sleep(1)
        before = len(running.stall.rest.asked)
        running.do(lambda: [running.venue.set_quote(n, bid=Decimal(700), ask=Decimal(701)) for n in names])
        left = set(names)

        def told(event: BrokerEvent) -> bool:
            if isinstance(event, QuoteSeen) and event.quote.bid == 700:
                left.discard(event.quote.symbol)
            return not left

        await until(events, told)
        assert [call for call in running.stall.rest.asked[before:] if "tickers" in call] == []


@pytest.mark.parametrize("rows", [bybit.BOOK, bybit.HEDGED], ids=["one-way", "hedge"])
async def test_a_position_that_was_closed_by_hand_is_told(rows: dict[str, Any]) -> None:
    leg = Leg.LONG if rows is bybit.HEDGED else Leg.NET
    key = PositionKey("user_1/a", SWAP, leg)
    async with live(rows) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        await subscribed(running)
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal("0.2"), leg))
        told = await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key)
        assert isinstance(told, PositionSeen)
        assert told.position is not None
        assert (told.position.quantity, told.position.entry) == (Decimal("0.3"), 40000)
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal("0.3"), leg))
        await until(events, lambda e: isinstance(e, PositionSeen) and e.key == key and e.position is None)


@pytest.mark.parametrize(("symbol", "quantity"), [(SWAP, "0.5"), ("XRP/USD:XRP", "700"), ("SOL/USDT", "12.5")])
async def test_an_order_and_what_was_executed_of_it_are_told_by_our_name(symbol: str, quantity: str) -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        await subscribed(running)
        bound = ":" in symbol
        await broker.submit(
            OrderRequest("user_1/a", symbol, OrderSide.SELL, Decimal(quantity), "mine", reduce_only=bound)
        )
        found: list[BrokerEvent] = []

        def both(event: BrokerEvent) -> bool:
            found.append(event)
            orders = [e.order for e in found if isinstance(e, OrderSeen) and e.order.status is OrderStatus.FILLED]
            return bool(orders) and any(isinstance(e, FillSeen) for e in found)

        await until(events, both)
        fill = next(e.fill for e in found if isinstance(e, FillSeen))
        assert (fill.symbol, fill.quantity, fill.client_id) == (symbol, Decimal(quantity), "mine")
        order = next(e.order for e in found if isinstance(e, OrderSeen))
        assert (order.symbol, order.client_id, order.reduce_only) == (symbol, "mine", bound)


async def test_an_order_that_is_refused_after_it_was_acknowledged_is_told_with_the_reason() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        await subscribed(running)
        running.stall.rest.refuse_later = ["EC_ReachMaxTradeNum"]
        made = await broker.submit(
            OrderRequest("user_1/a", SWAP, OrderSide.SELL, Decimal("0.5"), "mine", reduce_only=True)
        )
        assert made.status is OrderStatus.OPEN
        told = await until(events, lambda e: isinstance(e, OrderSeen))
        assert isinstance(told, OrderSeen)
        assert (told.order.id, told.order.status, told.order.text) == (
            made.id,
            OrderStatus.REJECTED,
            "EC_ReachMaxTradeNum",
        )


async def test_a_stream_that_is_hung_up_ends_with_a_reason_and_another_begins() -> None:
    async with live() as (running, broker):
        async with aclosing(broker.stream()) as events:
            await until(events, lambda e: isinstance(e, QuoteSeen))
            await subscribed(running)
            await asyncio.to_thread(running.hang_up)
            with pytest.raises(FlatdeckError):
                await until(events, lambda _: False)
        async with aclosing(broker.stream()) as events:
            running.do(lambda: running.venue.set_quote(SWAP, bid=Decimal(41000), ask=Decimal(41001)))
            await until(events, touch(SWAP, 41000, 41001))
            assert running.stall.streams.logins == 2


async def test_a_stream_that_says_nothing_any_more_ends_with_a_reason() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        running.stall.streams.mute = True
        with pytest.raises(FlatdeckError, match="silent"):
            await until(events, lambda _: False)


@pytest.mark.parametrize("rows", [bybit.BOOK, bybit.HEDGED], ids=["one-way", "hedge"])
def test_an_account_is_flattened_over_its_streams(tmp_path: Path, rows: dict[str, Any]) -> None:
    with Exchange(bybit.Bybit, rows, FastClock(5.0)) as running:
        desk = Operator(tmp_path, running, "bybit", bybit.LOGIN, streams=True)
        said = desk.document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed", "cancelled"}
        assert running.venue.state.positions == {}


@pytest.mark.parametrize("rows", [bybit.BOOK, bybit.HEDGED], ids=["one-way", "hedge"])
async def test_a_stop_rests_behind_every_position_and_yields_to_a_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: dict[str, Any]
) -> None:
    with Exchange(bybit.Bybit, {**rows, "orders": []}, FastClock(5.0)) as running:
        rules = "[protect]\nenabled = true"
        desk = Operator(tmp_path, running, "bybit", bybit.LOGIN, streams=True, rules=rules)
        for name, value in desk.secrets.items():
            monkeypatch.setenv(name, value)

        def resting() -> set[tuple[str, Leg]]:
            return {(t.order.symbol, t.order.leg) for t in list(running.venue.state.live_orders())}

        async with service(desk.config, running.clock) as engine:
            await soon(lambda: resting() == set(running.venue.state.positions))
            gone = next(p for p in running.venue.state.positions.values() if p.symbol == SWAP)
            running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, gone.quantity, gone.leg))
            await soon(lambda: gone.key not in {p.key for p in engine.snapshot().positions})
            await soon(lambda: resting() == set(running.venue.state.positions))
            plan = await engine.prepare(PlanRequest("flatten", everything=True))
            report = await engine.execute(plan.id, plan.digest)
            assert {r.outcome for r in report.results} <= {"closed", "cancelled"}
        assert running.venue.state.positions == {}
        assert resting() == set()


@pytest.mark.parametrize("rows", [bybit.BOOK, bybit.HEDGED], ids=["one-way", "hedge"])
async def test_positions_that_end_at_once_are_all_told(rows: dict[str, Any]) -> None:
    async with live(rows) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, QuoteSeen))
        await subscribed(running)
        held = [p for p in running.venue.state.positions.values() if ":" in p.symbol]
        left = {PositionKey("user_1/a", p.symbol, p.leg) for p in held}

        def close() -> None:
            for p in held:
                running.venue.trade_by_hand(p.symbol, p.side.closing, p.quantity, p.leg)

        def told(event: BrokerEvent) -> bool:
            if isinstance(event, PositionSeen) and event.position is None:
                left.discard(event.key)
            return not left

        running.do(close)
        await until(events, told)
