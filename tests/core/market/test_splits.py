"""A share split and a jump, from the venue to the rules: nothing fires before position and price are read anew."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from msgspec import structs

from core.exits.view import ExitView
from core.market.splits import LONGEST_REREAD
from core.settings import AutomationSettings, ExitSettings
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.world import World, book, key

PLAIN = ExitSettings(adaptive=False)  # every rule is on, so that a split that is taken for a move would fire one


def desk(side: str = "long", kind: str = "equity") -> World:
    content = book(f"ACME {side} 20", kind=kind, quotes={"ACME": {"bid": "100", "ask": "100", "last": "100"}})
    content["positions"][0] |= {"leverage": "1", "entry": "100"}
    return World({ACCOUNT: content}, lasting=True, exits=PLAIN, automation=AutomationSettings(exits="auto"))


def view(world: World) -> ExitView:
    found = world.engine.exit_service.view(key("ACME"))
    assert found is not None
    return found


def price(world: World, at: str) -> None:
    world.venue.set_quote("ACME", bid=D(at), ask=D(at), last=D(at))


def held(world: World, quantity: str, entry: str) -> None:
    """The venue's books from now on; its stream says nothing of it."""
    positions = world.venue.state.positions
    for place, position in positions.items():
        positions[place] = structs.replace(position, quantity=D(quantity), free=D(quantity), entry=D(entry))


async def watched(world: World) -> ExitView:
    """Up to 104 and back to 103, so that stop and peak have been moved."""
    world.run()
    await asyncio.sleep(1)
    for at in ("104", "103"):
        price(world, at)
        await asyncio.sleep(2)
    return view(world)


def scaled(before: ExitView, by: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    assert before.stop is not None
    assert before.target is not None
    assert before.peak is not None
    return before.stop / by, before.target / by, before.peak / by


@pytest.mark.parametrize(
    ("ratio", "quantity", "entry", "after"), [("10", "200", "10", "10.3"), ("0.1", "2", "1000", "1030")]
)
@pytest.mark.parametrize("first", ["price", "position", "both"])
@virtual
async def test_a_split_scales_stop_target_and_peak_and_fires_nothing(
    first: str, ratio: str, quantity: str, entry: str, after: str
):
    async with desk() as world:
        expected = scaled(await watched(world), D(ratio))
        if first != "position":
            price(world, after)
        if first != "price":
            held(world, quantity, entry)
        if first == "position":
            world.faults.probabilities["missing_price"] = 1.0
            await asyncio.sleep(31)  # until the positions are read again
            world.faults.clear()
        elif first == "price":
            await asyncio.sleep(4)  # a second price has confirmed it, and the position was read as it was
            assert world.sent() == []
            held(world, quantity, entry)
        price(world, after)
        await asyncio.sleep(40)
        assert world.sent() == []
        now = view(world)
        found = (now.stop, now.target, now.peak)
        assert [float(f or 0) for f in found] == pytest.approx([float(e) for e in expected], rel=2e-2)
        assert now.due is None
        price(world, str(D(after) * D("0.97")))
        await asyncio.sleep(5)
        assert world.flat, "it is watched on"
        await world.audit()


@virtual
async def test_a_split_and_a_sale_by_hand_between_two_reads_scale_the_levels_and_fire_nothing():
    async with desk() as world:
        stop, target, peak = scaled(await watched(world), D(2))
        price(world, "51.5")
        held(world, "34", "50")  # 40, of which 6 were sold
        await asyncio.sleep(40)
        assert world.sent() == []
        now = view(world)
        found = [float(f or 0) for f in (now.stop, now.target, now.peak)]
        assert found == pytest.approx([float(e) for e in (stop, target, peak)], rel=2e-2)
        price(world, "49.5")
        await asyncio.sleep(5)
        assert world.flat, "it is watched on"
        await world.audit()


@virtual
async def test_no_rule_runs_between_the_fall_of_a_split_and_the_position_that_explains_it():
    """A fall of 90 % that two prices confirm may be a split until the position was read."""
    async with desk() as world:
        before = await watched(world)
        price(world, "10.3")
        await asyncio.sleep(4)
        assert world.sent() == []
        assert view(world).stop == before.stop
        held(world, "200", "10")
        await asyncio.sleep(LONGEST_REREAD + 10)
        assert world.sent() == []
        assert world.held() == {"ACME": D(200)}


@virtual
async def test_a_share_that_really_crashed_is_closed_as_soon_as_its_position_was_read_again():
    async with desk() as world:
        await watched(world)
        asked = world.clock.monotonic()
        price(world, "60")
        await asyncio.sleep(LONGEST_REREAD)
        assert world.flat
        assert world.venue.close_sends[0].at - asked >= 1.5  # a second price, and then a read of the position
        await world.audit()


@virtual
async def test_a_share_that_crashed_by_half_is_closed_though_it_looks_like_a_split():
    async with desk() as world:
        await watched(world)
        asked = world.clock.monotonic()
        price(world, "51.5")
        await asyncio.sleep(LONGEST_REREAD + 5)
        assert world.flat
        assert LONGEST_REREAD <= world.venue.close_sends[0].at - asked <= LONGEST_REREAD + 3
        await world.audit()


@pytest.mark.parametrize("back", [True, False], ids=["and comes back", "and stays"])
@virtual
async def test_a_jump_waits_for_a_second_price(back: bool):
    async with desk(kind="perp") as world:
        before = await watched(world)
        asked = world.clock.monotonic()
        price(world, "50")
        await asyncio.sleep(0.1)
        assert world.sent() == []
        now = view(world)
        assert (now.stop, now.price, now.due) == (before.stop, before.price, None)
        if back:
            price(world, "103")
            await asyncio.sleep(10)
            assert world.sent() == []
            assert view(world).stop == before.stop
        else:
            await asyncio.sleep(4)
            assert world.flat
            assert world.venue.close_sends[0].at - asked >= 0.9  # when the second price came
        await world.audit()
