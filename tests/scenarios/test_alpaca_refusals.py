"""Refusals of Alpaca that need a sentence or a memory: below the minimum, and an order of the other side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.support.service import service, soon
from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]


def sends(venue: AlpacaVenue) -> int:
    return len(venue.rest.sent("DELETE", "/v2/positions")) + len(venue.rest.sent("POST"))


def test_dust_below_the_venues_minimum_is_sent_once_and_then_unsellable(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "0.004")
    venue.manners.least_cost = "1"
    desk = open_desk()
    first = desk.document("cleanup", "--yes", code=1)
    assert [r["outcome"] for r in first["results"]] == ["refused"]
    sent = sends(venue)
    assert sent == 1
    for args in (("cleanup", "--yes"), ("flatten", "--all", "--yes")):
        made = desk.document(*args)
        [skipped] = made["actions"]
        assert (skipped["kind"], skipped["reason"]) == ("skip", "unsellable")
        assert "cost basis must be >= minimal amount of order 1" in skipped["text"]
    assert sends(venue) == sent
    [row] = desk.document("status")["positions"]
    assert "unsellable" in row["flags"]
    assert desk.document("cleanup", "--dry-run")["actions"][0]["reason"] == "unsellable"


def test_an_unsellable_position_does_not_count_against_the_cap(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "0.04")
    venue.truth.hold("MSFT", "1")
    venue.manners.least_cost = "5"
    desk = open_desk()
    desk.document("cleanup", "--max-positions", "1", "--yes", code=1)
    made = desk.document("cleanup", "--max-positions", "1", "--yes")
    assert [(a["symbol"], a["reason"]) for a in made["actions"]] == [("AAPL", "unsellable")]


@pytest.mark.parametrize(("price", "quantity", "least"), [("300", "0.004", "1"), ("100", "0.02", "1")])
def test_it_is_tried_again_when_price_or_quantity_changed(
    venue: AlpacaVenue, open_desk: OpenDesk, price: str, quantity: str, least: str
) -> None:
    venue.truth.hold("AAPL", "0.004")
    venue.manners.least_cost = least
    desk = open_desk()
    desk.document("cleanup", "--yes", code=1)
    venue.truth.hold("AAPL", quantity)
    venue.truth.prices["AAPL"] = (Decimal(price), Decimal(price))
    made = desk.document("flatten", "--all", "--yes")
    assert desk.outcomes(made) == {"AAPL": "closed"}


def test_an_order_of_the_other_side_that_blocks_a_close_is_named(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "8")
    hidden = venue.truth.rest("AAPL", "1", side="buy", limit="90")
    hidden.shown_at = venue.clock.monotonic() + 10_000  # no list tells it
    venue.manners.wash_trades = True
    desk = open_desk()
    made = desk.document("flatten", "--all", "--yes", code=1)
    [row] = made["results"]
    assert row["outcome"] == "stuck"
    why = f"(opposite side market/stop order exists: order {hidden.id})"
    assert row["error"].startswith(f"potential wash trade detected. use complex orders. {why}")
    assert sends(venue) == 4


def test_scale_in_beside_a_stop_of_ours_puts_the_stop_aside_and_the_next_fits(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "10")
    venue.manners.wash_trades = True
    desk = open_desk(rules="[protect]\nenabled = true")

    def resting(quantity: int) -> Callable[[], bool]:
        return lambda: [o.quantity for o in venue.truth.open_orders() if o.type == "stop"] == [quantity]

    async def serve(quantity: int) -> None:
        async with service(desk.config, venue.clock):
            await soon(resting(quantity))

    asyncio.run(serve(10))
    made = desk.document("scale", "--account", "user_1/alpaca", "--symbol", "AAPL", "--in", "5", "--yes")
    assert made["success"] is True, made
    assert venue.truth.holdings["AAPL"].quantity == 15
    assert resting(15)()
    desk.document("scale", "--account", "user_1/alpaca", "--symbol", "AAPL", "--out", "3", "--yes")
    assert resting(12)()
    asyncio.run(serve(12))
    desk.document("scale", "--account", "user_1/alpaca", "--symbol", "AAPL", "--out", "12", "--yes")
    assert (venue.truth.holdings, venue.truth.open_orders()) == ({}, [])
