"""Hyperliquid through the real commands: its own questions, its hexadecimal names, and nobody else's fee."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokers.ccxt.wire_client_ids import decode
from core.ids import is_ours
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import hyperliquid
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SPEED = 20.0
HELD = {
    "BTC/USDC:USDC": ("long", "0.5", "25000.00", 1),
    "ETH/USDC:USDC": ("short", "3", "7503.00", 0),
    "XYZ-TSLA/USDC:USDC": ("long", "2", "600.00", 1),
    "PURR/USDC": ("long", "1000", "200.00", 0),
}


def operator(path: Path, running: Exchange) -> Operator:
    more = f'wallet_address = "{hyperliquid.WALLET}"'
    return Operator(path, running, "hyperliquid", {"private_key": hyperliquid.PRIVATE}, more=more)


def test_status_shows_each_list_of_hyperliquid_and_its_own_question_leaves(tmp_path: Path) -> None:
    with Exchange(hyperliquid.Hyperliquid, hyperliquid.BOOK) as running:
        desk = operator(tmp_path, running)
        made = desk.document("status")
        checked = desk.call("check")
        assert running.stall.actions == []
    fields = ("side", "quantity", "usd_value", "open_orders")
    assert {p["symbol"]: tuple(p[f] for f in fields) for p in made["positions"]} == HELD
    assert (checked.exit_code, "WRONG" in checked.output) == (0, False)


def test_hyperliquid_is_flattened_and_no_fee_or_referrer_is_approved(tmp_path: Path) -> None:
    with Exchange(hyperliquid.Hyperliquid, hyperliquid.BOOK, FastClock(SPEED)) as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []
        actions = running.stall.actions
    closed = {r["symbol"]: (r["outcome"], r["tier"]) for r in said["results"] if r["kind"] == "close"}
    assert closed == dict.fromkeys(HELD, ("closed", "market_ioc"))
    assert {a["type"] for a in actions} == {"order", "cancel"}
    assert not any("builder" in a for a in actions)
    orders = [order for a in actions for order in a.get("orders", ())]
    assert all(is_ours(decode(order["c"])) for order in orders)
    assert {order["a"]: order["r"] for order in orders} == {0: True, 1: True, 110000: True, 10000: False}


@pytest.mark.parametrize("do", ["drop", "empty", "broken"])
def test_a_hyperliquid_order_whose_answer_is_lost_is_found_by_its_name(tmp_path: Path, do: str) -> None:
    book = {**hyperliquid.BOOK, "orders": [], "positions": hyperliquid.BOOK["positions"][:1]}
    with Exchange(hyperliquid.Hyperliquid, book, FastClock(SPEED)) as running:
        lost = running.mishap("POST", "/api/exchange", do)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert (lost.struck, running.venue.state.positions, len(running.stall.calls)) == (1, {}, 1)
    assert [r["outcome"] for r in said["results"]] == ["closed"]


def test_an_empty_answer_of_hyperliquid_is_no_flat_account(tmp_path: Path) -> None:
    with Exchange(hyperliquid.Hyperliquid, hyperliquid.BOOK) as running:
        running.stall.silent = True
        said = operator(tmp_path, running).call("status")
    assert "DOWN" in said.stdout
    assert "without its list" in said.stdout
