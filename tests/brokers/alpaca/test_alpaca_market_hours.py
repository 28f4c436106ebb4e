"""The market's hours of one account in virtual time: failing, hanging and returning clocks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from brokers.alpaca.client import Client
from brokers.alpaca.market_hours import MarketHours
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused
from core.model import Kind, OrderType
from core.units import iso
from tests.support.virtual_time import VirtualClock, virtual

BROKEN = OutcomeUnknown("Alpaca answered 500 (GET /v2/clock)")


class ClockHost:
    """A client whose clock answers, fails or hangs; the market opens an hour after the test's begin."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.error: FlatdeckError | None = None
        self.hangs = False
        self.asked = 0
        self.opens = clock.now() + timedelta(hours=1)

    async def get(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(10)
            raise OutcomeUnknown(f"no answer from Alpaca: time-out (GET {path})")
        if self.error is not None:
            raise self.error
        now, closes = self.clock.now(), self.opens + timedelta(hours=6)
        is_open = self.opens <= now < closes
        opens = self.opens if now < self.opens else self.opens + timedelta(days=1)
        return {"timestamp": iso(now), "is_open": is_open, "next_open": iso(opens), "next_close": iso(closes)}


def market() -> tuple[ClockHost, MarketHours]:
    clock = VirtualClock()
    host = ClockHost(clock)
    return host, MarketHours(cast("Client", host), clock, extended_hours=False)


async def admitted(hours: MarketHours) -> bool:
    """Return whether a market order may leave now."""
    try:
        await hours.admit(Kind.EQUITY, OrderType.MARKET)
    except Refused as refused:
        return refused.refusal is not Refusal.MARKET_CLOSED
    return True


@virtual
async def test_a_clock_that_fails_keeps_to_its_last_answer_as_long_as_the_answer_tells() -> None:
    host, hours = market()
    assert not await admitted(hours)
    host.error = BROKEN
    await asyncio.sleep(1800)
    assert not await admitted(hours)
    await asyncio.sleep(1801)
    assert await admitted(hours)  # the market has opened
    await asyncio.sleep(6 * 3600)
    assert await admitted(hours)  # unknown by now: the venue decides
    assert hours.flaw == f"Alpaca does not tell whether the market is open: {BROKEN}"


@virtual
async def test_a_clock_that_never_answers_delays_one_order_by_seconds_and_holds_none_back() -> None:
    host, hours = market()
    host.hangs = True
    began = host.clock.monotonic()
    assert await admitted(hours)
    assert host.clock.monotonic() - began == pytest.approx(2)
    await asyncio.sleep(10)
    began = host.clock.monotonic()
    for _ in range(20):
        assert await admitted(hours)
    assert host.clock.monotonic() == began
    host.hangs = False
    await asyncio.sleep(20)
    await admitted(hours)
    await asyncio.sleep(1)
    assert not await admitted(hours)
    assert hours.flaw == ""
    await hours.aclose()


@virtual
async def test_one_answer_serves_the_orders_of_half_a_minute() -> None:
    host, hours = market()
    for _ in range(59):
        await admitted(hours)
    assert host.asked == 1
    await asyncio.sleep(31)
    await admitted(hours)
    await asyncio.sleep(0)
    assert host.asked == 2


@virtual
async def test_crypto_never_asks_for_the_hours() -> None:
    host, hours = market()
    assert await hours.admit(Kind.SPOT, OrderType.MARKET) is False
    assert host.asked == 0
