"""KuCoin Futures through the command line and real sockets: lots, margin modes, position sides, stops, executions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Leg, OrderSide, OrderType, TimeInForce
from tests.venues.ccxt import kucoinfutures as kucoin
from tests.venues.ccxt.kucoinfutures import BTC, DATED, ETH, INVERSE
from tests.venues.ccxt.kucoinfutures_desk import HEDGES, LONG, asked, close, connected, opened, operator, sent

# --------------------------------------------------------------------------------------------------- what is shown


def test_an_account_is_checked_and_shown_with_lots_of_a_thousandth_and_of_a_dollar(tmp_path: Path) -> None:
    with opened(speed=1.0) as running:  # the check compares clocks
        desk = operator(tmp_path, running)
        checked = desk.call("check")
        assert checked.exit_code == 0, checked.stdout
        assert "may not withdraw or transfer" in checked.stdout
        made = {p["symbol"]: p for p in desk.document("status")["positions"]}
    assert {s: Decimal(p["quantity"]) for s, p in made.items()} == {BTC: 500, ETH: 305, INVERSE: 1200}
    assert {s: round(Decimal(p["usd_value"])) for s, p in made.items()} == {BTC: 25_000, ETH: 7625, INVERSE: 1200}


@pytest.mark.parametrize("right", ["Withdrawal", "InnerTransfer"])
def test_keys_that_may_move_money_are_reported(tmp_path: Path, right: str) -> None:
    with opened() as running:
        running.stall.rest.permission = f"General,Futures,{right}"
        made = operator(tmp_path, running).call("check")
    assert made.exit_code == 1
    assert "may withdraw or transfer" in made.stdout


async def test_a_unified_account_is_refused_in_one_sentence_and_not_called_flat() -> None:
    with opened() as running:
        running.stall.rest.unified = True
        async with connected(running, read=False) as broker:
            with pytest.raises(Refused, match="a unified account of kucoinfutures") as refused:
                await broker.holdings()
            assert refused.value.refusal is Refusal.UNSUPPORTED


async def test_an_account_that_becomes_a_unified_one_is_noticed_within_two_minutes() -> None:
    with opened(speed=600.0) as running:
        running.stall.rest.window = 3600.0
        async with connected(running) as broker:
            running.stall.rest.unified = True
            await running.clock.sleep(120)
            with pytest.raises(Refused, match="a unified account"):
                await broker.holdings()


async def test_the_account_s_kind_is_told_by_another_host_without_which_a_known_account_is_still_read() -> None:
    with opened(speed=600.0) as running:
        running.stall.rest.window = 3600.0
        async with connected(running) as broker:
            running.mishap("GET", "/account/mode", "status", times=9)
            await running.clock.sleep(120)
            assert len((await broker.holdings()).positions) == 3
        async with connected(running, read=False) as broker:
            with pytest.raises(OutcomeUnknown):
                await broker.holdings()
            body = '{"code":"200000","data":{}}'
            running.mishaps.clear()
            running.mishap("GET", "/account/mode", "status", status=200, body=body)
            with pytest.raises(OutcomeUnknown, match="does not tell what kind of account"):
                await broker.holdings()


async def test_the_account_s_kind_is_asked_for_once_and_never_before_an_order() -> None:
    with opened() as running:
        async with connected(running) as broker:
            await broker.holdings()
            await broker.submit(close())
            await broker.find_order(BTC, client_id="mine")
        calls = [call for call, _ in running.stall.rest.calls]
        assert calls.count("GET /account/mode") == 1


async def test_what_an_account_is_worth_is_unknown_where_a_part_of_it_is_bitcoin() -> None:
    with opened() as running:
        running.stall.rest.cash = {"USDT": Decimal("10000.5")}
        async with connected(running) as broker:
            assert (await broker.holdings()).equity == Decimal("10000.5")
        assert {given["currency"] for given in asked(running, "GET /account-overview")} == {"USDT", "XBT"}
    with opened() as running:
        running.stall.rest.cash["XBT"] = Decimal("0.5")
        async with connected(running) as broker:
            assert (await broker.holdings()).equity is None


async def test_a_contract_that_is_not_listed_any_more_is_shown_as_one_that_cannot_be_closed_from_here() -> None:
    with opened() as running:
        running.stall.rest.unlisted = {"XBTUSDTM"}
        async with connected(running) as broker:
            found = await broker.holdings()
    assert {p.symbol: p.quantity for p in found.positions} == {"XBTUSDTM": 500, ETH: 305, INVERSE: 1200}
    assert {i.symbol for i in found.instruments if not i.tradable} == {"XBTUSDTM"}
    assert {o.symbol for o in found.orders} == {"XBTUSDTM"}
    assert len(found.orders) == 2


async def test_every_page_of_both_lists_of_open_orders_is_read() -> None:
    limits = [
        {"id": f"h{n}", "symbol": BTC, "side": "sell", "quantity": "1", "price": "60000", "reduce_only": True}
        for n in range(120)
    ]
    stops = [{**limits[0], "id": f"s{n}", "type": "stop", "trigger": str(38000 - n), "price": None} for n in range(50)]
    rows = [{k: v for k, v in row.items() if v is not None} for row in limits + stops]
    with opened(orders=rows) as running:
        async with connected(running) as broker:
            found = (await broker.holdings()).orders
    assert len(found) == 170
    assert sum(o.type is OrderType.STOP for o in found) == 50
    assert all(o.reduce_only for o in found)


# ------------------------------------------------------------------------------------------------- closing it all


@pytest.mark.parametrize("mode", ["CROSS", "ISOLATED"])
@HEDGES
def test_everything_is_flattened_each_order_with_the_margin_mode_and_side_of_its_position(
    tmp_path: Path, rows: dict[str, Any], mode: str
) -> None:
    with opened(rows) as running:
        running.stall.rest.isolated = {"XBTUSDTM"} if mode == "ISOLATED" else set()
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert {(r["outcome"], r["tier"]) for r in said["results"] if r["kind"] == "close"} == {
            ("closed", "market_ioc")
        }
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []
        orders = sent(running)
        assert len(orders) == 3
        assert {o["marginMode"] for o in orders if o["symbol"] == "XBTUSDTM"} == {mode}
        assert {o["marginMode"] for o in orders if o["symbol"] != "XBTUSDTM"} == {"CROSS"}
        assert all(o["reduceOnly"] is True for o in orders)
        sides = {(o["symbol"], o["side"]): o.get("positionSide", "BOTH") for o in orders}
        hedge = {("XBTUSDTM", "sell"): "LONG", ("XBTUSDTM", "buy"): "SHORT", ("ETHUSDTM", "buy"): "SHORT"}
        assert sides == (hedge if rows is kucoin.HEDGED else dict.fromkeys(sides, "BOTH"))


def test_a_contract_that_expires_is_shown_priced_and_closed_like_any_other(tmp_path: Path) -> None:
    held = {"symbol": DATED, "side": "short", "quantity": "700", "entry": "52000", "leverage": "3"}
    with opened(orders=[], positions=[*LONG, held]) as running:
        desk = operator(tmp_path, running)
        made = {p["symbol"]: p for p in desk.document("status")["positions"]}
        assert round(Decimal(made[DATED]["usd_value"])) == 700
        assert Decimal(made[DATED]["mark"]) == 50_000
        said = desk.document("flatten", "--symbol", DATED, "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert [o["symbol"] for o in sent(running)] == ["XBTM270326"]
        assert running.held(DATED) == 0


def test_a_stop_that_is_listed_apart_is_cancelled_by_its_id_at_the_first_try(tmp_path: Path) -> None:
    with opened() as running:
        said = operator(tmp_path, running).document("cancel-orders", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"cancelled"}
        assert list(running.venue.state.live_orders()) == []
        cancels = asked(running, "DELETE /orders/{orderId}")
        assert len(cancels) == 2
        assert all(set(given) == {"orderId"} for given in cancels)


@HEDGES
def test_the_close_call_takes_all_of_one_position_by_name(tmp_path: Path, rows: dict[str, Any]) -> None:
    with opened(rows, orders=[]) as running:
        running.stall.rest.isolated = {"XBTUSDTM"}
        desk = operator(tmp_path, running, rules='[ladder.tiers]\n"ccxt:kucoinfutures" = ["venue_close"]')
        said = desk.document("flatten", "--symbol", BTC, "--yes")
        assert {(r["outcome"], r["tier"]) for r in said["results"]} == {("closed", "venue_close")}
        assert running.held(BTC) == 0
        assert running.held(ETH) == -305
        orders = sent(running)
        assert len({o["clientOid"] for o in orders}) == len(orders) == (2 if rows is kucoin.HEDGED else 1)
        common = {"symbol": "XBTUSDTM", "type": "market", "closeOrder": True, "marginMode": "ISOLATED"}
        made = [{k: v for k, v in o.items() if k not in ("clientOid", "positionSide")} for o in orders]
        assert made == [common] * len(orders)
        legs = {o.get("positionSide") for o in orders}
        assert legs == ({"LONG", "SHORT"} if rows is kucoin.HEDGED else {None})


async def test_a_close_call_for_a_position_that_is_gone_opens_nothing() -> None:
    with opened(orders=[], positions=LONG) as running:
        async with connected(running) as broker:
            (held,) = (await broker.holdings()).positions
            running.do(lambda: running.venue.trade_by_hand(BTC, OrderSide.SELL, Decimal(500)))
            with pytest.raises(Refused, match="No open positions") as refused:
                await broker.close_position(held, "mine")
        assert refused.value.refusal is Refusal.NO_POSITION
        assert running.venue.state.positions == {}


@HEDGES
async def test_the_raw_call_reduces_by_the_exchange_s_own_limit_of_a_market_order(rows: dict[str, Any]) -> None:
    with opened(rows, orders=[]) as running:
        running.stall.rest.market_most = {"XBTUSDTM": 400}
        leg = Leg.LONG if rows is kucoin.HEDGED else Leg.NET
        async with connected(running) as broker:
            made = await broker.submit_direct(close(leg=leg))
        assert made.quantity == 400
        (row,) = sent(running)
        assert (row["size"], row["marginMode"], row["reduceOnly"]) == (400, "CROSS", True)
        assert "leverage" not in row
        assert running.venue.state.positions[BTC, leg].quantity == 100


def test_a_position_that_one_market_order_cannot_have_is_closed_in_parts(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG) as running:
        running.stall.rest.market_most = {"XBTUSDTM": 200}
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert [o["size"] for o in sent(running)] == [200, 200, 100]
        assert running.venue.state.positions == {}


# ---------------------------------------------------------------------------------------------- stops, limits and fills


@HEDGES
async def test_a_stop_rests_in_its_own_list_and_is_found_by_its_name_and_cancelled(rows: dict[str, Any]) -> None:
    with opened(rows, orders=[]) as running:
        running.stall.rest.isolated = {"XBTUSDTM"}
        leg = Leg.LONG if rows is kucoin.HEDGED else Leg.NET
        async with connected(running) as broker:
            made = await broker.submit(close(type=OrderType.STOP, trigger=Decimal(39000), leg=leg))
            (row,) = sent(running)
            assert (row["stop"], row["stopPrice"], row["stopPriceType"]) == ("down", "39000", "MP")
            assert (row["marginMode"], row["reduceOnly"]) == ("ISOLATED", True)
            found = await broker.find_order(BTC, client_id="mine")
            assert found is not None
            assert (found.id, found.client_id, found.type, found.leg) == (made.id, "mine", OrderType.STOP, leg)
            (listed,) = (await broker.holdings()).orders
            assert (listed.client_id, listed.trigger, listed.leg) == ("mine", Decimal(39000), leg)
            await broker.cancel(listed)
            assert (await broker.holdings()).orders == ()


async def test_a_limit_order_that_is_immediate_says_so_and_a_market_order_says_no_time_in_force() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            priced = {"type": OrderType.LIMIT, "price": Decimal("49999.9"), "tif": TimeInForce.IOC}
            await broker.submit(close(10, **priced))
            await broker.submit(close(10, client_id="other"))
        first, second = sent(running)
        assert (first["timeInForce"], first["price"]) == ("IOC", "49999.9")
        assert "timeInForce" not in second


async def test_every_execution_is_read_when_more_than_a_page_are_of_one_moment_and_others_are_weeks_old() -> None:
    with opened(orders=[], positions=LONG) as running:
        async with connected(running) as broker:
            for _ in range(130):
                running.do(lambda: running.venue.trade_by_hand(BTC, OrderSide.SELL, Decimal(1)))
            now, ages = running.clock.now(), (2, 6.9, 8, 20)
            made = [f for f in running.venue.state.fills.values() if f.side is OrderSide.SELL]
            for nth, fill in enumerate(made):
                running.stall.rest.date(fill, now - timedelta(days=ages[nth] if nth < len(ages) else 0))
            for days, count in ((30, 130), (7, 128)):
                found = await broker.fills(BTC, now - timedelta(days=days))
                assert sum(f.quantity for f in found if f.side is OrderSide.SELL) == count


@pytest.mark.parametrize(("asked_for", "told"), [(5, 5), (300, 199)])
async def test_closed_minutes_are_told_up_to_the_last(asked_for: int, told: int) -> None:
    with opened(speed=1.0) as running:
        async with connected(running) as broker:
            bars = await broker.bars(BTC, asked_for)
            minute = int(running.clock.now().timestamp()) // 60
    assert told - 1 <= len(bars) <= told
    assert minute - bars[-1].minute in (1, 2)
    assert {bar.close for bar in bars} == {Decimal(50000)}
