"""The engine as a shell: what it will not touch, the events it takes in, its own faults, and what it shows."""

from __future__ import annotations

import asyncio

import pytest

from core.engine.inbox import MOST
from core.events import OrderSeen, PositionSeen, QuoteSeen
from core.ladder.states import Phase
from core.link.messages import LogRow
from core.model import OrderSide
from core.plans.request import PlanRequest
from core.records import AccountFrozen
from core.settings import EngineSettings, ExitSettings
from tests.support.builders import ACCOUNT, D, order
from tests.support.fake_broker import quote
from tests.support.virtual_time import virtual
from tests.support.world import EVERYTHING, World, book, key, outcomes, resting

# --------------------------------------------------------------------------------------------------- blocked, frozen


@virtual
async def test_what_is_being_closed_is_not_planned_again():
    async with World(lasting=True) as world:
        world.faults.script("market_closed")
        task = world.begin()
        await asyncio.sleep(1)
        again = await world.engine.prepare(EVERYTHING)
        assert again.closes == ()
        assert again.actions[0].reason.value == "closing"
        await task
        assert world.flat


@virtual
async def test_an_order_of_another_writer_freezes_the_account_across_restarts():
    stranger = {**resting("x1"), "price": "200", "client_id": "fdzzzz" + "a" * 26, "type": "limit", "trigger": None}
    content = book("BTC long 2", "ETH long 1")
    stranger["symbol"] = "ETH"
    async with World({ACCOUNT: {**content, "orders": [{k: v for k, v in stranger.items() if v is not None}]}}) as world:
        report = await world.flatten(PlanRequest("flatten", symbols=("BTC",)))
        assert outcomes(report) == {}  # it was frozen on sight, so nothing was even planned
        assert [a.reason.value for a in report.plan.actions] == ["frozen"]
        assert world.sent() == []
        assert "another flatdeck" in world.engine.frozen[ACCOUNT]
        (frozen,) = await world.records(AccountFrozen)
        assert frozen.account == ACCOUNT
        await world.restart()
        assert ACCOUNT in world.engine.frozen
        again = await world.engine.prepare(EVERYTHING)
        assert not again.closes
        assert {a.reason.value for a in again.actions} == {"frozen"}
        rows = world.engine.snapshot().accounts
        assert "another flatdeck" in str(rows[0].frozen)


@virtual
async def test_a_plan_for_an_account_that_froze_meanwhile_is_refused():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        world.engine.frozen[ACCOUNT] = "an order that nobody knows"
        report = await world.engine.execute(plan.id, plan.digest)
        assert outcomes(report) == {"BTC": "refused"}
        assert world.sent() == []


# ---------------------------------------------------------------------------------------------------- the event loop


@virtual
async def test_a_list_that_got_shorter_is_read_again_before_it_is_believed():
    async with World({ACCOUNT: book("AAA long 1", "BBB long 1")}) as world:
        world.faults.script("empty_list")
        await world.engine.read_all()
        assert len(world.engine.book.positions(ACCOUNT)) == 2
        await asyncio.sleep(1)
        assert len(world.engine.book.positions(ACCOUNT)) == 2, "the second read contradicted the first"


@virtual
async def test_a_second_read_that_fails_is_said():
    async with World() as world:
        world.faults.script("empty_list")
        await world.engine.read_all()
        world.faults.script("read_fails")
        await asyncio.sleep(1)
        assert any("could not be read again" in line for line in await world.log())


@virtual
async def test_an_event_that_nobody_can_place_does_not_end_the_engine():
    async with World() as world:
        world.engine._emit(OrderSeen(order(account="nobody/here")))
        for _ in range(2):
            async with asyncio.timeout(5):
                await world.engine.read_all()
                assert (await world.engine.prepare(EVERYTHING)).closes
        assert "could not be taken in" in str(world.engine.publisher.engine.alarm)
        before = world.engine.book.accounts[ACCOUNT].received
        await asyncio.sleep(2)
        assert world.engine.book.accounts[ACCOUNT].received != before, "what it may have said is read"


@virtual
async def test_a_full_inbox_drops_prices_and_makes_everything_else_be_read_again():
    async with World() as world:
        engine, before = world.engine, world.engine.book.accounts[ACCOUNT].received
        for n in range(MOST + 1):
            engine._emit(QuoteSeen(quote("BTC", 2000.0 + n)))
        assert not engine._rereads._requested, "a price that is lost is followed by the next"
        world.by_hand(OrderSide.BUY, "1")
        for _ in range(2):
            engine._emit(PositionSeen(key(), None))
        await asyncio.sleep(2)
        assert engine.book.accounts[ACCOUNT].received != before
        assert [p.quantity for p in engine.book.positions(ACCOUNT)] == [D(3)]
        world.faults.script("empty_list")
        await engine.read_all()
        await asyncio.sleep(2)
        assert engine.book.positions(ACCOUNT), "and later doubts are followed up as ever"


@virtual
async def test_the_stream_wakes_a_close_that_waits_for_its_order():
    async with World({ACCOUNT: book("BTC long 2", depth="1")}, lasting=True) as world:
        world.run()
        await asyncio.sleep(2)
        report = await world.flatten()
        assert outcomes(report) == {"BTC": "closed"}
        await world.audit()


@virtual
async def test_a_part_that_fails_is_an_alarm_and_not_silence():
    async with World() as world:

        async def broken() -> None:
            raise ZeroDivisionError("a bug")

        world.engine._tasks.spawn(broken())
        await asyncio.sleep(0.1)
        assert "a part of the engine failed" in str(world.engine.publisher.engine.alarm)


@virtual
async def test_stopping_hangs_up_and_ends_every_task():
    async with World(lasting=True) as world:
        world.run()
        await asyncio.sleep(1)
        await world.engine.stop()
        assert not world.engine._tasks._tasks


# ------------------------------------------------------------------------------------------------------ what it shows


@virtual
async def test_stopping_ends_a_task_that_failed_at_the_moment_of_its_cancel():
    async with World() as world:
        world.run()
        await asyncio.sleep(1)

        async def forgetful() -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(100)  # as a TaskGroup does whose other task fails just then

        world.engine._tasks.spawn(forgetful())
        await asyncio.sleep(0.1)
        began = world.clock.monotonic()
        await world.engine.stop()
        assert world.clock.monotonic() - began < 5
        assert not world.engine._tasks._tasks


@virtual
async def test_the_log_reaches_listeners_and_the_journal_and_respects_its_level():
    async with World(engine=EngineSettings(log_level="warning")) as world:
        heard: list[LogRow] = []
        world.engine.on_log(heard.append)
        world.engine.say("info", "small talk")
        world.engine.say("warning", "careful", ACCOUNT)
        assert [(r.text, r.account, r.owner) for r in heard] == [("careful", ACCOUNT, "ann")]


@virtual
async def test_prices_grow_stale_on_the_board_when_nobody_sends_any():
    async with World(exits=ExitSettings(max_price_age=5.0)) as world:
        fresh = world.engine.snapshot().positions[0]
        assert (fresh.flags, fresh.usd_value) == ((), D("199.8"))
        await asyncio.sleep(6)
        stale = world.engine.snapshot().positions[0]
        assert "stale" in stale.flags
        assert stale.usd_value is None
        assert "old" in stale.note


@pytest.mark.parametrize("fault", ["missing_price", "bad_price", "crossed_quote"])
@virtual
async def test_a_price_that_stays_missing_or_bad_flags_the_position_stale(fault: str):
    world = World()
    world.faults.script(fault, times=1000)
    async with world:
        row = world.engine.snapshot().positions[0]
        assert row.usd_value is None
        assert "stale" in row.flags
        assert row.note


@virtual
async def test_a_live_engine_shows_the_close_as_it_goes_and_its_end():
    async with World(lasting=True) as world:
        world.run()
        await asyncio.sleep(1)
        world.faults.script("no_fill")
        await world.flatten()
        (row,) = world.engine.snapshot().closings
        assert (row.outcome, row.state, row.tier, row.filled) == ("closed", Phase.ENDED.value, "market_gtc", D(2))
        assert row.next_at is None


@virtual
async def test_accounts_that_could_be_read_are_counted():
    world = World({ACCOUNT: book(), "bob/paper": book()})
    world.faults.script("auth", times=1000)
    async with world:
        assert world.engine.reached() == 1
        plan = await world.engine.prepare(EVERYTHING)
        assert not plan.complete
        assert plan.unreadable == {ACCOUNT: "the credentials have expired"}
