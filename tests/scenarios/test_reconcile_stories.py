"""Brokers and journal drift apart: each difference is found, named and put right."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from brokers.paper.broker import open_account
from core.engine.clock import SystemClock
from core.model import OrderSide
from core.settings import Settings
from tests.scenarios.desk import Desk, position
from tui.main import SystemEnvironment


def settings(desk: Desk) -> Settings:
    loaded = SystemEnvironment({}).load(str(desk.config))
    assert loaded is not None
    return loaded.settings


def by_hand(desk: Desk, symbol: str, side: OrderSide, quantity: str) -> None:
    """The user trades at the venue, past this program."""
    made = settings(desk)
    broker = open_account(made.accounts[0], Path(made.engine.data_dir), SystemClock())
    broker.venue.trade_by_hand(symbol, side, Decimal(quantity))
    broker.venue.aclose()


def named(desk: Desk, *more: str, code: int = 1) -> list[tuple[str, str]]:
    return [(d["kind"], d["symbol"]) for d in desk.document("reconcile", *more, code=code)["discrepancies"]]


def test_what_was_never_known_is_missed_once_and_then_known(desk: Desk) -> None:
    desk.account("ann", "paper", [position("BTC-USD", "2"), position("ETH-USD", "3")])
    assert named(desk) == [("missed", "BTC-USD"), ("missed", "ETH-USD")]
    assert named(desk, code=0) == []


def test_a_dry_run_names_the_same_and_writes_nothing(desk: Desk) -> None:
    desk.account("ann", "paper", [position("BTC-USD", "2")])
    before = desk.files()
    for _ in range(2):
        assert named(desk, "--dry-run") == [("missed", "BTC-USD")]
    assert desk.files() == before


def test_positions_closed_opened_and_changed_by_hand_are_each_found_and_named(desk: Desk) -> None:
    symbols = ("BTC-USD", "ETH-USD", "SOL-USD")
    desk.account("ann", "paper", [position(s, "4") for s in symbols], prices={"XRP-USD": "1"})
    named(desk)
    by_hand(desk, "BTC-USD", OrderSide.SELL, "4")
    by_hand(desk, "ETH-USD", OrderSide.SELL, "1")
    by_hand(desk, "XRP-USD", OrderSide.BUY, "7")
    found = [("phantom", "BTC-USD"), ("quantity", "ETH-USD"), ("missed", "XRP-USD")]
    assert named(desk, "--dry-run") == found
    result = desk.call("reconcile")
    assert result.exit_code == 1
    for words in ("phantom", "4 long is not held at the broker any more", "7 long is held and was not known here"):
        assert words in result.stdout
    assert "[RECONCILE][QUANTITY] ETH-USD on ann/paper: the broker reports 3, known here as 4" in result.stderr
    assert "No discrepancies." in desk.call("reconcile").stdout


def test_a_phantom_that_is_known_here_alone_goes(desk: Desk) -> None:
    desk.account("ann", "paper", prices={"ETH-USD": "100"})
    desk.document(
        *("open", "--user", "ann", "--symbol", "ETH-USD", "--side", "buy", "--amount", "1"),
        *("--leverage", "1", "--stop-loss", "0.05", "--yes"),
    )
    by_hand(desk, "ETH-USD", OrderSide.SELL, "1")
    made = desk.document("reconcile", code=1)
    assert [(d["kind"], d["ours"]["quantity"], d["theirs"]) for d in made["discrepancies"]] == [("phantom", "1", None)]
    assert made["counts"]["phantom"] == 1
    closed = [e for e in desk.document("journal")["entries"] if e["kind"] == "position_closed"]
    assert [e["symbol"] for e in closed] == ["ETH-USD"]


def test_an_account_that_is_down_is_said_and_nothing_of_it_believed(desk: Desk) -> None:
    desk.account("ann", "one", [position("BTC-USD", "2")])
    desk.account("ann", "two", [position("ETH-USD", "2")])
    named(desk)
    desk.account("ann", "three", [position("SOL-USD", "2")], options="faults = { read_fails = 1.0 }")
    made = desk.document("reconcile", code=1)
    assert (made["complete"], list(made["unreadable"]), made["discrepancies"]) == (False, ["ann/three"], [])


def test_without_any_account_in_reach_it_says_so(desk: Desk) -> None:
    desk.account("ann", "one", options="faults = { read_fails = 1.0 }")
    assert desk.call("reconcile").exit_code == 4
