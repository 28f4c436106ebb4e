"""Who may act on an instrument, and why another may not."""

from __future__ import annotations

import asyncio

from core.model import InstrumentKey, PositionKey
from core.orders.instrument_locks import InstrumentLocks
from tests.support.virtual_time import VirtualClock, virtual

KEY = PositionKey("ann/paper", "BTC")
WHERE, OTHER = KEY.instrument, InstrumentKey("ann/paper", "ETH")
FLYING = "plan p1 is closing it already"


@virtual
async def test_one_plan_acts_on_an_instrument_and_another_is_told_why_not() -> None:
    locks = InstrumentLocks(VirtualClock())
    assert locks.why_not(KEY) == locks.why_not(KEY, "p1") == ""
    assert locks.take("p1", WHERE)
    assert locks.take("p1", WHERE), "its own lock is no obstacle"
    assert not locks.take("p2", WHERE)
    assert locks.why_not(KEY, "p1") == ""
    assert locks.why_not(KEY, "p2") == locks.why_not(KEY) == FLYING
    assert locks.in_flight() == {WHERE}
    locks.release("p2")
    assert locks.closed(WHERE) is None, "only who had the lock can end a close"
    locks.release("p1")
    assert locks.why_not(KEY, "p2") == ""
    assert (locks.in_flight(), locks.closed(WHERE) is None, locks.closed(OTHER)) == (set(), False, None)


@virtual
async def test_plans_that_line_up_act_one_after_another() -> None:
    locks = InstrumentLocks(VirtualClock())
    for plan in ("p1", "p2", "p3", "p2"):
        locks.line_up(plan, WHERE)
    order: list[str] = []

    async def act(plan: str) -> None:
        await locks.turn(plan, WHERE)
        assert locks.take(plan, WHERE)
        order.append(plan)
        await asyncio.sleep(3)
        assert locks.closing(WHERE)
        locks.release(plan, WHERE)

    await asyncio.gather(*(act(plan) for plan in ("p3", "p2", "p1")))
    assert order == ["p1", "p2", "p3"]
    assert not locks.closing(WHERE)


@virtual
async def test_no_other_action_of_a_plan_begins_while_its_order_may_live() -> None:
    locks = InstrumentLocks(VirtualClock())
    locks.take("p1", WHERE)
    locks.may_be_live("p1", WHERE)
    assert "may still be live" in locks.why_not(KEY, "p1")
    assert locks.why_not(PositionKey(OTHER.account, OTHER.symbol), "p1") == ""
    locks.release("p1")
    assert locks.why_not(KEY, "p2") == "", "another plan reads the order first"


@virtual
async def test_an_exit_does_not_fire_twice_nor_right_after_a_close() -> None:
    locks = InstrumentLocks(VirtualClock())
    locks.fire(KEY)
    assert locks.why_not(KEY) == "an exit of it has fired"
    assert locks.take("p1", WHERE), "the exit's own plan may begin"
    locks.release("p1")
    locks.fired(KEY)
    assert locks.why_not(KEY) == ""
    locks.quiet(KEY, 30.0)
    assert locks.why_not(KEY) == "its last close ended just now"
    assert locks.why_not(KEY, "p2") == "", "a person may close it"
    locks.quiet(KEY, 0.0)
    assert locks.why_not(KEY) == ""
    locks.quiet(KEY, 30.0)
    await asyncio.sleep(30)
    assert locks.why_not(KEY) == ""


@virtual
async def test_stops_stay_away_from_an_order_that_reduces_and_a_close_may_begin() -> None:
    locks = InstrumentLocks(VirtualClock())
    with locks.stops_away(WHERE), locks.stops_away(WHERE):
        assert locks.closing(WHERE)
        assert locks.why_not(KEY) == ""
        assert locks.in_flight() == set()
    assert not locks.closing(WHERE)
    assert locks.closed(WHERE) is not None
