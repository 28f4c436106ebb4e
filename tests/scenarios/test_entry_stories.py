"""Opening and scaling as operators do it, on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.desk import Desk, order, position

SIGNAL = ("--side", "buy", "--leverage", "1", "--stop-loss", "0.05")
PRICES = {"ETH-USD": "100", "SOL-USD": "10"}


def entry(command: str, symbol: str, amount: str = "1", *more: str, user: str = "ann") -> tuple[str, ...]:
    return (command, "--user", user, *SIGNAL, "--symbol", symbol, "--amount", amount, *more)


def quantities(desk: Desk) -> dict[str, str]:
    return {p["symbol"]: p["quantity"] for p in desk.document("status")["positions"]}


def test_a_position_is_opened_and_is_there(desk: Desk) -> None:
    desk.account("ann", "paper", prices=PRICES)
    made = desk.document(*entry("open", "ETH-USD", "0.5", "--yes"))
    assert (made["success"], made["result"]["outcome"], made["result"]["verified"]) == (True, "filled", True)
    assert made["result"]["position"] == {"side": "long", "quantity": "0.5", "entry": "100", "leverage": "1"}
    assert quantities(desk) == {"ETH-USD": "0.5"}
    kinds = {e["kind"] for e in desk.document("journal")["entries"]}
    assert {"entry_approved", "intent_written", "opened", "entry_ended"} <= kinds
    assert desk.document("reconcile")["discrepancies"] == [], "what was opened here is known"


def test_what_the_owner_holds_anywhere_is_not_opened_again(desk: Desk) -> None:
    desk.account("ann", "one", [position("BTC-USD", "5")])
    desk.account("ann", "two", prices=PRICES)
    desk.account("bob", "one", prices={"BTC-USD": "1"})
    made = desk.document(*entry("open", "BTC-USD", "1", "--account", "ann/two", "--yes"), code=1)
    assert made == {"allowed": False, "code": "position_exists", "text": "ann holds BTC-USD already, on ann/one"}
    assert desk.document(*entry("open", "BTC-USD", "1", "--yes", user="bob"))["success"]


def test_at_the_cap_nothing_more_is_opened(desk: Desk) -> None:
    held = [position(f"C{n}-USD", f"{10 + n}") for n in range(8)]
    desk.account("ann", "paper", [*held, position("DUST-USD", "0.5")], prices=PRICES)
    made = desk.document(*entry("check-entry", "ETH-USD"), code=1)
    assert (made["code"], made["text"]) == ("cap_reached", "ann has 8 positions, and may have 8")
    desk.document("flatten", "--symbol", "C0-USD", "--yes")
    assert desk.document(*entry("check-entry", "ETH-USD"))["allowed"]
    assert desk.document(*entry("open", "ETH-USD", "1", "--yes"))["success"]
    assert desk.document(*entry("check-entry", "SOL-USD"), code=1)["code"] == "cap_reached"


def test_the_same_signal_twice_in_a_minute_is_refused(desk: Desk) -> None:
    desk.account("ann", "paper", prices=PRICES)
    desk.document(*entry("open", "ETH-USD", "1", "--yes"))
    desk.document("flatten", "--symbol", "ETH-USD", "--yes")
    made = desk.document(*entry("check-entry", "ETH-USD"), code=1)
    assert made["code"] == "duplicate_signal"
    assert desk.document(*entry("open", "ETH-USD", "1", "--yes"), code=1)["code"] == "duplicate_signal"
    assert desk.document(*entry("check-entry", "SOL-USD"))["allowed"]


def test_what_is_there_is_closed_first_verified_and_then_the_new_one_opened(desk: Desk) -> None:
    desk.account("ann", "one", [position("ETH-USD", "3")], prices=PRICES, orders=[order("o1", "ETH-USD", "1")])
    desk.account("ann", "two", [position("ETH-USD", "2")], prices=PRICES)
    made = desk.document(*entry("open", "ETH-USD", "1", "--account", "ann/two", "--flatten-first", "--yes"))
    assert {(r["account"], r["outcome"]) for r in made["flatten"]["results"] if r["kind"] == "close"} == {
        ("ann/one", "closed"),
        ("ann/two", "closed"),
    }
    assert made["success"]
    assert [(p["account"], p["quantity"]) for p in desk.document("status")["positions"]] == [("ann/two", "1")]


def test_when_it_cannot_be_closed_first_nothing_is_opened(desk: Desk) -> None:
    desk.head += "[ladder]\nattempts = 1\ntier_timeout = 1\ntotal_timeout = 3\n"
    desk.account("ann", "paper", [position("ETH-USD", "3")], prices=PRICES, options="faults = { halted = 1.0 }")
    made = desk.document(*entry("open", "ETH-USD", "1", "--flatten-first", "--yes"), code=1)
    assert (made["success"], made["result"]) == (False, None)
    assert quantities(desk) == {"ETH-USD": "3"}


def test_a_limit_that_is_not_reached_is_withdrawn(desk: Desk) -> None:
    desk.account("ann", "paper", prices=PRICES)
    made = desk.document(*entry("open", "ETH-USD", "1", "--limit", "--wait", "0.3", "--yes"), code=1)
    assert (made["order"]["type"], made["order"]["price"]) == ("limit", "99.9")
    assert made["result"]["outcome"] == "not_filled"
    assert desk.held() == set()
    assert desk.document("cancel-orders", "--all", "--dry-run")["actions"] == []


def test_a_part_below_the_venues_minimum_is_raised_to_it_with_a_warning(desk: Desk) -> None:
    rules = {"symbol": "BTC-USD", "kind": "spot", "step": "0.1", "min_quantity": "0.5"}
    desk.account("ann", "paper", [position("BTC-USD", "4", entry="0.5")], instruments=[rules])
    place = ("scale", "--account", "ann/paper", "--symbol", "BTC-USD")
    made = desk.document(*place, "--out", "0.2", "--yes")
    assert made["warnings"][0] == "0.2 is below the venue's minimum and is raised to it: 0.5"
    assert (made["result"]["filled"], made["result"]["realised"]) == ("0.5", "0.25")
    made = desk.document(*place, "--in", "0.1", "--yes")
    assert (made["result"]["filled"], made["result"]["position"]["entry"]) == ("0.5", "0.5625")
    assert quantities(desk) == {"BTC-USD": "4"}
    assert desk.document("reconcile", code=1)["counts"]["missed"] == 1, "it was never adopted"


@pytest.mark.parametrize("out", ["4", "9", "3.99"])
def test_taking_off_all_of_it_closes_it(desk: Desk, out: str) -> None:
    rules = {"symbol": "BTC-USD", "kind": "spot", "step": "0.01", "min_quantity": "3.995" if out == "3.99" else "0"}
    rules |= {"step": "0.005"} if out == "3.99" else {}
    desk.account("ann", "paper", [position("BTC-USD", "3.995" if out == "3.99" else "4")], instruments=[rules])
    made = desk.document("scale", "--account", "ann/paper", "--symbol", "BTC-USD", "--out", out, "--yes")
    assert [r["outcome"] for r in made["results"]] == ["closed"]
    assert desk.held() == set()


def test_an_owners_unreadable_account_keeps_the_gate_shut(desk: Desk) -> None:
    desk.account("ann", "one", prices=PRICES)
    desk.account("ann", "two", options="faults = { read_fails = 1.0 }")
    made: Any = desk.document(*entry("check-entry", "ETH-USD"), code=1)
    assert made["code"] == "account_unreadable"
    desk.account("bob", "one", options="faults = { read_fails = 1.0 }")
    assert desk.call(*entry("check-entry", "ETH-USD", user="bob")).exit_code == 4


def test_a_lost_answer_is_found_out(desk: Desk) -> None:
    desk.account("ann", "paper", prices=PRICES, options="faults = { lose_response = 1.0 }")
    made = desk.document(*entry("open", "ETH-USD", "1", "--yes"))
    assert made["result"]["outcome"] == "filled"
    sent = [e for e in desk.document("journal")["entries"] if e["kind"] == "intent_written"]
    assert len(sent) == 1
