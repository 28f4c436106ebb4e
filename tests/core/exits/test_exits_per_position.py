"""Two positions side by side under exits of their own, as the engine watches them."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from msgspec import structs

from core.market.quotes import QuoteBook
from core.model import PositionKey, Quote
from core.settings import AutomationSettings, ExitLevel, ExitSettings, Settings, exits_of, risk_fingerprint
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.world import World, book

PLAIN = ExitSettings(adaptive=False, smart_profit=(), drawdown=(), max_price_age=60)
OTHER = "user_2/paper"
QUOTE = {"bid": "100", "ask": "100", "last": "100"}


def desk(**settings: object) -> World:
    """BTC and ETH at one account and BTC at another owner's, all entered at 100 and priced at 100."""
    contents = {}
    for account, symbols in ((ACCOUNT, ("BTC long 2", "ETH long 2")), (OTHER, ("BTC long 2",))):
        content = book(*symbols, quotes={name.split()[0]: QUOTE for name in symbols})
        for held in content["positions"]:
            held |= {"leverage": "1", "entry": "100"}
        contents[account] = content
    return World(contents, lasting=True, **{"exits": PLAIN, **settings})


def stops(world: World) -> dict[tuple[str, str], Decimal | None]:
    return {(p.owner, p.key.symbol): p.stop for p in world.engine.snapshot().positions}


@virtual
async def test_each_position_has_the_stop_of_its_most_specific_level_and_leaves_by_it():
    world = desk(
        exit_symbols={"BTC": {"trailing_base": D("0.04"), "trailing_max": D("0.04")}},
        automation=AutomationSettings(exits="auto"),
    )
    first, second = world.settings.owners
    second = structs.replace(second, exits=ExitLevel({"trailing_base": D("0.01")}))
    world.settings = structs.replace(world.settings, owners=(first, second))
    async with world:
        world.run()
        await asyncio.sleep(2)
        owner, other = first.id, second.id
        assert stops(world) == {(owner, "BTC"): D(96), (owner, "ETH"): D(98), (other, "BTC"): D(99)}
        bases = {(p.owner, p.key.symbol): p.guard.base for p in world.engine.snapshot().positions if p.guard}
        assert bases[owner, "BTC"] == D("0.04")
        for venue in world.venues.values():
            for symbol in {p.symbol for p in venue.state.positions.values()}:
                venue.set_quote(symbol, bid=D("98.5"), ask=D("98.5"), last=D("98.5"))
        await asyncio.sleep(2)
        assert world.held(ACCOUNT) == {"BTC": 2, "ETH": 2}
        assert world.held(OTHER) == {}
        await world.audit()


@virtual
async def test_a_price_grows_stale_by_the_age_of_its_own_symbol():
    world = desk(exit_symbols={"ETH": {"max_price_age": 2.0}})
    async with world:
        await asyncio.sleep(5)
        stale = {p.key.symbol: "stale" in p.flags for p in world.engine.snapshot().positions}
        assert stale == {"BTC": False, "ETH": True}


def test_a_jump_is_one_by_the_measure_of_its_own_symbol() -> None:
    quotes = QuoteBook(exits_of(Settings(exit_symbols={"WILD": {"max_jump": D("0.9")}})))
    for symbol, taken in (("WILD", True), ("TAME", False)):
        for received, price in enumerate(("100", "150")):
            quotes.take_quote(Quote(ACCOUNT, symbol, float(received), last=D(price)))
        latest = quotes.get(ACCOUNT, symbol)
        assert latest is not None
        assert (latest.last == D(150)) is taken


def test_a_position_is_known_under_the_stop_that_holds_for_it() -> None:
    key, beside = PositionKey(ACCOUNT, "BTC"), PositionKey(ACCOUNT, "ETH")
    plain, special = Settings(), Settings(exit_symbols={"BTC": {"stop_loss_pct": D("0.2")}})
    assert risk_fingerprint(plain, key) == risk_fingerprint(plain, beside)
    assert risk_fingerprint(special, key) != risk_fingerprint(plain, key)
    assert risk_fingerprint(special, beside) == risk_fingerprint(plain, beside)


@virtual
async def test_fees_count_in_the_roi_that_is_shown_and_in_the_exit_that_is_said_and_only_where_they_are_included():
    with_fees = {"include_fees": True, "fee_rate": D("0.002"), "trailing_base": None, "emergency": (D("-0.03"),)}
    async with desk(exit_symbols={"BTC": with_fees}) as world:
        world.run()
        await asyncio.sleep(2)
        for symbol in ("BTC", "ETH"):
            world.venues[ACCOUNT].set_quote(symbol, bid=D("97.4"), ask=D("97.4"), last=D("97.4"))
        await asyncio.sleep(2)
        rows = {p.key: p for p in world.engine.snapshot().positions}
        mine = {k.symbol: (row.pnl, row.roi) for k, row in rows.items() if k.account == ACCOUNT}
        assert mine == {"BTC": (D("-0.026"), D("-0.030")), "ETH": (D("-0.026"), D("-0.026"))}
        due = {d.key.symbol: d for d in world.engine.exit_service.preview().exits if d.key.account == ACCOUNT}
        assert due["BTC"].reason == "emergency_stop_liquidation_risk"
        assert "roi -3.00 %" in due["BTC"].text
        assert due["ETH"].reason == "trailing_stop"
