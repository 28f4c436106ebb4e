"""What goes wrong with a close at Binance USD-M, over real sockets: closed once, or said not to be."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import OutcomeUnknown
from core.model import OrderRequest, OrderSide
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import usdm
from tests.venues.ccxt.accounts import live
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SWAP = "BTC/USDT:USDT"
ORDER = "/v1/order"
ONE_WAY: dict[str, Any] = {**usdm.BOOK, "orders": [], "positions": usdm.BOOK["positions"][:1]}
HEDGE: dict[str, Any] = {**usdm.HEDGED, "orders": [], "positions": usdm.HEDGED["positions"][:1]}
MODES = pytest.mark.parametrize("rows", [ONE_WAY, HEDGE], ids=["one-way", "hedge"])
PATIENT = "[ladder]\ntotal_timeout = 400"


def opened(rows: dict[str, Any], **book: Any) -> Exchange:
    return Exchange(usdm.Usdm, {**rows, **book}, FastClock(20.0))


def flattened(path: Path, running: Exchange, *, code: int = 0, streams: bool = False) -> list[Any]:
    desk = Operator(path, running, "binanceusdm", usdm.LOGIN, rules=PATIENT, streams=streams)
    results = desk.document("flatten", "--all", "--yes", code=code)["results"]
    return [r for r in results if r["kind"] == "close"]


def calls(running: Exchange, call: str) -> list[dict[str, Any]]:
    return [given for made, given in running.stall.rest.calls if made == call]


def sold(running: Exchange) -> Decimal:
    """What was executed of the program's orders."""
    own = {t.order.id for t in running.venue.state.tickets.values() if t.own}
    fills = [f for f in running.venue.state.fills.values() if f.order_id in own and f.side is OrderSide.SELL]
    return sum((f.quantity for f in fills), Decimal(0))


def closed_once(running: Exchange, results: list[Any]) -> None:
    assert [r["outcome"] for r in results] == ["closed"]
    assert running.venue.state.positions == {}
    assert sold(running) == Decimal("0.5")


@MODES
@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken"])
def test_an_answer_that_is_lost_empty_a_page_or_truncated_is_looked_up_by_our_name(
    tmp_path: Path, do: str, rows: dict[str, Any]
) -> None:
    with opened(rows) as running:
        lost = running.mishap("POST", ORDER, do)
        closed_once(running, flattened(tmp_path, running))
        (order,) = calls(running, f"POST {ORDER}")
        asked = [given.get("origClientOrderId") for given in calls(running, f"GET {ORDER}")]
    assert lost.struck == 1
    assert order["newClientOrderId"] in asked


def test_one_empty_list_of_positions_is_not_taken_for_an_empty_account(tmp_path: Path) -> None:
    with opened(ONE_WAY) as running:
        empty = running.mishap("GET", "/v3/positionRisk", "status", status=200, body="[]")
        closed_once(running, flattened(tmp_path, running))
    assert empty.struck == 1


def test_a_503_of_an_unknown_error_after_which_the_order_stands_is_not_sent_again(tmp_path: Path) -> None:
    with opened(ONE_WAY) as running:
        running.stall.rest.unsure = 1
        closed_once(running, flattened(tmp_path, running))
        assert len(calls(running, f"POST {ORDER}")) == 1


def test_a_503_of_an_unknown_error_without_an_order_is_sent_again_once_it_can_arrive_no_more(tmp_path: Path) -> None:
    body = '{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
    with opened(ONE_WAY) as running:
        running.mishap("POST", ORDER, "status", status=503, body=body)
        began = running.clock.monotonic()
        closed_once(running, flattened(tmp_path, running))
        assert len(calls(running, f"POST {ORDER}")) == 1
        assert running.clock.monotonic() - began > 5  # the window of its signature


def test_2013_of_an_order_that_is_found_a_little_later_is_no_leave_to_send_it_again(tmp_path: Path) -> None:
    with opened(ONE_WAY) as running:
        running.do(lambda: running.venue.faults.script("lookup_not_found_at_first", times=2))
        running.mishap("POST", ORDER, "drop")
        closed_once(running, flattened(tmp_path, running))
        assert len(calls(running, f"POST {ORDER}")) == 1
        assert len(calls(running, f"GET {ORDER}")) > 1


@pytest.mark.parametrize("fault", ["partial_fill", "no_fill"])
def test_what_was_left_of_an_order_whose_answer_is_lost_is_closed_once(tmp_path: Path, fault: str) -> None:
    with opened(ONE_WAY) as running:
        running.do(lambda: running.venue.faults.script(fault))
        running.mishap("POST", ORDER, "drop")
        closed_once(running, flattened(tmp_path, running))


@pytest.mark.parametrize("do", ["", "drop"], ids=["answered", "lost"])
def test_a_dropped_client_id_does_not_close_twice(tmp_path: Path, do: str) -> None:
    with opened(ONE_WAY) as running:
        running.stall.rest.nameless = True
        if do:
            running.mishap("POST", ORDER, do)
        closed_once(running, flattened(tmp_path, running))
        assert len(calls(running, f"POST {ORDER}")) == 1


@MODES
def test_2022_when_the_position_is_gone_is_success_and_no_error(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows) as running:
        running.do(lambda: running.venue.faults.script("liquidation"))
        (result,) = flattened(tmp_path, running)
        assert result["outcome"] in ("closed", "already_flat"), result
        assert running.venue.state.positions == {}
        assert sold(running) == 0
        assert len(calls(running, f"POST {ORDER}")) == 1


def test_2022_although_the_position_is_there_is_read_again_and_closed(tmp_path: Path) -> None:
    with opened(ONE_WAY) as running:
        running.do(lambda: running.venue.faults.script("reduce_only_rejected"))
        closed_once(running, flattened(tmp_path, running))
        first, *_ = [n for n, (call, _) in enumerate(running.stall.rest.calls) if call == f"POST {ORDER}"]
        after = [call for call, _ in running.stall.rest.calls[first:]]
        assert "positionRisk" in "".join(after[: after.index(f"POST {ORDER}", 1)])


def test_2022_when_the_position_was_turned_around_by_hand_leaves_it_and_says_so(tmp_path: Path) -> None:
    with opened(ONE_WAY) as running:
        running.do(lambda: running.venue.faults.script("flip"))
        (result,) = flattened(tmp_path, running, code=1)
        assert result["outcome"] == "stuck"
        assert "flipped to short" in result["error"]
        assert (running.held(SWAP), len(calls(running, f"POST {ORDER}"))) == (Decimal("-0.5"), 1)


@pytest.mark.parametrize("nth", [0, 1], ids=["plain", "conditional"])
def test_4118_is_not_run_into_when_a_bot_puts_its_order_back(tmp_path: Path, nth: int) -> None:
    with opened(ONE_WAY, orders=usdm.BOOK["orders"][nth : nth + 1]) as running:
        running.stall.rest.stubborn = 1
        (result,) = flattened(tmp_path, running, code=1)
        assert result["outcome"] == "changed"
        assert "appeared" in result["error"]
        assert sold(running) == 0
        closed_once(running, flattened(tmp_path, running))  # shown again, and confirmed
        assert list(running.venue.state.live_orders()) == []


def test_4118_of_an_order_that_nothing_shows_is_read_again_and_closed(tmp_path: Path) -> None:
    body = '{"code":-4118,"msg":"ReduceOnly Order Failed. Please check your existing position and open orders."}'
    with opened(ONE_WAY) as running:
        running.mishap("POST", ORDER, "status", status=400, body=body)
        closed_once(running, flattened(tmp_path, running))
        plain, conditional = (len(calls(running, f"GET /v1/{name}")) for name in ("openOrders", "openAlgoOrders"))
        assert plain > 1
        assert abs(plain - conditional) <= 1  # the command may end between the two requests of one read


def test_1008_of_an_overloaded_exchange_is_a_no_and_sent_again(tmp_path: Path) -> None:
    body = '{"code":-1008,"msg":"Request throttled by system-level protection."}'
    with opened(ONE_WAY) as running:
        running.mishap("POST", ORDER, "status", status=503, body=body)
        closed_once(running, flattened(tmp_path, running))
        assert len(calls(running, f"GET {ORDER}")) == 0


def test_1111_of_a_step_of_market_orders_that_is_coarser_leaves_the_rest_to_a_limit_order(tmp_path: Path) -> None:
    held = [{**ONE_WAY["positions"][0], "quantity": "0.505"}]
    with opened(ONE_WAY, positions=held) as running:
        running.stall.rest.market_step = {"BTCUSDT": Decimal("0.01")}
        (result,) = flattened(tmp_path, running)
        assert (result["outcome"], running.venue.state.positions) == ("closed", {})
        assert sold(running) == Decimal("0.505")
        last = calls(running, f"POST {ORDER}")[-1]
        assert (last["type"], last["quantity"], last["reduceOnly"]) == ("LIMIT", "0.005", "true")


@pytest.mark.parametrize("most", ["0.2", "0.499"])
def test_more_than_one_market_order_may_have_is_closed_by_several(tmp_path: Path, most: str) -> None:
    first = {**usdm.BOOK["instruments"][0], "max_market": most}
    with opened(ONE_WAY, instruments=[first, *usdm.BOOK["instruments"][1:]]) as running:
        closed_once(running, flattened(tmp_path, running))
        assert max(Decimal(order["quantity"]) for order in calls(running, f"POST {ORDER}")) <= Decimal(most)


@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken"])
@pytest.mark.parametrize("path", ["positionRisk", "openOrders", "openAlgoOrders"])
def test_a_list_that_is_lost_or_cut_off_is_no_empty_list(tmp_path: Path, path: str, do: str) -> None:
    with opened(ONE_WAY, orders=usdm.BOOK["orders"]) as running:
        lost = running.mishap("GET", path, do)
        closed_once(running, flattened(tmp_path, running))
        assert lost.struck == 1
        assert list(running.venue.state.live_orders()) == []
        assert len(calls(running, f"POST {ORDER}")) == 1


def test_a_listen_key_that_is_refused_does_not_keep_an_account_from_being_closed(tmp_path: Path) -> None:
    with opened(ONE_WAY) as running:
        running.mishap("POST", "/v1/listenKey", "status", times=99)
        closed_once(running, flattened(tmp_path, running, streams=True))


async def test_an_answer_to_the_raw_call_that_cannot_be_read_says_nothing_about_the_order() -> None:
    body = '{"orderId": 7, "symbol": "BTCUSDT", "avgPrice": "abc", "executedQty": "1"}'
    async with live("binanceusdm", usdm.Usdm, ONE_WAY, usdm.LOGIN) as (running, broker):
        running.mishap("POST", ORDER, "status", status=200, body=body)
        with pytest.raises(OutcomeUnknown, match="cannot be read"):
            await broker.submit_direct(
                OrderRequest("user_1/a", SWAP, OrderSide.SELL, Decimal("0.5"), "mine", reduce_only=True)
            )
