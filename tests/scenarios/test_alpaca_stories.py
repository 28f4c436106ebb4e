"""Alpaca as its operators tell it, through the command line and real sockets, ending flat on the venue's side."""

from __future__ import annotations

from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]

PUT = "QCOM260220P00145000"


def test_a_long_put_is_closed_by_the_position_call_with_46296_dollars_of_buying_power(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold(PUT, "8", entry="5.50", price="6.25")
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {PUT: "closed"}
    assert [a["tiers"] for a in made["actions"]] == [["venue_close"]]
    assert [(r["tier"], r["filled"], r["average_price"], r["profit"]) for r in made["results"]] == [
        ("venue_close", "8", "6.25", "WIN")
    ]
    assert [a.query for a in venue.rest.sent("DELETE", f"/v2/positions/{PUT}")] == [{"qty": "8"}]
    assert venue.rest.sent("POST") == []
    assert venue.truth.holdings == {}


def test_status_shows_equities_options_and_crypto_with_their_values(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10.5", entry="100", price="110")
    venue.truth.hold("TSLA", "-2", entry="200", price="210")
    venue.truth.hold(PUT, "1", entry="5", price="6")
    venue.truth.hold("BTC/USD", "0.5", entry="60000", price="50000")
    venue.truth.rest("AAPL", "4", limit="150")
    made = open_desk().document("status")
    rows = {p["symbol"]: p for p in made["positions"]}
    assert {s: (p["side"], p["quantity"], p["free"], p["usd_value"], p["open_orders"]) for s, p in rows.items()} == {
        "AAPL": ("long", "10.5", "6.5", "1155.00", 1),
        "TSLA": ("short", "2", "2", "420.00", 0),
        PUT: ("long", "1", "1", "600.00", 0),
        "BTC/USD": ("long", "0.5", "0.5", "25000.00", 0),
    }
    assert rows["BTC/USD"]["native_symbol"] == "BTCUSD"
    assert made["accounts"][0]["state"] == "polling"


def test_everything_is_flattened_each_in_its_way(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10.5", price="110")
    venue.truth.hold("TSLA", "-2", price="210")
    venue.truth.hold(PUT, "3", entry="5", price="6")
    venue.truth.hold("BTC/USD", "0.5", price="50000")
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert set(desk.outcomes(made).values()) == {"closed"}
    assert made["verified"]["final"] == 0
    assert venue.truth.holdings == {}
    assert {a.path.rpartition("/")[2] for a in venue.rest.sent("DELETE")} == {"AAPL", "TSLA", PUT, "BTCUSD"}
    assert desk.document("status")["positions"] == []


def test_cleanup_takes_dust_and_what_is_beyond_the_cap(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    for n in range(10):
        venue.truth.hold(f"S{n}", f"{n + 1}", price="10")
    venue.truth.hold("DUST", "0.05", price="10")
    desk = open_desk()
    made = desk.document("cleanup", "--yes")
    assert (made["totals"]["dust"], made["totals"]["cap_excess"], made["verified"]["final"]) == (1, 2, 8)
    assert sorted(venue.truth.holdings) == [f"S{n}" for n in range(2, 10)]


def test_held_quantity_waits_for_a_cancel_that_takes_ten_seconds(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    resting = venue.truth.rest("AAPL", "10", limit="150")
    venue.manners.cancel_lag = 10.0
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert {(r["kind"], r["outcome"]) for r in made["results"]} == {("close", "closed"), ("cancel_order", "cancelled")}
    assert resting.status == "canceled"
    assert venue.truth.holdings == {}
    assert [a.status for a in venue.rest.sent("DELETE", "/v2/positions")] == [200]


def test_orders_alone_are_cancelled_one_by_one(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    for quantity in ("3", "4"):
        venue.truth.rest("AAPL", quantity, limit="150")
    venue.truth.rest("MSFT", "1", side="buy", limit="50")
    made = open_desk().document("cancel-orders", "--all", "--yes")
    assert [r["outcome"] for r in made["results"]] == ["cancelled"] * 3
    assert venue.truth.open_orders() == []
    assert sorted(venue.truth.holdings) == ["AAPL"]


def test_a_close_that_fills_late_and_in_parts_ends_flat(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.manners.fill_delay, venue.manners.list_lag = 1.0, 3.0
    venue.manners.parts["AAPL"] = ["0.3", "0.7"]
    desk = open_desk()
    made = desk.document("flatten", "--symbol", "AAPL", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed"}
    assert len(venue.rest.sent("DELETE")) == 1


def test_what_a_close_left_is_closed_by_the_next(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.manners.parts["AAPL"] = ["0.4"]
    venue.manners.leave_rest.add("AAPL")
    desk = open_desk(rules='[ladder]\ntiers = { alpaca = ["venue_close"] }')
    made = desk.document("flatten", "--symbol", "AAPL", "--yes")
    assert [(r["outcome"], r["filled"]) for r in made["results"]] == [("closed", "10")]
    assert [a.query["qty"] for a in venue.rest.sent("DELETE")] == ["10", "6"]
    assert venue.truth.holdings == {}


def test_configured_tiers_are_used_but_an_option_closes_by_the_position_call_whatever_is_configured(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.truth.hold("MSFT", "1.5", price="110")
    venue.truth.hold("TSLA", "-2", price="210")
    venue.truth.hold("ETH/USD", "2", price="3000")
    venue.truth.hold(PUT, "3", entry="5", price="6")
    desk = open_desk(rules='[ladder]\ntiers = { alpaca = ["market_ioc", "market_gtc"] }')
    made = desk.document("flatten", "--all", "--yes")
    tiers = {r["symbol"]: (r["outcome"], r["tier"]) for r in made["results"]}
    assert tiers == {
        "AAPL": ("closed", "market_ioc"),
        "MSFT": ("closed", "market_gtc"),  # a fraction of a share goes for the day
        "TSLA": ("closed", "market_ioc"),
        "ETH/USD": ("closed", "market_ioc"),
        PUT: ("closed", "venue_close"),
    }
    sent = {a.body["symbol"]: (a.body["side"], a.body["time_in_force"]) for a in venue.rest.sent("POST")}
    assert sent == {
        "AAPL": ("sell", "ioc"),
        "MSFT": ("sell", "day"),
        "TSLA": ("buy", "ioc"),
        "ETH/USD": ("sell", "ioc"),
    }
    assert venue.truth.holdings == {}


def test_a_plain_order_whose_answer_is_lost_is_found_by_its_client_id(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.fault("POST", "/v2/orders", "504", acts=True)
    desk = open_desk(rules='[ladder]\ntiers = { alpaca = ["market_gtc"] }')
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed"}
    [sent] = venue.rest.sent("POST")
    asked = venue.rest.sent("GET", "/v2/orders:by_client_order_id")
    assert asked[0].query["client_order_id"] == sent.body["client_order_id"]


def test_crypto_below_the_venues_minimum_is_shown_and_not_sent(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("BTC/USD", "0.00009", price="50000")
    made = open_desk().document("flatten", "--all", "--yes")
    assert [(a["kind"], a["reason"]) for a in made["actions"]] == [("skip", "unsellable")]
    assert "below" in made["actions"][0]["text"]
    assert venue.rest.sent("DELETE") == []


def test_check_says_what_is_right_and_what_cannot_be_told(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    desk = open_desk(streams=True)
    made = desk.document("check")
    checks = {c["name"]: c["ok"] for c in made["accounts"][0]["checks"]}
    assert checks == {
        "credentials": True,
        "account": True,
        "day trading": True,
        "permissions": None,
        "clock": True,
        "limits": True,
        "market": True,
        "prices": True,
        "stream": True,
    }
