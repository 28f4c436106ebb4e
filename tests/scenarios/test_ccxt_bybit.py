"""Bybit through the command line and real sockets: one account of four kinds of markets, orders that are only
acknowledged, position indexes, kinds of conditional orders, lost answers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import OrderSide
from tests.scenarios.bybit_desk import PLACE, SWAP, asked, closing, connected, opened, operator, sent
from tests.venues.ccxt import bybit

LONG = bybit.BOOK["positions"][:1]
COIN = bybit.BOOK["positions"][3:]
WAYS = {"drop", "empty", "page", "broken"}


def test_keys_that_may_withdraw_are_reported(tmp_path: Path) -> None:
    with opened() as running:
        running.stall.rest.wallet_rights = ["AccountTransfer", "Withdraw"]
        made = operator(tmp_path, running).call("check")
    assert made.exit_code == 1
    assert "withdraw" in made.stdout


async def test_every_kind_of_market_is_read_with_its_orders_and_what_the_account_is_worth() -> None:
    with opened() as running:
        async with connected(running) as broker:
            read = await broker.holdings()
            held = {p.symbol: (p.quantity, p.free, p.leverage) for p in read.positions}
            assert held == {
                SWAP: (Decimal("0.5"), Decimal("0.5"), 5),
                "ETH/USDC:USDC": (Decimal("3.05"), Decimal("3.05"), 25),
                "XRP/USD:XRP": (700, 700, 3),
                "SOL/USDT": (Decimal("12.5"), 5, 1),
            }
            assert sorted((o.symbol, o.type.value, o.trigger) for o in read.orders) == [
                (SWAP, "limit", None),
                (SWAP, "stop", 38000),
                ("SOL/USDT", "limit", None),
                ("SOL/USDT", "stop", 90),
                ("XRP/USD:XRP", "limit", None),
            ]
            assert {p.symbol: p.entry for p in read.positions}["SOL/USDT"] == 120
            assert read.equity == 10_000 + Decimal("12.5") * 150


@pytest.mark.parametrize("rows", [bybit.BOOK, bybit.HEDGED], ids=["one-way", "hedge"])
def test_everything_is_flattened_each_order_bound_to_its_position(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows) as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        closed = {(r["outcome"], r["tier"]) for r in said["results"] if r["kind"] == "close"}
        assert closed == {("closed", "market_ioc")}
        assert running.venue.state.positions == {}
        orders = sent(running)
        assert len(orders) == len(rows["positions"])
        assert all(o["reduceOnly"] is True for o in orders if o["category"] != "spot")
        assert {o["marketUnit"] for o in orders if o["category"] == "spot"} == {"baseCoin"}
        indexes = sorted(o.get("positionIdx", 0) for o in orders if o["symbol"] == "BTCUSDT")
        assert indexes == ([1, 2] if rows is bybit.HEDGED else [0])


def test_every_open_order_is_cancelled_a_coin_s_conditional_one_by_its_kind(tmp_path: Path) -> None:
    with opened() as running:
        said = operator(tmp_path, running).document("cancel-orders", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["cancelled"] * 5
        assert list(running.venue.state.live_orders()) == []
        of_coins = [c["orderFilter"] for c in sent(running, "/order/cancel") if c["category"] == "spot"]
        assert sorted(of_coins) == ["Order", "tpslOrder"]


async def test_an_inverse_contract_is_one_dollar_whatever_the_least_order_is() -> None:
    rows = [{**row, "min_quantity": "10"} if "USD:" in row["symbol"] else row for row in bybit.BOOK["instruments"]]
    with opened(instruments=rows) as running:
        async with connected(running) as broker:
            (rules,) = (i for i in (await broker.holdings()).instruments if i.symbol == "XRP/USD:XRP")
            assert (rules.min_quantity, rules.multiplier, rules.quote) == (10, 1, "1/XRP")


async def test_lists_are_read_to_their_last_page() -> None:
    resting = {"symbol": "XRP/USD:XRP", "side": "sell", "quantity": "1", "price": "3", "reduce_only": True}
    with opened(orders=[{**resting, "id": f"n{n}"} for n in range(57)]) as running:
        running.stall.rest.page = 5
        async with connected(running) as broker:
            assert len((await broker.holdings()).orders) == 57
        running.stall.rest.page = 1000
        running.stall.rest.cursors = False
        async with connected(running) as broker:
            with pytest.raises(OutcomeUnknown, match="does not end"):
                await broker.holdings()


async def test_a_cursor_that_leads_nowhere_ends_a_list_that_is_not_full() -> None:
    with opened() as running:
        running.stall.rest.cursors = False
        async with connected(running) as broker:
            read = await broker.holdings()
            assert (len(read.positions), len(read.orders)) == (4, 5)


# ------------------------------------------------------------------------------------------------- what an answer hides


@pytest.mark.parametrize("do", sorted(WAYS))
@pytest.mark.parametrize("rows", [LONG, COIN], ids=["contract", "coin"])
def test_an_order_whose_answer_is_lost_is_found_by_its_name_and_not_sent_again(
    tmp_path: Path, do: str, rows: list[Any]
) -> None:
    with opened(orders=[], positions=rows) as running:
        lost = running.mishap("POST", PLACE, do)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert lost.struck == 1
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        (order,) = sent(running)
        by_name = [given for given in asked(running, "/order/realtime") if "orderLinkId" in given]
        assert {given["orderLinkId"] for given in by_name} == {order["orderLinkId"]}
        assert all("orderId" not in given for given in by_name)


def test_after_a_restart_of_the_service_what_has_ended_is_found_in_the_history(tmp_path: Path) -> None:
    with opened(orders=[], positions=COIN) as running:
        running.stall.rest.forgetful = True
        running.mishap("POST", PLACE, "drop")
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert len(sent(running)) == 1
        assert asked(running, "/order/history") != []


def test_an_order_that_the_exchange_does_not_know_of_is_sent_again_once_its_signature_is_worth_nothing(
    tmp_path: Path,
) -> None:
    with opened(orders=[], positions=LONG) as running:
        body = '{"retCode":10000,"retMsg":"Server Timeout","result":{},"retExtInfo":{},"time":1}'
        running.mishap("POST", PLACE, "status", status=200, body=body)
        began = running.clock.monotonic()
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.clock.monotonic() - began > 5
        assert len(sent(running)) == 1


@pytest.mark.parametrize("code", [10000, 10016, 170007])
@pytest.mark.parametrize("rows", [LONG, COIN], ids=["contract", "coin"])
def test_an_order_that_was_taken_by_an_exchange_that_says_it_failed_is_found(
    tmp_path: Path, rows: list[Any], code: int
) -> None:
    with opened(orders=[], positions=rows) as running:
        running.stall.rest.lies = [code]
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 1


def test_an_order_that_is_in_no_list_yet_is_not_sent_again(tmp_path: Path) -> None:
    """Placing is asynchronous there: what is placed is told some time later."""
    with opened(orders=[], positions=COIN) as running:
        running.mishap("POST", PLACE, "drop")
        running.venue.faults.script("lookup_not_found_at_first", times=1000)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert len(sent(running)) == 1


@pytest.mark.parametrize(
    "path", ["order/realtime", "order/history", "position/list", "execution/list", "wallet-balance"]
)
@pytest.mark.parametrize("rows", [LONG, COIN], ids=["contract", "coin"])
def test_a_lost_answer_and_questions_that_fail_after_it_sell_nothing_twice(
    tmp_path: Path, rows: list[Any], path: str
) -> None:
    with opened(orders=[], positions=rows) as running:
        lost = running.mishap("POST", PLACE, "drop")
        running.mishap("GET", path, "status", times=2, after=2 if path.startswith(("position", "wallet")) else 0)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert lost.struck == 1
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert len(sent(running)) == 1


@pytest.mark.parametrize("fault", ["cancel_lag", "cancel_fill_race"])
def test_a_cancel_that_is_only_acknowledged_is_no_cancel_until_the_order_has_ended(tmp_path: Path, fault: str) -> None:
    with opened(positions=COIN, orders=bybit.BOOK["orders"][2:3]) as running:
        running.venue.faults.script(fault)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert "stuck" not in {r["outcome"] for r in said["results"]}
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []


def test_an_answer_without_an_id_is_looked_up(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG) as running:
        body = '{"retCode":0,"retMsg":"OK","result":{},"retExtInfo":{},"time":1}'
        running.mishap("POST", PLACE, "status", status=200, body=body)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert [g for g in asked(running, "/order/realtime") if "orderLinkId" in g] != []


@pytest.mark.parametrize("rows", [LONG, COIN], ids=["contract", "coin"])
@pytest.mark.parametrize("streams", [False, True], ids=["polled", "streamed"])
def test_an_order_that_is_refused_after_it_was_acknowledged_is_followed_by_the_next_way(
    tmp_path: Path, rows: list[Any], streams: bool
) -> None:
    with opened(orders=[], positions=rows) as running:
        running.stall.rest.refuse_later = ["EC_ReachMaxTradeNum"]
        said = operator(tmp_path, running, streams=streams).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 2


def test_orders_that_are_all_refused_after_they_were_acknowledged_are_no_close(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG) as running:
        running.stall.rest.refuse_later = ["EC_ReachMaxTradeNum"] * 100
        desk = operator(tmp_path, running, rules="[ladder]\ntotal_timeout = 30")
        said = desk.call("flatten", "--all", "--yes", "--json")
        assert said.exit_code != 0
        assert '"closed"' not in said.stdout
        assert running.held(SWAP) == Decimal("0.5")


@pytest.mark.parametrize("fault", ["no_fill", "partial_fill"])
@pytest.mark.parametrize("rows", [LONG, COIN], ids=["contract", "coin"])
def test_a_market_order_that_ended_at_its_slippage_band_is_followed_by_another(
    tmp_path: Path, rows: list[Any], fault: str
) -> None:
    with opened(orders=[], positions=rows) as running:
        running.venue.faults.script(fault)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 2
        assert sum(Decimal(o["qty"]) for o in sent(running)) >= Decimal(rows[0]["quantity"])


def test_nothing_to_reduce_means_that_the_position_is_read_again(tmp_path: Path) -> None:
    body = '{"retCode":110017,"retMsg":"current position is zero, cannot fix reduce-only order qty","result":{}}'
    with opened(orders=[], positions=LONG) as running:
        running.mishap("POST", PLACE, "status", status=200, body=body)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        calls = [call for call, _ in running.stall.rest.calls]
        before = calls[: calls.index("POST /order/create")]
        assert before.count("GET /position/list") > 3


@pytest.mark.parametrize(
    ("code", "refusal"), [(10006, Refusal.RATE_LIMITED), (10002, Refusal.CLOCK), (170131, Refusal.HELD)]
)
async def test_a_refusal_has_the_exchange_s_code(code: int, refusal: Refusal) -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            await broker.holdings()
            body = f'{{"retCode":{code},"retMsg":"no","result":{{}}}}'
            running.mishap("POST", PLACE, "status", status=200, body=body)
            with pytest.raises(Refused) as refused:
                await broker.submit(closing())
            assert (refused.value.refusal, refused.value.code) == (refusal, str(code))
            assert running.held(SWAP) == Decimal("0.5")


async def test_an_address_that_asked_too_often_is_banned_for_minutes() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            running.mishap("GET", "/position/list", "status", status=403, body="403, access too frequent")
            with pytest.raises(Refused) as refused:
                await broker.holdings()
            assert refused.value.refusal is Refusal.BANNED
            with pytest.raises(Refused, match="access too frequent"):
                await broker.submit(closing())
            assert sent(running) == []


def test_more_closes_than_a_second_allows_leave_in_the_next_ones(tmp_path: Path) -> None:
    names = [f"C{n}/USDT:USDT" for n in range(24)]
    rows = {
        "instruments": [bybit.swap(name) for name in names],
        "quotes": {name: {"bid": "100", "ask": "100.1", "last": "100"} for name in names},
        "positions": [{"symbol": name, "side": "long", "quantity": "1", "entry": "90"} for name in names],
    }
    with opened(rows) as running:
        running.stall.rest.per_second = 10
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"] * 24
        assert running.venue.state.positions == {}
        assert len(sent(running)) > 24  # some were refused
        times = [taken.at for taken in running.venue.requests]
        assert max(times) - min(times) < 10  # with the usual pause it is more


def test_what_is_not_listed_is_said(tmp_path: Path) -> None:
    with opened(speed=1.0) as running:  # the check compares clocks
        made = operator(tmp_path, running).call("check")
    assert made.exit_code == 0, made.output
    assert "options" in made.output


@pytest.mark.parametrize(("symbol", "code"), [(SWAP, "110072"), ("SOL/USDT", "170141")])
async def test_a_name_is_taken_once(symbol: str, code: str) -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            await broker.holdings()
            await broker.submit(closing(symbol, "0.1"))
            with pytest.raises(Refused) as refused:
                await broker.submit(closing(symbol, "0.1"))
            assert (refused.value.refusal, refused.value.code) == (Refusal.DUPLICATE, code)


async def test_a_signature_that_is_late_places_nothing() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            await broker.holdings()
            running.mishap("POST", PLACE, "late", seconds=1.5)  # of this machine, five times as many there
            with pytest.raises(Refused) as refused:
                await broker.submit(closing())
            assert refused.value.refusal is Refusal.CLOCK
            assert running.held(SWAP) == Decimal("0.5")


async def test_every_execution_is_read_when_there_are_more_than_a_page() -> None:
    with opened(orders=[], positions=LONG) as running:
        async with connected(running) as broker:
            since = running.clock.now() - timedelta(seconds=1)
            await broker.holdings()
            for nth in range(130):
                running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal("0.001")))
                if nth % 30 == 0:
                    await running.clock.sleep(0.05)
            fills = await broker.fills(SWAP, since)
            assert sum((fill.quantity for fill in fills), Decimal(0)) == Decimal("0.130")
