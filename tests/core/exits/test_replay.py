"""A position walked through recorded prices: what each tick shows, jumps of a record, restarts, and one golden run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.exits.replay import ReplayedPosition, ReplayWalk, Tick, prices_of, profit, walk
from core.exits.rules import rules_of
from core.exits.snapshot import restored, saved
from core.exits.state import open_guard
from core.market.bars import MINUTE, Bars
from core.market.price_file import read_prices
from core.model import Side
from core.settings import ExitSettings
from tests.core.exit_prices import LONG, SHORT, D, any_settings, both_sides, favour, only, paths, settings

DEFAULT = ExitSettings()


def timed(*prices: str | Decimal, every: int = MINUTE) -> list[tuple[int, Decimal]]:
    return [(number * every, D(price)) for number, price in enumerate(prices)]


def walked(given_settings: ExitSettings, *prices: str | Decimal, side: Side = LONG, **more: Any) -> list[Tick]:
    return walk(timed(*prices), given_settings, ReplayedPosition(side, D(100), D(1), **more))


def test_every_tick_shows_where_the_rules_stand_after_it() -> None:
    first, second, third = walked(settings(stop_loss_pct=D("0.05")), "100", "101", "98.98", leverage=D(2))
    assert (first.roi, first.peak_roi, first.stop, first.target) == (0, 0, D(98), D(110))
    assert (second.roi, second.peak_roi, second.stop, second.distance) == (D("0.02"), D("0.02"), D("98.98"), D("0.02"))
    assert second.factors == {"volatility": 1, "profit": 1, "momentum": 1, "bounds": 1}
    assert third.exit is not None
    assert (third.exit.reason, third.roi, third.peak_roi) == ("trailing_stop", D("-0.0204"), D("0.02"))


@both_sides
def test_the_walk_ends_with_the_exit(side: Side) -> None:
    path = [favour(side, move) for move in ("0", "-0.049", "-0.05", "0.01")]
    ticks = walked(only(stop_loss_pct=D("0.05")), *path, side=side)
    assert [tick.exit.reason if tick.exit else None for tick in ticks] == [None, None, "stop_loss"]
    assert profit(ticks, ReplayedPosition(side, D(100), D(3))) == D(-15)


def test_with_both_stops_off_there_is_none() -> None:
    (tick,) = walked(settings(stop_loss_pct=None, trailing_base=None), "100")
    assert (tick.stop, tick.distance, tick.factors) == (None, None, {})


def test_fees_lower_the_roi_that_is_shown() -> None:
    (tick,) = walked(settings(include_fees=True, fee_rate=D("0.001")), "101", leverage=D(5))
    assert tick.roi == D("0.04")


@pytest.mark.parametrize(
    ("prices", "exits"),
    [
        (["100", "60"], [None, None]),  # the last row has no successor
        (["100", "60", "61"], [None, None, "emergency_stop_severe_loss"]),
        (["100", "78", "60", "46"], [None, None, "emergency_stop_liquidation_risk"]),  # a fall in large steps
        (["100", "60", "100"], [None, None, None]),  # the next price does not agree
        (["100", "60", "130", "60"], [None, None, None, None]),  # neither does a jump to the other side
        (["100", "126", "100"], [None, None, None]),
        (["100", "80", "100"], [None, "emergency_stop_excessive_loss"]),  # no further than max_jump
    ],
)
def test_a_jump_counts_when_the_record_goes_on_from_it(prices: list[str], exits: list[str | None]) -> None:
    ticks = walked(DEFAULT, *prices)
    assert [tick.exit.reason if tick.exit else None for tick in ticks] == exits


def test_a_price_that_is_passed_over_moves_nothing() -> None:
    before, spike, after = walked(DEFAULT, "100", "150", "100")
    assert spike.roi is None
    assert (spike.stop, spike.target, spike.peak_roi) == (before.stop, before.target, before.peak_roi)
    assert (after.stop, after.peak_roi) == (before.stop, before.peak_roi)


def test_a_level_inside_a_bar_counts_in_the_order_of_the_walk() -> None:
    rising = ["timestamp,open,high,low,close", "1767225600000,100,111,96,110"]
    falling = ["timestamp,open,high,low,close", "1767225600000,100,111,96,99"]
    given_settings = only(stop_loss_pct=D("0.03"), take_profit_pct=D("0.10"))
    reasons = []
    for lines in (rising, falling):
        last = walk(prices_of(read_prices(lines, "x.csv")), given_settings, ReplayedPosition(LONG, D(100), D(1)))[-1]
        assert last.exit is not None
        reasons.append((last.exit.reason, last.price))
    assert reasons == [("stop_loss", 96), ("take_profit", 111)]


def test_bars_of_the_record_make_the_factors() -> None:
    calm = [D(100) + D(n % 2) / 100 for n in range(260)]
    wild = [D(100) + D(n % 2) * 3 for n in range(40)]
    given_settings = only(trailing_base=D("0.02"), trailing_min=D("0.001"))
    ticks = walked(given_settings, *calm, *(price for price in wild if price))
    assert {tick.factors["volatility"] for tick in ticks[:114]} == {1}
    assert ticks[-1].factors["volatility"] == D("1.3")
    assert ticks[-1].distance == D("0.02") * D("1.3") * ticks[-1].factors["momentum"]


def wave(number: int) -> list[tuple[int, Decimal]]:
    """A deterministic climb with swings of two sizes, four prices a minute."""
    found = []
    for n in range(number):
        swing = abs(n % 37 - 18) * 3 + abs(n % 211 - 105)
        found.append((n * MINUTE // 4, D(10_000 + n // 3 + swing) / 100))
    return found


def test_one_run_is_what_it_was() -> None:
    """A golden run: derived by this program once, looked over by hand, and held."""
    ticks = walk(
        wave(2000),
        settings(trailing_base=D("0.03"), drawdown=(), smart_profit=()),
        ReplayedPosition(LONG, D("100"), D(2)),
    )
    last = ticks[-1]
    assert last.exit is not None
    assert (len(ticks), last.exit.reason, str(last.price)) == GOLDEN_END
    shown = [(n, str(ticks[n].stop), str(ticks[n].distance)) for n in (0, 400, 800)]
    assert shown == GOLDEN_TICKS


GOLDEN_END = (1245, "take_profit", "105.13")
GOLDEN_TICKS = [(0, "98.5423", "0.03"), (400, "99.53248", "0.036"), (800, "101.29064", "0.0306")]


@given(st.sampled_from(Side), any_settings(), paths(least=20), st.data())
def test_a_restart_in_the_middle_leaves_at_the_same_tick(
    side: Side, given_settings: ExitSettings, prices: list[Decimal], data: st.DataObject
) -> None:
    told = [(n * MINUTE // 3, price) for n, price in enumerate(prices)]
    cut = data.draw(st.integers(1, len(told) - 1))
    assert resumed(told, given_settings, ReplayedPosition(side, D(100), D(1), D(3)), cut) == walk(
        told, given_settings, ReplayedPosition(side, D(100), D(1), D(3))
    )


def resumed(
    told: list[tuple[int, Decimal]], given_settings: ExitSettings, holding: ReplayedPosition, cut: int
) -> list[Tick]:
    """The same walk by a program that was killed after ``cut`` ticks: rules from what was saved, bars read anew."""
    rules = rules_of(given_settings, holding.side)
    walker = ReplayWalk(open_guard(rules, holding.entry, holding.leverage, opened=told[0][0] / 1000), holding)
    ticks: list[Tick] = []
    for number, (at, price) in enumerate(told):
        if number == cut:
            bars = Bars()
            usable = [(told[n], tick) for n, tick in enumerate(ticks) if tick.roi is not None]
            for (when, seen), _ in usable:
                bars.tick(when, seen)
            walker = ReplayWalk(restored(rules, saved(walker.guard)), holding, bars, last=usable[-1][0][1])
        ticks.append(walker.take(at, price))
        if ticks[-1].exit is not None:
            break
    return ticks


def test_short_and_long_are_mirrored_over_a_mirrored_path() -> None:
    path = ["100", "101", "102.5", "101.5", "100.2"]
    longs = walked(only(trailing_base=D("0.02")), *path)
    shorts = walked(only(trailing_base=D("0.02")), *(200 - D(price) for price in path), side=SHORT)
    assert [(t.roi, t.exit) for t in longs[:-1]] == [(t.roi, t.exit) for t in shorts[:-1]]
