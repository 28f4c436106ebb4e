"""Forced cleanup as its operators tell it: dust, the cap across brokers, and what stays as it is."""

from __future__ import annotations

import pytest

from tests.scenarios.desk import Desk, closes, fifty_nine, order, position, skips


def test_59_positions_become_8_by_45_dust_and_6_beyond_the_cap(desk: Desk) -> None:
    desk.account("platform", "coinbase", fifty_nine())
    made = desk.document("cleanup", "--yes")
    totals = made["totals"]
    assert (totals["initial"], totals["dust"], totals["cap_excess"], totals["final"]) == (59, 45, 6, 8)
    assert totals["reduction"] == 51
    assert {r["outcome"] for r in made["results"]} == {"closed"}
    assert {r["tier"] for r in made["results"]} == {"market_ioc"}
    assert made["verified"]["final"] == 8
    assert desk.held() == {("platform/coinbase", f"COIN{n:02d}-USD") for n in range(6, 14)}


def test_the_smallest_go_first_and_say_why(desk: Desk) -> None:
    desk.account("platform", "coinbase", fifty_nine())
    made = desk.document("cleanup", "--dry-run")
    assert closes(made, "cap_exceeded") == [f"COIN{n:02d}-USD" for n in range(6)]
    texts = {a["text"] for a in made["actions"] if a["reason"] == "cap_exceeded"}
    assert texts == {"Position cap exceeded (14/8)"}
    assert made["actions"][0]["text"] == "Dust position ($0.10 < $1.00)"
    assert [a["rank"] for a in made["actions"] if a["reason"] == "cap_exceeded"] == [14, 13, 12, 11, 10, 9]


def test_a_user_with_5_at_one_broker_and_4_at_another_loses_exactly_the_smallest(desk: Desk) -> None:
    desk.account("user_123", "coinbase", [position(f"C{n}-USD", f"{20 + n}") for n in range(5)])
    desk.account("user_123", "kraken", [position(f"K{n}-USD", f"{10 * n + 15}") for n in range(4)])
    [owner] = desk.document("status")["owners"]
    assert owner == {"id": "user_123", "cap": 8, "counted": 9, "complete": True, "dust": 0, "unsellable": 0}
    made = desk.document("cleanup", "--yes")
    assert [(r["account"], r["symbol"]) for r in made["results"]] == [("user_123/kraken", "K0-USD")]
    assert made["actions"][0]["text"] == "Position cap exceeded (9/8)"
    assert len(desk.held()) == 8
    again = desk.document("cleanup", "--yes")
    assert again["actions"] == []


STUB = {"bid": "0.001", "ask": "200"}


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_stub_quote_makes_no_position_dust(desk: Desk, side: str) -> None:
    held = [position(s, "10", entry="98", side=side) for s in ("DOGE-USD", "BARE-USD", "OUTSIDE-USD")]
    touches = {"DOGE-USD": {**STUB, "last": "100"}, "BARE-USD": STUB, "OUTSIDE-USD": {**STUB, "last": "201"}}
    desk.account("ann", "paper", held, touches=touches)
    worth = {p["symbol"]: (p["usd_value"], p["mark"]) for p in desk.document("status")["positions"]}
    assert worth == {"DOGE-USD": ("1000.00", "100"), "BARE-USD": (None, None), "OUTSIDE-USD": (None, None)}
    made = desk.document("cleanup", "--yes")
    assert closes(made) == []
    assert skips(made, "no_price") == ["BARE-USD", "OUTSIDE-USD"]
    assert {a["text"] for a in made["actions"]} == {"Value unknown: bid 0.001 and ask 200 are no market"}
    costs = {a["symbol"]: a["cost"] for a in desk.document("flatten", "--all", "--dry-run")["actions"]}
    assert costs == {"DOGE-USD": "1000.99" if side == "long" else "1001.00", "BARE-USD": None, "OUTSIDE-USD": None}


def test_a_stub_quote_ranks_no_position_below_a_smaller(desk: Desk) -> None:
    held = [position("BIG-USD", "10"), *(position(f"C{n}-USD", f"{50 + n}") for n in range(8))]
    desk.account("ann", "paper", held, touches={"BIG-USD": {"bid": "4", "ask": "8", "last": "6"}})
    assert closes(desk.document("cleanup", "--yes")) == ["C0-USD"], "BIG-USD is worth 60 dollars by its last price"


def test_stricter_limits_for_one_run_come_from_the_options(desk: Desk) -> None:
    desk.account("user_1", "coinbase", [position(f"C{n}-USD", f"1.{n}") for n in range(4)])
    desk.account("user_1", "kraken", [position(f"K{n}-USD", f"{5 + n}") for n in range(7)])
    made = desk.document("cleanup", "--max-positions", "5", "--dust", "2.00", "--yes")
    assert (made["totals"]["dust"], made["totals"]["cap_excess"], made["verified"]["final"]) == (4, 2, 5)


def test_the_platform_is_an_owner_of_its_own(desk: Desk) -> None:
    desk.account("platform", "coinbase", [position(f"P{n}-USD", "10") for n in range(8)])
    desk.account("user_1", "coinbase", [position(f"U{n}-USD", "10") for n in range(8)])
    assert desk.document("cleanup", "--dry-run")["actions"] == []
    desk.account("user_2", "coinbase", [position(f"W{n}-USD", f"1{n}") for n in range(4)], cap=3)
    made = desk.document("cleanup", "--yes")
    assert [r["account"] for r in made["results"]] == ["user_2/coinbase"]
    assert {o["id"]: o["final"] for o in made["verified"]["owners"]} == {"platform": 8, "user_1": 8, "user_2": 3}


def test_a_dry_run_changes_nothing_at_all(desk: Desk) -> None:
    desk.account("platform", "coinbase", fifty_nine(), orders=[order("o1", "DUST00-USD", "0.1")])
    before = desk.files()
    desk.document("cleanup", "--dry-run", "--include-open-orders")
    desk.document("status")
    assert desk.call("flatten", "--all", "--dry-run").exit_code == 0
    assert desk.call("cleanup").exit_code == 3
    assert desk.files() == before
    desk.document("cleanup", "--yes")
    after = desk.files()
    desk.document("cleanup", "--dry-run", "--max-positions", "2")
    desk.document("status")
    assert desk.call("flatten", "--all").exit_code == 3
    assert desk.files() == after


def test_one_account_that_fails_neither_blocks_the_others_nor_is_guessed_at(desk: Desk) -> None:
    desk.account("user_1", "coinbase", [position(f"C{n}-USD", f"{10 + n}") for n in range(9)])
    desk.account("user_1", "kraken", options="faults = { read_fails = 1.0 }")
    desk.account("platform", "coinbase", [position("DUST-USD", "0.5")])
    made = desk.document("cleanup", "--yes", code=1)
    assert made["complete"] is False
    assert list(made["unreadable"]) == ["user_1/kraken"]
    assert sorted(r["symbol"] for r in made["results"]) == ["C0-USD", "DUST-USD"]
    assert {o["id"]: o["complete"] for o in desk.document("status")["owners"]} == {"platform": True, "user_1": False}
    text = desk.call("cleanup", "--dry-run")
    assert "PARTIAL" in text.output


def test_when_no_account_can_be_read_the_exit_code_says_so(desk: Desk) -> None:
    desk.account("user_1", "kraken", options="faults = { read_fails = 1.0 }")
    assert desk.call("status").exit_code == 4
    assert desk.call("cleanup", "--yes").exit_code == 4


def test_an_unsellable_position_is_shown_with_its_reason_never_sent_and_not_counted(desk: Desk) -> None:
    coin = {"symbol": "TINY-USD", "min_quantity": "1", "way_out": "convert small balances in the app"}
    held = [position(f"C{n}-USD", f"{10 + n}") for n in range(8)]
    desk.account("user_1", "coinbase", [*held, position("TINY-USD", "0.4")], instruments=[coin])
    assert desk.document("status")["owners"][0]["counted"] == 8
    made = desk.document("cleanup", "--yes")
    assert skips(made, "unsellable") == ["TINY-USD"]
    assert "below the venue's minimum of 1; way out: convert small balances in the app" in made["actions"][0]["text"]
    assert made["totals"]["unsellable"] == 1
    row = next(p for p in desk.document("status")["positions"] if p["symbol"] == "TINY-USD")
    assert "unsellable" in row["flags"]
    assert len(desk.held()) == 9


def test_a_position_without_a_price_is_never_dust_and_never_ranked(desk: Desk) -> None:
    held = [position(f"C{n}-USD", f"{10 + n}") for n in range(8)]
    desk.account("user_1", "coinbase", [*held, position("MYSTERY-USD", "0.1")], unpriced=["MYSTERY-USD"])
    made = desk.document("cleanup", "--yes")
    assert closes(made) == []
    assert skips(made, "no_price") == ["MYSTERY-USD"]
    row = next(p for p in desk.document("status")["positions"] if p["symbol"] == "MYSTERY-USD")
    assert (row["usd_value"], row["mark"], row["pnl_pct"]) == (None, None, None)
    assert desk.document("status")["owners"][0]["counted"] == 9


@pytest.mark.parametrize(
    ("entry", "side", "profit"),
    [("0.5", "long", "WIN"), ("2", "long", "LOSS"), (None, "long", "UNKNOWN"), ("2", "short", "WIN")],
)
def test_every_closed_position_is_confirmed_as_win_loss_or_unknown(
    desk: Desk, entry: str | None, side: str, profit: str
) -> None:
    desk.account("user_1", "coinbase", [position("C-USD", "0.5", entry=entry, side=side)])
    result = desk.call("cleanup", "--yes")
    assert "[DUST][FORCED] C-USD" in result.stderr
    assert "PROFIT_STATUS = PENDING → CONFIRMED" in result.stderr
    assert f"OUTCOME = {profit}" in result.stderr
    assert "FINAL SUMMARY Initial total positions: 1, Dust positions closed: 1" in result.stderr
    assert "Final total positions: 0, Total reduced by: 1" in result.stderr


def test_a_tier_that_the_venue_refuses_gives_way_to_the_next(desk: Desk) -> None:
    desk.account("user_1", "coinbase", [position("C-USD", "5")], options="faults = { reject_ioc = 1.0 }")
    made = desk.document("flatten", "--all", "--yes")
    assert [(r["outcome"], r["tier"]) for r in made["results"]] == [("closed", "market_gtc")]
    assert desk.held() == set()


@pytest.mark.parametrize("account", ["futures", "spot"])
def test_spot_against_a_short_perpetual_of_the_coin_is_not_closed_alone(desk: Desk, account: str) -> None:
    short = position("BTC-PERP", "50", side="short")
    spot = [position("BTC-USD", "0.5"), position("ETH-USD", "0.5")]
    accounts = {"spot": spot}
    accounts[account] = [*accounts.get(account, []), short]
    for name, held in accounts.items():
        desk.account("ann", name, held)
    made = desk.document("cleanup", "--yes")
    assert (closes(made), skips(made, "covers")) == (["ETH-USD"], ["BTC-USD"])
    where = "" if account == "spot" else " on ann/futures"
    [text] = [a["text"] for a in made["actions"] if a["reason"] == "covers"]
    assert text == f"Dust position ($0.50 < $1.00); skipped: it covers the short BTC-PERP{where}, which stays"
    assert desk.held() == {("ann/spot", "BTC-USD"), (f"ann/{account}", "BTC-PERP")}


def test_of_a_coin_and_its_short_perpetual_that_both_go_the_short_goes_first(desk: Desk) -> None:
    desk.account("ann", "futures", [position("BTC-PERP", "0.6", side="short")])
    desk.account("ann", "spot", [position("BTC-USD", "0.5")])
    made = desk.document("cleanup", "--yes")
    assert desk.held() == set()
    assert [r["symbol"] for r in made["results"]] == ["BTC-PERP", "BTC-USD"]


def test_a_coin_stays_when_the_short_that_should_go_first_cannot_be_closed(desk: Desk) -> None:
    tiers = ("ioc", "gtc", "fok", "limit", "close_call", "direct")
    faults = f"faults = {{ {', '.join(f'reject_{tier} = 1' for tier in tiers)} }}"
    desk.account("ann", "futures", [position("BTC-PERP", "0.6", side="short")], options=faults)
    desk.account("ann", "spot", [position("BTC-USD", "0.5")])
    made = desk.document("cleanup", "--yes", code=1)
    assert {r["symbol"]: r["outcome"] for r in made["results"]} == {"BTC-PERP": "stuck", "BTC-USD": "refused"}
    assert len(desk.held()) == 2
    made = desk.document("flatten", "--all", "--yes", code=1)  # no account waits for another one
    assert {r["symbol"]: r["outcome"] for r in made["results"]} == {"BTC-PERP": "stuck", "BTC-USD": "closed"}
