"""Nothing is carried out but what was shown and confirmed, once and in time, by an engine that may act."""

from __future__ import annotations

import asyncio

import pytest

from core.engine.engine import Engine
from core.errors import JournalError
from core.ids import Ids
from core.model import OrderSide, Tier
from core.plans.pending import PLANS_KEPT
from core.plans.plan import SHOWN_FOR, ApprovedPlan, NotApproved, by_rule, confirm, reopened
from core.records import PlanApproved
from core.settings import LadderSettings
from tests.support.builders import ACCOUNT, D, plan
from tests.support.fake_broker import FakeBroker
from tests.support.virtual_time import DAWN, virtual
from tests.support.world import EVERYTHING, World, book, outcomes, resting


@virtual
async def test_a_plan_is_carried_out_as_it_was_confirmed_and_only_once():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        report = await world.engine.execute(plan.id, plan.digest)
        assert outcomes(report) == {"BTC": "closed"}
        assert report.plan == plan
        with pytest.raises(NotApproved) as second:
            await world.engine.execute(plan.id, plan.digest)
        assert second.value.code == "unknown_plan"
        assert world.sent() == ["submit"]


@virtual
async def test_another_digest_than_the_plans_own_is_refused_as_changed():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        with pytest.raises(NotApproved) as refused:
            await world.engine.execute(plan.id, "0" * 64)
        assert refused.value.code == "changed"
        assert world.sent() == []


@virtual
async def test_a_plan_that_was_shown_too_long_ago_has_expired():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        await asyncio.sleep(SHOWN_FOR.total_seconds() + 1)
        with pytest.raises(NotApproved) as refused:
            await world.engine.execute(plan.id, plan.digest)
        assert refused.value.code == "expired"
        assert not await world.records(PlanApproved)


@virtual
async def test_the_digest_stands_while_prices_move_and_falls_with_what_is_held():
    async with World() as world:
        first = await world.engine.prepare(EVERYTHING)
        world.venue.set_quote("BTC", bid=D(95), ask=D(96), last=D(95))
        await world.engine.read_all()
        second = await world.engine.prepare(EVERYTHING)
        assert first.closes[0].usd_value != second.closes[0].usd_value
        assert first.digest == second.digest
        world.by_hand(OrderSide.BUY, "1")
        await world.engine.read_all()
        assert (await world.engine.prepare(EVERYTHING)).digest != first.digest


@virtual
async def test_a_digest_binds_the_orders_and_the_tiers_as_well():
    digests = set()
    for content, tiers in (
        (book(), {}),
        (book(orders=[resting()]), {}),
        (book(orders=[resting("s2")]), {}),
        (book(), {"paper": (Tier.MARKET_GTC,)}),
    ):
        async with World({ACCOUNT: content}, ladder=LadderSettings(tiers=tiers)) as world:
            digests.add((await world.engine.prepare(EVERYTHING)).digest)
    assert len(digests) == 4


def test_an_approved_plan_cannot_be_made_by_hand():
    with pytest.raises(NotApproved) as refused:
        ApprovedPlan(plan(), "person", DAWN, seal=object())
    assert refused.value.code == "not_armed"


def test_a_rule_that_is_not_armed_approves_nothing():
    with pytest.raises(NotApproved) as refused:
        by_rule(plan(), "cleanup", armed=False, now=DAWN)
    assert refused.value.code == "not_armed"
    assert by_rule(plan(), "cleanup", armed=True, now=DAWN).by == "rule:cleanup"
    assert reopened(plan(), "person", DAWN).approved_at == DAWN


def test_a_plan_is_confirmable_up_to_the_last_moment():
    shown = plan()
    assert confirm(shown, shown.digest, DAWN + SHOWN_FOR).by == "person"


@virtual
async def test_a_read_only_engine_plans_and_refuses_to_carry_out():
    async with World(read_only=True) as world:
        plan = await world.engine.prepare(EVERYTHING)
        assert plan.closes
        with pytest.raises(NotApproved) as refused:
            await world.engine.execute(plan.id, plan.digest)
        assert refused.value.code == "read_only"
        assert world.engine.publisher.engine.read_only
        assert world.sent() == []


@virtual
async def test_a_read_only_engine_takes_nothing_up_that_was_interrupted():
    async with World() as world:
        world.faults.script("lose_request")
        world.begin()
        await asyncio.sleep(0.2)
        world.read_only = True
        await world.restart()
        assert world.held() == {"BTC": D(2)}
        assert await world.journal.open_plans()


@virtual
async def test_old_plans_are_forgotten():
    async with World() as world:
        first = await world.engine.prepare(EVERYTHING)
        for _ in range(PLANS_KEPT):
            await world.engine.prepare(EVERYTHING)
        with pytest.raises(NotApproved) as refused:
            await world.engine.execute(first.id, first.digest)
        assert refused.value.code == "unknown_plan"


@virtual
async def test_a_journal_that_fails_keeps_anything_from_being_sent():
    async with World() as world:
        plan = await world.engine.prepare(EVERYTHING)
        world.database.failure = "disk full"
        with pytest.raises(JournalError):
            await world.engine.execute(plan.id, plan.digest)
        assert world.sent() == []
        world.database.failure = None


@virtual
async def test_a_dry_engine_without_a_journal_can_only_look():
    async with World() as world:
        broker = FakeBroker()
        dry = Engine(world.settings, [broker], clock=world.clock, ids=Ids(world.clock, _Dice()), journal=None)
        await dry.start()
        assert dry.read_only
        with pytest.raises(NotApproved):
            await dry.carry_out(by_rule(plan(), "cleanup", armed=True, now=DAWN))
        await dry.stop()
        assert broker.closed


class _Dice:
    def getrandbits(self, k: int, /) -> int:
        return 7
