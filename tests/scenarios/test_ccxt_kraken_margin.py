"""Kraken's margin positions: closed as what they are, and never the balance of the same pair in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import Refusal, Refused
from core.events import FillSeen, OrderSeen, QuoteSeen
from core.model import OrderRequest, OrderSide, OrderType
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import kraken
from tests.venues.ccxt.accounts import Live, live, until
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

LOGIN = {"api_key": kraken.KEY, "secret": kraken.SECRET}
BTC, ETH = "BTC/USD:margin", "ETH/USD:margin"
LONG = {"symbol": BTC, "side": "long", "quantity": "1.25", "entry": "45000"}
SHORT = {"symbol": ETH, "side": "short", "quantity": "3", "entry": "2400"}
BALANCE = kraken.BOOK["positions"][0]
ORDER = {"id": "h8", "symbol": BTC, "side": "sell", "quantity": "1.25", "price": "70000", "reduce_only": True}
RAW_ONLY = {"status": 200, "body": '{"error":["EGeneral:Invalid arguments:volume"]}'}


def book(*positions: dict[str, Any], orders: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    quotes, rows = kraken.BOOK["quotes"], kraken.BOOK["instruments"]
    return {
        "instruments": [*rows, kraken.margin("BTC/USD"), kraken.margin("ETH/USD", tick="0.01")],
        "quotes": {**quotes, BTC: quotes["BTC/USD"], ETH: quotes["ETH/USD"]},
        "positions": list(positions),
        "orders": list(orders),
    }


def opened(*positions: dict[str, Any], orders: tuple[dict[str, Any], ...] = ()) -> Exchange:
    return Exchange(kraken.Kraken, book(*positions, orders=orders), FastClock(20.0))


def operator(path: Path, running: Exchange) -> Operator:
    return Operator(path, running, "kraken", LOGIN)


def placed(running: Exchange) -> list[dict[str, Any]]:
    return [body for call, body in running.stall.rest.calls if call == "AddOrder"]


def test_a_margin_position_is_closed_and_the_balance_of_its_pair_stays(tmp_path: Path) -> None:
    with opened(LONG, BALANCE, orders=(ORDER, kraken.BOOK["orders"][0])) as running:
        desk = operator(tmp_path, running)
        shown = {p["symbol"]: p for p in desk.document("status")["positions"]}
        assert {s: (p["quantity"], p["entry"]) for s, p in shown.items()} == {
            "BTC/USD": ("0.5", "40000"),
            BTC: ("1.25", "45000"),
        }
        said = desk.document("flatten", "--symbol", BTC, "--yes")
        assert {(r["symbol"], r["outcome"]) for r in said["results"]} == {(BTC, "cancelled"), (BTC, "closed")}
        assert [(o["type"], o["volume"], o["leverage"], o["reduce_only"]) for o in placed(running)] == [
            ("sell", "1.25", "2", "true")
        ]
        assert (running.held(BTC), running.held("BTC/USD")) == (0, Decimal("0.5"))
        assert [t.order.symbol for t in running.venue.state.live_orders()] == ["BTC/USD"]


def test_everything_on_margin_and_off_it_is_flattened_each_in_its_own_way(tmp_path: Path) -> None:
    with opened(LONG, SHORT, *kraken.BOOK["positions"]) as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert {(r["outcome"], r["tier"]) for r in said["results"]} == {("closed", "market_ioc")}
        assert sorted((o["pair"], o["type"], o.get("reduce_only", "")) for o in placed(running)) == [
            ("XETHZUSD", "buy", "true"),
            ("XETHZUSD", "sell", ""),
            ("XXBTZUSD", "sell", ""),
            ("XXBTZUSD", "sell", "true"),
        ]
        assert running.venue.state.positions == {}


@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken", "never"])
@pytest.mark.parametrize("position", [LONG, SHORT], ids=["long", "short"])
def test_an_order_whose_answer_is_lost_closes_once(tmp_path: Path, position: dict[str, Any], do: str) -> None:
    with opened(position, BALANCE) as running:
        running.mishap("POST", "AddOrder", do)
        said = operator(tmp_path, running).document("flatten", "--symbol", position["symbol"], "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert len(placed(running)) == 1
        assert running.held("BTC/USD") == Decimal("0.5")


def test_the_raw_call_says_that_it_is_on_margin_too(tmp_path: Path) -> None:
    with opened(LONG, BALANCE) as running:
        running.mishap("POST", "AddOrder", "status", **RAW_ONLY)
        said = operator(tmp_path, running).document("flatten", "--symbol", BTC, "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "direct_api")]
        assert [(o["leverage"], o["reduce_only"]) for o in placed(running)] == [("2", "true")]
        assert running.held("BTC/USD") == Decimal("0.5")


@pytest.fixture
async def account() -> AsyncIterator[Live]:
    async with live("kraken", kraken.Kraken, book(LONG, BALANCE, orders=(ORDER,)), LOGIN) as made:
        yield made


async def test_orders_fills_and_prices_of_the_stream_are_told_of_what_they_belong_to(account: Live) -> None:
    running, broker = account
    async with aclosing(broker.stream()) as events:
        quote = await until(events, lambda e: isinstance(e, QuoteSeen) and e.quote.symbol == BTC)
        assert isinstance(quote, QuoteSeen)
        assert quote.quote.bid == 50000
        [resting] = (await broker.holdings()).orders
        running.do(lambda: running.venue.set_quote(BTC, bid=Decimal(70001), ask=Decimal(70002), last=Decimal(70001)))
        heard: list[FillSeen | OrderSeen] = []
        while len(heard) < 2:
            told = await until(events, lambda e: isinstance(e, FillSeen | OrderSeen))
            assert isinstance(told, FillSeen | OrderSeen)
            if isinstance(told, FillSeen) or told.order.status.terminal:
                heard.append(told)
        assert {e.fill.symbol if isinstance(e, FillSeen) else e.order.symbol for e in heard} == {BTC}
        assert {e.fill.order_id if isinstance(e, FillSeen) else e.order.id for e in heard} == {resting.id}


async def test_a_stop_rests_on_margin_and_only_reduces(account: Live) -> None:
    running, broker = account
    stop = OrderRequest(
        "user_1/a", BTC, OrderSide.SELL, Decimal(1), "stop1", OrderType.STOP, trigger=Decimal(40000), reduce_only=True
    )
    made = await broker.submit(stop)
    [sent] = placed(running)
    assert (sent["ordertype"], sent["price"], sent["reduce_only"], sent["leverage"]) == (
        "stop-loss",
        "40000",
        "true",
        "2",
    )
    read = await broker.holdings()
    assert {o.id: o.symbol for o in read.orders}[made.id] == BTC
    assert [p.free for p in read.positions if p.symbol == "BTC/USD"] == [Decimal("0.5")], "it holds no balance"


async def test_executions_of_a_pair_are_told_apart(account: Live) -> None:
    running, broker = account
    running.do(lambda: running.venue.trade_by_hand(BTC, OrderSide.SELL, Decimal("0.25")))
    running.do(lambda: running.venue.trade_by_hand("BTC/USD", OrderSide.SELL, Decimal("0.1")))
    since = running.clock.now() - timedelta(minutes=5)
    for symbol, quantity in ((BTC, "0.25"), ("BTC/USD", "0.1")):
        assert [f.quantity for f in await broker.fills(symbol, since)] == [Decimal(quantity)], symbol


async def test_a_position_that_is_gone_when_its_order_arrives_is_not_opened_the_other_way_round(account: Live) -> None:
    running, broker = account
    running.do(lambda: running.venue.trade_by_hand(BTC, OrderSide.SELL, Decimal("1.25")))
    with pytest.raises(Refused) as refused:
        await broker.submit(OrderRequest("user_1/a", BTC, OrderSide.SELL, Decimal("1.25"), "mine", reduce_only=True))
    assert refused.value.refusal is Refusal.REDUCE_ONLY
    assert (running.held(BTC), running.held("BTC/USD")) == (0, Decimal("0.5"))
