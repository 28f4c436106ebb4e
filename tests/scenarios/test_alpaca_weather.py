"""Drawn weather at Alpaca: whatever is lost, late, held or in parts, an exit code of 0 means flat at the venue.

What must never be asked of a venue is verified at the end of every run by the venue itself.
"""

from __future__ import annotations

from random import Random  # noqa: TID251  # seeded

import pytest

from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]

REQUESTS = (
    *(("DELETE", "/v2/positions"), ("DELETE", "/v2/orders"), ("POST", "/v2/orders")),
    *(("GET", "/v2/orders"), ("GET", "/v2/positions"), ("GET", "/v2/account/activities")),
)


def draw(venue: AlpacaVenue, dice: Random) -> None:
    truth, manners = venue.truth, venue.manners
    for n in range(dice.randint(3, 12)):
        letter = chr(65 + n)
        names = (f"S{letter}", f"QC{letter}260220P00145000", f"C{letter}/USD")
        symbol, quantity = dice.choice(
            [(names[0], "10"), (names[0], "2.5"), (names[0], "-3"), (names[1], "10"), (names[2], "3")]
        )
        truth.hold(symbol, quantity, price="20")
        native, size = symbol.replace("/", ""), quantity.lstrip("-")
        if dice.random() < 0.3:
            short = quantity.startswith("-")
            truth.rest(symbol, size, side="buy" if short else "sell", limit="5" if short else "150")
        if dice.random() < 0.3:
            manners.parts[native] = ["0.3", "0.2"]
            manners.leave_rest.add(native)
    truth.settle()
    manners.fill_delay, manners.cancel_lag = dice.choice([0, 0.5, 3]), dice.choice([0, 1, 4])
    manners.list_lag, manners.close_lag = dice.choice([0, 2, 8]), dice.choice([0, 2])
    manners.activities_lag = dice.choice([0, 3])
    for _ in range(dice.randint(1, 5)):
        method, path = dice.choice(REQUESTS)
        do = dice.choice(["504", "drop", "empty", "garbage", "500", "429"])
        venue.fault(method, path, do, acts=do != "429" and dice.random() < 0.6)


@pytest.mark.parametrize("seed", range(4))
def test_an_exit_code_of_0_means_flat_at_the_venue(venue: AlpacaVenue, open_desk: OpenDesk, seed: int) -> None:
    draw(venue, Random(seed))
    desk = open_desk(rules="[ladder]\ntotal_timeout = 400")
    result = desk.call("flatten", "--all", "--yes")
    assert (result.exit_code == 0) == (not venue.truth.holdings), result.output
    assert 429 not in {a.status for a in venue.rest.audit} - {int(f.do) for f in venue.rest.faults if f.do.isdigit()}
