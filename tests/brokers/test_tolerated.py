"""A part of a read that fails for long is left out; one failure fails the read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from brokers.sharing import LASTS, PATIENCE, TRIES, Tolerated
from core.errors import OutcomeUnknown, Refusal, Refused
from tests.support.virtual_time import VirtualClock, virtual


async def answer(value: str) -> str:
    return value


async def fails(error: Exception) -> str:
    raise error


async def hangs() -> str:
    await asyncio.sleep(1e5)
    return ""


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.parts = Tolerated(self.clock)

    async def read(self, part: Awaitable[str], name: str = "orders") -> str:
        """What a read gets: the part, or why it is left out."""
        found, flaw = await self.parts.read(name, part, "")
        assert bool(found) is not bool(flaw)
        return found or flaw

    async def lasting(self) -> None:
        for _ in range(TRIES - 1):
            with pytest.raises(OutcomeUnknown):
                await self.read(fails(OutcomeUnknown("500")))
        await self.clock.sleep(LASTS)
        assert await self.read(fails(OutcomeUnknown("500"))) == "500"


@virtual
async def test_a_part_is_left_out_when_it_failed_several_times_over_a_while() -> None:
    bench = Bench()
    await bench.lasting()
    assert await bench.read(answer("rows")) == "rows"
    with pytest.raises(OutcomeUnknown):  # the row of failures begins again
        await bench.read(fails(OutcomeUnknown("500")))


@virtual
async def test_failures_of_one_moment_are_no_lasting_failure() -> None:
    bench = Bench()
    for _ in range(3 * TRIES):
        with pytest.raises(OutcomeUnknown):
            await bench.read(fails(OutcomeUnknown("500")))


@pytest.mark.parametrize("refusal", [Refusal.AUTH, Refusal.OTHER, Refusal.UNSUPPORTED])
@virtual
async def test_a_refused_part_is_left_out_at_once(refusal: Refusal) -> None:
    assert await Bench().read(fails(Refused(refusal, "no permission"))) == "no permission"


@pytest.mark.parametrize("refusal", [Refusal.RATE_LIMITED, Refusal.BANNED, Refusal.CLOCK])
@virtual
async def test_a_refusal_that_passes_fails_the_read(refusal: Refusal) -> None:
    with pytest.raises(Refused):
        await Bench().read(fails(Refused(refusal, "wait")))


@virtual
async def test_a_part_that_fails_for_long_delays_a_read_for_a_moment_only() -> None:
    bench = Bench()
    await bench.lasting()
    began = bench.clock.monotonic()
    assert await bench.read(hangs()) == "no answer in time"
    assert bench.clock.monotonic() - began == PATIENCE


@virtual
async def test_each_part_counts_its_own_failures() -> None:
    bench = Bench()
    await bench.lasting()
    with pytest.raises(OutcomeUnknown):
        await bench.read(fails(OutcomeUnknown("500")), "conditional orders")
