"""Reconciliation and legacy in a running engine: when it compares, what it believes, what it adopts or closes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from core.entries.rules import EntryRequest
from core.model import OrderRequest, OrderSide, OrderType, PositionKey, TimeInForce
from core.records import Adopted, PositionClosed
from core.settings import AutomationSettings, LegacySettings
from tests.support.builders import ACCOUNT, SYMBOL, D
from tests.support.virtual_time import virtual
from tests.support.world import QUIET, QUOTE, World, book, resting

ULTRA = LegacySettings(emergency_close_legacy=True, risk_per_trade=D("0.003"))
OTHER = "bob/paper"


def world(*positions: str, **more: Any) -> World:
    content = book(*(positions or ("BTC long 2",)), **more.pop("rules", {}))
    return World({ACCOUNT: content}, lasting=True, **more)


def legacy(*, automation: str = "auto", settings: LegacySettings = ULTRA, **rules: Any) -> World:
    """A long at 25x whose initial stop would lose 4.60 % of the equity."""
    content = book("BTC long 9.2", **{"equity": "900", **rules})
    content["positions"][0]["leverage"] = "25"
    asked = AutomationSettings(legacy=automation)
    exits = structs.replace(QUIET, stop_loss_pct=D("0.05"))
    return World({ACCOUNT: content}, lasting=True, legacy=settings, automation=asked, exits=exits)


async def kinds(desk: World) -> list[tuple[str, str]]:
    made = await desk.engine.reconciliation.reconcile()
    return [(d.kind.value, d.key.symbol) for d in made.found]


async def adopted(desk: World) -> World:
    """Running, with all that is held taken over."""
    desk.run()
    await asyncio.sleep(5)
    return desk


# ------------------------------------------------------------------------------------------------- reconciling


@virtual
async def test_what_is_held_at_start_is_adopted_once_and_is_no_discrepancy():
    async with world("BTC long 2", "ETH short 3") as desk:
        await adopted(desk)
        assert [r.why for r in await desk.records(Adopted)] == ["legacy", "legacy"]
        assert await kinds(desk) == []
        await adopted((await desk.restart(), desk)[1])
        assert len(await desk.records(Adopted)) == 2
        assert any("[LEGACY][ADOPTED] ann/paper: 2 positions" in line for line in await said(desk))


async def said(desk: World) -> list[str]:
    """The log of every life."""
    return [getattr(e.record, "text", "") for e in await desk.entries()]


@virtual
async def test_what_was_done_by_hand_is_found_and_named_and_made_right():
    async with world("BTC long 2", "ETH long 2", "SOL long 2") as desk:
        await adopted(desk)
        desk.by_hand(OrderSide.SELL, "2", "BTC")
        desk.by_hand(OrderSide.SELL, "1", "ETH")
        desk.by_hand(OrderSide.SELL, "5", "SOL")
        desk.by_hand(OrderSide.BUY, "1", "XRP")
        found = [("phantom", "BTC"), ("quantity", "ETH"), ("side", "SOL"), ("missed", "XRP")]
        assert await kinds(desk) == found
        assert await kinds(desk) == []
        assert [r.key.symbol for r in await desk.records(PositionClosed)] == ["BTC"]
        assert desk.engine.reconciliation.counted == {"phantom": 1, "quantity": 1, "side": 1, "missed": 1}
        assert any(line.startswith("[RECONCILE][PHANTOM] BTC on ann/paper") for line in await said(desk))


@virtual
async def test_an_entry_that_the_broker_corrects_is_taken_over():
    async with world() as desk:
        await adopted(desk)
        desk.by_hand(OrderSide.BUY, "1")
        desk.by_hand(OrderSide.SELL, "1")  # the same quantity, another average
        assert await kinds(desk) == [("entry", "BTC")]
        assert await kinds(desk) == []


@virtual
async def test_a_shorter_list_is_believed_only_when_a_second_read_agrees():
    async with world("BTC long 2", "ETH long 2") as desk:
        await adopted(desk)
        await desk.crash()
        await desk.open()  # without live watching, so that the fault strikes this read
        desk.faults.script("empty_list")
        assert await kinds(desk) == []
        desk.faults.script("truncated_list")
        assert await kinds(desk) == []
        desk.faults.script("empty_list", times=3)  # the engine itself reads again, too
        assert await kinds(desk) == [("phantom", "BTC"), ("phantom", "ETH")]


@virtual
async def test_what_is_being_closed_or_entered_is_no_discrepancy():
    async with world() as desk:
        await adopted(desk)
        closing = desk.begin()
        await asyncio.sleep(0.1)
        assert await kinds(desk) == []
        await closing
        assert await kinds(desk) == [], "its end is in the journal"


@virtual
async def test_what_this_program_opens_scales_and_closes_is_known():
    async with World({ACCOUNT: {**book(), "positions": []}}) as desk:
        opener = desk.engine.entry_service
        signal = EntryRequest("ann", "BTC", OrderSide.BUY, D(2), D(1), D("0.05"), ACCOUNT)
        assert (await opener.carry_out(await opener.drafts.draft_entry(signal))).success
        assert await kinds(desk) == []
        for inward in (True, False):
            assert (
                await opener.carry_out(await opener.drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=inward))
            ).success
            assert await kinds(desk) == []
        await desk.flatten()
        assert await kinds(desk) == []
        assert not await desk.records(Adopted)


@virtual
async def test_an_order_of_ours_that_has_no_position_is_an_orphan_and_one_without_a_record_an_alarm():
    async with world() as desk:
        await adopted(desk)
        mine = f"fd{desk.journal.epoch}{'a' * 26}"
        order = OrderRequest(
            ACCOUNT, "ETH", OrderSide.BUY, D(1), mine, OrderType.LIMIT, TimeInForce.GTC, price=D(1), reduce_only=False
        )
        desk.venue.set_quote("ETH", bid=D(99), ask=D(100))
        desk.venue.matching.market.listing("ETH")
        desk.venue.place(order)
        made = await desk.engine.reconciliation.reconcile()
        assert [(d.kind.value, d.alarm) for d in made.found] == [("orphan_order", True)]
        assert desk.engine.publisher.engine.alarm


@virtual
async def test_an_account_that_cannot_be_read_is_said_and_the_others_are_compared():
    content = {ACCOUNT: book(), OTHER: book("ETH long 1")}
    async with World(content) as desk:
        desk.faults.script("read_fails", times=1000)
        made = await desk.engine.reconciliation.reconcile()
        assert set(made.unread) == {ACCOUNT}
        assert [d.key for d in made.found] == [PositionKey(OTHER, "ETH")]


@virtual
async def test_it_runs_at_start_and_every_hour():
    async with world() as desk:
        await adopted(desk)
        desk.by_hand(OrderSide.SELL, "2")
        await asyncio.sleep(1800)
        assert not await desk.records(PositionClosed)
        await asyncio.sleep(1810)
        assert [r.key.symbol for r in await desk.records(PositionClosed)] == ["BTC"]


@virtual
async def test_it_runs_after_every_reconnect():
    async with world() as desk:
        await adopted(desk)
        await asyncio.sleep(60)
        desk.faults.script("stream_drops")
        desk.faults.script("read_fails", times=2)
        await asyncio.sleep(1)
        desk.by_hand(OrderSide.SELL, "2")
        await asyncio.sleep(60)
        assert [r.key.symbol for r in await desk.records(PositionClosed)] == ["BTC"]


# ------------------------------------------------------------------------------------------------------- legacy


@virtual
async def test_an_armed_engine_closes_legacy_by_force_at_start_with_its_orders():
    async with legacy(orders=[resting("s1", "9.2")]) as desk:
        desk.run()
        await asyncio.sleep(10)
        assert desk.flat
        log = await said(desk)
        assert any("ULTRA-CONSERVATIVE MODE: risk_per_trade is 0.30 %, 1 positions" in line for line in log)
        begun = next(line for line in log if line.startswith("[LEGACY][FORCED] BTC Account"))
        assert "Legacy position: 25x, risk 10.22 % exceeds 0.30 %" in begun  # 9.2 · |90 − 80| / 900
        assert not await desk.records(Adopted)


@virtual
async def test_without_a_resting_stop_the_initial_one_says_the_risk():
    async with legacy() as desk:
        desk.run()
        await asyncio.sleep(10)
        assert any("25x, risk 4.60 % exceeds 0.30 %" in line for line in await said(desk))


@virtual
async def test_an_engine_that_is_to_ask_shows_the_plan_and_the_flag_and_a_person_decides():
    async with legacy(automation="ask") as desk:
        desk.run()
        await asyncio.sleep(10)
        snapshot = desk.engine.snapshot()
        assert [(p.cause, p.state, p.closes) for p in snapshot.plans] == [("legacy", "waiting", 1)]
        assert [p.flags for p in snapshot.positions] == [("legacy",)]
        assert not desk.flat
        plan = await desk.engine.prepare(_request())
        report = await desk.engine.execute(plan.id, plan.digest)
        assert report.success
        assert desk.flat


def _request() -> Any:
    from core.plans.request import PlanRequest

    return PlanRequest("legacy")


@pytest.mark.parametrize(
    "settings", [LegacySettings(False, D("0.003")), LegacySettings(True, D("0.006")), LegacySettings(True, None)]
)
def test_otherwise_what_was_there_is_adopted(settings: LegacySettings) -> None:
    @virtual
    async def check() -> None:
        async with legacy(settings=settings) as desk:
            desk.run()
            await asyncio.sleep(10)
            assert not desk.flat
            assert [r.why for r in await desk.records(Adopted)] == ["legacy"]
            assert [p.flags for p in desk.engine.snapshot().positions] == [()]

    check()


@virtual
async def test_what_was_adopted_under_the_present_settings_is_not_legacy_at_the_next_start():
    async with legacy(settings=LegacySettings(False, D("0.003"))) as desk:
        await adopted(desk)
        desk.settings = _with(desk, LegacySettings(True, D("0.003")))
        await desk.restart()
        await adopted(desk)
        assert not desk.flat
        desk.settings = _with(desk, LegacySettings(True, D("0.002")))
        await desk.restart()
        await adopted(desk)
        assert desk.flat, "other settings"


def _with(desk: World, settings: LegacySettings) -> Any:
    from msgspec import structs

    return structs.replace(desk.settings, legacy=settings)


@virtual
async def test_noticing_by_reconciliation_does_not_make_legacy_acceptable():
    async with legacy(settings=ULTRA) as desk:
        assert await kinds(desk) == [("missed", "BTC")]
        assert await kinds(desk) == []
        await desk.restart()
        await adopted(desk)
        assert desk.flat


@virtual
async def test_what_this_program_opened_is_not_legacy():
    content = {**book(), "positions": []}
    async with World(
        {ACCOUNT: content}, lasting=True, legacy=ULTRA, automation=AutomationSettings(legacy="auto")
    ) as desk:
        opener = desk.engine.entry_service
        signal = EntryRequest("ann", "BTC", OrderSide.BUY, D(2), D(1), D("0.05"), ACCOUNT)
        assert (await opener.carry_out(await opener.drafts.draft_entry(signal))).success
        await desk.restart()
        await adopted(desk)
        assert desk.held() == {"BTC": D(2)}


@virtual
async def test_an_account_that_comes_later_is_judged_when_it_is_read():
    async with legacy() as desk:
        await desk.crash()
        desk.faults.script("read_fails", times=6)
        await desk.open()
        desk.run()
        await asyncio.sleep(5)
        assert not desk.flat
        await asyncio.sleep(400)
        assert desk.flat


@virtual
async def test_prices_play_no_part():
    quotes = {"quotes": {SYMBOL: {**QUOTE, "mark": "50"}}}
    async with legacy(**quotes) as desk:
        desk.run()
        await asyncio.sleep(10)
        assert any("risk 4.60 %" in line for line in await said(desk))
