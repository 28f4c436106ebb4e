"""Alpaca's market opens: what an exit rule decided before is judged again, on the venue's clock and real sockets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.plans.request import PlanRequest
from tests.support.service import marks, service, soon
from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]

RULES = (
    '[automation]\nexits = "auto"\n[exits]\nemergency = []\nsmart_profit = []\ndrawdown = []\ntake_profit_pct = ""\n'
)
NIGHT = 17 * 3600.0  # seconds on the venue's clock


def priced(venue: AlpacaVenue, price: str) -> None:
    venue.truth.prices["AAPL"] = (Decimal(price), Decimal(price))


def state(engine: Any) -> str | None:
    closings = engine.snapshot().closings
    return closings[0].outcome or closings[0].state if closings else None


@pytest.mark.parametrize(
    ("held", "touched", "price", "ended"),
    [("10", "97", "105", "skipped"), ("10", "97", "96", "closed"), ("-10", "103", "95", "skipped")],
)
async def test_an_exit_of_the_evening_goes_at_the_open_only_if_it_still_holds(
    venue: AlpacaVenue, open_desk: OpenDesk, held: str, touched: str, price: str, ended: str
) -> None:
    venue.truth.hold("AAPL", held, entry="100", price="100")
    venue.manners.open = False
    venue.manners.next_open = venue.clock.now() + timedelta(seconds=NIGHT)
    desk = open_desk(rules=RULES)
    async with service(desk.config, venue.clock) as engine:
        await soon(lambda: marks(engine).get("AAPL") == 100)
        priced(venue, touched)
        await soon(lambda: state(engine) == "parked")
        priced(venue, price)
        await soon(lambda: marks(engine).get("AAPL") == Decimal(price))
        assert state(engine) == "parked"
        assert venue.rest.sent("DELETE") == []
        venue.manners.open = True
        venue.clock.skip(NIGHT)  # type: ignore[attr-defined]  # a FastClock
        await soon(lambda: state(engine) == ended)
    assert ("AAPL" in venue.truth.holdings) is (ended == "skipped")
    assert len(venue.rest.sent("DELETE")) == (ended == "closed")


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_position_that_expires_while_its_close_is_parked_ends_it_as_closed(
    venue: AlpacaVenue, open_desk: OpenDesk, confirmed: bool
) -> None:
    venue.truth.hold("AAPL", "10", entry="100", price="100")
    venue.manners.open = False
    venue.manners.next_open = venue.clock.now() + timedelta(seconds=NIGHT)
    desk = open_desk(rules="" if confirmed else RULES)
    async with service(desk.config, venue.clock) as engine:
        await soon(lambda: marks(engine).get("AAPL") == 100)
        if confirmed:
            plan = await engine.prepare(PlanRequest("flatten", everything=True))
            engine.carry_out_later(engine.pending_plans.approve(plan.id, plan.digest))
        else:
            priced(venue, "97")
        await soon(lambda: state(engine) == "parked")
        venue.do(venue.truth.holdings.clear)
        await soon(lambda: state(engine) == "closed")
    assert venue.rest.sent("DELETE") == []
