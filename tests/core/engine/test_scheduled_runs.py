"""Runs that nobody asked for: what is armed is carried out, what is not waits for a person, what fails is said."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import JournalError
from core.link.messages import PlanRow
from core.model import OrderRequest, OrderSide, OrderType
from core.records import ClosingEnded, PlanApproved, PlanEnded
from core.settings import AutomationSettings, CleanupSettings, EngineSettings, LegacySettings
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.world import World, book, resting

LIMIT = OrderRequest(ACCOUNT, "AAA", OrderSide.SELL, D(1), "", type=OrderType.LIMIT, price=D(200))
CYCLE = EngineSettings(cycle_seconds=10.0)
AUTO = AutomationSettings(cleanup="auto")


def crowded(**more: object) -> dict[str, object]:
    """Three positions where two are allowed; AAA is the smallest."""
    return book("AAA long 1", "BBB long 2", "CCC long 3", **more)


def world(content: dict[str, object] | None = None, **settings: object) -> World:
    cleanup = {"max_positions": 2, "interval_cycles": 3, **settings.pop("rules", {})}  # type: ignore[dict-item]
    given = {"engine": CYCLE, "cleanup": CleanupSettings(**cleanup), "automation": AUTO, **settings}
    return World({ACCOUNT: content or crowded()}, lasting=True, **given)


def plans(world: World) -> list[PlanRow]:
    return list(world.engine.publisher.snapshot().plans)


async def alarms(world: World) -> list[str]:
    return [row.text for row in world.engine.publisher.snapshot().log if row.level == "alarm"]


@virtual
async def test_what_is_armed_is_carried_out_at_the_start():
    async with world() as desk:
        desk.run()
        await asyncio.sleep(5)
        assert desk.held() == {"BBB": D(2), "CCC": D(3)}
        (approval,) = await desk.records(PlanApproved)
        assert approval.by == "rule:cleanup"
        assert any("FORCED CLEANUP TRIGGERED: STARTUP, 1 to close" in line for line in await desk.log())
        await desk.audit()


@virtual
async def test_what_is_not_armed_waits_for_a_person_and_nothing_is_sent():
    async with world(automation=AutomationSettings(cleanup="ask")) as desk:
        desk.run()
        await asyncio.sleep(5)
        assert desk.sent() == []
        (waiting,) = plans(desk)
        assert (waiting.state, waiting.closes) == ("waiting", 1)
        assert not await desk.records(PlanApproved)
        log = await desk.log()
        assert any("Cleanup prepared (nothing sent): STARTUP, 1 to close" in line for line in log)
        assert not any("FORCED CLEANUP TRIGGERED" in line for line in log)


@virtual
async def test_a_plan_that_waits_can_be_confirmed_as_it_is_shown():
    async with world(automation=AutomationSettings(cleanup="ask")) as desk:
        desk.run()
        await asyncio.sleep(5)
        (waiting,) = plans(desk)
        shown = desk.engine.pending_plans._plans[waiting.id]
        report = await desk.engine.execute(waiting.id, shown.digest)
        assert report.success
        assert desk.held() == {"BBB": D(2), "CCC": D(3)}
        assert [p.state for p in plans(desk)] == ["done"]
        assert any("FORCED CLEANUP TRIGGERED: MANUAL, 1 to close" in line for line in await desk.log())


@virtual
async def test_a_newer_plan_takes_the_place_of_the_one_that_waits():
    async with world(automation=AutomationSettings(cleanup="ask")) as desk:
        desk.run()
        await asyncio.sleep(5)
        (first,) = plans(desk)
        await asyncio.sleep(30)
        (second,) = plans(desk)
        assert first.id != second.id
        assert second.state == "waiting"


@virtual
async def test_a_plan_that_was_confirmed_stays_on_the_board_when_the_next_one_is_made():
    async with world(automation=AutomationSettings(cleanup="ask")) as desk:
        desk.run()
        await asyncio.sleep(5)
        (waiting,) = plans(desk)
        await desk.engine.execute(waiting.id, desk.engine.pending_plans._plans[waiting.id].digest)
        await asyncio.sleep(30)
        assert [p.state for p in plans(desk)] == ["done"]


@virtual
async def test_nothing_to_do_makes_no_plan_to_wait_for():
    async with world(book("AAA long 1"), automation=AutomationSettings(cleanup="ask")) as desk:
        desk.run()
        await asyncio.sleep(50)
        assert plans(desk) == []


@virtual
async def test_it_runs_again_every_so_many_cycles():
    async with world() as desk:
        desk.run()
        await asyncio.sleep(5)
        desk.venue.trade_by_hand("BBB", OrderSide.BUY, D(1))
        desk.venue.trade_by_hand("AAA", OrderSide.BUY, D(1))
        await asyncio.sleep(20)
        assert "AAA" in desk.held(), "two cycles are not three"
        await asyncio.sleep(10)
        assert "AAA" not in desk.held()
        triggered = [line for line in await desk.log() if "FORCED CLEANUP TRIGGERED" in line]
        assert len(triggered) == 2
        assert "PERIODIC" in triggered[1]


@virtual
async def test_the_next_cleanup_is_on_the_board_all_the_time():
    async with world() as desk:
        begun = desk.clock.now()
        desk.run()
        for second, wanted in ((5, 30), (15, 30), (25, 30), (35, 60)):
            await asyncio.sleep(second - (desk.clock.now() - begun).total_seconds())
            at = desk.engine.publisher.engine.next_cleanup
            assert at is not None
            assert abs((at - begun).total_seconds() - wanted) < 5


@virtual
async def test_startup_mode_cancels_open_orders_at_the_first_run_only():
    """The nuclear mode: what rests at the start goes; what is placed later stays, and its position is skipped."""
    content = crowded(orders=[{**resting(quantity="1"), "symbol": "AAA"}])
    async with world(content, rules={"cancel_open_orders": "startup"}) as desk:
        desk.run()
        await asyncio.sleep(5)
        assert "AAA" not in desk.held()
        desk.venue.trade_by_hand("AAA", OrderSide.BUY, D(1))
        desk.venue.place_by_hand(LIMIT)
        await asyncio.sleep(60)
        assert desk.held()["AAA"] == 1
        assert len(await desk.records(ClosingEnded)) == 1  # its order went with it
        await desk.audit()


@virtual
async def test_a_restart_is_a_start_again():
    async with world(rules={"cancel_open_orders": "startup"}) as desk:
        desk.run()
        await asyncio.sleep(5)
        desk.venue.trade_by_hand("AAA", OrderSide.BUY, D(1))
        desk.venue.place_by_hand(LIMIT)
        await desk.restart()
        desk.run()
        await asyncio.sleep(5)
        assert "AAA" not in desk.held()


@pytest.mark.parametrize("sentence", ["the disk is full; free some space"])
@virtual
async def test_a_run_that_fails_is_said_and_the_next_one_is_made(sentence: str):
    async with world() as desk:
        desk.database.failure = sentence
        desk.run()
        await asyncio.sleep(5)
        assert desk.sent() == [], "what cannot be journalled is not sent"
        assert f"cleanup failed: {sentence}" in await alarms(desk)
        desk.database.failure = None
        await asyncio.sleep(30)
        assert "AAA" not in desk.held()
        (end,) = await desk.records(PlanEnded)
        assert end.success


@virtual
async def test_a_first_look_at_what_was_there_before_that_fails_keeps_nothing_from_being_cleaned():
    async with world() as desk:

        async def broken() -> bool:
            raise JournalError("the disk is full")

        desk.engine.reconciliation.judge = broken  # type: ignore[method-assign]
        desk.run()
        await asyncio.sleep(5)
        assert "legacy positions were not dealt with: the disk is full" in await alarms(desk)
        assert "AAA" not in desk.held()


@pytest.mark.parametrize(("mode", "held"), [("auto", False), ("ask", True)])
@virtual
async def test_what_was_there_before_is_closed_or_shown_where_the_settings_ask_for_it(mode: str, held: bool):
    careful = LegacySettings(emergency_close_legacy=True, risk_per_trade=D("0.003"))
    rules = {"automation": AutomationSettings(cleanup="ask", legacy=mode), "legacy": careful}
    async with world(book("AAA long 1", equity="100"), **rules) as desk:
        desk.run()
        await asyncio.sleep(5)
        assert bool(desk.held()) is held
        assert [(p.cause, p.state) for p in plans(desk)] == [("legacy", "waiting" if held else "done")]
        assert any("LEGACY POSITIONS: 1 to close" in line for line in await desk.log())
        await desk.audit()


@virtual
async def test_a_rule_that_nobody_can_read_is_said_and_ends_nothing():
    async with world(rules={"cancel_open_orders": "matching", "cancel_if": "moon>full"}) as desk:
        desk.run()
        await asyncio.sleep(65)
        said = [text for text in await alarms(desk) if text.startswith("cleanup failed")]
        assert len(said) == 3
        assert "moon>full" in said[0]


@virtual
async def test_an_unreadable_account_does_not_keep_the_others_from_being_cleaned():
    content = {ACCOUNT: crowded(), "bob/paper": crowded()}
    desk = World(content, lasting=True, engine=CYCLE, automation=AUTO, cleanup=CleanupSettings(max_positions=2))
    desk.faults.script("auth", times=100_000)
    async with desk:
        desk.run()
        await asyncio.sleep(5)
        assert "AAA" in desk.held()
        assert "AAA" not in desk.held("bob/paper")
