"""KuCoin Futures' streams through the account: prices and orders are told, and a stream that ends says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import FlatdeckError, Refusal, Refused
from core.events import AccountChanged, BrokerEvent, FillSeen, OrderSeen, QuoteSeen
from core.model import Leg, OrderRequest, OrderSide, OrderStatus, OrderType, TimeInForce
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import accounts, kucoinfutures as kucoin
from tests.venues.ccxt.accounts import Live, until
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.kucoinfutures import BTC, ETH
from tests.venues.ccxt.operators import Operator

HEDGES = pytest.mark.parametrize("rows", [kucoin.BOOK, kucoin.HEDGED], ids=["one-way", "hedge"])


def live(rows: dict[str, Any] = kucoin.BOOK, **book: Any) -> AbstractAsyncContextManager[Live]:
    return accounts.live("kucoinfutures", kucoin.KucoinFutures, {**rows, "orders": [], **book}, kucoin.LOGIN)


def bid(price: int, symbol: str = BTC) -> Callable[[BrokerEvent], bool]:
    return lambda e: isinstance(e, QuoteSeen) and (e.quote.symbol, e.quote.bid) == (symbol, price)


async def heard(running: Exchange, topic: str) -> None:
    """Until somebody is subscribed to it."""
    async with asyncio.timeout(10):
        while not any(topic in topics for topics in running.stall.streams._heard.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@HEDGES
async def test_an_order_and_what_was_executed_of_it_are_told_with_their_position(rows: dict[str, Any]) -> None:
    leg = Leg.LONG if rows is kucoin.HEDGED else Leg.NET
    async with live(rows) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, AccountChanged))
        await heard(running, "/contractMarket/tradeOrders")
        running.do(lambda: running.venue.trade_by_hand(BTC, OrderSide.SELL, Decimal(5), leg))
        found: list[BrokerEvent] = []

        def both(event: BrokerEvent) -> bool:
            if isinstance(event, OrderSeen | FillSeen):
                found.append(event)
            return {type(e) for e in found} == {OrderSeen, FillSeen} and ended(found) is not None

        await until(events, both)
        fill = next(e.fill for e in found if isinstance(e, FillSeen))
        assert (fill.symbol, fill.quantity, fill.price, fill.leg) == (BTC, 5, 50000, leg)
        order = ended(found)
        assert order is not None
        assert (order.order.id, order.order.filled, order.order.leg) == (fill.order_id, 5, leg)


def ended(found: list[BrokerEvent]) -> OrderSeen | None:
    return next((e for e in found if isinstance(e, OrderSeen) and e.order.status is OrderStatus.FILLED), None)


async def test_an_order_that_was_read_as_one_that_only_reduces_is_still_one_when_the_stream_tells_it() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, AccountChanged))
        await heard(running, "/contractMarket/tradeOrders")
        limit = {"type": OrderType.LIMIT, "price": Decimal(60000), "tif": TimeInForce.GTC, "reduce_only": True}
        request = OrderRequest("user_1/a", BTC, OrderSide.SELL, Decimal(100), "mine", **limit)
        made = await broker.submit(request)
        (listed,) = (await broker.holdings()).orders
        assert listed.reduce_only
        running.do(lambda: running.venue.set_quote(BTC, bid=Decimal(60000), ask=Decimal(60001), bid_size=Decimal(40)))
        told = await until(events, lambda e: isinstance(e, OrderSeen) and e.order.filled > 0)
        assert isinstance(told, OrderSeen)
        assert (told.order.id, told.order.reduce_only) == (made.id, True)


async def test_the_address_that_the_venue_tells_is_below_the_configured_one() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, bid(50000))
        streams = running.stall.streams
        await heard(running, "/contractMarket/tickerV2:XBTUSDTM")
        assert {token.partition("-")[0] for token in streams.dialled} == {"private", "public"}
        sockets = list(broker.client.exchange.clients)
        assert all(url.startswith(f"{running.stream_endpoint}/ws-api-futures/?token=") for url in sockets)


async def test_a_stream_that_is_hung_up_ends_with_a_reason_and_another_begins_with_tokens_of_its_own() -> None:
    async with live() as (running, broker):
        async with aclosing(broker.stream()) as events:
            await until(events, bid(50000))
            await heard(running, "/contractMarket/tickerV2:XBTUSDTM")
            await asyncio.to_thread(running.hang_up)
            with pytest.raises(FlatdeckError) as broke:
                await until(events, lambda _: False)
            assert "token" not in str(broke.value)
        streams = running.stall.streams
        streams.expired = set(streams.tokens)
        async with aclosing(broker.stream()) as events:
            await until(events, lambda e: isinstance(e, AccountChanged))
            await heard(running, "/contractMarket/tickerV2:XBTUSDTM")
            running.do(lambda: running.venue.set_quote(BTC, bid=Decimal(41000), ask=Decimal(41001)))
            await until(events, bid(41000))
        assert len(streams.dialled) == len(set(streams.dialled)) == 4


async def test_a_stream_that_was_left_while_it_asked_for_a_token_does_not_spoil_the_next() -> None:
    async with live() as (running, broker):
        running.delay = 0.3
        events = broker.stream()
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await events.aclose()
        running.delay = 0.0
        async with aclosing(broker.stream()) as again:
            await until(again, bid(50000))


async def test_a_stream_that_says_nothing_any_more_ends_with_a_reason() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        await until(events, bid(50000))
        running.stall.streams.mute = True
        with pytest.raises(FlatdeckError, match="silent"):
            await until(events, lambda _: False)


async def test_a_token_that_is_not_given_ends_the_stream_with_the_refusal() -> None:
    async with live() as (running, broker), aclosing(broker.stream()) as events:
        body = '{"code":"400007","msg":"Access Denied--Your api key does not have sufficient permissions"}'
        running.mishap("POST", "bullet-private", "status", status=401, body=body, times=5)
        with pytest.raises(Refused, match="sufficient permissions") as refused:
            await until(events, lambda _: False)
        assert refused.value.refusal is Refusal.AUTH


async def test_prices_of_what_is_opened_by_hand_are_streamed_from_then_on() -> None:
    async with live(positions=kucoin.BOOK["positions"][:1]) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, bid(50000))
        running.do(lambda: running.venue.trade_by_hand(ETH, OrderSide.BUY, Decimal(10)))
        await broker.holdings()
        await until(events, bid(2500, ETH))
        await heard(running, "/contractMarket/tickerV2:ETHUSDTM")
        running.do(lambda: running.venue.set_quote(ETH, bid=Decimal(2600), ask=Decimal(2601)))
        await until(events, bid(2600, ETH))


async def test_more_contracts_than_one_call_takes_are_streamed() -> None:
    symbols = [f"C{n}/USDT:USDT" for n in range(130)]
    prices = {"bid": "1", "ask": "1.1", "last": "1"}
    book = {
        "instruments": [kucoin.contract(symbol, "1") for symbol in symbols],
        "quotes": dict.fromkeys(symbols, prices),
        "positions": [{"symbol": s, "side": "long", "quantity": "1", "entry": "1", "leverage": "2"} for s in symbols],
    }
    async with live(book) as (running, broker), aclosing(broker.stream()) as events:
        await until(events, lambda e: isinstance(e, AccountChanged))
        await heard(running, "/contractMarket/tickerV2:C0USDTM")
        await heard(running, "/contractMarket/tickerV2:C129USDTM")
        running.do(lambda: running.venue.set_quote(symbols[-1], bid=Decimal(2), ask=Decimal(3)))
        await until(events, bid(2, symbols[-1]))


@HEDGES
def test_an_account_is_flattened_over_its_streams(tmp_path: Path, rows: dict[str, Any]) -> None:
    with Exchange(kucoin.KucoinFutures, rows, FastClock(5.0)) as running:
        desk = Operator(tmp_path, running, "kucoinfutures", kucoin.LOGIN, streams=True)
        said = desk.document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed", "cancelled"}
        assert running.venue.state.positions == {}
