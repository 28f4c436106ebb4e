"""Every scripted fault of the paper venue, through the engine: a close ends as it must and breaks no rule."""

from __future__ import annotations

import pytest
from msgspec import structs

from brokers.paper.faults import NAMES, STREAMS
from core.link.messages import PlanReport
from core.records import ClosingEnded, IntentAnswered
from tests.support.builders import ACCOUNT
from tests.support.virtual_time import virtual
from tests.support.world import World, book, outcomes, resting

# How a close ends at which the fault struck once, where that is not "closed by the first tier": outcome, tier, left.
ENDS: dict[str, tuple[str, str | None, str]] = {
    "auth": ("stuck", None, "2"),
    "banned": ("stuck", None, "2"),
    "halted": ("stuck", None, "2"),
    "market_closed": ("waiting_open", None, "2"),
    "flip": ("stuck", None, "-2"),
    "liquidation": ("closed", None, "0"),
    "late_fill": ("closed", None, "0"),
    "lose_request": ("closed", "market_gtc", "0"),
    "no_fill": ("closed", "market_gtc", "0"),
    "partial_fill": ("closed", "market_gtc", "0"),
    "precision_error": ("closed", "market_gtc", "0"),
    "reject_ioc": ("closed", "market_gtc", "0"),
}
KINDS = {
    "perp": book(),
    "perp with a stop": book(orders=[resting()]),
    "spot": book(kind="spot"),
    "spot with a stop": book(kind="spot", orders=[resting(reduce_only=False)]),
    "short": book("BTC short 2"),
    "future": book(kind="future", reduce_only=False),
    "hedged": book("BTC long 2", "BTC short 1", hedge=True),
}
LIES = {"empty_list", "truncated_list"}  # for ever, and in no other way contradicted: nobody can tell
FINAL = {"closed", "closed_residual", "partial", "stuck", "waiting_open", "changed", "refused"}
# Others act between the read and the order: without reduce-only nothing at the venue can keep it from going too far.
NOBODY_CAN_HELP = {("future", name) for name in ("flip", "foreign_trade", "liquidation")}


async def struck(world: World, name: str, **script: int) -> PlanReport:
    """Flatten while the fault strikes; the faults of a stream strike on a live one."""
    if name in STREAMS:
        world.run()
        await world.clock.sleep(2.0)
    world.faults.script(name, **script)
    return await world.flatten()


async def consistent(world: World, report: PlanReport) -> None:
    """What the report and the journal say is what happened."""
    await world.audit()
    left = world.left()
    ended = {r.result.key: r.result for r in await world.records(ClosingEnded) if r.result.kind == "close"}
    for row in report.results:
        assert row.outcome in FINAL | {"cancelled"}
        if row.kind == "close":
            assert structs.replace(ended[row.key], residual=row.residual) == row  # the final read tells what is left
            assert (row.outcome == "closed") <= (row.key not in left)
    assert report.success == all(r.outcome in {"closed", "closed_residual", "cancelled"} for r in report.results)
    assert not report.success or not left
    for venue in world.venues.values():
        for ticket in venue.state.live_orders():
            assert not (ticket.own and ticket.order.type.value == "market"), "a closing order was left live"


@pytest.mark.parametrize("name", sorted(NAMES))
@virtual
async def test_a_fault_that_strikes_once_ends_as_it_must(name: str):
    async with World() as world:
        report = await struck(world, name)
        outcome, tier, left = ENDS.get(name, ("closed", "market_ioc", "0"))
        (row,) = [r for r in report.results if r.kind == "close"]
        assert (row.outcome, row.tier) == (outcome, tier)
        assert str(world.held().get("BTC", 0)) == left
        await consistent(world, report)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(NAMES))
@virtual
async def test_a_fault_that_strikes_three_times_breaks_no_rule_at_any_kind_of_instrument(name: str, kind: str):
    if (kind, name) in NOBODY_CAN_HELP:
        return
    async with World({ACCOUNT: KINDS[kind]}) as world:
        report = await struck(world, name, times=3)
        await consistent(world, report)


@pytest.mark.parametrize("name", sorted(NAMES - LIES))
@virtual
async def test_a_fault_that_never_stops_ends_in_time_and_breaks_no_rule(name: str):
    async with World({ACCOUNT: book(orders=[resting()])}) as world:
        began = world.clock.monotonic()
        report = await struck(world, name, times=10_000)
        assert world.clock.monotonic() - began < 200, "every wait has a limit"
        world.faults.clear()
        await consistent(world, report)


@pytest.mark.parametrize("latency", [0.0, 0.05, 1.0])
@virtual
async def test_ten_positions_close_at_once_whatever_the_latency(latency: float):
    positions = [f"S{n} long {n + 1}" for n in range(10)]
    async with World({ACCOUNT: book(*positions)}, latency=latency) as world:
        began = world.clock.monotonic()
        report = await world.flatten()
        assert set(outcomes(report).values()) == {"closed"}
        assert world.clock.monotonic() - began < 1 + 6 * latency
        if latency:
            await consistent(world, report)


@virtual
async def test_a_mixture_of_faults_on_many_positions_leaves_every_close_with_an_end():
    positions = [f"S{n} {'long' if n % 2 else 'short'} {n + 1}" for n in range(12)]
    async with World({ACCOUNT: book(*positions)}) as world:
        world.faults.probabilities.update(
            reject_ioc=0.3, lose_response=0.2, partial_fill=0.3, lose_request=0.1, held=0.2, position_lag=0.2
        )
        report = await world.flatten()
        world.faults.clear()
        assert len(outcomes(report)) == 12
        await consistent(world, report)
        outcome_of = {a.outcome for a in await world.records(IntentAnswered)}
        assert {"refused", "unknown", "terminal"} <= outcome_of, "the faults really struck"
