"""Bars and what is read from them: keyed by their minute, gaps stay gaps, late bars in place, unknown until warm."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
import talib
from hypothesis import given, strategies as st

from core.market.bars import KEPT, MINUTE, Bars, Candle
from core.market.indicators import NEUTRAL, indicators_of

D = Decimal


def made(number: int, *, seed: int = 1, skip: frozenset[int] = frozenset()) -> list[tuple[int, tuple[Decimal, ...]]]:
    """Times and prices of a seeded walk, open, high, low, close; some minutes have none."""
    dice, price, found = np.random.default_rng(seed), 10_000, []
    for minute in range(number):
        opened, price = price, price + int(dice.integers(-30, 31))
        high, low = max(opened, price) + int(dice.integers(10)), min(opened, price) - int(dice.integers(10))
        if minute not in skip:
            found.append((minute * MINUTE, tuple(D(p) / 100 for p in (opened, high, low, price))))
    return found


def filled(rows: list[tuple[int, tuple[Decimal, ...]]]) -> Bars:
    bars = Bars()
    for at, (opened, high, low, close) in rows:
        bars.put(at, (opened, high, low, close))
    return bars


def plain(bars: list[Candle]) -> list[tuple[int, float, float, float, float]]:
    return [(bar.minute, bar.open, bar.high, bar.low, bar.close) for bar in bars]


def test_ticks_make_bars_that_close_with_a_later_minute() -> None:
    bars = Bars()
    closed = [bars.tick(at, D(price)) for at, price in ((0, 10), (20_000, 12), (40_000, 9), (59_999, 11), (60_000, 13))]
    assert closed == [False, False, False, False, True]
    assert plain(bars.closed()) == [(0, 10.0, 12.0, 9.0, 11.0)]
    assert plain(bars.closed(119_999)) == plain(bars.closed())
    assert len(bars.closed(120_000)) == 2


def test_a_broker_and_its_ticks_make_the_same_bars() -> None:
    rows, ticked = made(30), Bars()
    for at, prices in rows:
        for price in prices:
            ticked.tick(at, price)
    assert plain(ticked.closed()) == plain(filled(rows).closed())


def test_a_late_tick_belongs_to_its_own_minute() -> None:
    bars = Bars()
    for at, price in ((10_000, 10), (30_000, 11), (70_000, 20)):
        bars.tick(at, D(price))
    assert not bars.tick(50_000, D(15))
    assert not bars.tick(5_000, D(8))
    assert plain(bars.closed()) == [(0, 8.0, 15.0, 8.0, 15.0)]


@given(st.permutations(list(range(12))), st.sets(st.integers(0, 11), max_size=5))
def test_bars_stand_in_the_order_of_their_minutes_however_late_they_come(order: list[int], missing: set[int]) -> None:
    rows = made(12)
    bars = filled([rows[place] for place in order if place not in missing])
    expected = filled([row for place, row in enumerate(rows) if place not in missing])
    assert plain(bars.closed()) == plain(expected.closed())


def test_a_missing_bar_shifts_no_other_and_is_not_invented() -> None:
    whole, holed = filled(made(40)), filled(made(40, skip=frozenset({7, 8, 21})))
    by_minute = {bar[0]: bar for bar in plain(whole.closed())}
    assert [bar[0] for bar in plain(holed.closed())] == [m for m in range(39) if m not in (7, 8, 21)]
    assert all(by_minute[bar[0]] == bar for bar in plain(holed.closed()))


def test_a_late_bar_gives_the_signals_that_it_would_have_given_in_time() -> None:
    rows = made(140)
    late = [*rows[:50], *rows[51:], rows[50]]
    assert indicators_of(filled(late).closed()) == indicators_of(filled(rows).closed())


def test_only_so_many_bars_are_kept() -> None:
    bars = filled(made(KEPT + 50))
    assert len(bars) == KEPT + 1
    assert len(bars.closed()) == KEPT
    assert not bars.put(0, (D(1), D(1), D(1), D(1)))
    assert len(bars) == KEPT + 1


@pytest.mark.parametrize(
    ("number", "known"),
    [
        (0, set()),
        (14, set()),
        (15, {"momentum", "rsi"}),
        (28, {"momentum", "rsi", "adx"}),
        (49, {"momentum", "rsi", "adx"}),
        (50, {"momentum", "rsi", "adx", "rising"}),
        (113, {"momentum", "rsi", "adx", "rising"}),
        (114, {"momentum", "rsi", "adx", "rising", "volatility"}),
    ],
)
def test_what_is_not_warmed_up_is_unknown(number: int, known: set[str]) -> None:
    signals = indicators_of(filled(made(number + 1)).closed())
    names = {"volatility", "momentum", "adx", "rising", "rsi"}
    assert {name for name in names if getattr(signals, name) is not None} == known


def test_the_values_are_ta_libs() -> None:
    bars = filled(made(200)).closed()
    high, low, close = (np.array([getattr(b, n) for b in bars]) for n in ("high", "low", "close"))
    atr = talib.ATR(high, low, close, 14)
    signals = indicators_of(bars)
    ratios = atr / close
    assert signals.volatility == pytest.approx(ratios[-1] / np.median(ratios[-100:]))
    assert signals.momentum == pytest.approx((close[-1] / close[-11] - 1) / ratios[-1])
    assert signals.adx == pytest.approx(talib.ADX(high, low, close, 14)[-1])
    assert signals.rsi == pytest.approx(talib.RSI(close, 14)[-1])
    assert signals.rising == (talib.EMA(close, 20)[-1] > talib.EMA(close, 50)[-1])


def test_a_market_that_stands_still_says_nothing() -> None:
    flat = [(minute * MINUTE, (D(5),) * 4) for minute in range(200)]
    assert indicators_of(filled(flat).closed()) == NEUTRAL


def test_swing_levels_have_three_lower_bars_on_each_side_and_are_of_the_last_fifty() -> None:
    highs = [5, 6, 7, 9, 7, 6, 5, 4, 5, 8, 8, 5, 4, 3, 3, 3, 10, 9]
    rows = [(n * MINUTE, (D(h), D(h), D(1) if n != 5 else D("0.5"), D(h))) for n, h in enumerate(highs)]
    bars = filled([*rows, (99 * MINUTE, (D(1),) * 4)])
    signals = indicators_of(bars.closed())
    assert signals.resistances == (9.0,)
    assert signals.supports == (0.5,)
    old = [(n * MINUTE, (D(2), D(9 if n == 10 else 2), D(2), D(2))) for n in range(62)]
    assert indicators_of(filled(old).closed()).resistances == ()
