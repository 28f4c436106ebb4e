"""Bars of the market data: closed ones only, oldest first, over pages, gaps left as they are."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from brokers.alpaca.broker import AlpacaBroker
from brokers.alpaca.wire_bars import page
from core.errors import OutcomeUnknown, Refused
from tests.venues.alpaca import bodies
from tests.venues.alpaca.server import AlpacaVenue


def fill(venue: AlpacaVenue, symbol: str, ago: list[int]) -> int:
    """A bar of each of so many minutes ago, 0 the one that is not over; the present minute."""
    now = venue.clock.now().replace(second=0, microsecond=0)
    venue.truth.bars[symbol] = [
        bodies.bar(now - timedelta(minutes=n), "100.1", f"{101 + n / 10:.1f}", "99.5", "100.4")
        for n in sorted(ago, reverse=True)
    ]
    return int(now.timestamp()) // 60


@pytest.mark.parametrize("symbol", ["AAPL", "BTC/USD"])
async def test_bars_are_the_latest_closed_ones_oldest_first_with_their_exact_prices(
    venue: AlpacaVenue, broker: AlpacaBroker, symbol: str
) -> None:
    venue.truth.hold(symbol, "1")
    minute = fill(venue, symbol, [0, 1, 2, 5, 6])
    found = await broker.bars(symbol, 3)
    assert [bar.minute for bar in found] in ([minute - 5, minute - 2, minute - 1], [minute - 2, minute - 1, minute])
    assert (found[0].open, found[0].low, found[0].close) == (Decimal("100.1"), Decimal("99.5"), Decimal("100.4"))


async def test_bars_are_read_over_pages_and_over_days(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "1")
    venue.truth.manners.page = 4
    minute = fill(venue, "AAPL", [*range(1, 6), *range(3000, 3005)])
    found = await broker.bars("AAPL", 10)
    assert [minute - bar.minute for bar in found] == [*range(3004, 2999, -1), *range(5, 0, -1)]
    assert all(a.query["adjustment"] == "split" for a in venue.rest.sent("GET", "/v2/stocks/bars"))


async def test_an_option_has_no_bars_and_a_subscription_without_prices_is_an_error(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    assert await broker.bars("QCOM260220P00145000", 5) == []
    venue.truth.manners.no_prices = True
    with pytest.raises(Refused):
        await broker.bars("AAPL", 5)


def test_rows_that_are_no_bars_leave_their_minutes_missing() -> None:
    good = {"t": "2026-02-03T16:21:00Z", "o": 1, "h": 2, "l": 1, "c": 2}
    rows = [good, {**good, "h": 0.5}, {**good, "c": None}, {**good, "t": "soon"}, 5]
    found, token = page({"bars": {"A": rows}, "next_page_token": None}, "A")
    assert (len(found), token) == (1, None)
    assert page({"bars": None}, "A") == ([], None)
    for bad in ([], {"message": "no"}, {"bars": 5}):
        with pytest.raises(OutcomeUnknown):
            page(bad, "A")
