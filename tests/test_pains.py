"""What hurt the users of comparable systems, one by one, and that it does not happen here.

The numbers are those of the collection that this program was designed against; the screens' side of some is tested
with the screens.
"""

from __future__ import annotations

import asyncio

import pytest

from core.engine.local_link import LocalLink
from core.link.messages import Confirm, Rejected, Started
from core.model import OrderRequest, OrderSide, OrderType
from core.plans.request import PlanRequest
from core.records import CancelAsked, IntentAnswered, IntentWritten
from core.settings import AutomationSettings, CleanupSettings, ExitSettings
from tests.support.builders import ACCOUNT, SYMBOL, D
from tests.support.virtual_time import virtual
from tests.support.world import EVERYTHING, World, book, outcomes, resting

BOB = "bob/paper"
PROTECTED = book(orders=[resting("s1")])
HELD_BY_A_LIMIT = book(kind="spot", orders=[resting("o1", price="120")])


@pytest.mark.parametrize("fault", ["lose_response", "broken_answer", "late_execution", "delay_ack", "position_lag"])
@pytest.mark.parametrize("kind", ["perp", "spot", "future"])
@virtual
async def test_pain_1_a_close_is_never_executed_twice_and_the_position_never_goes_negative(fault: str, kind: str):
    flags = {"reduce_only": False} if kind == "future" else {}
    async with World({ACCOUNT: book(kind=kind, **flags)}) as world:
        world.faults.script(fault)
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        assert world.flat
        assert sum(f.quantity for f in world.venue.state.fills.values()) == D(2)
        await world.audit()


@pytest.mark.parametrize("fault", ["late_fill", "position_lag", "lookup_not_found_at_first", "unknown_status"])
@virtual
async def test_pain_2_a_fill_is_noticed_however_late_and_is_not_retried_until_failure(fault: str):
    async with World() as world:
        world.faults.script(fault)
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        assert report.success
        await world.audit()


@pytest.mark.parametrize("fault", ["lose_request", "lose_response", "late_execution", "server_error"])
@virtual
async def test_pain_3_a_time_out_is_not_taken_for_not_executed(fault: str):
    async with World() as world:
        world.faults.script(fault)
        await world.flatten()
        assert world.flat
        intents = await world.records(IntentWritten)
        answers = await world.records(IntentAnswered)
        assert answers[0].outcome == "unknown"
        assert len({i.client_id for i in intents}) == len(intents), "no order was sent again under its own name"
        known = [a.outcome for a in answers if a.client_id == intents[0].client_id]
        assert known[-1] in {"terminal", "not_found"}, "the next tier waited for the answer"
        await world.audit()


@virtual
async def test_pain_4_the_size_comes_from_what_the_broker_holds_now_and_never_flips_it():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        world.by_hand(OrderSide.SELL, "1.3")  # after the plan was shown
        report = await world.engine.execute(plan.id, plan.digest)
        assert outcomes(report) == {SYMBOL: "closed"}
        (intent,) = await world.records(IntentWritten)
        assert intent.request.quantity == D("0.7")
        assert intent.request.reduce_only
        await world.audit()


@virtual
async def test_pain_5_reduce_only_rejections_and_dust_from_rounding_do_not_fail_a_close():
    async with World({ACCOUNT: book("BTC long 2.07")}) as world:
        world.faults.script("reduce_only_rejected", times=2)
        report = await world.flatten()
        (row,) = report.results
        assert (row.outcome, row.filled, row.residual) == ("closed_residual", D(2), D("0.07"))
        assert report.success
        assert all(i.request.quantity % D("0.1") == 0 for i in await world.records(IntentWritten)), "rounded down"


@virtual
async def test_pain_5_a_position_that_is_gone_already_is_a_success():
    async with World() as world:
        world.faults.script("liquidation")
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        assert report.success


@virtual
async def test_pain_6_a_quantity_held_by_ones_own_orders_is_freed_first_and_then_closed():
    async with World({ACCOUNT: HELD_BY_A_LIMIT}) as world:
        world.faults.script("cancel_lag")  # the cancel is taken at once and done three seconds later
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        asked = [s.call for s in world.venue.requests]
        assert asked == ["cancel", "submit"], "nothing was tried while the quantity was held"
        assert len(await world.records(CancelAsked)) == 1
        await world.audit()


@virtual
async def test_pain_7_flat_is_read_from_every_broker_and_what_could_not_be_read_is_said():
    world = World({ACCOUNT: book(), BOB: book()})
    world.venues[BOB].faults.script("read_fails", times=100_000)
    async with world:
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        assert not report.success
        assert not report.complete
        assert set(report.plan.unreadable) == {BOB}
        assert any("PARTIAL" in line for line in await world.log())


@virtual
async def test_pain_7_no_resting_order_survives_a_flatten():
    lone = {**resting("o9", price="120"), "symbol": "ETH"}
    content = book(orders=[resting("s1"), lone])
    content["quotes"]["ETH"] = content["quotes"]["BTC"]
    async with World({ACCOUNT: content}) as world:
        assert (await world.flatten()).success
        assert not world.venue.state.live_orders()


@virtual
async def test_pain_8_unsellable_dust_blocks_no_place_and_is_not_tried_again_and_again():
    content = book("AAA long 1", "BBB long 2", "DUST long 0.05")
    rules = CleanupSettings(max_positions=2, interval_cycles=1)
    async with World(
        {ACCOUNT: content}, lasting=True, cleanup=rules, automation=AutomationSettings(cleanup="auto")
    ) as world:
        world.run()
        await asyncio.sleep(1000)
        assert set(world.held()) == {"AAA", "BBB", "DUST"}, "two of two: the dust is not counted"
        assert world.sent() == []
        row = next(p for p in world.engine.snapshot().positions if p.key.symbol == "DUST")
        assert "unsellable" in row.flags
        assert "below one step" in row.note


@virtual
async def test_pain_13_flattening_everything_is_one_confirmation_whatever_else_is_going_on():
    """One plan, one confirmation; reducing is not held up by caps, by other accounts or by a market that is closed."""
    world = World({ACCOUNT: book("AAA long 1", "BBB short 1"), BOB: book("CCC long 1")}, lasting=True)
    async with world:
        world.run()
        await asyncio.sleep(1)
        world.faults.script("market_closed", symbol="AAA")
        console = LocalLink(world.engine)
        plan = await world.engine.prepare(EVERYTHING)
        assert await console.ask(Confirm(plan.id, plan.digest)) == Started(plan.id)
        await asyncio.sleep(3)
        assert world.held() == {"AAA": D(1)}
        assert not world.held(BOB)
        await asyncio.sleep(120)
        assert world.flat, "what waited for the open went at the open"
        await world.audit()


@virtual
async def test_pain_13_a_forced_close_goes_to_the_market_and_to_a_limit_only_at_the_very_end():
    async with World() as world:
        for fault in ("reject_ioc", "reject_gtc", "reject_close_call", "reject_direct", "reject_fok"):
            world.faults.script(fault, times=1000)
        report = await world.flatten()
        assert report.results[0].tier == "limit_aggressive"
        kinds = [i.request.type for i in await world.records(IntentWritten)]
        assert kinds.index(OrderType.LIMIT) == len(kinds) - 1


@virtual
async def test_pain_14_a_second_press_does_nothing_and_the_scope_is_what_was_shown():
    async with World({ACCOUNT: book(), BOB: book()}, lasting=True) as world:
        console = LocalLink(world.engine)
        plan = await world.engine.prepare(PlanRequest("flatten", accounts=(ACCOUNT,)))
        assert {a.key.account for a in plan.actions} == {ACCOUNT}
        first = await console.ask(Confirm(plan.id, plan.digest))
        second = await console.ask(Confirm(plan.id, plan.digest))
        assert isinstance(first, Started)
        assert isinstance(second, Rejected)
        await asyncio.sleep(5)
        assert world.sent() == ["submit"]
        assert world.held(BOB) == {SYMBOL: D(2)}


@virtual
async def test_pain_14_what_changed_since_it_was_shown_is_not_executed_and_shown_again():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        world.by_hand(OrderSide.BUY, "1")
        report = await world.engine.execute(plan.id, plan.digest)
        assert outcomes(report) == {SYMBOL: "changed"}
        assert world.held() == {SYMBOL: D(3)}
        assert world.sent() == []
        async with asyncio.timeout(5):
            again = await world.engine.prepare(EVERYTHING)
        assert again.closes[0].quantity == D(3)
        assert again.digest != plan.digest


@virtual
async def test_pain_14_an_order_that_appeared_since_is_not_cancelled_silently():
    async with World({ACCOUNT: PROTECTED}) as world:
        plan = await world.engine.prepare(EVERYTHING)
        limit = OrderRequest(ACCOUNT, SYMBOL, OrderSide.SELL, D(1), "", type=OrderType.LIMIT, price=D(150))
        placed = world.venue.place_by_hand(limit)
        report = await world.engine.execute(plan.id, plan.digest)
        assert outcomes(report) == {SYMBOL: "changed"}
        live = [t.order for t in world.venue.state.live_orders()]
        assert placed.id in {o.id for o in live}
        assert [o.trigger for o in live if o.type is OrderType.STOP] == [D(80)], "and its position is guarded again"


@virtual
async def test_pain_15_data_that_is_old_says_so_and_decides_nothing():
    settings = {"exits": ExitSettings(max_price_age=5.0), "cleanup": CleanupSettings(max_positions=0)}
    async with World(lasting=True, **settings) as world:
        world.run()
        await asyncio.sleep(2)
        assert world.engine.snapshot().positions[0].flags == ("cap", "waiting")
        world.faults.script("silent_stream")
        world.faults.script("read_fails", times=100_000)
        await asyncio.sleep(20)
        shown = world.engine.snapshot()
        assert shown.accounts[0].state == "stale"
        assert shown.accounts[0].error
        assert shown.positions[0].usd_value is None
        assert "stale" in shown.positions[0].flags
        assert (world.clock.now() - shown.positions[0].priced_at).total_seconds() > 10  # type: ignore[operator]
        plan = await world.engine.prepare(PlanRequest("cleanup"))
        assert plan.empty
        assert not plan.complete
        world.faults.clear()
        await asyncio.sleep(40)
        assert world.engine.snapshot().accounts[0].state == "live"
        assert world.engine.snapshot().positions[0].flags == ("cap", "waiting")
