"""Splits, spin-offs, new names and fast falls of shares at Alpaca, seen by a running engine that is armed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest

from tests.support.service import service, soon
from tests.venues.alpaca.desk import AlpacaDesk
from tests.venues.alpaca.fixtures import OpenDesk, open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]

ARMED = '[automation]\nexits = "auto"\n[exits]\nadaptive = false'
D = Decimal


def running(desk: AlpacaDesk) -> AbstractAsyncContextManager[Any]:
    return service(desk.config, desk.venue.clock)


def stop(engine: Any, symbol: str = "ACME") -> Decimal | None:
    found: dict[str, Decimal | None] = {p.key.symbol: p.stop for p in engine.snapshot().positions}
    return found.get(symbol)


def price(venue: AlpacaVenue, at: str, symbol: str = "ACME") -> None:
    venue.truth.prices[symbol] = (D(at), D(at))


async def quiet(venue: AlpacaVenue, seconds: float, holds: Callable[[], object]) -> None:
    """Let the venue's time pass. Nothing is sent, and at the end something holds."""
    until = venue.clock.monotonic() + seconds
    while venue.clock.monotonic() < until:
        assert not [*venue.rest.sent("POST"), *venue.rest.sent("DELETE")]
        await asyncio.sleep(0.01)
    await soon(holds)


@pytest.mark.parametrize("first", ["price", "position"])
@pytest.mark.parametrize(
    ("quantity", "entry", "after", "at"),
    [
        ("10", "100", ("12", "83.333333"), "83.33"),
        ("-10", "100", ("-12", "83.333333"), "83.33"),
        ("10", "100", ("10", "90"), "90"),
        ("-10", "100", ("-10", "90"), "90"),
    ],
)
async def test_a_small_split_and_a_spin_off_fire_nothing(
    venue: AlpacaVenue,
    open_desk: OpenDesk,
    quantity: str,
    entry: str,
    after: tuple[str, str],
    at: str,
    first: str,
) -> None:
    venue.truth.hold("ACME", quantity, entry=entry, price="100")
    async with running(open_desk(streams=True, rules=ARMED)) as engine:
        expected = D(98 if quantity == "10" else 102)
        await soon(lambda: stop(engine) == expected)
        if first == "price":
            price(venue, at)
        venue.truth.hold("ACME", after[0], entry=after[1])
        await engine.read_all()
        price(venue, at)
        scaled = expected * D(after[1]) / 100
        await quiet(venue, 40, lambda: abs((stop(engine) or D(0)) - scaled) < D("0.1"))


async def test_a_share_with_a_new_name_leaves_by_its_old_stop(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("FB", "10", entry="100", price="103")
    async with running(open_desk(streams=True, rules=ARMED)) as engine:
        await soon(lambda: (stop(engine, "FB") or 0) > 100)
        levels = stop(engine, "FB")
        del venue.truth.holdings["FB"]
        venue.truth.hold("META", "10", entry="100", price="103")
        await engine.read_all()
        await soon(lambda: stop(engine, "META") == levels)
        price(venue, "100.5", "META")
        await soon(lambda: not venue.truth.holdings)


async def test_a_fall_in_steps_of_a_quarter_leaves_at_the_second_step(venue: AlpacaVenue, open_desk: OpenDesk) -> None:
    venue.truth.hold("BTC/USD", "1", entry="100", price="100")
    async with running(open_desk(streams=True, rules=ARMED)) as engine:
        await soon(lambda: stop(engine, "BTC/USD") == 98)
        for at in ("75", "56", "42"):
            price(venue, at, "BTC/USD")
            venue.do(lambda: venue.streams.price("BTC/USD"))
            await asyncio.sleep(0.05)
        await soon(lambda: not venue.truth.holdings)
