"""Our recent orders on an instrument: the next close knows them, after a restart too."""

from __future__ import annotations

import random  # noqa: TID251 - seeded

import pytest
from msgspec import structs

from core.closing.after_close import RecentOrders
from core.ids import Ids
from core.journal.journal import Journal
from core.ladder.parts import OrderUnderWay
from core.model import OrderRequest, OrderSide
from core.records import IntentAnswered, IntentWritten, Record
from tests.support.builders import ACCOUNT, SYMBOL, D, close_action, done, order
from tests.support.climbing import Climb
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import DAWN, VirtualClock, virtual

KEY = close_action().key
PLACE = KEY.instrument
REQUEST = OrderRequest(ACCOUNT, SYMBOL, OrderSide.SELL, D(2), "fdours")
INTENT = IntentWritten("p0", KEY, "fdours", 0, 1, None, REQUEST, D(2), DAWN)
ANSWER = IntentAnswered("p0", KEY, "fdours", "terminal", done("v1", "2", "2"))


async def recent(*records: Record, within: float = 10.0, after: float = 0.0) -> tuple[RecentOrders, VirtualClock]:
    """What a new process knows whose journal has these records, written so many seconds ago."""
    clock = VirtualClock()
    journal = await Journal.over(MemoryDatabase(), clock, Ids(clock, random.Random(1)))
    if records:
        await journal.append(*records)
    await clock.sleep(after)
    return RecentOrders(journal, clock, within), clock


@pytest.mark.parametrize("record", [INTENT, ANSWER])
@virtual
async def test_what_an_earlier_process_sent_within_the_lag_delays_the_next_close(record: Record):
    orders, clock = await recent(record, after=4.0)
    assert orders.told(PLACE, Climb().ladder).fills.ended_at is None
    await orders.load()
    ended = orders.told(PLACE, Climb().ladder).fills.ended_at
    assert ended == pytest.approx(clock.monotonic() - 4.0, abs=0.01)


@virtual
async def test_what_was_sent_longer_ago_than_a_list_may_lag_delays_nothing():
    orders, _ = await recent(INTENT, ANSWER, after=11.0)
    await orders.load()
    assert orders.told(PLACE, Climb().ladder).fills.ended_at is None


@virtual
async def test_the_next_close_is_told_of_the_end_and_the_orders_of_the_one_before():
    orders, clock = await recent()
    first = Climb()
    first.to_send()
    first.filled("2")
    orders.note(PLACE, "p1", first.ladder)
    told = orders.told(PLACE, Climb().ladder)
    assert (told.fills.ended_at, told.others) == (clock.monotonic(), frozenset({"v1"}))
    assert not orders.live(PLACE, "p1")


@virtual
async def test_a_close_whose_order_never_ended_delays_the_next_one_too():
    orders, clock = await recent()
    first = Climb()
    first.to_send()
    orders.note(PLACE, "p1", structs.replace(first.ladder, order=None))
    assert orders.told(PLACE, Climb().ladder).fills.ended_at == clock.monotonic()


@virtual
async def test_an_order_that_may_live_is_known_to_its_own_plan():
    orders, _ = await recent()
    first = Climb()
    first.to_send()
    live = OrderUnderWay(None, sent_at=0.0, seen=order("v1"))
    orders.note(PLACE, "p1", structs.replace(first.ladder, order=live))
    assert orders.live(PLACE, "p1")
    assert not orders.live(PLACE, "p2"), "another plan begins with a read of its own"
