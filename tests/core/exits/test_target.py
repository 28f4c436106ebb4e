"""The target: its factors, its bounds, swing levels, and that it never keeps moving away."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.exits.factors import target_tables
from core.exits.rules import rules_of
from core.exits.state import ExitState, as_float, close_bar, news_of, open_guard, target_price
from core.exits.target import personal_factor, push_of
from core.market.indicators import NEUTRAL, Indicators
from core.model import Side
from core.settings import ExitSettings
from tests.core.exit_prices import LONG, D, both_sides, favour, guard, only, paths

TABLES = target_tables(ExitSettings())
TARGET = only(take_profit_pct=D("0.10"))
DAY = 86_400.0
NAN = float("nan")


def bar(held: ExitState, price: object, signals: Indicators = NEUTRAL, now: float = 0.0) -> None:
    close_bar(held, news_of(signals, held.rules), float(str(price)), now)


def mirrored(side: Side, **given_: float | bool) -> Indicators:
    """Signals as a long would like them, turned round for a short."""
    if side is LONG:
        return Indicators(**given_)  # type: ignore[arg-type]
    turned = dict(given_)
    if "momentum" in turned:
        turned["momentum"] = -turned["momentum"]
    if "rising" in turned:
        turned["rising"] = not turned["rising"]
    if "rsi" in turned:
        turned["rsi"] = 100 - turned["rsi"]
    return Indicators(**turned)  # type: ignore[arg-type]


@both_sides
@pytest.mark.parametrize(
    ("given_", "factor"),
    [
        ({}, 1.0),
        ({"momentum": 2.01}, 1.15),
        ({"momentum": 2.0}, 1.05),
        ({"momentum": 1.0}, 1.0),
        ({"momentum": -1.0}, 1.0),
        ({"momentum": -1.01}, 0.9),
        ({"adx": 26.0, "rising": True}, 1.15),
        ({"adx": 21.0, "rising": True}, 1.05),
        ({"adx": 20.0, "rising": True}, 1.0),
        ({"adx": 26.0, "rising": False}, 0.9),
        ({"adx": 24.0, "rising": False}, 1.0),
        ({"adx": 40.0}, 1.0),
        ({"volatility": 1.51}, 1.2),
        ({"volatility": 1.5}, 1.0),
        ({"volatility": 0.69}, 0.9),
        ({"rsi": 70.01}, 0.9),
        ({"rsi": 70.0}, 1.0),
        ({"rsi": 5.0}, 1.0),
        ({"momentum": 3.0, "adx": 30.0, "rising": True, "volatility": 2.0, "rsi": 80.0}, 1.15 * 1.15 * 1.2 * 0.9),
    ],
)
def test_the_factors_apply_to_the_initial_distance(side: Side, given_: dict[str, float | bool], factor: float) -> None:
    assert push_of(mirrored(side, **given_), float(side.sign), TABLES).factor == pytest.approx(factor)
    held = guard(TARGET, side)
    for _ in range(3):  # and not to the last one
        bar(held, 100, mirrored(side, **given_))
    assert as_float(target_price(held) or D(0)) == pytest.approx(100 * (1 + side.sign * 0.10 * factor), rel=1e-12)


@pytest.mark.parametrize(
    ("hours", "move", "factor"),
    [
        (0, 0.0, 1.0),
        (12, 0.0, 0.9),
        (24, 0.0, 0.8),
        (100, 0.0, 0.8),
        (0, 0.031, 1.05),
        (0, 0.051, 1.1),
        (24, 0.06, 0.88),
    ],
)
def test_age_shortens_and_profit_stretches(hours: float, move: float, factor: float) -> None:
    assert personal_factor(hours * 3600, move, TABLES) == pytest.approx(factor)


def test_an_unknown_age_or_move_is_no_factor() -> None:
    assert personal_factor(NAN, NAN, TABLES) == 1.0
    assert personal_factor(-5.0, 0.0, TABLES) == 1.0


@both_sides
def test_the_whole_is_within_half_and_twice_the_initial_distance(side: Side) -> None:
    from core.exits import target

    for factor, reach in ((0.01, 0.05), (9.0, 0.20)):
        moved = target.moved(
            100 * (1 + side.sign * 0.1) * side.sign,
            99.9 if side is LONG else -100.1,
            entry=100.0 * side.sign,
            origin=100.0 * side.sign,
            sign=float(side.sign),
            reach=0.1,
            push=target.Push(factor),
            personal=1.0,
            tables=TABLES,
        )
        assert moved * side.sign == pytest.approx(100 * (1 + side.sign * reach))


@both_sides
def test_a_target_that_was_moved_is_reached_exactly(side: Side) -> None:
    from core.exits.state import step

    held = guard(TARGET, side)
    bar(held, 100, mirrored(side, momentum=3.0))
    price = favour(side, "0.115")
    assert target_price(held) == price
    found = step(held, as_float(price))
    assert found is not None
    assert found.reason == "take_profit"


@both_sides
def test_a_swing_level_in_the_way_stops_the_target_a_thousandth_before_it(side: Side) -> None:
    level = float(favour(side, "0.06"))
    further = float(favour(side, "0.08"))
    levels = tuple(sorted((level, further)))
    signals = Indicators(resistances=levels) if side is LONG else Indicators(supports=levels)
    held = guard(TARGET, side)
    bar(held, 100, signals)
    assert as_float(target_price(held) or D(0)) == pytest.approx(level * (1 - side.sign * 0.001), rel=1e-12)
    bar(held, favour(side, "0.01"))
    assert target_price(held) == favour(side, "0.10")


@both_sides
@pytest.mark.parametrize(
    ("level", "price"), [("0.12", "0"), ("-0.01", "-0.03"), ("0.04", "0"), ("0.0605", "0.06"), ("0.055", "0.06")]
)
def test_a_level_beyond_the_target_within_half_the_way_or_at_the_price_is_not_in_the_way(
    side: Side, level: str, price: str
) -> None:
    levels = (float(favour(side, level)),)
    held = guard(TARGET, side)
    bar(held, favour(side, price), Indicators(resistances=levels, supports=levels))
    shown = as_float(target_price(held) or D(0))
    stretched = 1.1 if price == "0.06" else 1.0  # by the profit
    assert shown == pytest.approx(100 * (1 + side.sign * 0.1 * stretched))


@both_sides
def test_from_seven_tenths_of_the_way_it_never_moves_away(side: Side) -> None:
    wide = mirrored(side, momentum=3.0)
    held = guard(TARGET, side)
    bar(held, favour(side, "0.0699"), wide)
    assert as_float(target_price(held) or D(0)) == pytest.approx(float(favour(side, "0.1265")))
    held = guard(TARGET, side)
    for price in ("0.07", "0.08", "0.0999"):
        bar(held, favour(side, price), wide)
        assert target_price(held) == favour(side, "0.10")


@both_sides
def test_it_may_come_closer_but_not_through_the_price(side: Side) -> None:
    held = guard(TARGET, side)
    near = mirrored(side, momentum=-2.0, volatility=0.5, rsi=80.0)
    bar(held, favour(side, "0.02"), near)
    close = target_price(held)
    assert close is not None
    assert side.sign * (favour(side, "0.10") - close) > 0
    bar(held, favour(side, "0.0795"), near, now=DAY)
    assert target_price(held) == close


@both_sides
def test_it_does_not_move_with_adaptive_off_and_there_is_none_where_it_is_off(side: Side) -> None:
    held = guard(only(take_profit_pct=D("0.10"), adaptive=False), side)
    bar(held, 100, mirrored(side, momentum=3.0))
    assert target_price(held) == favour(side, "0.10")
    held = guard(only(), side)
    bar(held, 100, mirrored(side, momentum=3.0))
    assert target_price(held) is None


@given(
    st.sampled_from(Side),
    paths(),
    st.lists(st.tuples(st.floats(-4, 4), st.floats(0.1, 3), st.floats(50, 150)), min_size=1, max_size=5),
)
def test_a_target_never_runs_away_from_a_price_that_is_near_and_stays_beyond_it(
    side: Side, prices: list[object], told: list[tuple[float, float, float]]
) -> None:
    held = open_guard(rules_of(ExitSettings(), side), D(100), opened=0.0)
    for number, price in enumerate(prices):
        momentum, volatility, level = told[number % len(told)]
        before, u = held.target, float(str(price)) * side.sign
        progress = (u - held.entry) / (before - held.entry)
        bar(held, price, Indicators(volatility, momentum, resistances=(level,), supports=(level,)), number * 3600.0)
        if progress >= 0.7:
            assert held.target <= before
        assert held.target > u or held.target == before
        assert abs(held.target - held.entry) <= 20.0000001
        assert held.target - held.entry >= 4.9999999
