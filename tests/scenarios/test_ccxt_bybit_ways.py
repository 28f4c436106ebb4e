"""The ways to close at Bybit: stops that rest there, its raw call by its own limits, a limit beyond the touch."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.model import Leg, OrderRequest, OrderSide, OrderStatus, OrderType
from tests.scenarios.bybit_desk import SWAP, closing, connected, opened, operator, sent
from tests.venues.ccxt import bybit

LONG = bybit.BOOK["positions"][:1]


@pytest.mark.parametrize("rows", [bybit.BOOK, bybit.HEDGED], ids=["one-way", "hedge"])
async def test_a_stop_rests_can_only_close_and_is_found_by_its_name_and_cancelled(rows: dict[str, Any]) -> None:
    leg = Leg.LONG if rows is bybit.HEDGED else Leg.NET
    with opened(rows, orders=[]) as running:
        async with connected(running) as broker:
            await broker.holdings()
            made = await broker.submit(closing(type=OrderType.STOP, trigger=Decimal(39000), leg=leg))
            (row,) = sent(running)
            assert (row["orderType"], row["triggerPrice"], row["triggerDirection"]) == ("Market", "39000", 2)
            assert (row["reduceOnly"], row.get("positionIdx", 0)) == (True, 1 if leg is Leg.LONG else 0)
            found = await broker.find_order(SWAP, client_id="mine")
            assert found is not None
            assert (found.id, found.type, found.status) == (made.id, OrderType.STOP, OrderStatus.OPEN)
            (listed,) = (await broker.holdings()).orders
            assert (listed.client_id, listed.trigger, listed.reduce_only) == ("mine", Decimal(39000), True)
            assert listed.leg is leg
            await broker.cancel(listed)
            assert (await broker.holdings()).orders == ()


async def test_a_stop_of_a_short_waits_for_the_price_to_rise_and_has_its_id_when_it_is_executed() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            await broker.holdings()
            symbol = "ETH/USDC:USDC"
            stop = OrderRequest(
                *("user_1/a", symbol, OrderSide.BUY, Decimal("3.05"), "mine"),
                type=OrderType.STOP,
                trigger=Decimal(2600),
                reduce_only=True,
            )
            made = await broker.submit(stop)
            assert sent(running)[0]["triggerDirection"] == 1
            risen = dict.fromkeys(("bid", "ask", "last"), Decimal(2610))
            running.do(lambda: running.venue.set_quote(symbol, **risen))
            await running.clock.sleep(3)
            found = await broker.find_order(symbol, order_id=made.id)
            assert found is not None
            assert (found.status, found.filled) == (OrderStatus.FILLED, Decimal("3.05"))


async def test_a_stop_of_a_coin_sells_coins_that_are_there_and_is_cancelled_by_its_kind() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            await broker.holdings()
            await broker.submit(closing("SOL/USDT", "12.5", type=OrderType.STOP, trigger=Decimal(100)))
            (row,) = sent(running)
            assert (row["category"], row["orderFilter"], row["marketUnit"]) == ("spot", "tpslOrder", "baseCoin")
            assert "isLeverage" not in row  # with it coins would be borrowed
            (listed,) = (await broker.holdings()).orders
            assert (listed.symbol, listed.client_id, listed.type) == ("SOL/USDT", "mine", OrderType.STOP)
            await broker.cancel(listed)
            assert [c["orderFilter"] for c in sent(running, "/order/cancel")] == ["tpslOrder"]
            assert (await broker.holdings()).orders == ()


@pytest.mark.parametrize("symbol", [SWAP, "SOL/USDT"])
async def test_an_order_is_one_request(symbol: str) -> None:
    """Nothing that could fail is asked in front of it, whether or not the account was read before."""
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            await broker.submit(closing(symbol))
            assert [call for call, _ in running.stall.rest.calls] == ["POST /order/create"]


def limited(most: str) -> list[dict[str, Any]]:
    """The book's instruments, of which one market order may have at most that many."""
    return [{**row, "max_market": most} for row in bybit.BOOK["instruments"]]


@pytest.mark.parametrize(
    ("rows", "symbol"),
    [(bybit.BOOK, SWAP), (bybit.HEDGED, SWAP), (bybit.BOOK, "SOL/USDT"), (bybit.BOOK, "XRP/USD:XRP")],
    ids=["one-way", "hedge", "coin", "inverse"],
)
async def test_the_raw_call_closes_by_the_exchange_s_own_limit_of_a_market_order(
    rows: dict[str, Any], symbol: str
) -> None:
    leg = Leg.LONG if rows is bybit.HEDGED else Leg.NET
    step = "1" if symbol == "XRP/USD:XRP" else "0.3"
    with opened(rows, orders=[], instruments=limited(step)) as running:
        async with connected(running) as broker:
            await broker.holdings()
            before = running.venue.state.positions[symbol, leg].quantity
            made = await broker.submit_direct(closing(symbol, str(before), leg=leg))
            (row,) = sent(running)
            assert (row["orderType"], row["qty"], row["orderLinkId"]) == ("Market", step, "mine")
            assert row.get("reduceOnly", False) is (":" in symbol)
            assert running.venue.state.positions[symbol, leg].quantity == before - Decimal(step)
            assert made.quantity == Decimal(step)


def test_a_close_larger_than_a_market_order_may_be_leaves_in_parts(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG, instruments=limited("0.2")) as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert [o["qty"] for o in sent(running)] == ["0.2", "0.2", "0.1"]


@pytest.mark.parametrize("rows", [bybit.BOOK, bybit.HEDGED], ids=["one-way", "hedge"])
def test_a_limit_beyond_the_touch_closes_where_no_market_order_is_taken(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows, orders=[]) as running:
        desk = operator(tmp_path, running, rules='[ladder.tiers]\n"ccxt:bybit" = ["limit_aggressive"]')
        said = desk.document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed"}
        assert {o["orderType"] for o in sent(running)} == {"Limit"}
        assert running.venue.state.positions == {}


def test_what_the_unified_call_rounds_too_finely_closes_by_the_raw_call_and_the_step_as_it_is_now(
    tmp_path: Path,
) -> None:
    """Bybit's step has grown since the markets were loaded."""
    with opened(orders=[], positions=LONG) as running:
        running.venue.faults.script("limits_changed")
        running.venue.faults.script("precision_error")
        desk = operator(tmp_path, running, rules='[ladder.tiers]\n"ccxt:bybit" = ["market_ioc", "direct_api"]')
        said = desk.document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "direct_api")]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 2
