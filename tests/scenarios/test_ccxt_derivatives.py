"""Gate in hedge mode, Deribit in several currencies and HTX on either margin through the real commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import deribit, gate, htx
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SPEED = 20.0
GATE = {"api_key": gate.KEY, "secret": gate.SECRET}
HTX = {"api_key": htx.KEY, "secret": htx.SECRET}
DERIBIT = {"api_key": deribit.KEY, "secret": deribit.SECRET}


def test_both_positions_of_a_gate_contract_are_shown_and_each_is_closed(tmp_path: Path) -> None:
    with Exchange(gate.Gate, gate.BOOK, FastClock(SPEED)) as running:
        desk = Operator(tmp_path, running, "gate", GATE)
        shown = desk.document("status")["positions"]
        held = {(p["symbol"], p["leg"]): (p["side"], p["quantity"], p["usd_value"], p["leverage"]) for p in shown}
        said = desk.document("flatten", "--all", "--yes")
        assert running.venue.state.positions == {}
        orders = [body for call, body in running.stall.calls if call == "orders"]
    assert held == {
        ("BTC/USDT:USDT", "long"): ("long", "100", "500.00", "10"),
        ("BTC/USDT:USDT", "short"): ("short", "250", "1250.00", "10"),
        ("ETH/USDT:USDT", "long"): ("long", "30", "750.00", "5"),
    }
    assert {r["outcome"] for r in said["results"]} == {"closed"}
    assert sorted((o["size"], o["reduce_only"]) for o in orders) == [(-100, True), (-30, True), (250, True)]


def test_one_position_of_a_gate_contract_is_closed_and_the_other_stays(tmp_path: Path) -> None:
    book = {**gate.BOOK, "positions": gate.BOOK["positions"][1:]}
    with Exchange(gate.Gate, book, FastClock(SPEED)) as running:
        Operator(tmp_path, running, "gate", GATE).document("flatten", "--symbol", "BTC/USDT:USDT", "--yes")
        assert [symbol for symbol, _ in running.venue.state.positions] == ["ETH/USDT:USDT"]


def test_deribit_s_sizes_are_dollars_or_coins_and_every_currency_s_orders_are_cancelled(tmp_path: Path) -> None:
    with Exchange(deribit.Deribit, deribit.BOOK, FastClock(SPEED)) as running:
        desk = Operator(tmp_path, running, "deribit", DERIBIT)
        shown = desk.document("status")["positions"]
        held = {p["symbol"]: (p["side"], p["quantity"], p["usd_value"], p["open_orders"]) for p in shown}
        said = desk.document("flatten", "--all", "--yes")
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []
    assert held == {
        "BTC/USD:BTC": ("long", "50", "50.00", 0),
        "ETH/USD:ETH": ("short", "200", "200.00", 1),
        "BTC/USDC:USDC": ("long", "0.2", "10000.00", 0),
    }
    assert {r["outcome"] for r in said["results"] if r["kind"] == "close"} == {"closed"}


@pytest.mark.parametrize("hedge", [False, True])
@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_htx_is_flattened_on_the_margin_mode_of_its_positions(tmp_path: Path, mode: str, hedge: bool) -> None:
    with Exchange(htx.Htx, {**htx.BOOK, "hedge": hedge, "orders": []}, FastClock(SPEED)) as running:
        running.stall.mode = mode
        said = Operator(tmp_path, running, "htx", HTX).document("flatten", "--all", "--yes")
        assert running.venue.state.positions == {}
        orders = [body for call, body in running.stall.calls if call == "order"]
    assert {r["outcome"] for r in said["results"]} == {"closed"}
    assert {o["margin_mode"] for o in orders} == {mode}
    assert {o.get("position_side") for o in orders} == ({"long", "short"} if hedge else {None})


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_an_htx_order_whose_answer_is_lost_is_found_by_the_name_that_htx_knows(tmp_path: Path, mode: str) -> None:
    book = {**htx.BOOK, "orders": [], "positions": htx.BOOK["positions"][:1]}
    with Exchange(htx.Htx, book, FastClock(SPEED)) as running:
        running.stall.mode = mode
        lost = running.mishap("POST", "/v5/trade/order", "drop")
        said = Operator(tmp_path, running, "htx", HTX).document("flatten", "--all", "--yes")
        assert (lost.struck, running.venue.state.positions, len(running.stall.calls)) == (1, {}, 1)
    assert [(r["outcome"], r["residual"]) for r in said["results"]] == [("closed", "0")]


@pytest.mark.parametrize("venue", ["gate", "deribit"])
@pytest.mark.parametrize("do", ["drop", "empty"])
def test_an_order_whose_answer_is_lost_is_found_by_its_name(tmp_path: Path, venue: str, do: str) -> None:
    made, book, login = (gate.Gate, gate.BOOK, GATE) if venue == "gate" else (deribit.Deribit, deribit.BOOK, DERIBIT)
    book = {**book, "orders": [], "positions": book["positions"][:1]}
    with Exchange(made, book, FastClock(SPEED)) as running:
        lost = running.mishap(*(("POST", "/orders") if venue == "gate" else ("GET", "/private/sell")), do)
        said = Operator(tmp_path, running, venue, login).document("flatten", "--all", "--yes")
        assert (lost.struck, running.venue.state.positions, len(running.stall.calls)) == (1, {}, 1)
    assert [r["outcome"] for r in said["results"]] == ["closed"]


@pytest.mark.parametrize(
    ("venue", "method", "path"),
    [("deribit", "GET", "/private/get_positions"), ("htx", "GET", "/v5/trade/position/opens")],
)
def test_an_answer_without_its_list_is_no_flat_account(tmp_path: Path, venue: str, method: str, path: str) -> None:
    made, book, login = (htx.Htx, htx.BOOK, HTX) if venue == "htx" else (deribit.Deribit, deribit.BOOK, DERIBIT)
    with Exchange(made, book) as running:
        running.mishap(method, path, "status", times=99, status=200, body="{}")
        said = Operator(tmp_path, running, venue, login).call("status")
    assert "DOWN" in said.stdout
    assert "without" in said.stdout
