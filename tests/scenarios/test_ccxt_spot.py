"""Kraken and Coinbase through the command line and real sockets, ending flat on the venue's side."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from brokers.ccxt.broker import CcxtBroker, Options
from brokers.ccxt.settings import ExchangeSettings
from core.errors import OutcomeUnknown, Refused
from core.model import Account, OrderRequest, OrderSide, OrderType
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import coinbase, kraken
from tests.venues.ccxt.accounts import live
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SPEED = 20.0
VENUES: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "kraken": (kraken.Kraken, kraken.BOOK, {"api_key": kraken.KEY, "secret": kraken.SECRET}),
    "coinbase": (coinbase.Coinbase, coinbase.BOOK, {"api_key": coinbase.KEY, "secret": coinbase.SECRET}),
}
PLACE = {"kraken": "AddOrder", "coinbase": "/orders"}


def opened(exchange: str, **book: Any) -> Exchange:
    made, rows, _ = VENUES[exchange]
    return Exchange(made, {**rows, **book}, FastClock(SPEED))


def operator(path: Path, running: Exchange, exchange: str, **more: Any) -> Operator:
    return Operator(path, running, exchange, VENUES[exchange][2], **more)


def at_coinbase(running: Exchange) -> CcxtBroker:
    options = Options(
        settings=ExchangeSettings(exchange="coinbase", endpoint=running.endpoint),
        login={"apiKey": "env:api_key", "secret": "env:secret"},
    )
    account = Account("user_1/a", "user_1", "a", "ccxt:coinbase")
    return CcxtBroker(account, options, running.clock, VENUES["coinbase"][2])


def placed(running: Exchange, exchange: str) -> list[dict[str, Any]]:
    name = PLACE[exchange].rpartition("/")[2]
    return [body for call, body in running.stall.rest.calls if call == name]


@pytest.mark.parametrize("exchange", list(VENUES))
def test_everything_is_flattened_after_its_orders_were_cancelled_one_by_one(tmp_path: Path, exchange: str) -> None:
    with opened(exchange) as running:
        said = operator(tmp_path, running, exchange).document("flatten", "--all", "--yes")
        closes = [r for r in said["results"] if r["kind"] == "close"]
        assert {(r["outcome"], r["tier"]) for r in closes} == {("closed", "market_ioc")}
        assert len(closes) == len(VENUES[exchange][1]["positions"])
        assert running.venue.state.positions == {}
        assert [call for call, _ in running.stall.rest.calls if call == "CancelAll"] == []
        futures = [body for call, body in running.stall.rest.calls if call == "close_position"]
        assert [body["product_id"] for body in futures] == (["BIP-20DEC30-CDE"] if exchange == "coinbase" else [])
        assert len(placed(running, exchange)) + len(futures) == len(closes)


def test_kraken_s_orders_carry_a_short_name_and_a_deadline(tmp_path: Path) -> None:
    with opened("kraken", orders=[]) as running:
        operator(tmp_path, running, "kraken").document("flatten", "--all", "--yes")
        orders = placed(running, "kraken")
    assert {len(order["cl_ord_id"]) for order in orders} == {18}
    assert all("deadline" in order and "reduce_only" not in order for order in orders)


def test_staked_coins_and_money_are_no_positions(tmp_path: Path) -> None:
    with opened("kraken") as running:
        running.stall.rest.staked = {"BTC.M": Decimal("0.3"), "ETH2.S": Decimal(1), "USDT": Decimal(50)}
        made = operator(tmp_path, running, "kraken").document("status")
    assert sorted(p["symbol"] for p in made["positions"]) == ["BTC/USD", "ETH/USD"]


@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken"])
@pytest.mark.parametrize("exchange", list(VENUES))
def test_an_order_whose_answer_is_lost_is_found_and_not_sent_again(tmp_path: Path, exchange: str, do: str) -> None:
    positions = VENUES[exchange][1]["positions"][:1]
    with opened(exchange, orders=[], positions=positions) as running:
        lost = running.mishap("POST", PLACE[exchange], do)
        said = operator(tmp_path, running, exchange).document("flatten", "--all", "--yes")
        assert lost.struck == 1
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(placed(running, exchange)) == 1


@pytest.mark.parametrize("fault", ["partial_fill", "no_fill"])
@pytest.mark.parametrize("exchange", list(VENUES))
def test_what_was_left_of_an_order_whose_answer_is_lost_is_closed_once(
    tmp_path: Path, exchange: str, fault: str
) -> None:
    with opened(exchange, orders=[], positions=VENUES[exchange][1]["positions"][:1]) as running:
        running.do(lambda: running.venue.faults.script(fault))
        running.mishap("POST", PLACE[exchange], "drop")
        said = operator(tmp_path, running, exchange).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        sold = [f.quantity for f in running.venue.state.fills.values() if f.side is OrderSide.SELL]
        assert sum(sold) == Decimal(VENUES[exchange][1]["positions"][0]["quantity"])


def test_kraken_s_deadline_that_elapsed_is_looked_up_and_then_sent_again(tmp_path: Path) -> None:
    with opened("kraken", orders=[], positions=VENUES["kraken"][1]["positions"][:1]) as running:
        running.mishap("POST", "AddOrder", "status", status=200, body='{"error":["EService:Deadline elapsed"]}')
        said = operator(tmp_path, running, "kraken").document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert len(placed(running, "kraken")) == 1


REFUSED = {
    "kraken": {"status": 200, "body": '{"error":["EGeneral:Invalid arguments:volume"]}'},
    "coinbase": {
        "status": 200,
        "body": '{"success":false,"error_response":{"error":"UNKNOWN_FAILURE_REASON","message":'
        '"Too many decimals in order amount","preview_failure_reason":"PREVIEW_INVALID_SIZE_PRECISION"}}',
    },
}


@pytest.mark.parametrize("exchange", list(VENUES))
def test_a_refused_unified_order_is_followed_by_the_raw_call(tmp_path: Path, exchange: str) -> None:
    positions = VENUES[exchange][1]["positions"][:1]
    with opened(exchange, orders=[], positions=positions) as running:
        running.mishap("POST", PLACE[exchange], "status", **REFUSED[exchange])
        said = operator(tmp_path, running, exchange).document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "direct_api")]
        assert running.venue.state.positions == {}
        assert len(placed(running, exchange)) == 1


def test_filters_that_cannot_be_read_before_the_raw_call_are_no_doubt_about_an_order(tmp_path: Path) -> None:
    with opened("coinbase", orders=[], positions=VENUES["coinbase"][1]["positions"][:1]) as running:
        running.mishap("POST", PLACE["coinbase"], "status", **REFUSED["coinbase"])
        running.mishap("GET", "/products/BTC-USD", "drop", times=1)
        said = operator(tmp_path, running, "coinbase").document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "direct_api")]
        assert len(placed(running, "coinbase")) == 1


def test_filters_that_came_late_are_no_reason_to_send_what_was_decided_before_they_were_asked_for(
    tmp_path: Path,
) -> None:
    """An order is looked for until it could not be executed any more, counted from when it was decided on."""
    with opened("coinbase", orders=[], positions=VENUES["coinbase"][1]["positions"][:1]) as running:
        running.mishap("POST", PLACE["coinbase"], "status", **REFUSED["coinbase"])
        late = running.mishap("GET", "/products/BTC-USD", "slow", seconds=0.3)  # six of the clock's
        said = operator(tmp_path, running, "coinbase").document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "market_ioc")]
        assert late.struck == 1
        assert len(placed(running, "coinbase")) == 1


def test_coinbase_s_second_page_of_wallets_is_read(tmp_path: Path) -> None:
    with opened("coinbase") as running:
        running.stall.rest.page = 1
        made = operator(tmp_path, running, "coinbase").document("status")
    assert sorted(p["symbol"] for p in made["positions"]) == ["BTC/USD", "BTC/USD:USD", "ETH/USD"]


def test_every_page_of_coinbase_s_open_orders_is_read_and_cancelled(tmp_path: Path) -> None:
    order = VENUES["coinbase"][1]["orders"][0]
    several = [{**order, "id": f"h{n}", "quantity": "0.01", "price": str(90000 + n)} for n in range(7)]
    with opened("coinbase", orders=several) as running:
        running.stall.rest.page = 3
        said = operator(tmp_path, running, "coinbase").document("cancel-orders", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["cancelled"] * 7
        assert list(running.venue.state.live_orders()) == []


def test_a_coinbase_account_without_futures_is_read_all_the_same(tmp_path: Path) -> None:
    spot = [p for p in VENUES["coinbase"][1]["positions"] if ":" not in p["symbol"]]
    with opened("coinbase", positions=spot) as running:
        running.stall.rest.futures = False
        made = operator(tmp_path, running, "coinbase").document("status")
    assert sorted(p["symbol"] for p in made["positions"]) == ["BTC/USD", "ETH/USD"]


async def test_coinbase_s_futures_that_were_listed_are_not_gone_because_the_list_is_refused() -> None:
    stall, book, login = VENUES["coinbase"]
    async with live("coinbase", stall, book, login) as (running, broker):
        assert "BTC/USD:USD" in {p.symbol for p in (await broker.holdings()).positions}
        running.stall.rest.futures = False
        with pytest.raises(Refused):
            await broker.holdings()


async def test_coinbase_s_futures_are_not_left_without_a_market_by_a_list_of_them_that_failed() -> None:
    """ccxt passes over that failure: they could not have been closed until the markets are loaded again."""
    with opened("coinbase") as running:
        broker = at_coinbase(running)
        try:
            failing = running.mishap("GET", "/products", "status", after=1, status=503)
            with pytest.raises(OutcomeUnknown):
                await broker.connect()
            refused = running.mishap(
                "GET", "/products", "status", after=1, status=403, body='{"error":"PERMISSION_DENIED"}'
            )
            await broker.connect()
            held = await broker.holdings()
        finally:
            await broker.aclose()
    assert (failing.struck, refused.struck) == (1, 1)
    assert "BTC/USD" in {p.symbol for p in held.positions}


async def test_a_part_of_a_coinbase_future_is_closed_and_a_limit_is_never_made_a_market_order() -> None:
    with opened("coinbase") as running:
        broker = at_coinbase(running)
        await broker.connect()
        await broker.holdings()
        part = OrderRequest("user_1/a", "BTC/USD:USD", OrderSide.BUY, Decimal(1), "mine", reduce_only=True)
        await broker.submit(part)
        assert running.held("BTC/USD:USD") == -2
        with pytest.raises(Refused, match="only a market order can be reduce-only"):
            await broker.submit(replace(part, client_id="other", type=OrderType.LIMIT, price=Decimal(70000)))
        assert running.held("BTC/USD:USD") == -2
        await broker.aclose()


def test_keys_that_may_transfer_are_reported(tmp_path: Path) -> None:
    with opened("coinbase") as running:
        running.stall.rest.may_transfer = True
        made = operator(tmp_path, running, "coinbase").call("check")
    assert made.exit_code == 1
    assert "withdraw" in made.stdout
