"""Splits, stock dividends, spin-offs and new names, from the venue to the rules: no gain, no loss, nothing fires."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from msgspec import structs

from core.exits.monitor import ExitMonitor
from core.exits.view import ExitView
from core.model import Instrument, Kind, OrderSide, Position, PositionKey, Side
from core.records import Logged, PositionClosed
from core.settings import AutomationSettings, ExitSettings, same_exits
from core.units import ONE
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import DAWN, virtual
from tests.support.world import World, book, key

PLAIN = ExitSettings(adaptive=False)  # every rule is on, so that an action that is taken for a move would fire one
RATIOS = ("1.01", "1.1", "1.25", "2", "0.1")
QUOTE = {"bid": "100", "ask": "100", "last": "100"}


def desk(side: str) -> World:
    content = book(f"ACME {side} 20", kind="equity", quotes={"ACME": QUOTE})
    content["instruments"][0] |= {"tick": "0.0001", "step": "0.0001"}
    content["instruments"].append(content["instruments"][0] | {"symbol": "META"})
    content["positions"][0] |= {"leverage": "1", "entry": "100"}
    return World({ACCOUNT: content}, lasting=True, exits=PLAIN, automation=AutomationSettings(exits="auto"))


def view(world: World, symbol: str = "ACME") -> ExitView:
    found = world.engine.exit_service.view(key(symbol))
    assert found is not None
    return found


def price(world: World, at: Decimal, symbol: str = "ACME") -> None:
    world.venue.set_quote(symbol, bid=at, ask=at, last=at)


def hold(world: World, **changes: Decimal | str) -> None:
    """Change the venue's books. Its stream says nothing of it."""
    positions = world.venue.state.positions
    for place, position in list(positions.items()):
        del positions[place]
        changed = structs.replace(position, **changes)
        positions[changed.key if isinstance(place, PositionKey) else place] = changed


async def watched(world: World, side: str) -> ExitView:
    """Let stop and peak move: 3 % in the position's favour and 1 % back."""
    world.run()
    await asyncio.sleep(2)
    for at in ("103", "102") if side == "long" else ("97", "98"):
        price(world, D(at))
        await asyncio.sleep(8)
    return view(world)


def levels(seen: ExitView, by: Decimal = ONE) -> list[float]:
    assert seen.stop is not None
    assert seen.target is not None
    assert seen.peak is not None
    return [float(level / by) for level in (seen.stop, seen.target, seen.peak)]


async def said(world: World) -> list[str]:
    return [e.record.text for e in await world.entries() if isinstance(e.record, Logged)]


async def quiet(world: World) -> None:
    """Nothing was sent, nothing is due, and nobody was alarmed."""
    assert world.sent() == []
    assert not [text for text in await said(world) if "[EXIT]" in text]


async def arrive(world: World, first: str, after: Decimal, **changes: Decimal | str) -> None:
    """Let price and position change in an order. The other one follows after a while, or after a restart."""
    if first == "down":
        await world.crash()
    if first in ("price", "both", "down"):
        price(world, after)
    if first == "price":
        await asyncio.sleep(2)
    hold(world, **changes)
    if first == "down":
        await world.open()
        world.run()
    if first == "position":
        await asyncio.sleep(35)  # until the positions are read again; the price is unchanged
        price(world, after)
    await asyncio.sleep(40)


ORDERS = ("price", "position", "both", "down")


@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("ratio", RATIOS)
@virtual
async def test_a_split_of_any_ratio_scales_the_levels_once_and_fires_nothing(ratio: str, side: str, first: str):
    async with desk(side) as world:
        before, by = await watched(world, side), D(ratio)
        last = before.price
        assert last is not None
        quantity, entry = D(20) * by, round(D(100) / by, 6)
        await arrive(world, first, round(last / by, 4), quantity=quantity, free=quantity, entry=entry)
        await quiet(world)
        assert levels(view(world)) == pytest.approx(levels(before, by), rel=2e-3)
        away = 1 if side == "long" else -1
        price(world, round(last / by * (1 - away * D("0.04")), 4))
        await asyncio.sleep(10)
        assert world.flat, "it is watched on"


@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("share", ["0.98", "0.8", "0.5"])
@virtual
async def test_a_spin_off_scales_the_levels_and_fires_nothing(share: str, side: str, first: str):
    async with desk(side) as world:
        before, by = await watched(world, side), 1 / D(share)
        assert before.price is not None
        await arrive(world, first, round(before.price / by, 4), entry=D(100) / by)
        await quiet(world)
        assert levels(view(world)) == pytest.approx(levels(before, by), rel=2e-3)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("entry", ["70", "98", "120", "150"])
@virtual
async def test_an_entry_that_changes_alone_moves_no_level_and_fires_nothing(entry: str, side: str, restarts: bool):
    async with desk(side) as world:
        before = await watched(world, side)
        if restarts:
            await world.crash()
        hold(world, entry=D(entry))
        if restarts:
            await world.open()
            world.run()
        await asyncio.sleep(40)
        await quiet(world)
        assert levels(view(world)) == pytest.approx(levels(before), rel=1e-6)
        assert "without a trade" in view(world).note


@virtual
async def test_a_stock_dividend_whose_fraction_was_paid_out_is_a_stock_dividend():
    async with desk("long") as world:
        before = await watched(world, "long")
        await arrive(world, "both", D("92.73"), quantity=D(21), free=D(21), entry=D("90.909"))  # 1.1 * 20 and a bit
        await quiet(world)
        assert levels(view(world)) == pytest.approx(levels(before, D("1.1")), rel=2e-3)


@pytest.mark.parametrize("first", ["both", "down"])
@virtual
async def test_a_new_name_keeps_the_levels(first: str):
    async with desk("long") as world:
        before = await watched(world, "long")
        world.venue.set_quote("META", bid=D("102"), ask=D("102"), last=D("102"))
        if first == "down":
            await world.crash()
        hold(world, symbol="META")
        if first == "down":
            await world.open()
            world.run()
        await asyncio.sleep(50)
        assert world.sent() == []
        assert levels(view(world, "META")) == pytest.approx(levels(before), rel=1e-3)
        assert "is called META now" in " ".join(await said(world))
        assert [r.why for r in await world.records(PositionClosed)] == ["renamed to META"]
        price(world, D("100.9"), "META")
        await asyncio.sleep(10)
        assert "META on ann/paper is being closed: trailing_stop" in " ".join(await said(world))


@virtual
async def test_another_share_of_the_same_quantity_and_entry_is_not_the_one_that_was_sold():
    async with desk("long") as world:
        await watched(world, "long")
        world.venue.set_quote("META", bid=D("100"), ask=D("100"), last=D("100"))
        world.by_hand(OrderSide.SELL, "20", "ACME")
        world.by_hand(OrderSide.BUY, "20", "META")
        await asyncio.sleep(50)
        assert world.sent() == []
        assert view(world, "META").stop == D("98")


HELD = Position(ACCOUNT, "ACME", Side.LONG, D(20), D(20), D(100))
META = structs.replace(HELD, symbol="META")
SHARE = Instrument("ACME", "ACME", Kind.EQUITY, venue_id="one")


@pytest.mark.parametrize(
    ("new", "traits", "after", "carried"),
    [
        (META, SHARE, 10.0, True),
        (structs.replace(META, quantity=D(2), entry=D(1000)), SHARE, 10.0, True),  # a reverse split with it
        (META, structs.replace(SHARE, venue_id=""), 10.0, True),
        (structs.replace(META, entry=D("100.01")), structs.replace(SHARE, venue_id=""), 10.0, False),
        (META, structs.replace(SHARE, venue_id="two"), 10.0, True),
        (structs.replace(META, quantity=D(2), entry=D(1000)), structs.replace(SHARE, venue_id="two"), 10.0, False),
        (structs.replace(META, side=Side.SHORT), SHARE, 10.0, False),
        (META, SHARE, 60.0, False),
    ],
)
@pytest.mark.parametrize("first", ["old", "new"])
def test_what_makes_a_new_name(first: str, new: Position, traits: Instrument, after: float, carried: bool) -> None:
    monitor = ExitMonitor(same_exits(PLAIN))
    monitor.follow(HELD.key, HELD, SHARE, None, 0.0)
    monitor.apply_price(ACCOUNT, SHARE, D(120), 1.0, DAWN)
    assert monitor.carry_renamed(ACCOUNT, 1.0) == []
    if first == "old":
        monitor.follow(HELD.key, None, SHARE, None, 100.0)
        assert monitor.carry_renamed(ACCOUNT, 100.0) == []
        monitor.follow(new.key, new, traits, None, 100.0 + after)
    else:
        monitor.follow(new.key, new, traits, None, 100.0)
        assert monitor.carry_renamed(ACCOUNT, 100.0) == []
        monitor.follow(HELD.key, None, SHARE, None, 100.0 + after)
    assert monitor.carry_renamed(ACCOUNT, 100.0 + after) == ([(HELD.key, new.key)] if carried else [])
    seen = monitor.view(new.key, D("0.01"))
    assert seen is not None
    assert (seen.peak is not None) == carried


def test_a_position_that_was_held_beside_the_other_or_traded_has_no_new_name() -> None:
    for traded in (False, True):
        monitor = ExitMonitor(same_exits(PLAIN))
        monitor.follow(HELD.key, HELD, SHARE, None, 0.0)
        if not traded:
            monitor.follow(META.key, META, SHARE, None, 0.0)
        assert monitor.carry_renamed(ACCOUNT, 0.0) == []
        if traded:
            monitor.note_trade(HELD.key.instrument, 5.0)
            monitor.follow(META.key, META, SHARE, None, 8.0)
        monitor.follow(HELD.key, None, SHARE, None, 10.0)
        assert monitor.carry_renamed(ACCOUNT, 10.0) == []
