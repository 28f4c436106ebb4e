"""A plan carried out: accounts by themselves, one close per instrument, and what the brokers say at the end counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.closing.final_read import FINAL_WAIT
from core.errors import InvariantBroken, JournalError
from core.link.messages import LogRow
from core.model import OrderSide, OrderType
from core.plans.request import PlanRequest
from core.records import AccountFrozen, ClosingEnded, IntentWritten, PlanApproved, PlanEnded, ProfitPending
from core.settings import LadderSettings
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.world import EVERYTHING, World, book, key, outcomes, resting

BOB = "bob/paper"


def two(**more: Any) -> World:
    return World({ACCOUNT: book(**more), BOB: book()})


# ----------------------------------------------------------------------------------------------- accounts by themselves


@pytest.mark.parametrize("fault", ["auth", "read_fails", "halted", "unreachable", "lose_request", "no_fill"])
@virtual
async def test_an_account_that_fails_does_not_keep_another_from_closing(fault: str):
    async with two() as world:
        plan = await world.engine.prepare(EVERYTHING)
        world.faults.script(fault, times=100_000)
        task = asyncio.create_task(world.engine.execute(plan.id, plan.digest))
        await asyncio.sleep(1)
        assert world.held(BOB) == {}, "it does not wait for the other either"
        report = await task
        by_account = {r.key.account: r.outcome for r in report.results}
        assert by_account == {ACCOUNT: "stuck", BOB: "closed"}
        assert not report.success
        await world.audit()


@virtual
async def test_a_fault_of_the_program_in_one_account_is_that_accounts_alarm():
    async with two() as world:

        async def broken(*_: Any) -> Any:
            raise ZeroDivisionError("a bug")

        world.engine._executor._tools[ACCOUNT].carry_out = broken  # type: ignore[union-attr]
        report = await world.flatten()
        assert {r.key.account: r.outcome for r in report.results} == {ACCOUNT: "stuck", BOB: "closed"}
        assert "ZeroDivisionError" in str(world.engine.publisher.engine.alarm)
        assert world.engine.situation().blocked == {}, "and the instrument is not held for ever"


@virtual
async def test_a_close_that_got_stuck_is_an_alarm_also_where_the_engine_is_stopped_while_that_is_written():
    async with World() as world:
        append, writes = world.journal.append, asyncio.Event()

        async def slow(*records: Any) -> Any:
            if any(isinstance(record, ClosingEnded) for record in records):
                writes.set()
                await asyncio.sleep(60)
            return await append(*records)

        world.journal.append = slow  # type: ignore[method-assign]
        world.faults.script("auth", times=100_000)
        task = asyncio.create_task(world.flatten())
        await writes.wait()
        task.cancel()  # as a stop does with what runs by itself
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(1)
        assert "BTC" in str(world.engine.publisher.engine.alarm)


@virtual
async def test_all_positions_of_all_accounts_close_at_the_same_time():
    content = {f"u{n}/paper": book(*(f"S{k} long 1" for k in range(10))) for n in range(4)}
    async with World(content) as world:
        began = world.clock.monotonic()
        report = await world.flatten()
        assert report.success
        assert len(report.results) == 40
        assert world.clock.monotonic() - began < 0.4
        await world.audit()


@virtual
async def test_an_invariant_that_breaks_before_the_first_step_freezes_the_account_and_is_told():
    async with two() as world:

        async def broken(*_: Any) -> Any:
            raise InvariantBroken("I0: this cannot be")

        world.engine._executor._tools[ACCOUNT].carry_out = broken  # type: ignore[union-attr]
        report = await world.flatten()
        rows = {r.key.account: r for r in report.results}
        assert (rows[ACCOUNT].outcome, rows[ACCOUNT].error) == ("stuck", "I0: this cannot be")
        assert rows[BOB].outcome == "closed"
        assert world.engine.frozen == {ACCOUNT: "I0: this cannot be"}


@virtual
async def test_a_disk_that_is_full_at_the_end_takes_no_report():
    async with World({ACCOUNT: book("AAA long 1", "BBB long 1")}) as world:
        closed = world.database.commit

        async def full_at_the_end(statements: Any) -> None:
            if "plan_ended" in str(statements):
                raise JournalError("the disk is full")
            await closed(statements)

        world.database.commit = full_at_the_end  # type: ignore[method-assign]
        report = await world.flatten()
        assert (set(outcomes(report).values()), report.success) == ({"closed"}, True)
        assert "its end is not in the journal yet: the disk is full" in str(world.engine.publisher.engine.alarm)
        world.database.commit = closed  # type: ignore[method-assign]
        await world.restart()
        assert await world.records(PlanEnded), "the next engine finds the plan flat and writes its end"
        assert len(world.sent()) == 2


@virtual
async def test_a_freeze_that_could_not_be_written_is_durable_before_the_plan_s_end():
    async with two() as world:

        async def broken(*_: Any) -> Any:
            world.database.failure = "the disk is full"
            raise InvariantBroken("I0: this cannot be")

        world.engine._executor._tools[ACCOUNT].carry_out = broken  # type: ignore[union-attr]
        closing = world.begin()
        await asyncio.sleep(0.05)
        assert world.engine.frozen == {ACCOUNT: "I0: this cannot be"}
        world.database.failure = None
        rows = {r.key.account: r.outcome for r in (await closing).results}
        assert rows[ACCOUNT] == "stuck"
        told = [type(entry.record) for entry in await world.entries()]
        assert told.index(AccountFrozen) < told.index(PlanEnded)
        assert ACCOUNT in {end.result.key.account for end in await world.records(ClosingEnded)}


# ------------------------------------------------------------------------------------------- one close per instrument


@virtual
async def test_a_second_plan_waits_for_the_close_that_another_plan_began():
    async with World() as world:
        first, second = await world.engine.prepare(EVERYTHING), await world.engine.prepare(EVERYTHING)
        world.faults.script("delay_ack")
        one = asyncio.create_task(world.engine.execute(first.id, first.digest))
        await asyncio.sleep(0.1)
        report = await world.engine.execute(second.id, second.digest)
        assert outcomes(report) == {"BTC": "changed"}
        row = report.results[0]
        assert row.error == f"plan {first.id} is closing it already"
        assert (row.joined, row.residual, report.success) == (True, 0, True), "it waited for the other plan's end"
        assert outcomes(await one) == {"BTC": "closed"}
        assert world.sent() == ["submit"]
        await world.audit()


@virtual
async def test_after_a_close_its_instrument_is_free_again():
    async with World() as world:
        await world.flatten()
        world.by_hand(OrderSide.BUY, "1")
        await world.engine.read_all()
        assert outcomes(await world.flatten()) == {"BTC": "closed"}


@virtual
async def test_the_second_leg_is_left_alone_while_an_order_of_the_first_may_still_be_live():
    async with World({ACCOUNT: book("BTC long 2", "BTC short 1", hedge=True)}) as world:
        plan = await world.engine.prepare(EVERYTHING)
        for fault in ("no_fill", "cancel_fails"):
            world.faults.script(fault, times=100_000)
        report = await world.engine.execute(plan.id, plan.digest)
        assert [r.outcome for r in report.results] == ["stuck", "stuck"]
        assert {i.key for i in await world.records(IntentWritten)} == {report.results[0].key}
        assert "another order on the instrument may still be live" in str(report.results[1].error)


@virtual
async def test_the_two_legs_of_a_hedged_instrument_take_turns():
    async with World({ACCOUNT: book("BTC long 2", "BTC short 1", hedge=True)}) as world:
        report = await world.flatten()
        assert [r.outcome for r in report.results] == ["closed", "closed"]
        at = [s.at for s in world.venue.close_sends]
        assert len(at) == 2
        assert at[1] - at[0] > 0.05
        await world.audit()


@virtual
async def test_the_other_leg_waits_for_a_person_while_an_order_on_the_instrument_may_live():
    async with World({ACCOUNT: book("BTC long 2", "BTC short 1", hedge=True)}) as world:
        plan = await world.engine.prepare(EVERYTHING)
        for fault in ("no_fill", "cancel_fails"):
            world.faults.script(fault, times=1000)
        report = await world.engine.execute(plan.id, plan.digest)
        rows = [(r.outcome, (r.error or "").partition(":")[0]) for r in report.results]
        assert [outcome for outcome, _ in rows] == ["stuck", "stuck"]
        assert rows[0][1].endswith("may still be live at the venue")
        assert rows[1][1] == "another order on the instrument may still be live; look at the venue"


# -------------------------------------------------------------------------------------------- the brokers' last word


@virtual
async def test_a_position_that_is_there_again_at_the_end_is_stuck_whatever_was_said_before():
    async with World() as world:
        world.faults.script("empty_list", times=3)  # both of the close's reads, and the book's own between them
        report = await world.flatten()
        (row,) = report.results
        assert (row.outcome, row.error) == ("stuck", "still there at the final reconciliation")
        assert row.residual == D(2)
        assert (row.profit_status, row.profit) == (None, None), "nothing was realised"
        assert not report.success
        assert [e.result.outcome for e in await world.records(ClosingEnded)] == ["closed", "stuck"]
        assert any("is there again" in line for line in await world.log())


@virtual
async def test_a_disk_that_is_full_when_a_position_is_there_again_takes_no_report():
    async with World() as world:
        world.faults.script("empty_list", times=3)

        def fill_disk(row: LogRow) -> None:
            if "is there again" in row.text:
                world.database.failure = "disk full"

        world.engine.on_log(fill_disk)
        report = await world.flatten()
        world.database.failure = None
        assert [(row.outcome, row.residual) for row in report.results] == [("stuck", D(2))]


@virtual
async def test_a_list_that_only_lags_at_the_end_is_read_again():
    async with World() as world:
        world.faults.numbers["lag_seconds"] = 1.5
        world.faults.script("position_lag")
        report = await world.flatten()
        assert outcomes(report) == {"BTC": "closed"}
        assert report.success


@virtual
async def test_an_account_that_cannot_be_read_at_the_end_makes_the_report_partial():
    async with two() as world:
        plan = await world.engine.prepare(EVERYTHING)
        world.faults.script("read_fails", times=100, after=2)  # before the order, and after it
        report = await world.engine.execute(plan.id, plan.digest)
        assert set(outcomes(report).values()) == {"closed"}
        assert not report.complete
        assert not report.success
        assert {o.id: o.complete for o in report.owners} == {"ann": False, "bob": True}


@virtual
async def test_a_plan_that_lacked_an_account_is_never_a_success():
    world = two()
    world.faults.script("auth", times=3)
    async with world:
        plan = await world.engine.prepare(EVERYTHING)
        assert plan.unreadable
        world.faults.clear()
        report = await world.engine.execute(plan.id, plan.digest)
        assert outcomes(report) == {"BTC": "closed"}
        assert not report.success
        assert world.held() == {"BTC": D(2)}


@virtual
async def test_an_account_that_could_not_be_read_before_is_not_waited_for_again_and_again_at_the_end():
    world = two()
    world.faults.script("auth", times=100)
    async with world:
        plan = await world.engine.prepare(EVERYTHING)
        assert plan.unreadable
        began = world.clock.monotonic()
        report = await world.engine.execute(plan.id, plan.digest)
        assert not report.complete
        assert world.clock.monotonic() - began < FINAL_WAIT


@virtual
async def test_success_is_said_only_when_everything_is_verified_flat():
    async with two() as world:
        report = await world.flatten()
        assert report.success
        assert [(o.id, o.final, o.complete) for o in report.owners] == [("ann", 0, True), ("bob", 0, True)]
        assert report.positions == ()
        (end,) = await world.records(PlanEnded)
        assert (end.success, [t.final for t in end.final]) == (True, [0, 0])


@virtual
async def test_an_adapters_fault_at_the_end_is_an_account_that_could_not_be_read():
    async with two() as world:
        plan = await world.engine.prepare(EVERYTHING)
        gear = world.engine._executor._tools[ACCOUNT]  # type: ignore[union-attr]

        class Broken:
            async def read_account(self) -> Any:
                raise KeyError("positionAmt")

        gear.reader = Broken()  # type: ignore[assignment]
        report = await world.engine.execute(plan.id, plan.digest)
        assert set(outcomes(report).values()) == {"closed"}
        assert {o.id: o.complete for o in report.owners} == {"ann": False, "bob": True}
        assert await world.records(PlanEnded)


# ---------------------------------------------------------------------------------------------------------- the journal


@virtual
async def test_an_approval_that_is_not_durable_sends_nothing():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        world.database.failure = "disk full"
        with pytest.raises(JournalError, match="disk full"):
            await world.engine.execute(plan.id, plan.digest)
        world.database.failure = None
        assert world.sent() == []
        assert not await world.records(PlanApproved)
        assert world.held() == {"BTC": D(2)}


@virtual
async def test_a_disk_that_fills_up_in_the_middle_lets_nothing_more_leave():
    async with World({ACCOUNT: book("AAA long 1", "BBB long 1")}) as world:
        world.faults.script("read_fails")  # both closes are still before their first order
        task = world.begin()
        await asyncio.sleep(0.15)
        world.database.failure = "disk full"
        report = await task
        assert (set(outcomes(report).values()), report.success) == ({"stuck"}, False)
        assert world.sent() == []
        assert world.engine.publisher.engine.alarm is not None
        world.database.failure = None
        await world.restart()
        assert world.flat, "once there is room it is taken up again"
        await world.audit()


@virtual
async def test_everything_that_was_confirmed_is_written_before_anything_is_sent():
    async with World() as world:
        await world.flatten()
        kinds = [type(e.record) for e in await world.entries()]
        assert kinds.index(PlanApproved) < kinds.index(ProfitPending) < kinds.index(IntentWritten)


# -------------------------------------------------------------------------------------------------------- cancels, rest


@virtual
async def test_orders_go_before_their_position_and_orders_without_one_by_themselves():
    lone = {**resting("o9", price="120"), "symbol": "ETH"}
    content = book(orders=[resting("s1"), lone])
    content["quotes"]["ETH"] = content["quotes"]["BTC"]
    content["instruments"].append({"symbol": "ETH", "kind": "perp"})
    async with World({ACCOUNT: content}) as world:
        report = await world.flatten()
        assert {(r.key.symbol, r.kind): r.outcome for r in report.results} == {
            ("BTC", "close"): "closed",
            ("BTC", "cancel_order"): "cancelled",
            ("ETH", "cancel_order"): "cancelled",
        }
        assert not world.venue.state.live_orders()
        calls = [s.call for s in world.venue.requests]
        assert calls.index("cancel") < calls.index("submit")


@virtual
async def test_cancelling_orders_leaves_the_positions_alone():
    async with World({ACCOUNT: book(orders=[resting("s1"), resting("o1", price="120")])}) as world:
        report = await world.flatten(PlanRequest("cancel-orders", everything=True))
        assert [r.outcome for r in report.results] == ["cancelled", "cancelled"]
        assert report.success
        assert world.held() == {"BTC": D(2)}


@virtual
async def test_a_stop_is_put_back_when_the_close_gets_stuck():
    async with World({ACCOUNT: book(orders=[resting("s1")])}) as world:
        world.faults.script("halted")
        report = await world.flatten()
        assert outcomes(report) == {"BTC": "stuck"}
        (live,) = world.venue.state.live_orders()
        assert (live.order.type, live.order.trigger, live.own) == (OrderType.STOP, D(80), True)
        await world.audit()
        await world.engine.read_all()
        again = await world.engine.prepare(EVERYTHING)
        assert [o.id for o in again.closes[0].cancels] == [live.order.id]
        world.faults.clear()
        assert outcomes(await world.engine.execute(again.id, again.digest)) == {"BTC": "closed"}


@virtual
async def test_a_close_that_is_refused_for_the_market_is_shown_with_its_time_and_waits_in_a_lasting_engine():
    for lasting, outcome in ((True, "closed"), (False, "waiting_open")):
        async with World(lasting=lasting) as world:
            world.faults.script("market_closed")
            report = await world.flatten()
            assert outcomes(report) == {"BTC": outcome}


@virtual
async def test_a_residual_below_the_minimum_is_neither_success_nor_failure_of_its_own_kind():
    content = book("BTC long 2.05")
    async with World({ACCOUNT: content}) as world:
        report = await world.flatten()
        (row,) = report.results
        assert (row.outcome, row.residual, row.profit_status) == ("closed_residual", D("0.05"), "CONFIRMED")
        assert report.success


@virtual
async def test_attempts_are_those_of_the_configuration():
    async with World(ladder=LadderSettings(attempts=1)) as world:
        for name in ("reject_ioc", "reject_gtc", "reject_close_call", "reject_direct", "reject_fok", "reject_limit"):
            world.faults.script(name, times=100)
        report = await world.flatten()
        assert outcomes(report) == {"BTC": "stuck"}
        assert [i.tier.value for i in await world.records(IntentWritten) if i.tier] == [
            "market_ioc",
            "market_gtc",
            "venue_close",
            "direct_api",
            "market_fok",
            "limit_aggressive",
        ], "a price band that is not taken is not tried at other offsets"
        assert world.engine.book.position(key()) is not None
