"""Open orders on what is to be closed: kept by default, cancelled once at start, by condition, or always."""

from __future__ import annotations

import pytest

from tests.scenarios.desk import Desk, closes, order, position, skips


@pytest.fixture
def crowded(desk: Desk) -> Desk:
    """Eight to keep, one beyond the cap with an order, one dust with an order, one dust without."""
    held = [position(f"C{n}-USD", f"{30 + n}") for n in range(8)]
    held += [position("CAP-USD", "5"), position("DUST1-USD", "0.5"), position("DUST2-USD", "0.6")]
    orders = [order("o1", "CAP-USD", "5"), order("o2", "DUST1-USD", "0.5"), order("o3", "C7-USD", "1")]
    return desk.account("user_1", "coinbase", held, orders=orders)


def open_orders(desk: Desk) -> dict[str, int]:
    """How many open orders each position has that has any."""
    return {p["symbol"]: p["open_orders"] for p in desk.document("status")["positions"] if p["open_orders"]}


def test_conservative_skips_them_and_takes_no_bigger_one_instead(crowded: Desk) -> None:
    made = crowded.document("cleanup", "--yes")
    assert closes(made) == ["DUST2-USD"]
    assert skips(made, "open_orders") == ["DUST1-USD", "CAP-USD"]
    assert (made["totals"]["skipped"], made["verified"]["final"]) == (2, 10)
    assert open_orders(crowded) == {"CAP-USD": 1, "DUST1-USD": 1, "C7-USD": 1}


def test_always_cancels_for_what_is_closed_and_for_nothing_else(crowded: Desk) -> None:
    preview = crowded.call("cleanup", "--dry-run", "--include-open-orders")
    assert "[DUST][OPEN_ORDER][WOULD_CANCEL] Order o2 on DUST1-USD" in preview.output
    assert "[CAP][OPEN_ORDER][WOULD_CANCEL] Order o1 on CAP-USD" in preview.output
    result = crowded.call("cleanup", "--include-open-orders", "--yes")
    assert result.exit_code == 0, result.stderr
    assert "[DUST][OPEN_ORDER][CANCELLED] Order o2 on DUST1-USD" in result.stderr
    assert len(crowded.held()) == 8
    assert open_orders(crowded) == {"C7-USD": 1}


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("usd_value<1.0", {"CAP-USD", "C7-USD"}),
        ("rank>max_positions", {"DUST1-USD", "C7-USD"}),
        ("usd_value<1.0,rank>max_positions", {"C7-USD"}),
        ("usd_value < 0.5", {"CAP-USD", "DUST1-USD", "C7-USD"}),
        ("usd_value<=0.5", {"CAP-USD", "C7-USD"}),
    ],
)
def test_selective_cancels_where_any_condition_holds(crowded: Desk, condition: str, left: set[str]) -> None:
    crowded.document("cleanup", "--cancel-if", condition, "--yes")
    assert set(open_orders(crowded)) == left


def test_the_environment_can_set_the_condition(crowded: Desk) -> None:
    crowded.document("cleanup", "--yes", env={"FORCED_CLEANUP_CANCEL_OPEN_ORDERS_IF": "usd_value<1.0"})
    assert set(open_orders(crowded)) == {"CAP-USD", "C7-USD"}


def test_nuclear_cancels_in_the_first_run_after_start(crowded: Desk) -> None:
    made = crowded.document("cleanup", "--include-open-orders", "--startup-only", "--yes")
    assert made["verified"]["final"] == 8
    assert set(open_orders(crowded)) == {"C7-USD"}


def test_cancel_orders_cancels_and_closes_nothing(crowded: Desk) -> None:
    made = crowded.document("cancel-orders", "--user", "user_1", "--yes")
    assert [(r["kind"], r["outcome"]) for r in made["results"]] == [("cancel_order", "cancelled")] * 3
    assert open_orders(crowded) == {}
    assert len(crowded.held()) == 11


def test_flatten_leaves_no_resting_order_behind(desk: Desk) -> None:
    entry = {**order("o9", "LATER-USD", "3"), "side": "buy", "price": "0.5"}
    desk.account("user_1", "coinbase", [position("A-USD", "5")], orders=[order("o1", "A-USD", "5"), entry])
    made = desk.document("flatten", "--all", "--yes")
    outcomes = {(r["kind"], r["order_id"]): r["outcome"] for r in made["results"]}
    assert outcomes == {
        ("close", None): "closed",
        ("cancel_order", "o1"): "cancelled",
        ("cancel_order", "o9"): "cancelled",
    }
    assert desk.document("cancel-orders", "--all", "--dry-run")["actions"] == []
    assert desk.held() == set()


def test_flatten_takes_only_what_is_selected(desk: Desk) -> None:
    desk.account("user_1", "coinbase", [position("A-USD", "5"), position("B-USD", "6")])
    desk.account("user_2", "coinbase", [position("A-USD", "7")])
    desk.document("flatten", "--user", "user_1", "--symbol", "A-USD", "--yes")
    assert desk.held() == {("user_1/coinbase", "B-USD"), ("user_2/coinbase", "A-USD")}
    desk.document("flatten", "--account", "user_2/coinbase", "--yes")
    assert desk.held() == {("user_1/coinbase", "B-USD")}
