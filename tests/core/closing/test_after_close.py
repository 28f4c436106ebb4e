"""Our recent orders on an instrument: the next close knows them, after a restart too."""

from __future__ import annotations

import random  # noqa: TID251 - seeded

import pytest
from msgspec import structs

from core.closing.after_close import RecentOrders
from core.ids import Ids
from core.journal.journal import Journal
from core.model import OrderRequest, OrderSide
from core.records import IntentAnswered, IntentWritten, Record
from tests.support.builders import ACCOUNT, SYMBOL, D, close_action, done
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
    assert orders.add_earlier_orders(PLACE, Climb().ladder).fills.ended_at is None
    await orders.read_journal()
    ended = orders.add_earlier_orders(PLACE, Climb().ladder).fills.ended_at
    assert ended == pytest.approx(clock.monotonic() - 4.0, abs=0.01)


@virtual
async def test_what_was_sent_longer_ago_than_a_list_may_lag_delays_nothing():
    orders, _ = await recent(INTENT, ANSWER, after=11.0)
    await orders.read_journal()
    assert orders.add_earlier_orders(PLACE, Climb().ladder).fills.ended_at is None


@virtual
async def test_the_next_close_is_told_of_the_end_and_the_orders_of_the_one_before():
    orders, clock = await recent()
    first = Climb()
    first.to_send()
    first.filled("2")
    orders.record_close(PLACE, first.ladder)
    told = orders.add_earlier_orders(PLACE, Climb().ladder)
    assert (told.fills.ended_at, told.others) == (clock.monotonic(), frozenset({"v1"}))


@virtual
async def test_a_close_whose_order_never_ended_delays_the_next_one_too():
    orders, clock = await recent()
    first = Climb()
    first.to_send()
    orders.record_close(PLACE, structs.replace(first.ladder, order=None))
    assert orders.add_earlier_orders(PLACE, Climb().ladder).fills.ended_at == clock.monotonic()
