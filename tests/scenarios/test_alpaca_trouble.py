"""What Alpaca does on bad days, through the command line: the close happens once, or it is said why it did not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from core.units import iso
from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import KEY, SECRET, AlpacaVenue

__all__ = ["open_desk", "venue"]

PUT = "QCOM260220P00145000"
CLOSE_ONLY = '[ladder]\ntiers = { alpaca = ["venue_close"] }'


def close_calls(venue: AlpacaVenue) -> int:
    return len(venue.rest.sent("DELETE", "/v2/positions"))


@pytest.mark.parametrize("do", ["504", "500", "drop", "empty", "garbage"])
def test_a_close_whose_answer_is_lost_is_looked_up_and_not_sent_again(
    venue: AlpacaVenue, open_desk: OpenDesk, do: str
) -> None:
    venue.truth.hold(PUT, "8", price="6")
    venue.fault("DELETE", "/v2/positions", do, acts=True)
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert [(r["outcome"], r["filled"], r["tier"]) for r in made["results"]] == [("closed", "8", "venue_close")]
    assert close_calls(venue) == 1
    assert venue.truth.holdings == {}


def test_an_order_that_shows_late_after_a_504_is_still_found(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.manners.close_lag, venue.manners.fill_delay, venue.manners.activities_lag = 4.0, 6.0, 5.0
    venue.fault("DELETE", "/v2/positions", "504", acts=True)
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert [(r["outcome"], r["filled"]) for r in made["results"]] == [("closed", "8")]
    assert (close_calls(venue), venue.rest.sent("POST")) == (1, [])


def test_a_close_that_never_arrived_is_sent_again_once_that_is_certain(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("DELETE", "/v2/positions", "drop", acts=False)
    desk = open_desk(rules=f"{CLOSE_ONLY}\ntotal_timeout = 300")
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed"}
    assert close_calls(venue) == 2
    first, second = (a for a in venue.rest.sent("DELETE"))
    assert first.query == second.query == {"qty": "8"}


def test_a_row_of_a_kind_that_nobody_knows_does_not_lose_the_others(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    odd = {"symbol": "ESZ6", "asset_class": "us_future", "qty": "2", "side": "long", "current_price": "5000", "odd": 1}
    venue.truth.odd_rows.append(odd)
    venue.truth.rest("AAPL", "8", status="some_new_word")
    desk = open_desk()
    rows = {p["symbol"]: p for p in desk.document("status")["positions"]}
    assert rows["AAPL"]["open_orders"] == 1
    assert rows["ESZ6"]["flags"] == ["unsellable"]
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed"}
    skipped = [a for a in made["actions"] if a["kind"] == "skip"]
    assert [(a["symbol"], a["reason"]) for a in skipped] == [("ESZ6", "unsellable")]
    assert "close it on Alpaca's own pages" in skipped[0]["text"]


def test_a_close_call_that_fails_for_buying_power_is_stuck_and_nothing_is_sold_by_hand(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold(PUT, "8", price="6")
    venue.manners.close_refused = "insufficient options buying power for cash-secured put"
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes", code=1)
    assert desk.outcomes(made) == {PUT: "stuck"}
    assert "insufficient options buying power for cash-secured put" in desk.call("journal").output
    assert (close_calls(venue), venue.rest.sent("POST")) == (3, [])


def test_the_day_trade_protection_is_said_plainly_and_nothing_else_is_tried(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.manners.day_trade_protection = True
    made = open_desk().document("flatten", "--all", "--yes", code=1)
    said = "day-trade protection refuses it: trade denied due to pattern day trading protection"
    assert [(r["outcome"], r["error"]) for r in made["results"]] == [("stuck", said)]
    assert (close_calls(venue), venue.rest.sent("POST")) == (1, [])


def test_a_stop_that_was_cancelled_for_a_close_that_failed_is_put_back(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    from decimal import Decimal

    venue.truth.hold("AAPL", "8", price="100")
    venue.truth.rest("AAPL", "8", limit=None, type="stop", stop=Decimal(90))
    venue.fault("DELETE", "/v2/positions", "403", body='{"code": 40310000, "message": "account is restricted"}')
    made = open_desk().document("flatten", "--all", "--yes", code=1)
    assert next(r["outcome"] for r in made["results"] if r["kind"] == "close") == "stuck"
    [back] = venue.truth.open_orders()
    assert (back.type, back.stop, back.quantity, back.tif) == ("stop", Decimal(90), Decimal(8), "gtc")


def test_outside_regular_hours_an_equity_waits_for_the_open_and_crypto_goes(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.truth.hold(PUT, "1", price="6")
    venue.truth.hold("ETH/USD", "1", price="3000")
    opens = venue.clock.now().replace(microsecond=0) + timedelta(hours=40)
    venue.manners.open, venue.manners.next_open = False, opens
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes", code=1)
    assert desk.outcomes(made) == {"AAPL": "waiting_open", PUT: "waiting_open", "ETH/USD": "closed"}
    assert all(iso(opens) in r["error"] for r in made["results"] if r["outcome"] == "waiting_open")
    assert [a.path for a in venue.rest.sent("DELETE")] == ["/v2/positions/ETHUSD"]


def test_with_extended_hours_an_equity_goes_as_a_limit_before_the_open(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "8", price="100")
    opens = datetime.fromisoformat("2026-02-03T09:30:00-05:00") + timedelta(days=365 * 2)
    venue.manners.open, venue.manners.next_open = False, opens
    venue.manners.timestamp = opens.replace(hour=8).isoformat()
    desk = open_desk(more="extended_hours = true")
    made = desk.document("flatten", "--all", "--yes")
    assert [(r["outcome"], r["tier"]) for r in made["results"]] == [("closed", "limit_aggressive")]
    [sent] = venue.rest.sent("POST")
    assert {k: sent.body[k] for k in ("type", "time_in_force", "extended_hours", "limit_price", "side")} == {
        "type": "limit",
        "time_in_force": "day",
        "extended_hours": True,
        "limit_price": "99.5",
        "side": "sell",
    }
    assert close_calls(venue) == 0


def test_429_says_when_it_goes_on_and_then_it_does(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("DELETE", "/v2/positions", "429", body='{"code": 42910000, "message": "rate limit exceeded"}')
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed"}
    assert [a.status for a in venue.rest.sent("DELETE")] == [429, 200]


def test_keys_that_are_revoked_on_the_way_end_the_close_with_that_reason(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("DELETE", "/v2/positions", "401", body='{"code": 40110000, "message": "request is not authorized"}')
    made = open_desk().document("flatten", "--all", "--yes", code=1)
    said = "Alpaca does not take the credentials: request is not authorized"
    assert [(r["outcome"], r["error"]) for r in made["results"]] == [("stuck", said)]
    assert close_calls(venue) == 1


def test_wrong_keys_are_said_by_status_and_by_check(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.rest.revoked = True
    desk = open_desk()
    result = desk.call("status")
    assert result.exit_code == 4
    assert "Alpaca does not take the credentials" in result.output
    [account] = desk.document("check", code=1)["accounts"]
    assert [(c["name"], c["ok"]) for c in account["checks"]] == [("credentials", False)]
    assert "keys of the real account" in account["checks"][0]["text"]


def test_a_missing_variable_is_its_accounts_own_trouble(open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = open_desk()
    monkeypatch.delenv("ALPACA_SECRET")
    result = desk.call("status")
    assert result.exit_code == 4
    assert "environment variable ALPACA_SECRET is not set" in result.output


def test_an_account_that_may_not_trade_is_found_by_check(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.blocked = True
    venue.manners.no_prices = True
    made = open_desk().document("check", code=1)["accounts"][0]["checks"]
    found = {c["name"]: (c["ok"], c["text"]) for c in made}
    assert found["account"] == (False, "trading is blocked")
    assert found["prices"][0] is None
    assert found["stream"] == (None, "off; the account is polled")


def test_a_venue_with_less_than_all_of_its_paths_is_still_emptied(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    """No assets, executions or quotes: instruments are taken as tradable and prices from the positions."""
    venue.manners.no_assets = venue.manners.no_activities = venue.manners.no_prices = True
    venue.truth.hold("AAPL", "8", price="6")
    venue.truth.hold("BTC/USD", "0.5", price="50000")
    venue.fault("DELETE", "/v2/positions/AAPL", "504", acts=True)
    desk = open_desk()
    rows = {p["symbol"]: p["usd_value"] for p in desk.document("status")["positions"]}
    assert rows == {"AAPL": "48.00", "BTC/USD": "25000.00"}
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed", "BTC/USD": "closed"}


def test_59_positions_are_closed_within_the_limit_of_requests(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    for n in range(59):
        venue.truth.hold(f"S{n}", f"{n + 1}", price="10")
    venue.manners.fill_delay, venue.manners.limit = 1.0, 200
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert set(desk.outcomes(made).values()) == {"closed"}
    assert venue.truth.holdings == {}
    assert close_calls(venue) == 59
    assert 429 not in {a.status for a in venue.rest.audit}


def test_59_closes_whose_answers_are_all_lost_happen_once_each_within_the_limit(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    for n in range(59):
        venue.truth.hold(f"S{n}", f"{n + 1}", price="10")
    venue.manners.fill_delay = 1.0
    venue.fault("DELETE", "/v2/positions", "504", acts=True, times=59)
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert set(desk.outcomes(made).values()) == {"closed"}
    assert (close_calls(venue), venue.rest.sent("POST")) == (59, [])
    assert 429 not in {a.status for a in venue.rest.audit}


def test_no_secret_is_in_what_a_venue_makes_us_say(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("GET", "/v2/positions", "500", body=f"<html>{KEY}</html>", times=50)
    desk = open_desk()
    result = desk.call("status", "-v")
    assert result.exit_code == 4
    assert SECRET not in result.output
