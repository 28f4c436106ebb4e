"""One endpoint of Alpaca that fails for hours does not disarm the others: positions are watched and closes leave."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from core.plans.request import PlanRequest
from tests.support.service import service, soon
from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]

LONG = 10_000  # requests; longer than any of these tests
LEGACY = '[legacy]\nemergency_close_legacy = true\nrisk_per_trade = "0.003"'
BESIDE = ("/v2/account", "/v2/clock", "/v2/assets", "/v2/calendar", "/v2/stocks", "/v1beta3")


@pytest.mark.parametrize("do", ["500", "429", "403", "404", "garbage", "empty", "drop"])
@pytest.mark.parametrize("path", ["/v2/account", "/v2/clock"])
def test_a_close_leaves_although_one_endpoint_fails(
    venue: AlpacaVenue, open_desk: OpenDesk, path: str, do: str
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("GET", path, do, times=LONG)
    desk = open_desk()
    began = venue.clock.monotonic()
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed"}
    assert venue.clock.monotonic() - began < 120
    assert len(venue.rest.sent("DELETE", "/v2/positions")) == 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("path", BESIDE)
async def test_a_stop_is_watched_although_one_endpoint_fails(
    venue: AlpacaVenue, open_desk: OpenDesk, path: str, streams: bool
) -> None:
    """With a stream the market is quiet: prices come from requests."""
    venue.truth.hold("AAPL", "8", entry="100", price="100")
    venue.truth.hold("BTC/USD", "1", entry="100", price="100")
    venue.fault("GET", path, "500", times=LONG)
    desk = open_desk(rules='[automation]\nexits = "auto"', streams=streams)

    async with service(desk.config, venue.clock) as engine:
        await soon(lambda: [p.mark for p in engine.snapshot().positions] == [100, 100])
        venue.truth.prices |= {s: (Decimal(90), Decimal(90)) for s in ("AAPL", "BTC/USD")}
        await soon(lambda: not venue.truth.holdings)


@pytest.mark.parametrize(("do", "said"), [("500", "Alpaca answered 500"), ("403", "forbidden"), ("garbage", "cannot")])
async def test_the_legacy_plan_names_the_endpoint_that_does_not_tell_the_equity(
    venue: AlpacaVenue, open_desk: OpenDesk, do: str, said: str
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("GET", "/v2/account", do, times=LONG, body='{"message": "forbidden."}')
    async with service(open_desk(rules=LEGACY).config, venue.clock) as engine:
        await engine.reconciliation.judge()
        plan = await engine.prepare(PlanRequest("legacy"))
    [close] = [a.text for a in plan.actions]
    assert "risk unknown (equity unknown: " in close
    assert said in close
    assert "(GET /v2/account)" in close


def test_an_account_whose_positions_fail_is_unreadable_and_the_reason_names_the_endpoint(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("GET", "/v2/positions", "500", times=LONG)
    result = open_desk().call("flatten", "--all", "--yes")
    assert result.exit_code == 4
    assert "Alpaca answered 500" in result.output
    assert "/v2/positions" in result.output
    assert venue.rest.sent("DELETE") == []


@pytest.mark.parametrize("do", ["500", "403", "garbage", "drop"])
def test_an_account_whose_orders_fail_is_partial_and_its_positions_are_closed(
    venue: AlpacaVenue, open_desk: OpenDesk, do: str
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("GET", "/v2/orders?", do, times=LONG)
    desk = open_desk()
    [account] = desk.document("status")["accounts"]
    assert account["complete"] is False
    assert "(GET /v2/orders)" in account["unlisted"][0]
    made = desk.document("flatten", "--all", "--yes", code=1)
    assert desk.outcomes(made) == {"AAPL": "closed"}
    assert made["actions"][0]["text"] == "Flatten; its open orders are not known"
    assert made["complete"] is False
    assert len(venue.rest.sent("DELETE", "/v2/positions")) == 1


def test_a_cleanup_closes_nothing_whose_open_orders_are_not_known(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "1", price="0.50")
    venue.fault("GET", "/v2/orders?", "500", times=LONG)
    made = open_desk().document("cleanup", "--include-open-orders", "--yes", code=1)
    [skip] = made["actions"]
    assert (skip["kind"], skip["reason"]) == ("skip", "open_orders")
    assert "its open orders are not known: Alpaca answered 500" in skip["text"]
    assert skip["text"].endswith("(GET /v2/orders)")
    assert venue.rest.sent("DELETE") == []


@pytest.mark.parametrize("do", ["500", "403", "garbage"])
def test_a_lost_answer_is_found_in_the_orders_although_the_activities_fail(
    venue: AlpacaVenue, open_desk: OpenDesk, do: str
) -> None:
    venue.truth.hold("AAPL", "8", price="6")
    venue.fault("GET", "/v2/account/activities", do, times=LONG)
    venue.fault("DELETE", "/v2/positions", "504", acts=True)
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert [(r["outcome"], r["filled"], r["tier"]) for r in made["results"]] == [("closed", "8", "venue_close")]
    assert len(venue.rest.sent("DELETE", "/v2/positions")) == 1


def test_check_tells_an_endpoint_that_fails_from_wrong_keys(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.fault("GET", "/v2/account", "403", body='{"message": "forbidden."}')
    venue.fault("GET", "/v2/clock", "500", times=LONG)
    made = open_desk().document("check")["accounts"][0]["checks"]
    found = {c["name"]: (c["ok"], c["text"]) for c in made}
    assert found["credentials"] == (True, "account unknown, paper money")
    assert found["account"] == (None, "not told: forbidden. (GET /v2/account)")
    said = "Alpaca does not tell whether the market is open: Alpaca answered 500"
    assert found["market"][0] is None
    assert found["market"][1].startswith(said)


@pytest.mark.parametrize(
    ("moment", "sent"),
    [("2026-11-27T13:30:00-05:00", True), ("2026-11-27T18:30:00Z", True), ("2026-11-27T17:30:00-05:00", False)],
)
@pytest.mark.parametrize("calendar", [True, False])
def test_on_a_half_day_the_extended_session_ends_at_17(
    venue: AlpacaVenue, open_desk: OpenDesk, moment: str, sent: bool, calendar: bool
) -> None:
    venue.truth.hold("AAPL", "8", price="100")
    venue.manners.open, venue.manners.timestamp = False, moment
    venue.manners.next_open = datetime.fromisoformat("2026-11-30T09:30:00-05:00")
    if calendar:
        row = {"date": "2026-11-27", "open": "09:30", "close": "13:00", "session_open": "0400", "session_close": "1700"}
        venue.manners.calendar = [row]
    desk = open_desk(more="extended_hours = true", rules="[ladder]\ntotal_timeout = 60")
    made = desk.document("flatten", "--all", "--yes", code=0 if sent else 1)
    assert desk.outcomes(made) == {"AAPL": "closed" if sent else "waiting_open"}
    assert [a.body["extended_hours"] for a in venue.rest.sent("POST")] == [True] * sent
