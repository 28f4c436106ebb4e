"""Complete reads are shared by those who ask at the same moment, and are never older than the question."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import Unreachable
from core.events import BrokerEvent, HoldingsRead
from core.orders.account_reader import AccountReader
from tests.support.builders import holdings, position
from tests.support.fake_broker import FakeBroker
from tests.support.virtual_time import VirtualClock, virtual


def reader(broker: FakeBroker) -> tuple[AccountReader, list[BrokerEvent]]:
    seen: list[BrokerEvent] = []
    return AccountReader(broker, VirtualClock(), seen.append), seen


@virtual
async def test_those_who_ask_at_the_same_moment_get_the_same_read():
    broker = FakeBroker(holdings=[holdings(position())])
    shared, seen = reader(broker)
    answers = await asyncio.gather(*(shared.read_account() for _ in range(59)))
    assert broker.calls["holdings"] == 1
    assert all(a is answers[0] for a in answers)
    assert seen == [HoldingsRead(answers[0])]


@virtual
async def test_a_read_is_urgent_when_anybody_who_shares_it_acts():
    told: list[bool] = []

    class Told(FakeBroker):
        async def holdings(self, *, urgent=False):
            told.append(urgent)
            return holdings(position())

    shared, _ = reader(Told())
    await shared.read_account(urgent=False)
    await asyncio.gather(shared.read_account(urgent=False), shared.read_account())
    await shared.read_account(urgent=False)
    assert told == [False, True, False]


@virtual
async def test_a_read_that_had_begun_before_the_question_does_not_answer_it():
    first, second = holdings(position("2")), holdings(position("1"))
    gate = asyncio.Event()

    async def slow() -> object:
        await gate.wait()
        return first

    class Slow(FakeBroker):
        async def holdings(self, *, urgent=False):
            self.calls["holdings"] += 1
            return await slow() if self.calls["holdings"] == 1 else second

    shared, _ = reader(Slow())
    early = asyncio.create_task(shared.read_account())
    await asyncio.sleep(1)
    late = asyncio.create_task(shared.read_account())
    await asyncio.sleep(1)
    gate.set()
    assert await early is first
    assert await late is second


@virtual
async def test_a_failure_reaches_everybody_who_waits_and_the_next_read_begins_anew():
    broker = FakeBroker(holdings=[Unreachable("no such host"), holdings()])
    shared, seen = reader(broker)
    answers = await asyncio.gather(shared.read_account(), shared.read_account(), return_exceptions=True)
    assert [str(a) for a in answers] == ["no such host"] * 2
    assert not seen
    assert (await shared.read_account()).positions == ()


@virtual
async def test_one_who_stops_waiting_does_not_take_the_read_from_the_others():
    shared, _ = reader(FakeBroker(holdings=[holdings(position())]))
    one, other = asyncio.create_task(shared.read_account()), asyncio.create_task(shared.read_account())
    await asyncio.sleep(0)
    one.cancel()
    assert (await other).positions
    with pytest.raises(asyncio.CancelledError):
        await one


@virtual
async def test_a_failure_that_nobody_waits_for_any_more_is_no_loose_end():
    loose: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loose.append(context))
    shared, _ = reader(FakeBroker(holdings=[Unreachable("no such host")]))
    waiting = asyncio.create_task(shared.read_account())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(1)
    del waiting, shared
    import gc

    gc.collect()
    assert not loose
