"""Bars over a restart: the same rules see the same market, gaps stay gaps, and brokers fill up what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings as tries, strategies as st
from msgspec import structs

from core.engine.bar_backfill import AGAIN, BarBackfill
from core.errors import Unreachable
from core.exits.monitor import ExitMonitor
from core.exits.signal import ExitSignal
from core.exits.symbol import SymbolState
from core.journal import exit_states
from core.journal.tables import BarRows
from core.market.bars import KEPT, MINUTE, Bars, Candle
from core.model import Bar, Instrument, InstrumentKey, Kind, Position, Side
from core.settings import AutomationSettings, ExitSettings, same_exits
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import DAWN, VirtualClock, virtual
from tests.support.world import World, book, key

PLACE = InstrumentKey(ACCOUNT, "BTC")
BTC = Instrument("BTC", "BTC", Kind.PERP, tick=D("0.01"))
HELD = Position(ACCOUNT, "BTC", Side.LONG, D(2), D(2), entry=D(100), leverage=D(1), opened_at=DAWN)
LOOSE = ExitSettings(emergency=(), stop_loss_pct=D("0.5"), smart_profit=(), drawdown=(), trailing_base=D("0.03"))
Tick = tuple[int, Decimal]  # ms since the beginning, price


def ticks(number: int, seed: int, *, step: int = 20_000, gap: tuple[int, int] = (0, 0)) -> list[Tick]:
    """A seeded walk from 100, wild every now and then; the ticks of ``gap`` are missing."""
    dice, price, found = np.random.default_rng(seed), 10_000, []
    for place in range(number):
        wild = 4 if place % 300 > 200 else 1
        price = max(8_000, price + wild * int(dice.integers(-25, 27)))
        if not gap[0] <= place < gap[1]:
            found.append((place * step, D(price) / 100))
    return found


class Life:
    """A guardian and the journal's tables, through the texts in which they are written."""

    def __init__(self, settings: ExitSettings = LOOSE) -> None:
        self.settings = settings
        self.guards: dict[str, str | None] = {}
        self.bars: dict[tuple[str, int], str | None] = {}
        self.begin()

    def begin(self) -> None:
        self.guardian = ExitMonitor(same_exits(self.settings))
        kept, wrong = exit_states.guards_of([text for text in self.guards.values() if text is not None])
        rows = [(*place, body) for place, body in sorted(self.bars.items()) if body is not None]
        candles, gone = exit_states.candles_of(rows, {(k.key.account, k.key.symbol) for k in kept})
        assert not wrong
        assert gone == BarRows()
        self.guardian.remember(kept, candles)
        self.guardian.follow(HELD.key, HELD, BTC, None, 0.0)

    def take(self, tick: Tick) -> list[ExitSignal]:
        at, price = tick
        due = self.guardian.apply_price(ACCOUNT, BTC, price, at / 1000, DAWN + timedelta(milliseconds=at))
        self.write()
        return due

    def write(self) -> None:
        self.guards.update(exit_states.states_of(self.guardian.changed()))
        rows = BarRows(set(), {p: b for p, b in self.bars.items() if b is not None})
        self.bars = rows.add(exit_states.rows_of(self.guardian.bar_changes())).rows

    def seen(self) -> Any:
        return self.guardian.view(HELD.key, BTC.tick)


@given(st.integers(0, 40), st.integers(2, 550), st.integers(0, 540), st.integers(0, 60))
@tries(max_examples=15, deadline=None)
def test_a_restart_at_any_tick_changes_nothing_that_the_rules_do(seed: int, cut: int, start: int, length: int) -> None:
    whole, restarted = Life(), Life()
    for number, tick in enumerate(ticks(560, seed, gap=(start, start + length))):
        if number == cut:
            restarted.begin()
        assert restarted.take(tick) == whole.take(tick)
        assert restarted.seen() == whole.seen()


def test_a_restart_at_every_tick_of_a_warm_market_keeps_all_factors() -> None:
    whole, restarted = Life(), Life()
    factors = set()
    for number, tick in enumerate(ticks(600, 3)):
        if number > 350:
            restarted.begin()
        due = whole.take(tick)
        assert restarted.take(tick) == due
        factors.add(whole.guardian._markets[PLACE].guards.get(HELD.key).trail // 12)
    assert factors == {0, 1, 2}  # the median of a hundred bars was at work


def test_without_its_bars_a_restart_would_act_otherwise() -> None:
    whole, restarted = Life(), Life()
    differs = 0
    for number, tick in enumerate(ticks(600, 3)):
        if number == 400:
            restarted.bars.clear()
            restarted.begin()
        whole.take(tick)
        restarted.take(tick)
        differs += restarted.seen() != whole.seen()
    assert differs > 50


def test_only_so_many_bars_are_written_as_the_indicators_need() -> None:
    life = Life()
    for minute in range(KEPT + 20):
        life.take((minute * MINUTE, D(100)))
    written = sorted(minute for (_, minute), body in life.bars.items() if body is not None)
    first = int(DAWN.timestamp()) // 60
    assert written == list(range(first + 19, first + KEPT + 20))


def test_what_is_no_longer_held_has_no_bars() -> None:
    life = Life()
    life.take((0, D(100)))
    life.guardian.follow(HELD.key, None, BTC, None, 1.0)
    life.write()
    assert not [body for body in life.bars.values() if body is not None]


def test_after_a_split_no_bar_of_the_old_share_is_left_over_a_restart_either() -> None:
    share = structs.replace(BTC, kind=Kind.EQUITY)
    after = structs.replace(HELD, quantity=D(20), free=D(20), entry=D(10))
    life = Life()
    for tick in ticks(30, 1):
        life.take(tick)
    life.guardian = ExitMonitor(same_exits(life.settings))
    kept, _ = exit_states.guards_of([text for text in life.guards.values() if text is not None])
    rows = [(*place, body) for place, body in sorted(life.bars.items()) if body is not None]
    life.guardian.remember(kept, exit_states.candles_of(rows, {PLACE})[0])
    life.guardian.follow(after.key, after, BTC, None, 0.0)
    life.write()
    assert not [body for body in life.bars.values() if body is not None]
    assert life.guardian.apply_price(ACCOUNT, share, D(10), 700.0, DAWN + timedelta(seconds=700)) == []
    assert life.seen().stop < 10


def test_an_old_price_of_the_life_before_says_nothing_of_where_the_market_is() -> None:
    """The target is moved by the price of now, when the last one before it is hours old."""
    settings = ExitSettings(take_profit_pct=D("0.10"), trailing_base=None, stop_loss_pct=D("0.5"), emergency=())
    life = Life(settings)
    for tick in ticks(60, 2):
        life.take(tick)
    life.begin()
    life.take((60 * 20_000 + 7_200_000, D(109)))
    assert life.seen().target > 109


def test_rows_that_cannot_be_read_or_are_watched_no_longer_are_dropped() -> None:
    guardian = ExitMonitor(same_exits(LOOSE))
    guardian.follow(HELD.key, HELD, BTC, None, 0.0)
    guardian.apply_price(ACCOUNT, BTC, D(100), 0.0, DAWN)
    (((good, minute), body),) = exit_states.rows_of(guardian.bar_changes()).rows.items()
    rows = [(good, minute, body), (good, minute + 1, "[1]"), ("no name", 1, body), ('["a","gone"]', 2, body)]
    found, gone = exit_states.candles_of(rows, {PLACE})
    assert [candle.minute for candle in found[PLACE]] == [minute]
    assert gone.gone == {'["a","gone"]'}
    assert set(gone.rows) == {(good, minute + 1), ("no name", 1)}


# ------------------------------------------------------------------------------------------------ a broker's bars


def bar(minute: int, price: str = "100") -> Bar:
    return Bar(minute, D(price), D(price) + 1, D(price) - 1, D(price))


def minutes(bars: Bars) -> list[tuple[int, float]]:
    return [(candle.minute, candle.high) for candle in bars.closed(10**12)]


def test_a_broker_fills_up_what_is_missing_and_the_parts_beside_it_and_nothing_else() -> None:
    bars = Bars(Candle(minute, 100.0, 100.0, 100.0, 100.0, 0, 0) for minute in (1, 2, 3, 6, 7, 8))
    assert bars.fill([bar(minute) for minute in range(2, 9)]) == 2
    assert minutes(bars) == [(1, 100), (2, 100), (3, 101), (4, 101), (5, 101), (6, 101), (7, 100), (8, 100)]
    assert bars.fill([bar(minute) for minute in range(2, 9)]) == 0


def test_bars_that_are_wrong_early_or_of_something_else_are_not_taken() -> None:
    market = SymbolState(last=D(100))
    assert market.fill([bar(5), structs.replace(bar(6), low=D(-1)), bar(9), bar(10)], 9, D("0.2")) == 1
    assert minutes(market.bars) == [(5, 101)]
    assert market.fill([bar(6, "50")], 9, D("0.2")) is None
    assert market.fill([], 9, D("0.2")) == 0
    assert minutes(market.bars) == [(5, 101)]


def test_the_first_price_after_a_broker_filled_up_is_watched_by_warm_indicators() -> None:
    cold, warm = Life(), Life()
    minute = int(DAWN.timestamp()) // 60
    walk = ticks(600, 3)
    bars = [
        Bar(minute - 200 + n, p[0], max(p), min(p), p[-1])
        for n, p in enumerate([price for _, price in walk[n : n + 3]] for n in range(0, 600, 3))
    ]
    assert warm.guardian.wanting() == {PLACE}
    assert warm.guardian.wanting() == set()
    assert warm.guardian.fill_bars(PLACE, bars, minute) == 200
    for life in (cold, warm):
        life.take((0, D(100)))
    assert cold.seen().factors == (1, 1, 1, 1)
    assert warm.seen().factors != (1, 1, 1, 1)


def test_a_gap_in_the_prices_wants_bars_and_a_quiet_minute_after_the_other_does_not() -> None:
    life = Life()
    life.guardian.wanting()
    for at in (0, MINUTE, 2 * MINUTE):
        life.take((at, D(100)))
    assert life.guardian.wanting() == set()
    life.take((5 * MINUTE, D(100)))
    assert life.guardian.wanting() == {PLACE}


def test_bars_are_not_asked_for_where_nothing_is_adaptive() -> None:
    life = Life(structs.replace(LOOSE, adaptive=False))
    life.take((0, D(100)))
    life.take((5 * MINUTE, D(100)))
    assert life.guardian.wanting() == set()


class Asked:
    """A broker's bars, and when it was asked for them."""

    def __init__(self, *answers: Any) -> None:
        self.clock = VirtualClock()
        self.answers = list(answers)
        self.times: list[tuple[float, str]] = []
        self.taken: list[tuple[tuple[str, str], list[Bar]]] = []
        self.failed: list[str] = []
        self.tasks: set[asyncio.Task[object]] = set()
        self.at_once = self.most = 0
        self.almanac = BarBackfill(self.ask, self.clock, self.spawn, self.take, lambda _, why: self.failed.append(why))

    def spawn(self, work: Any) -> None:
        self.tasks.add(asyncio.get_running_loop().create_task(work))

    def take(self, place: tuple[str, str], bars: list[Bar]) -> None:
        self.taken.append((place, bars))

    async def ask(self, account: str, symbol: str, count: int) -> list[Bar]:
        self.times.append((self.clock.monotonic(), symbol))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(1)
        self.at_once -= 1
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        assert count == KEPT
        return list(answer)


@virtual
async def test_one_question_at_a_time_and_not_the_same_again_too_soon():
    asked = Asked([bar(1)])
    begun = asked.clock.monotonic()
    asked.almanac.want({PLACE, InstrumentKey(ACCOUNT, "ETH")})
    asked.almanac.want({PLACE})
    await asyncio.sleep(10)
    asked.almanac.want({PLACE})
    await asyncio.sleep(AGAIN * 2)
    assert [(round(at - begun), symbol) for at, symbol in asked.times] == [(0, "BTC"), (1, "ETH"), (300, "BTC")]
    assert asked.taken == [((ACCOUNT, "BTC"), [bar(1)]), ((ACCOUNT, "ETH"), []), ((ACCOUNT, "BTC"), [])]
    assert asked.most == 1


@virtual
async def test_a_broker_that_cannot_be_asked_is_asked_three_times_and_then_given_up():
    asked = Asked(*[Unreachable("gone"), ValueError("an adapter's own fault"), Unreachable("gone")])
    asked.almanac.want({PLACE})
    await asyncio.sleep(60)
    assert len(asked.times) == 3
    assert asked.failed == ["gone"]
    assert not asked.taken


@virtual
async def test_an_adapter_without_bars_is_an_answer_too():
    def none(account: str, symbol: str, count: int) -> Any:
        raise AttributeError("no such call")

    asked = Asked()
    almanac = BarBackfill(none, asked.clock, asked.spawn, asked.take, lambda _, why: asked.failed.append(why))
    almanac.want({PLACE})
    await asyncio.sleep(60)
    assert asked.failed == ["AttributeError: no such call"]


# --------------------------------------------------------------------------------------------- the whole engine


def desk() -> World:
    content = book("BTC long 2", quotes={"BTC": {"bid": "100", "ask": "100", "last": "100"}})
    content["positions"][0] |= {"leverage": "1", "entry": "100"}
    settings = structs.replace(LOOSE, max_price_age=60.0)
    return World({ACCOUNT: content}, lasting=True, exits=settings, automation=AutomationSettings(exits="auto"))


async def played(world: World, prices: Sequence[Decimal], cut: int | None) -> tuple[int, Any]:
    """Where the prices, one every fifteen seconds, end the position, and how it was watched before."""
    async with world:
        world.run()
        seen, begun = None, world.clock.monotonic() + 67 - world.clock.now().timestamp() % 60
        for number, price in enumerate(prices):
            if number == cut:
                await world.crash()
                await world.open()
                world.run()
            await asyncio.sleep(begun + 15 * number - world.clock.monotonic())
            world.venue.set_quote("BTC", bid=price, ask=price, last=price)
            await asyncio.sleep(12)
            if world.flat:
                return number, seen
            view = world.engine.exit_service.view(key())
            assert view is not None
            seen = view.stop, view.target, view.trail, view.factors
        raise AssertionError("the position was never closed")


@pytest.mark.parametrize("cut", [61, 97, 124])
@virtual
async def test_an_engine_that_was_killed_leaves_at_the_tick_and_by_the_stop_of_one_that_was_not(cut: int):
    dice, prices, price = np.random.default_rng(8), list[Decimal](), 10_000
    for number in range(200):
        price += int(dice.integers(-8, 16)) if number < 80 else -int(dice.integers(12))
        prices.append(D(price) / 100)
    whole = await played(desk(), prices, None)
    assert whole[0] > 130
    assert whole[1][3] != (1, 1, 1, 1)
    assert await played(desk(), prices, cut) == whole


class _Historian(World):
    """A world whose brokers have bars."""

    asked: list[tuple[str, int]]

    async def build(self) -> Any:
        engine = await super().build()
        self.asked = []
        for broker in engine._brokers.values():

            async def bars(symbol: str, count: int) -> list[Bar]:
                self.asked.append((symbol, count))
                minute = int(self.clock.now().timestamp()) // 60
                return [bar(minute - n, "100") for n in range(20, -1, -1)]

            broker.bars = bars  # type: ignore[method-assign]
        return engine


@virtual
async def test_the_engine_asks_its_brokers_for_bars_when_it_begins_to_watch_and_after_a_gap():
    content = book("BTC long 2", quotes={"BTC": {"bid": "100", "ask": "100", "last": "100"}})
    async with _Historian({ACCOUNT: content}, lasting=True, exits=LOOSE) as world:
        await asyncio.sleep(5)
        assert world.asked == []
        world.run()
        await asyncio.sleep(70)
        assert world.asked == [("BTC", KEPT)]
        rows = await world.journal.bars()
        now = int(world.clock.now().timestamp()) // 60
        assert [minute for _, minute, _ in rows][-3:] == [now - 2, now - 1, now]
        assert len(rows) == 22
        world.faults.probabilities["missing_price"] = 1.0
        await asyncio.sleep(200)
        world.faults.clear()
        await asyncio.sleep(AGAIN)
        assert world.asked == [("BTC", KEPT)] * 2
        minutes = [minute for _, minute, _ in await world.journal.bars()]
        assert minutes == list(range(minutes[0], minutes[-1] + 1))


@virtual
async def test_bars_travel_with_the_states_of_guards_and_wait_a_second_at_most_by_themselves():
    async with desk() as world:
        world.run()
        await asyncio.sleep(61)
        commits = world.database.commits
        await asyncio.sleep(50)
        assert 45 <= world.database.commits - commits <= 55
        written = {minute: body for _, minute, body in await world.journal.bars()}
        world.venue.set_quote("BTC", bid=D(101), ask=D(101), last=D(101))
        await asyncio.sleep(1.1)
        found = {minute: body for _, minute, body in await world.journal.bars()}
        assert found[max(found)] != written.get(max(found))
        assert "101" in found[max(found)]


@virtual
async def test_a_journal_that_fails_writes_the_latest_bars_once_it_can():
    async with desk() as world:
        world.run()
        await asyncio.sleep(5)
        world.database.failure = "the disk is full"
        await asyncio.sleep(125)
        world.database.failure = None
        await asyncio.sleep(3)
        minutes = [minute for _, minute, _ in await world.journal.bars()]
        assert len(minutes) in (3, 4)
        assert minutes == list(range(minutes[0], minutes[-1] + 1))
