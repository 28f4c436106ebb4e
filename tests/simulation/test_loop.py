"""Virtual time jumps, the order of callbacks is drawn by seed, and waiting for nothing is an error."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.dice import dice
from tests.simulation.loop import Deadlock, Endless, Killed, Loop


async def finish_in_some_order(seen: list[int]) -> None:
    async def one(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    await asyncio.gather(*(one(n) for n in range(8)))


def order(seed: int, *, fifo: bool = False) -> list[int]:
    loop, seen = Loop(dice(seed, "loop"), fifo=fifo), list[int]()
    loop.live(finish_in_some_order(seen))
    loop.close()
    return seen


def test_an_hour_passes_at_once_and_timers_come_in_their_order():
    loop, seen = Loop(dice(1, "loop")), list[float]()

    async def life() -> None:
        loop.call_later(3600, lambda: seen.append(loop.time()))
        loop.call_later(60, lambda: seen.append(loop.time()))
        await asyncio.sleep(4000)

    loop.live(life())
    assert seen == [60, 3600]
    assert loop.time() == 4000
    loop.close()


def test_a_seed_gives_the_same_order_again_and_others_give_others():
    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(10)}) > 5
    assert order(1, fifo=True) == list(range(8))


def test_waiting_for_what_never_happens_is_a_deadlock():
    loop = Loop(dice(1, "loop"))
    with pytest.raises(Deadlock):
        loop.live(asyncio.Event().wait())
    loop.bury()
    loop.close()


def test_what_never_ends_is_an_error():
    async def forever() -> None:
        while True:  # noqa: ASYNC110 - that is what is tried
            await asyncio.sleep(1000)

    loop = Loop(dice(1, "loop"))
    with pytest.raises(Endless):
        loop.live(forever())
    loop.bury()
    loop.close()


def test_a_kill_ends_the_process_and_not_the_venues():
    loop, seen = Loop(dice(1, "loop")), list[str]()

    async def life() -> None:
        loop.at(5.0, lambda: seen.append("arrived"))
        while True:
            await asyncio.sleep(0)
            seen.append("alive")

    loop.kill_at = 10
    with pytest.raises(Killed):
        loop.live(life())
    loop.bury()
    lived = seen.count("alive")
    loop.skip(10.0)
    assert seen.count("alive") == lived
    assert seen[-1] == "arrived"
    loop.close()
