"""How many requests leave, and which: in virtual seconds, without a venue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from brokers.alpaca.limits import PATIENCE, Limiter
from core.errors import Refusal, Refused


class Hand:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += max(seconds, 0.001)


async def test_reads_alone_never_use_up_what_closes_need() -> None:
    clock = Hand()
    limiter, start, reads = Limiter(clock), clock.at, 0
    while clock.at < start + 60:
        await limiter.enter(acts=False)
        reads += 1
    assert reads <= 160
    before = clock.at
    for _ in range(40):
        await limiter.enter(acts=True)
    assert clock.at == before


async def test_never_more_than_the_limit_in_any_minute() -> None:
    clock, times = Hand(), []
    limiter = Limiter(clock, 20)
    for n in range(300):
        try:
            await limiter.enter(acts=n % 3 == 0)
            times.append(clock.at)
        except Refused as refused:
            clock.at += refused.retry_after or 0.0
    for n, at in enumerate(times):
        assert sum(at <= other < at + 60 for other in times[n:]) <= 20


async def test_a_wait_that_is_too_long_is_a_refusal_that_says_how_long() -> None:
    clock = Hand()
    limiter = Limiter(clock)
    limiter.refused(30.0)
    with pytest.raises(Refused) as caught:
        await limiter.enter(acts=True)
    assert (caught.value.refusal, caught.value.retry_after) == (Refusal.RATE_LIMITED, 30.0)
    limiter.refused(PATIENCE[True] - 1)
    before = clock.at
    await limiter.enter(acts=True)
    assert clock.at == pytest.approx(before + PATIENCE[True] - 1)


async def test_the_venues_own_counting_is_believed() -> None:
    clock = Hand()
    limiter = Limiter(clock)
    limiter.learn(1000, 15, 20.0)
    assert limiter.limit == 1000
    await limiter.enter(acts=True)  # what is left is for what acts
    with pytest.raises(Refused):
        await limiter.enter(acts=False)
    limiter.learn(1000, 0, 20.0)
    with pytest.raises(Refused):
        await limiter.enter(acts=True)
    clock.at += 21
    await limiter.enter(acts=False)
    limiter.learn(None, None, None)
    limiter.learn(0, -5, -5.0)
    await limiter.enter(acts=True)
