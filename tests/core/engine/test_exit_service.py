"""Exits in the engine: what fires, what waits, what no price may do, and what a crash leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.engine.local_link import LocalLink
from core.engine.waiting_plans import plans_of
from core.errors import JournalError
from core.events import AccountChanged, AccountState, QuoteSeen
from core.link.messages import (
    Arm,
    Confirm,
    ExitsDue,
    Planned,
    PlanRow,
    PositionRow,
    Prepare,
    Preview,
    Rejected,
    Show,
    Withdraw,
)
from core.model import OrderSide, Quote
from core.plans.request import PlanRequest
from core.records import PlanApproved
from core.settings import AutomationSettings, CleanupSettings, ExitSettings
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.world import World, book, key, resting

PLAIN = ExitSettings(adaptive=False, smart_profit=(), drawdown=())
AUTO = AutomationSettings(exits="auto")


def desk(
    *positions: str, exits: ExitSettings = PLAIN, entry: str | None = "100", orders: Any = (), **settings: Any
) -> World:
    """Positions entered at 100, priced at 100."""
    content = book(*(positions or ("BTC long 2",)), orders=orders)
    for held in content["positions"]:
        held |= {"leverage": "1"}
        del held["entry"]
        if entry is not None:
            held["entry"] = entry
    return World({ACCOUNT: content}, lasting=True, exits=exits, **settings)


async def priced(world: World, price: str, symbol: str = "BTC") -> None:
    """The venue's price moves, and everything that follows has happened."""
    world.venue.set_quote(symbol, bid=D(price), ask=D(price), last=D(price))
    await asyncio.sleep(1)


def row(world: World, symbol: str = "BTC") -> PositionRow:
    return next(p for p in world.engine.snapshot().positions if p.key.symbol == symbol)


def waiting(world: World) -> list[PlanRow]:
    return [p for p in world.engine.publisher.snapshot().plans if p.state == "waiting" and p.cause == "exit"]


async def started(world: World) -> LocalLink:
    world.run()
    await asyncio.sleep(1)
    return LocalLink(world.engine)


# ------------------------------------------------------------------------------------------------------ what is shown


@virtual
async def test_a_row_shows_the_stop_the_target_and_why():
    async with desk() as world:
        await started(world)
        await priced(world, "105")
        shown = row(world)
        assert (shown.stop, shown.target) == (D("102.9"), D(110))
        guard = shown.guard
        assert guard is not None
        assert (guard.peak, guard.trail, guard.factors) == (D(105), D("0.02"), (D(1), D(1), D(1), D(1)))
        assert guard.progress == D("0.5")
        assert [r.stop for r in guard.ratchets][-1] == D("102.9")
        assert not guard.initial


@virtual
async def test_a_short_is_mirrored():
    async with desk("BTC short 2", automation=AUTO) as world:
        await started(world)
        await priced(world, "95")
        assert (row(world).stop, row(world).target) == (D("96.9"), D(90))
        await priced(world, "96.8")
        assert not world.flat
        await priced(world, "96.9")
        assert world.flat


@virtual
async def test_an_unknown_entry_has_no_stop_from_it_and_says_so():
    async with desk(entry=None, exits=ExitSettings(trailing_base=None)) as world:
        await started(world)
        shown = row(world)
        assert (shown.stop, shown.target, shown.roi) == (None, None, None)
        assert "entry unknown" in shown.note


# ------------------------------------------------------------------------------------------------------------- firing


@virtual
async def test_auto_closes_at_the_stop_and_verifies_it():
    async with desk(automation=AUTO) as world:
        await started(world)
        assert world.engine.publisher.engine.armed
        assert any("ARMED" in line for line in await world.log())
        await priced(world, "105")
        await priced(world, "103")
        assert not world.flat
        await priced(world, "102.9")
        assert world.flat
        (approval,) = await world.records(PlanApproved)
        assert approval.by == "rule:exits"
        (action,) = approval.plan.closes
        assert action.reason.value == "exit"
        assert action.text.startswith("trailing_stop (price 102.9, stop 102.9, roi 2.90 %)")
        await world.audit()


@virtual
async def test_an_exit_that_could_not_be_written_down_is_tried_again_soon():
    async with desk(automation=AUTO) as world:
        await started(world)
        said: list[str] = []
        world.engine.on_log(lambda told: said.append(told.text))
        world.database.failure = "the disk is full"
        await priced(world, "90")
        await priced(world, "90.1")
        assert not world.flat
        assert any("could not be closed: the disk is full" in line for line in said)
        world.database.failure = None
        await asyncio.sleep(6)
        await priced(world, "90")
        assert world.flat


@virtual
async def test_a_plan_that_could_not_be_written_down_keeps_no_exit_back():
    async with desk(automation=AUTO) as world:
        await started(world)
        world.database.failure = "the disk is full"
        with pytest.raises(JournalError):
            await world.flatten()
        world.database.failure = None
        await priced(world, "90")
        assert world.flat


@virtual
async def test_ask_leaves_one_plan_waiting_whatever_the_price_repeats():
    async with desk() as world:
        link = await started(world)
        assert not world.engine.publisher.engine.armed
        for price in ("97", "96.9", "97", "96.8"):
            await priced(world, price)
        assert world.sent() == []
        (one,) = waiting(world)
        assert one.request is not None
        assert one.request.keys == (key(),)
        assert "trailing_stop" in one.text
        assert any("[EXIT] BTC" in line and "waits for a person" in line for line in await world.log())
        planned = await link.ask(Show(one.id))
        assert isinstance(planned, Planned)
        assert planned.request == one.request
        await link.ask(Withdraw(planned.plan.id))
        assert waiting(world), "to look away is not to decide"
        again = await link.ask(Prepare(one.request))
        assert isinstance(again, Planned)
        await link.ask(Confirm(again.plan.id, again.plan.digest))
        await asyncio.sleep(5)
        assert world.flat
        assert not waiting(world)
        await world.audit()


async def written(world: World) -> list[PlanRow]:
    """The plans that another process reads as waiting."""
    await world.journal.flush()
    rows, wrong = plans_of(await world.journal.waiting())
    assert not wrong
    return rows


@virtual
async def test_a_plan_that_waits_is_in_the_journal_as_long_as_it_waits():
    async with desk(cleanup=CleanupSettings(max_positions=0)) as world:
        await started(world)
        (cleanup,) = await written(world)
        assert (cleanup.cause, cleanup.closes) == ("cleanup", 1)
        assert "waiting" not in row(world).flags
        await priced(world, "97")
        assert [p for p in await written(world) if p.cause == "exit"] == waiting(world)
        assert "waiting" in row(world).flags
        await priced(world, "84")
        assert [p for p in await written(world) if p.cause == "exit"] == waiting(world)
        await world.flatten(PlanRequest("flatten", everything=True))
        assert [p.cause for p in await written(world)] == ["cleanup"]
        await world.flatten(PlanRequest("cleanup"))
        assert await written(world) == []


@virtual
async def test_what_waited_in_an_engine_that_is_dead_waits_no_more():
    async with desk() as world:
        await started(world)
        await priced(world, "97")
        assert await written(world)
        await world.restart()
        assert await written(world) == []
        world.run()
        await asyncio.sleep(2)
        assert await written(world) == waiting(world) != []


@virtual
async def test_the_emergency_goes_before_the_stop_and_takes_its_place():
    async with desk() as world:
        await started(world)
        await priced(world, "97")
        (stop,) = waiting(world)
        assert "trailing_stop" in stop.text
        await priced(world, "84")
        (emergency,) = waiting(world)
        assert "emergency_stop_excessive_loss" in emergency.text
        await priced(world, "97")
        assert waiting(world) == [emergency]


@virtual
async def test_an_exit_and_a_cleanup_of_one_position_make_one_close():
    rules = CleanupSettings(dust_usd=D(1000))
    async with desk(automation=AUTO, cleanup=rules) as world:
        world.faults.script("market_closed")
        await started(world)
        cleanup = asyncio.create_task(world.flatten(PlanRequest("cleanup")))
        await asyncio.sleep(0.2)
        await priced(world, "97")
        await cleanup
        assert world.flat
        assert len(await world.records(PlanApproved)) == 1
        await world.audit()


@virtual
async def test_a_waiting_exit_is_gone_when_another_plan_takes_its_position():
    async with desk() as world:
        await started(world)
        await priced(world, "97")
        assert waiting(world)
        await world.flatten()
        assert not waiting(world)
        assert world.flat


@virtual
async def test_a_position_that_goes_takes_its_waiting_exit_along():
    async with desk() as world:
        await started(world)
        await priced(world, "97")
        (alarm,) = world.engine.publisher.engine.alarms
        assert (alarm.key, alarm.account) == (key(), ACCOUNT)
        world.by_hand(OrderSide.SELL, "2")
        await asyncio.sleep(40)
        assert not waiting(world)
        assert world.engine.publisher.engine.alarms == ()
        assert world.engine.exit_service.view(key()) is None


@virtual
async def test_an_alarm_stays_where_an_order_may_open_the_position_again():
    for frozen, orders in ((True, ()), (False, [resting(price="120")])):
        async with desk(orders=orders) as world:
            await started(world)
            await priced(world, "97")
            if frozen:
                world.engine.frozen[ACCOUNT] = "an order of unknown fate"
            world.by_hand(OrderSide.SELL, "2")
            await asyncio.sleep(40)
            assert not waiting(world)
            assert [a.key for a in world.engine.publisher.engine.alarms] == [key()], orders


@virtual
async def test_an_exit_on_a_frozen_account_is_said_once():
    async with desk(automation=AUTO) as world:
        await started(world)
        world.engine.frozen[ACCOUNT] = "a foreign order"
        for price in ("97", "96.9", "96.8"):
            await priced(world, price)
        said = [line for line in await world.log() if "cannot be closed" in line]
        assert len(said) == 1
        assert world.sent() == []


@virtual
async def test_an_engine_that_only_runs_one_command_fires_nothing():
    async with desk(automation=AUTO) as world:
        world.venue.set_quote("BTC", bid=D(80), ask=D(80), last=D(80))
        await world.engine.read_all()
        await asyncio.sleep(5)
        assert not world.flat
        assert not waiting(world)


# ------------------------------------------------------------------------------------------------------------- prices

BAD = [
    {"last": None, "bid": None, "ask": None},
    {"last": D("NaN")},
    {"last": D(-1)},
    {"last": D(0)},
    {"bid": D(91), "ask": D(90), "last": D(90)},
    {"last": D(50)},  # an unconfirmed jump
]


@pytest.mark.parametrize("prices", BAD, ids=str)
@virtual
async def test_a_price_that_cannot_be_used_triggers_and_moves_nothing(prices: dict[str, Any]):
    async with desk(automation=AUTO) as world:
        await started(world)
        before = row(world).guard
        now = world.clock.monotonic()
        world.engine._emit(QuoteSeen(Quote(ACCOUNT, "BTC", now, **prices)))
        await world.engine._settled()
        after = row(world).guard
        assert before is not None
        assert after is not None
        assert (after.stop, after.peak, after.target, after.due) == (before.stop, before.peak, before.target, None)
        assert world.sent() == []


@virtual
async def test_a_stale_price_or_an_unreadable_account_triggers_nothing():
    async with desk(automation=AUTO) as world:
        await started(world)
        now = world.clock.monotonic()
        world.engine._emit(QuoteSeen(Quote(ACCOUNT, "BTC", now - 6, last=D(90))))
        await world.engine._settled()
        assert world.engine.exit_service.preview().exits == ()
        world.engine._emit(AccountChanged(ACCOUNT, AccountState.STALE))
        world.engine._emit(QuoteSeen(Quote(ACCOUNT, "BTC", now, last=D(90))))
        await world.engine._settled()
        assert world.engine.exit_service.preview().exits == ()
        assert world.sent() == []


# ------------------------------------------------------------------------------------------------------------- arming


@virtual
async def test_disarmed_nothing_closes_and_armed_again_what_is_due_closes_at_once():
    async with desk(automation=AUTO) as world:
        link = await started(world)
        await link.ask(Arm(False))
        assert not world.engine.publisher.engine.armed
        await priced(world, "97")
        assert world.sent() == []
        assert waiting(world)
        shown = await link.ask(Preview())
        assert isinstance(shown, ExitsDue)
        assert [d.reason for d in shown.exits] == ["trailing_stop"]
        blind = await link.ask(Arm(True))
        assert isinstance(blind, Rejected)
        assert blind.code == "changed"
        await link.ask(Arm(True, shown.digest))
        await asyncio.sleep(5)
        assert world.flat
        assert not waiting(world)


@virtual
async def test_where_every_exit_is_to_be_asked_for_nothing_can_be_armed():
    async with desk() as world:
        link = await started(world)
        shown = await link.ask(Preview())
        assert isinstance(shown, ExitsDue)
        assert "[automation]" in shown.refused
        refused = await link.ask(Arm(True, shown.digest))
        assert isinstance(refused, Rejected)
        assert refused.code == "not_armed"


# ------------------------------------------------------------------------------------------------------- after a crash


@pytest.mark.parametrize("side", ["long", "short"])
@virtual
async def test_a_restart_resumes_stop_and_peak_and_gives_the_same_exit_at_the_same_tick(side: str):
    up = side == "long"
    async with desk(f"BTC {side} 2", automation=AUTO) as world:
        await started(world)
        await priced(world, "108" if up else "92")
        await priced(world, "107" if up else "93")
        before = row(world).guard
        assert before is not None
        await world.restart(after=2)
        after = row(world).guard
        assert after is not None
        assert (after.stop, after.peak, after.target, after.initial) == (
            before.stop,
            before.peak,
            before.target,
            before.initial,
        )
        assert after.ratchets == before.ratchets
        await started(world)
        await priced(world, "105.9" if up else "93.8")
        assert not world.flat
        await priced(world, "105.8" if up else "93.9")
        assert world.flat
        (approval,) = await world.records(PlanApproved)
        assert approval.plan.closes[0].text.startswith("trailing_stop")


@virtual
async def test_another_position_in_the_same_symbol_begins_anew_after_a_restart():
    async with desk(automation=AUTO) as world:
        await started(world)
        await priced(world, "108")
        await world.crash()
        world.venue.trade_by_hand("BTC", OrderSide.SELL, D(2))
        world.venue.set_quote("BTC", bid=D(99), ask=D(99), last=D(99))
        world.venue.trade_by_hand("BTC", OrderSide.BUY, D(1))
        await world.open()
        assert row(world).stop == D(97)
        await started(world)
        assert not world.flat


@virtual
async def test_what_is_gone_is_kept_no_longer():
    async with desk(automation=AUTO) as world:
        await started(world)
        await world.journal.flush()
        assert len(await world.journal.kept()) == 1
        await priced(world, "97")
        await asyncio.sleep(40)
        assert world.flat
        await world.journal.flush()
        assert await world.journal.kept() == []
