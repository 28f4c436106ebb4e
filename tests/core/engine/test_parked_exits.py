"""Exits and a market that is closed: judged again at the open, after a restart too; parked ends with its position."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.engine.local_link import LocalLink
from core.events import QuoteSeen
from core.ladder.states import Judged
from core.link.messages import Arm, ClosingRow
from core.model import OrderSide, Quote
from core.records import ClosingEnded, PlanApproved
from core.settings import AutomationSettings, ExitSettings
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.world import World, book, key

PLAIN = ExitSettings(adaptive=False, smart_profit=(), drawdown=(), emergency=(), take_profit_pct=None)
AUTO = AutomationSettings(exits="auto")
OPENS = 120  # seconds after the beginning


def desk(side: str = "long", automation: AutomationSettings = AUTO, **more: Any) -> World:
    """10 at 100, first priced at 100; its market opens two minutes from now."""
    content = book(f"BTC {side} 10", kind="perp", hours={"open": "08:02", "close": "15:00"})
    content["positions"][0] |= {"entry": "100", "leverage": "1"}
    return World({ACCOUNT: content}, lasting=True, exits=PLAIN, automation=automation, **more)


async def priced(world: World, price: str, seconds: float = 1.0) -> None:
    world.venue.set_quote("BTC", bid=D(price), ask=D(price), last=D(price))
    await asyncio.sleep(seconds)


async def kept_at(world: World, price: str, seconds: float) -> None:
    """The venue goes on telling this price, as a stream does."""
    for _ in range(int(seconds / 2)):
        await priced(world, price, 2.0)


async def parked(world: World, touched: str, then: str) -> None:
    """The stop is touched while the market is closed; afterwards the price stays at ``then`` until the open."""
    world.run()
    await asyncio.sleep(1)
    await priced(world, touched)
    assert closing(world).state == "parked"
    await kept_at(world, then, OPENS - 10)
    assert closing(world).state == "parked", "nothing is judged before the open"
    assert world.sent() == ["submit"], "the venue refused it"


def closing(world: World) -> ClosingRow:
    (row,) = world.engine.snapshot().closings
    return row


async def ends(world: World) -> list[str]:
    return [r.result.outcome for r in await world.records(ClosingEnded)]


CASES = [("long", "97", "105", "96"), ("short", "103", "95", "104")]


@pytest.mark.parametrize(("side", "touched", "well", "ill"), CASES)
@virtual
async def test_an_exit_that_does_not_hold_at_the_open_is_dropped_and_said(side: str, touched: str, well: str, ill: str):
    async with desk(side) as world:
        await parked(world, touched, well)
        await kept_at(world, well, 30)
        assert not world.flat
        assert await ends(world) == ["skipped"]
        said = [line for line in await world.log() if "SKIPPED" in line]
        assert len(said) == 1
        assert f"no exit rule calls for it any more at {well}" in said[0]
        await priced(world, ill, 5)
        assert world.flat, "the rule goes on watching, without a pause"
        await world.audit()


@pytest.mark.parametrize(("side", "touched", "well", "ill"), CASES)
@virtual
async def test_an_exit_that_holds_at_the_open_goes(side: str, touched: str, well: str, ill: str):
    async with desk(side) as world:
        await parked(world, touched, ill)
        await kept_at(world, ill, 20)
        assert world.flat
        assert await ends(world) == ["closed"]
        assert len(await world.records(PlanApproved)) == 1
        await world.audit()


@virtual
async def test_only_a_price_that_was_received_since_is_judged():
    async with desk() as world:
        world.run()
        await asyncio.sleep(1)
        service = world.engine.exit_service
        now = world.clock.monotonic()
        assert service.judge_again(key(), now) is None
        world.engine._emit(QuoteSeen(Quote(ACCOUNT, "BTC", now, last=D(97))))
        await world.engine._settled()
        assert service.judge_again(key(), now) is None, "the very moment of the open is not after it"
        assert service.judge_again(key(), now - 0.1) == Judged(True)


@virtual
async def test_without_a_price_of_the_session_it_stays_parked():
    async with desk() as world:
        await parked(world, "97", "96")
        world.venue.set_quote("BTC", bid=None, ask=None, last=None)
        await asyncio.sleep(300)
        assert closing(world).state == "parked"
        assert not world.flat
        await priced(world, "96", 5)
        assert world.flat


@virtual
async def test_a_jump_at_the_open_counts_once_it_is_confirmed():
    async with desk() as world:
        await parked(world, "97", "97")
        world.venue.set_quote("BTC", bid=None, ask=None, last=None)
        await asyncio.sleep(20)
        await priced(world, "130", 0.5)
        assert closing(world).state == "parked"
        await priced(world, "131", 5)
        assert await ends(world) == ["skipped"]
        assert not world.flat


@virtual
async def test_what_a_person_confirmed_goes_at_the_open_at_any_price():
    async with desk() as world:
        world.run()
        await asyncio.sleep(1)
        flatten = world.begin()
        await asyncio.sleep(5)
        assert closing(world).state == "parked"
        await kept_at(world, "105", OPENS)
        assert world.flat
        assert (await flatten).success


@virtual
async def test_an_exit_that_a_person_confirmed_goes_at_the_open_too():
    async with desk(automation=AutomationSettings()) as world:
        world.run()
        await asyncio.sleep(1)
        await priced(world, "97")
        (waiting,) = [p for p in world.engine.publisher.snapshot().plans if p.state == "waiting"]
        assert waiting.request is not None
        exiting = world.begin(waiting.request)
        await kept_at(world, "105", OPENS + 10)
        assert world.flat
        assert (await exiting).success


@virtual
async def test_an_exit_that_was_disarmed_while_it_waited_is_dropped():
    async with desk() as world:
        await parked(world, "97", "96")
        await LocalLink(world.engine).ask(Arm(False))
        await kept_at(world, "96", 20)
        assert not world.flat
        assert await ends(world) == ["skipped"]
        assert [p.state for p in world.engine.publisher.snapshot().plans if p.cause == "exit"] == ["done", "waiting"]


@pytest.mark.parametrize("price", ["105", "96"])
@pytest.mark.parametrize("after", [5, 40])
@virtual
async def test_a_parked_exit_that_a_restart_takes_up_is_judged_again(price: str, after: int):
    """The restart comes before the open, or after it."""
    async with desk() as world:
        await parked(world, "97", price)
        await world.restart(after=after)
        world.run()
        await kept_at(world, price, 60)
        assert world.flat is (price == "96")
        assert (await ends(world))[0] == ("closed" if price == "96" else "skipped")
        await world.audit()


@virtual
async def test_a_single_command_does_not_carry_out_what_an_exit_rule_decided_before_it():
    async with desk() as world:
        await parked(world, "97", "105")
        world.lasting = False
        await world.restart(after=40)
        assert not world.flat
        assert await ends(world) == ["skipped"]


@pytest.mark.parametrize("by_exit", [True, False])
@virtual
async def test_parked_ends_as_flat_when_two_reads_lack_the_position(by_exit: bool):
    async with desk(automation=AUTO if by_exit else AutomationSettings()) as world:
        world.run()
        await asyncio.sleep(1)
        if by_exit:
            await priced(world, "97")
        else:
            world.begin()
            await asyncio.sleep(1)
        assert closing(world).state == "parked"
        del world.venue.state.positions["BTC", key().leg]
        await asyncio.sleep(45)
        assert closing(world).outcome == "closed"
        assert await ends(world) == ["closed"]
        assert len(world.sent()) == 1


@virtual
async def test_a_position_that_is_traded_away_by_hand_ends_its_parked_close():
    async with desk() as world:
        world.run()
        await asyncio.sleep(1)
        await priced(world, "97")
        world.by_hand(OrderSide.SELL, "10")
        await asyncio.sleep(45)
        assert await ends(world) == ["closed"]
