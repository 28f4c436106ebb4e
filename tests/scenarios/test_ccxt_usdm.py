"""Binance USD-M through the command line and real sockets: every command, one-way and in hedge mode."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.ccxt.broker import CcxtBroker, Options
from brokers.ccxt.exchanges.read_table import known_calls
from brokers.ccxt.settings import ExchangeSettings
from core.errors import OutcomeUnknown
from core.model import Account, Leg, OrderRequest, OrderSide, OrderType
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import usdm
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

MODES = pytest.mark.parametrize("rows", [usdm.BOOK, usdm.HEDGED], ids=["one-way", "hedge"])
SWAP = "BTC/USDT:USDT"
ONE = "[cleanup]\nmax_positions = 1"


def opened(rows: dict[str, Any], speed: float = 20.0, **book: Any) -> Exchange:
    return Exchange(usdm.Usdm, {**rows, **book}, FastClock(speed))


def operator(path: Path, running: Exchange, **more: Any) -> Operator:
    return Operator(path, running, "binanceusdm", usdm.LOGIN, **more)


def acts(running: Exchange, *calls: str) -> list[dict[str, Any]]:
    """What was given with every call of these, or with every one that places or cancels."""
    wanted = calls or ("POST /v1/order", "POST /v1/algoOrder", "DELETE /v1/order", "DELETE /v1/algoOrder")
    return [given for call, given in running.stall.rest.calls if call in wanted]


def bound(order: dict[str, Any], *, hedge: bool) -> bool:
    """It says in the mode's own words that it opens nothing: reduce-only, or the leg that its side closes."""
    if not hedge:
        return order.get("reduceOnly") == "true" and "positionSide" not in order
    return "reduceOnly" not in order and (order["positionSide"], order["side"]) in {("LONG", "SELL"), ("SHORT", "BUY")}


def legs(document: Any) -> dict[tuple[str, str, str], Decimal]:
    return {(p["symbol"], p["leg"], p["side"]): Decimal(p["quantity"]) for p in document["positions"]}


@MODES
def test_an_account_is_checked_and_shown_each_leg_as_a_position(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows, speed=1.0) as running:  # the check compares clocks
        desk = operator(tmp_path, running)
        checked = desk.call("check")
        assert checked.exit_code == 0, checked.stdout
        shown = desk.document("status")
        assert acts(running) == []
    hedge = rows is usdm.HEDGED
    wanted = {
        (p["symbol"], p["side"] if hedge else "net", p["side"]): Decimal(p["quantity"]) for p in rows["positions"]
    }
    assert legs(shown) == wanted
    orders = {(p["symbol"], p["leg"]): p["open_orders"] for p in shown["positions"]}
    on_bitcoin = {leg: count for (symbol, leg), count in orders.items() if symbol == SWAP}
    assert on_bitcoin == ({"long": 1, "short": 1} if hedge else {"net": 2})


def test_keys_that_may_withdraw_are_reported(tmp_path: Path) -> None:
    with opened(usdm.BOOK) as running:
        running.stall.rest.may_withdraw = True
        made = operator(tmp_path, running).call("check")
    assert made.exit_code == 1
    assert "withdraw" in made.stdout


@MODES
def test_a_dry_run_sends_nothing_and_a_cleanup_leaves_what_the_cap_allows(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows) as running:
        desk = operator(tmp_path, running, rules=ONE)
        planned = desk.document("cleanup", "--dry-run", "--include-open-orders")
        assert acts(running) == []
        assert planned["actions"]
        desk.document("cleanup", "--include-open-orders", "--yes")
        (left,) = running.venue.state.positions.values()
        assert (left.symbol, left.quantity) == (SWAP, Decimal("0.5"))
        assert all(bound(order, hedge=rows is usdm.HEDGED) for order in acts(running, "POST /v1/order"))


@MODES
def test_everything_is_flattened_by_orders_that_can_open_nothing(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows) as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed", "cancelled"}
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []
        placed = acts(running, "POST /v1/order")
        assert len(placed) == len(rows["positions"])
        assert all(bound(order, hedge=rows is usdm.HEDGED) for order in placed)
        assert len({order["newClientOrderId"] for order in placed}) == len(placed)


@MODES
def test_both_kinds_of_orders_are_cancelled_each_by_its_own_call(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows) as running:
        said = operator(tmp_path, running).document("cancel-orders", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"cancelled"}
        assert list(running.venue.state.live_orders()) == []
        assert len(acts(running, "DELETE /v1/order")) == len(acts(running, "DELETE /v1/algoOrder")) == 1
        assert acts(running, "POST /v1/order") == []


@pytest.mark.parametrize(("kept", "closed"), [("long", "short"), ("short", "long")])
def test_one_leg_is_closed_and_the_other_of_the_same_symbol_stays(tmp_path: Path, kept: str, closed: str) -> None:
    held = [{"symbol": SWAP, "side": kept, "quantity": "0.5"}, {"symbol": SWAP, "side": closed, "quantity": "0.2"}]
    with opened(usdm.HEDGED, orders=[], positions=held) as running:
        operator(tmp_path, running, rules=ONE).document("cleanup", "--yes")
        (left,) = running.venue.state.positions.values()
        assert (left.side.value, left.quantity) == (kept, Decimal("0.5"))
        (order,) = acts(running, "POST /v1/order")
        assert (order["positionSide"], order["quantity"]) == (closed.upper(), "0.2")


@asynccontextmanager
async def connected(running: Exchange) -> AsyncIterator[CcxtBroker]:
    """An account that was read once."""
    calls = known_calls("binanceusdm")
    settings = ExchangeSettings(exchange="binanceusdm", endpoint=running.endpoint, defaults=calls.options, burst=60.0)
    login = {"apiKey": "env:api_key", "secret": "env:secret"}
    account = Account("user_1/a", "user_1", "a", "ccxt:binanceusdm")
    broker = CcxtBroker(account, Options(settings=settings, login=login), running.clock, usdm.LOGIN)
    try:
        await broker.connect()
        await broker.holdings()
        yield broker
    finally:
        await broker.aclose()


@pytest.mark.parametrize("do", ["", "drop"], ids=["answered", "lost"])
@MODES
async def test_a_stop_rests_as_a_conditional_order_and_is_found_by_its_name(rows: dict[str, Any], do: str) -> None:
    leg = Leg.LONG if rows is usdm.HEDGED else Leg.NET
    with opened(rows, speed=1.0, orders=[]) as running:
        if do:
            running.mishap("POST", "/v1/algoOrder", do)
        async with connected(running) as broker:
            asked = OrderRequest(
                "user_1/a",
                SWAP,
                OrderSide.SELL,
                Decimal("0.5"),
                "mine",
                type=OrderType.STOP,
                trigger=Decimal(39000),
                reduce_only=True,
                leg=leg,
            )
            with pytest.raises(OutcomeUnknown) if do else nullcontext():
                await broker.submit(asked)
            found = await broker.find_order(SWAP, client_id="mine")
            assert found is not None
            assert (found.type, found.trigger, found.leg) == (OrderType.STOP, 39000, leg)
            assert (await broker.holdings()).orders == (found,)
            await broker.cancel(found)
            assert (await broker.holdings()).orders == ()
        (order,) = acts(running, "POST /v1/algoOrder")
        assert bound(order, hedge=rows is usdm.HEDGED)


async def test_every_execution_is_read_when_there_are_more_than_a_page() -> None:
    with opened(usdm.BOOK, speed=1.0, orders=[], positions=usdm.BOOK["positions"][:1]) as running:
        since = running.clock.now() - timedelta(seconds=1)
        async with connected(running) as broker:
            for nth in range(620):
                running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal("0.0001")))
                if nth % 100 == 0:
                    await running.clock.sleep(0.01)
            fills = await broker.fills(SWAP, since)
            assert sum((fill.quantity for fill in fills), Decimal(0)) == Decimal("0.062")
