"""Crashes in the middle of a close, through the engine: after a restart on the same journal and venue it ends flat."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from core.model import OrderSide, Side
from core.records import (
    AccountFrozen,
    ClosingEnded,
    PlanApproved,
    PlanEnded,
)
from core.settings import LadderSettings
from tests.support.builders import (
    ACCOUNT,
    D,
)
from tests.support.virtual_time import virtual
from tests.support.world import EVERYTHING, World, book, resting

# ------------------------------------------------------------------------------------- through the engine, crashes


@pytest.mark.parametrize("kind", ["perp", "spot"])
@pytest.mark.parametrize("moment", [n * 0.01 for n in range(1, 34)])
@virtual
async def test_a_crash_at_any_moment_of_a_close_ends_flat_after_the_restart(moment: float, kind: str):
    """A first order that is partly filled, a second, the final reconciliation: one hundredth of a second by another."""
    world = World({ACCOUNT: book(kind=kind, orders=[resting(reduce_only=kind == "perp")])})
    async with world:
        world.faults.script("partial_fill")
        world.begin()
        await asyncio.sleep(moment)
        await world.restart(after=1.0)
        if await world.records(PlanApproved):
            assert world.flat
            assert len(await world.records(PlanEnded)) == 1
        await world.audit()
        assert not await world.journal.open_plans()


FAULTS = ["lose_response", "late_execution", "delay_ack", "lose_request", "broken_answer", "position_lag", "cancel_lag"]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("moment", [0.03, 0.07, 0.12, 0.2, 0.4, 1.0, 2.0])
@virtual
async def test_a_crash_while_an_outcome_is_unknown_sends_nothing_twice(name: str, moment: float):
    async with World({ACCOUNT: book(orders=[resting()])}) as world:
        world.faults.script(name)
        world.begin()
        await asyncio.sleep(moment)
        await world.restart(after=0.01)
        await world.audit()
        assert world.flat or not await world.records(PlanApproved)


@virtual
async def test_three_crashes_in_a_row_still_end_flat():
    async with World({ACCOUNT: book("BTC long 5", depth="1")}) as world:
        world.begin()
        for pause in (0.1, 0.2, 0.3):
            await asyncio.sleep(pause)
            await world.crash()
            opening = asyncio.create_task(world.open())  # the next crash ends it in the middle of what it resumes
        await asyncio.sleep(0.05)
        assert not opening.done()
        await world.restart()
        assert world.flat
        await world.audit()
        (end,) = await world.records(PlanEnded)
        assert end.success


@virtual
async def test_a_plan_that_ended_is_not_taken_up_again():
    async with World() as world:
        await world.flatten()
        world.by_hand(OrderSide.BUY, "3")
        await world.restart()
        assert world.held() == {"BTC": D(3)}
        assert len(await world.records(PlanEnded)) == 1


@virtual
async def test_only_the_closes_that_did_not_end_are_taken_up():
    async with World({ACCOUNT: book("AAA long 1", "BBB long 1")}) as world:
        world.faults.script("lose_request", symbol="BBB")
        world.begin()
        await asyncio.sleep(1.0)
        (ended,) = await world.records(ClosingEnded)
        assert ended.result.key.symbol == "AAA"
        world.venue.trade_by_hand("AAA", OrderSide.BUY, D(7))
        await world.restart()
        assert world.held() == {"AAA": D(7)}, "what was bought after the close had ended is not part of it"
        await world.audit()


@virtual
async def test_a_plan_that_is_too_old_is_only_resolved_and_shown_again():
    settings = LadderSettings(resume_within=60.0)
    async with World({ACCOUNT: book("AAA long 2", "BBB long 2")}, ladder=settings) as world:
        world.faults.script("lose_response", symbol="AAA")
        world.faults.script("lose_request", symbol="BBB")
        world.begin()
        await asyncio.sleep(0.11)
        await world.restart(after=3600.0)
        assert world.held() == {"BBB": D(2)}, "AAA was executed before the crash; BBB never was, and is not sent now"
        ends = {r.result.key.symbol: r.result for r in await world.records(ClosingEnded)}
        assert (ends["AAA"].outcome, ends["AAA"].filled) == ("closed", D(2))
        assert (ends["BBB"].outcome, ends["BBB"].filled) == ("changed", D(0))
        assert not await world.journal.open_plans()
        await world.audit()


@virtual
async def test_a_plan_too_old_of_which_nothing_was_sent_is_not_begun():
    async with World(ladder=LadderSettings(resume_within=60.0)) as world:
        world.faults.script("read_fails", times=1000)
        world.begin()
        await asyncio.sleep(1.0)
        world.faults.clear()
        await world.restart(after=3600.0)
        assert world.held() == {"BTC": D(2)}
        assert world.sent() == []
        (end,) = await world.records(ClosingEnded)
        assert end.result.outcome == "changed"


@virtual
async def test_a_position_that_grew_while_we_were_away_is_not_closed():
    async with World() as world:
        world.faults.script("lose_request")
        world.begin()
        await asyncio.sleep(0.2)
        await world.crash()
        world.by_hand(OrderSide.BUY, "1")
        await world.open()
        assert world.held() == {"BTC": D(3)}
        (end,) = await world.records(ClosingEnded)
        assert end.result.outcome == "changed"


@virtual
async def test_a_service_is_open_for_consoles_while_it_goes_on_with_what_was_interrupted():
    async with World(lasting=True) as world:
        world.faults.numbers["closed_seconds"] = 3600.0
        world.faults.script("market_closed")
        world.begin()
        await asyncio.sleep(1.0)
        began = world.clock.monotonic()
        world.faults.script("market_closed")
        await world.restart()
        assert world.clock.monotonic() - began < 1.0
        assert (await world.engine.prepare(EVERYTHING)).closes == (), "its instruments are spoken for"
        await asyncio.sleep(3700.0)
        assert world.flat
        await world.audit()


@virtual
async def test_a_short_position_is_taken_up_as_well():
    async with World({ACCOUNT: book("BTC short 2")}) as world:
        world.faults.script("lose_response")
        task = world.begin()
        await asyncio.sleep(0.1)
        assert not task.done()
        await world.restart()
        assert world.flat
        (approval,) = await world.records(PlanApproved)
        assert approval.plan.closes[0].side is Side.SHORT


@virtual
async def test_of_two_interrupted_plans_for_one_instrument_the_one_with_an_order_under_way_is_found_out_first():
    async with World({ACCOUNT: book()}, lasting=True) as world:
        older = await world.engine.prepare(EVERYTHING)
        await world.journal.append(PlanApproved(structs.replace(older, id="p0"), "person", older.created_at))
        world.faults.script("lose_response")
        world.begin()
        await asyncio.sleep(0.1)  # its order has filled, and the answer is lost
        await world.restart(after=0.01)
        await asyncio.sleep(60)
        ends = {e.plan: e.result.outcome for e in await world.records(ClosingEnded)}
        assert ends.pop("p0") == "changed"
        assert list(ends.values()) == ["closed"]
        assert world.flat
        assert not await world.journal.open_plans()
        await world.audit()


@virtual
async def test_a_frozen_account_says_that_an_interrupted_orders_outcome_is_not_known():
    async with World({ACCOUNT: book()}) as world:
        world.faults.script("lose_response")
        world.begin()
        await asyncio.sleep(0.1)  # its order has filled, and the answer is lost
        await world.journal.append(AccountFrozen(ACCOUNT, "two act on one account"))
        await world.restart(after=0.01)
        (end,) = await world.records(ClosingEnded)
        assert end.result.outcome == "stuck"
        assert "is not known" in str(end.result.error)
        assert len(world.sent()) == 1
