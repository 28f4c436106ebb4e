"""Option spreads and covered calls at Alpaca: a cleanup strips none, a flatten closes the short first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]

SHORT, LONG = "SPY260220P00565000", "SPY260220P00560000"


def hold_spread(venue: AlpacaVenue, short: str = "-1", long: str = "1", *, long_price: str = "0.005") -> None:
    """A credit spread of puts, whose long leg is worth next to nothing."""
    venue.truth.hold(SHORT, short, entry="3", price="4")
    venue.truth.hold(LONG, long, entry="0.40", price=long_price)


def actions(document: Any) -> dict[str, tuple[str, str]]:
    return {a["symbol"]: (a["kind"], a["reason"]) for a in document["actions"]}


def test_a_cleanup_keeps_the_protective_leg_of_a_spread(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    hold_spread(venue)
    made = open_desk().document("cleanup", "--yes")
    assert actions(made) == {LONG: ("skip", "covers")}
    [text] = [a["text"] for a in made["actions"]]
    assert text == f"Dust position ($0.50 < $1.00); skipped: it covers the short {SHORT}, which stays"
    assert set(venue.truth.holdings) == {SHORT, LONG}
    assert venue.rest.sent("DELETE") == []


def test_a_cap_of_one_closes_neither_leg_alone(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    hold_spread(venue, long_price="2")
    made = open_desk().document("cleanup", "--max-positions", "1", "--yes")
    assert actions(made) == {LONG: ("skip", "covers")}
    assert len(venue.truth.holdings) == 2


def test_a_cleanup_that_closes_both_closes_the_short_first(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    hold_spread(venue)
    venue.manners.covered_only, venue.manners.fill_delay = True, 3.0
    desk = open_desk()
    made = desk.document("cleanup", "--max-positions", "none", "--yes")
    assert desk.outcomes(made) == {SHORT: "closed", LONG: "closed"}
    assert [a.path.rpartition("/")[2] for a in venue.rest.sent("DELETE")] == [SHORT, LONG]
    [text] = [a["text"] for a in made["actions"] if a["symbol"] == LONG]
    assert text.endswith(f"goes after the short {SHORT}, which it covers")


@pytest.mark.parametrize("fill_delay", [0.0, 3.0])
def test_a_flatten_closes_the_short_and_then_the_leg_that_the_venue_keeps_until_then(
    venue: AlpacaVenue, open_desk: OpenDesk, fill_delay: float
) -> None:
    hold_spread(venue, "-2", "2", long_price="1")
    venue.manners.covered_only, venue.manners.fill_delay = True, fill_delay
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {SHORT: "closed", LONG: "closed"}
    assert venue.truth.holdings == {}
    assert len(venue.rest.sent("DELETE")) == 2


def test_a_leg_that_is_closed_alone_is_tried_again_while_somebody_closes_its_short(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    hold_spread(venue, long_price="1")
    venue.manners.covered_only = True
    venue.truth.later(3.0, lambda: venue.truth.close(SHORT, None))
    desk = open_desk()
    made = desk.document("flatten", "--symbol", LONG, "--yes")
    assert desk.outcomes(made) == {LONG: "closed"}


def test_a_short_that_cannot_be_closed_keeps_its_cover(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    hold_spread(venue, long_price="1")
    venue.fault("DELETE", f"/v2/positions/{SHORT}", "403", times=100, body='{"code": 40310000, "message": "no"}')
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes", code=1)
    assert desk.outcomes(made) == {SHORT: "stuck", LONG: "refused"}
    [why] = [r["error"] for r in made["results"] if r["symbol"] == LONG]
    assert why == f"the short {SHORT}, which this covers, is not closed; this does not go alone"
    assert set(venue.truth.holdings) == {SHORT, LONG}


def test_a_cleanup_keeps_the_shares_of_a_covered_call(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("SPY", "100", price="0.004")
    venue.truth.hold("SPY260220C00700000", "-1", price="1")
    venue.truth.hold("QQQ", "1", price="0.5")
    made = open_desk().document("cleanup", "--yes")
    assert actions(made) == {"SPY": ("skip", "covers"), "QQQ": ("close", "dust")}
    assert set(venue.truth.holdings) == {"SPY", "SPY260220C00700000"}
