"""An engine of a single command watches no prices: what it leaves out, what status shows, and what it must not lose."""

from __future__ import annotations

import asyncio

import pytest

from core.engine.local_link import LocalLink
from core.engine.unwatched import Unwatched
from core.link.messages import Arm, Rejected
from core.model import OrderSide
from core.settings import AutomationSettings
from tests.core.engine.test_exit_service import PLAIN
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.world import World, book


def desk(*positions: str) -> World:
    """Positions entered at 100, watched by a service until now."""
    content = book(*(positions or ("BTC long 2",)))
    for held in content["positions"]:
        held |= {"leverage": "1", "entry": "100"}
    return World({ACCOUNT: content}, lasting=True, exits=PLAIN, automation=AutomationSettings(exits="auto"))


async def watched(world: World, *prices: str) -> None:
    world.run()
    await asyncio.sleep(1)
    for price in prices:
        world.venue.set_quote("BTC", bid=D(price), ask=D(price), last=D(price))
        await asyncio.sleep(1)


async def single(world: World) -> None:
    """The service has ended; a single command begins."""
    world.lasting = False
    await world.restart(after=2)


@virtual
async def test_a_single_command_has_no_exits_and_no_stops():
    async with desk() as world:
        await single(world)
        assert isinstance(world.engine.exits, Unwatched)
        refused = await LocalLink(world.engine).ask(Arm(True))
        assert isinstance(refused, Rejected)
        assert "watches no prices" in refused.text
        assert world.engine.publisher.engine.armed, "status says: armed once an engine runs"


@pytest.mark.parametrize(("side", "prices"), [("long", ("108", "107")), ("short", ("92", "93"))])
@virtual
async def test_status_shows_the_levels_that_an_engine_would_watch(side: str, prices: tuple[str, ...]):
    async with desk(f"BTC {side} 2") as world:
        await watched(world, *prices)
        (row,) = world.engine.snapshot().positions
        assert row.guard is not None
        assert not row.guard.initial
        await world.journal.flush()
        await single(world)
        (shown,) = world.engine.snapshot().positions
        assert shown.guard is not None
        assert (shown.stop, shown.target) == (row.stop, row.target)
        assert (shown.guard.peak, shown.guard.ratchets) == (row.guard.peak, row.guard.ratchets)


@virtual
async def test_status_without_a_journal_shows_the_first_levels():
    async with desk() as world:
        await single(world)
        (shown,) = world.engine.snapshot().positions
        assert (shown.stop, shown.target) == (D(98), D(110)), "trailing, as an engine begins"


@virtual
async def test_a_position_that_a_command_closed_leaves_no_stop_to_another():
    async with desk() as world:
        await watched(world, "108", "107")
        await single(world)
        assert len(await world.journal.kept()) == 1
        await world.flatten()
        await world.journal.flush()
        assert await world.journal.kept() == []
        world.venue.trade_by_hand("BTC", OrderSide.BUY, D(3))
        world.lasting = True
        await world.restart(after=2)
        (row,) = world.engine.snapshot().positions
        assert row.guard is not None
        assert row.guard.peak == D(107), "its own, not that of the position before"
        assert row.stop < row.entry  # type: ignore[operator]
