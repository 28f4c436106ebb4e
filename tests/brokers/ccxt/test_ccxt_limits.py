"""Who goes first, how much may leave, and what a pause stops."""

from __future__ import annotations

import asyncio

import pytest

from brokers.ccxt.limits import Limiter, NonceQueue, Priority, shared
from core.errors import Refusal, Refused
from tests.brokers.ccxt.kit import ScriptedClock


class SteppedClock(ScriptedClock):
    """Time passes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.at + seconds, waiting))
        await waiting

    async def step(self, seconds: float) -> None:
        self.at += seconds
        for due, waiting in sorted(self._sleepers, key=lambda s: s[0]):
            if due <= self.at and not waiting.done():
                waiting.set_result(None)
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_close_overtakes_queued_reads() -> None:
    clock = SteppedClock()
    limiter = Limiter(clock, per_second=1, burst=4)
    order: list[str] = []

    async def ask(name: str, priority: Priority) -> None:
        await limiter.acquire(1, priority)
        order.append(name)

    reads = [asyncio.create_task(ask(f"read {n}", Priority.READ)) for n in range(6)]
    await settle()
    assert order == ["read 0", "read 1"]
    close = asyncio.create_task(ask("close", Priority.ACT))
    await settle()
    assert order[-1] == "close"
    for _ in range(20):
        await clock.step(1)
    await asyncio.gather(close, *reads)
    assert order[3:] == [f"read {n}" for n in range(2, 6)]


async def test_twenty_closes_at_once_leave_at_once_although_reads_used_everything_up() -> None:
    clock = SteppedClock()
    limiter = Limiter(clock, per_second=2)
    for _ in range(12):
        await limiter.acquire(1, Priority.READ)
    for _ in range(8):
        await limiter.acquire(1, Priority.LOOK_UP)
    await asyncio.wait_for(asyncio.gather(*(limiter.acquire(1, Priority.ACT) for _ in range(20))), 1)


async def test_reads_that_only_watch_leave_a_part_of_the_limit_to_what_closing_has_to_know() -> None:
    clock = SteppedClock()
    limiter = Limiter(clock, per_second=1, burst=10)
    watching = [asyncio.create_task(limiter.acquire(1, Priority.READ)) for _ in range(10)]
    await settle()
    assert sum(task.done() for task in watching) == 6
    await asyncio.wait_for(asyncio.gather(*(limiter.acquire(1, Priority.LOOK_UP) for _ in range(4))), 1)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


async def test_a_look_up_goes_before_reads_that_came_earlier() -> None:
    clock = SteppedClock()
    limiter = Limiter(clock, per_second=1, burst=1)
    await limiter.acquire(1, Priority.READ)
    order: list[str] = []

    async def ask(name: str, priority: Priority) -> None:
        await limiter.acquire(1, priority)
        order.append(name)

    tasks = [asyncio.create_task(ask("read", Priority.READ))]
    await settle()
    tasks.append(asyncio.create_task(ask("look-up", Priority.LOOK_UP)))
    await settle()
    for _ in range(4):
        await clock.step(1)
    await asyncio.gather(*tasks)
    assert order == ["look-up", "read"]


async def test_what_would_wait_too_long_is_refused_with_the_seconds_and_takes_nothing() -> None:
    clock = ScriptedClock()
    limiter = Limiter(clock, per_second=1, burst=1)
    limiter.pause(100, "said so")
    with pytest.raises(Refused, match="said so; it goes on in 100 s") as caught:
        await limiter.acquire(1, Priority.ACT)
    assert caught.value.refusal is Refusal.RATE_LIMITED
    assert caught.value.retry_after == 100
    clock.at += 100
    await limiter.acquire(1, Priority.READ)
    assert clock.slept == []


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    clock = ScriptedClock()
    limiter = Limiter(clock, per_second=1)
    limiter.pause(60, "banned", banned=True)
    limiter.pause(1, "limited")
    clock.at += 30
    with pytest.raises(Refused) as caught:
        await limiter.acquire(1, Priority.ACT)
    assert caught.value.refusal is Refusal.BANNED


async def test_a_cancelled_wait_spends_nothing() -> None:
    clock = SteppedClock()
    limiter = Limiter(clock, per_second=1, burst=1)
    await limiter.acquire(1, Priority.READ)
    waiting = asyncio.create_task(limiter.acquire(1, Priority.READ))
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    clock.at += 1
    await asyncio.wait_for(limiter.acquire(1, Priority.READ), 1)


async def test_a_call_that_costs_more_than_the_whole_limit_still_leaves() -> None:
    limiter = Limiter(ScriptedClock(), per_second=1, burst=5)
    await asyncio.wait_for(limiter.acquire(40, Priority.READ), 1)


async def test_accounts_at_one_address_share_a_limit_and_those_of_others_do_not() -> None:
    clock = ScriptedClock()
    one = shared(clock, "binanceusdm", per_second=1)
    assert shared(clock, "binanceusdm", per_second=1) is one
    assert shared(clock, "binance", per_second=1) is not one
    assert shared(ScriptedClock(), "binanceusdm", per_second=1) is not one


async def test_a_turn_goes_to_what_acts_first_and_is_passed_on_when_its_owner_is_cancelled() -> None:
    turns, order = NonceQueue(), []
    gate = asyncio.Event()

    async def hold(name: str, priority: Priority) -> None:
        async with turns.wait_turn(priority):
            order.append(name)
            await gate.wait()

    tasks = {n: asyncio.create_task(hold(n, Priority.READ)) for n in ("first", "read", "gone")}
    await settle()
    tasks["close"] = asyncio.create_task(hold("close", Priority.ACT))
    await settle()
    tasks.pop("gone").cancel()
    gate.set()
    await asyncio.gather(*tasks.values())
    assert order == ["first", "close", "read"]
    async with asyncio.timeout(1), turns.wait_turn(Priority.READ):
        order.append("free again")
