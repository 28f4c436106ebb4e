"""Binance USD-M through the command line and real sockets, ending flat on the venue's side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import usdm
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

LOGIN = {"api_key": usdm.KEY, "secret": usdm.SECRET}


def opened(**book: Any) -> Exchange:
    return Exchange(usdm.Usdm, {**usdm.BOOK, **book}, FastClock(20.0))


def placed(running: Exchange) -> list[dict[str, Any]]:
    return [given for call, given in running.stall.rest.calls if call == "POST /v1/order"]


def test_plain_and_conditional_orders_go_before_everything_is_flattened(tmp_path: Path) -> None:
    with opened() as running:
        said = Operator(tmp_path, running, "binanceusdm", LOGIN).document("flatten", "--all", "--yes")
        closes = [r for r in said["results"] if r["kind"] == "close"]
        assert [r["outcome"] for r in closes] == ["closed"] * len(usdm.BOOK["positions"])
        assert running.venue.state.positions == {}
        cancelled = [call for call, _ in running.stall.rest.calls if call.startswith("DELETE")]
        assert sorted(cancelled) == ["DELETE /v1/algoOrder", "DELETE /v1/order"]
        assert all("timeInForce" not in order and order["reduceOnly"] == "true" for order in placed(running))


def test_algousdt_is_closed_by_the_raw_call_after_a_precision_error_of_the_unified_one(tmp_path: Path) -> None:
    held = [p for p in usdm.BOOK["positions"] if p["symbol"] == "ALGO/USDT:USDT"]
    with opened(positions=held, orders=[]) as running:
        running.stall.rest.unified_imprecise = {"ALGOUSDT"}
        said = Operator(tmp_path, running, "binanceusdm", LOGIN).document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "direct_api")]
        assert running.venue.state.positions == {}
        last = placed(running)[-1]
        assert (last["symbol"], last["side"], last["quantity"]) == ("ALGOUSDT", "SELL", "21267.6")
