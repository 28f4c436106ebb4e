"""A running engine on Alpaca's streams: live, silent, hung up on, locked out, and closing while it watches."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.plans.request import PlanRequest
from tests.support.service import marks, service, soon
from tests.venues.alpaca.desk import AlpacaDesk
from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]


def running(desk: AlpacaDesk) -> AbstractAsyncContextManager[Any]:
    return service(desk.config, desk.venue.clock)


def state(engine: Any) -> str:
    return str(engine.snapshot().accounts[0].state)


def error(engine: Any) -> str:
    return str(engine.snapshot().accounts[0].error)


async def test_prices_and_foreign_trades_arrive_live_and_a_close_ends_flat(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.truth.hold("BTC/USD", "0.5", price="50000")
    async with running(open_desk(streams=True)) as engine:
        await soon(lambda: state(engine) == "live" and len(venue.streams.subscribed) == 2)
        venue.truth.prices["AAPL"] = (Decimal(112), Decimal(112))
        venue.do(lambda: venue.streams.price("AAPL"))
        await soon(lambda: marks(engine)["AAPL"] == 112)
        venue.do(lambda: venue.truth.close("BTCUSD", None))  # somebody else's
        await engine.read_all()
        await soon(lambda: set(marks(engine)) == {"AAPL"})
        venue.manners.fill_delay = 2.0
        plan = await engine.prepare(PlanRequest("flatten", everything=True))
        report = await engine.execute(plan.id, plan.digest)
        assert [r.outcome for r in report.results] == ["closed"]
    assert venue.truth.holdings == {}
    assert len(venue.rest.sent("DELETE")) == 1


async def test_a_silent_stream_is_not_taken_for_a_quiet_market(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    async with running(open_desk(streams=True)) as engine:
        await soon(lambda: state(engine) == "live")
        logins = venue.streams.logins
        venue.streams.mute = True
        await soon(lambda: state(engine) == "stale")
        assert "silent" in error(engine) or "did not answer the login" in error(engine)
        venue.truth.hold("MSFT", "1", price="50")  # what happens in between is read
        venue.streams.mute = False
        await soon(lambda: state(engine) == "live" and venue.streams.logins > logins)
        await soon(lambda: set(marks(engine)) == {"AAPL", "MSFT"})


@pytest.mark.parametrize("venue", [5.0], indirect=True)
async def test_a_quiet_market_stays_live(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    async with running(open_desk(streams=True)) as engine:
        await soon(lambda: state(engine) == "live")
        until = venue.clock.monotonic() + 25
        while venue.clock.monotonic() < until:
            assert state(engine) == "live", error(engine)
            assert marks(engine)["AAPL"] is not None
            await asyncio.sleep(0.05)
        assert venue.streams.logins == 1


async def test_keys_that_are_revoked_while_watching_are_said_at_the_account(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    async with running(open_desk(streams=True)) as engine:
        await soon(lambda: state(engine) == "live")
        venue.rest.revoked = venue.streams.revoked = True
        venue.hang_up()
        await soon(lambda: "does not take the credentials" in error(engine))
        assert state(engine) == "stale"


async def test_a_close_that_waits_for_the_open_goes_when_the_market_opens(
    venue: AlpacaVenue, open_desk: OpenDesk
) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.manners.open = False
    venue.manners.next_open = venue.clock.now() + timedelta(seconds=20)
    venue.truth.later(20.0, lambda: setattr(venue.manners, "open", True))
    async with running(open_desk()) as engine:
        await soon(lambda: state(engine) == "polling")
        plan = await engine.prepare(PlanRequest("flatten", everything=True))
        report = await engine.execute(plan.id, plan.digest)
        assert [r.outcome for r in report.results] == ["closed"]
    assert [a.status for a in venue.rest.sent("DELETE")] == [200]
