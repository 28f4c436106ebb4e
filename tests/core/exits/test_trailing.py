"""The trailing stop: its distance, its ratchet, its activation; equal to freqtrade's rule where nothing is adaptive."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given, strategies as st

from core.exits.factors import trail_tables
from core.exits.rules import rules_of
from core.exits.snapshot import restored, saved
from core.exits.state import as_float, close_bar, distance_at, distance_behind, news_of, open_guard, step, stop_price
from core.exits.trailing import distances, place_of, trail_of
from core.market.indicators import Indicators
from core.model import Side
from core.settings import ExitSettings
from tests.core.exit_prices import D, any_settings, at, both_sides, favour, guard, leverages, moves, only, paths, walk

TABLES = trail_tables(ExitSettings())
TRAILING = only(trailing_base=D("0.02"), stop_loss_pct=D("0.05"))


@both_sides
def test_the_first_price_puts_the_stop_two_percent_behind_it(side: Side) -> None:
    held = guard(TRAILING, side)
    assert stop_price(held) == favour(side, "-0.05")
    assert at(held, "100") is None
    assert stop_price(held) == favour(side, "-0.02")
    assert moves(held, "-0.0199", "-0.02") == [None, "trailing_stop"]


@both_sides
@pytest.mark.parametrize(
    ("move", "distance"),
    [
        ("0.03", "0.02"),
        ("0.0301", "0.017"),
        ("0.05", "0.017"),
        ("0.0501", "0.014"),
        ("0.10", "0.014"),
        ("0.1001", "0.01"),
    ],
)
def test_a_higher_profit_tightens_the_distance(side: Side, move: str, distance: str) -> None:
    held = guard(TRAILING, side)
    price = favour(side, move)
    at(held, price)
    assert stop_price(held) == price * (1 - side.sign * D(distance))
    behind = distance_behind(held)
    assert behind is not None
    assert behind.distance == pytest.approx(float(distance), rel=1e-12)
    assert behind == distance_at(held, as_float(price))


@both_sides
@pytest.mark.parametrize(
    ("volatility", "momentum", "factors", "distance"),
    [
        (None, None, (1.0, 1.0), "0.02"),
        (1.5, 1.0, (1.0, 1.0), "0.02"),
        (1.51, 0.0, (1.3, 1.0), "0.026"),
        (0.7, -1.0, (1.0, 1.0), "0.02"),
        (0.69, 0.0, (0.7, 1.0), "0.014"),
        (1.0, 1.01, (1.0, 1.2), "0.024"),
        (1.0, -1.01, (1.0, 0.8), "0.016"),
        (1.6, 1.01, (1.3, 1.2), "0.0312"),
        (0.5, -2.0, (0.7, 0.8), "0.0112"),
    ],
)
def test_volatility_widens_and_momentum_in_favour_loosens(
    side: Side, volatility: float | None, momentum: float | None, factors: tuple[float, float], distance: str
) -> None:
    held = guard(TRAILING, side)
    signals = Indicators(volatility=volatility, momentum=None if momentum is None else momentum * side.sign)
    close_bar(held, news_of(signals, held.rules), 100.0, 0.0)
    at(held, "100")
    assert stop_price(held) == 100 * (1 - side.sign * D(distance))
    behind = distance_behind(held)
    assert behind is not None
    assert (behind.volatility, behind.momentum, behind.profit, behind.bounds) == (*factors, 1.0, 1.0)


def test_the_bounds_hold_and_are_one_of_the_four_factors() -> None:
    for base in (0.0001, 0.02, 0.5):
        for one in distances(base, 0.004, 0.04, TABLES):
            assert 0.004 <= one.distance <= 0.04
            assert one.distance == pytest.approx(
                base * one.volatility * one.profit * one.momentum * one.bounds, rel=1e-12
            )


def test_in_every_group_a_higher_profit_has_no_wider_distance() -> None:
    found = distances(0.02, 0.004, 0.04, TABLES)
    for start in range(0, len(found), 4):
        group = [one.distance for one in found[start : start + 4]]
        assert group == sorted(group, reverse=True)


def test_every_group_of_distances_is_found_again_by_its_factors() -> None:
    found = distances(0.02, 0.004, 0.04, TABLES)
    for place, one in enumerate(found):
        assert place_of(TABLES, one.volatility, one.momentum, one.profit) == place
    assert place_of(TABLES, 9.0, 9.0) == 0
    assert trail_of(Indicators(volatility=2.0, momentum=-3.0), -1.0, TABLES) == place_of(TABLES, 1.3, 1.2)


@both_sides
def test_the_stop_only_ratchets_though_the_distance_widens(side: Side) -> None:
    held = guard(TRAILING, side)
    moves(held, "0.04")
    stop = stop_price(held)
    close_bar(held, news_of(Indicators(volatility=2.0), held.rules), 100.0, 0.0)
    moves(held, "0.04", "0.042", "0.039")
    assert stop_price(held) == stop
    close_bar(held, news_of(Indicators(volatility=0.5), held.rules), 100.0, 0.0)
    price = favour(side, "0.039")
    assert at(held, price) is None
    assert stop_price(held) == price * (1 - side.sign * D("0.0119"))


@both_sides
def test_a_shrinking_distance_starts_from_the_current_price_and_not_from_the_peak(side: Side) -> None:
    held = guard(only(trailing_base=D("0.02")), side)
    moves(held, "0.02", "0.005")
    close_bar(held, news_of(Indicators(volatility=0.5, momentum=-2.0 * side.sign), held.rules), 100.0, 0.0)
    price = favour(side, "0.005")
    assert at(held, price) is None
    stop = stop_price(held)
    assert stop is not None
    assert side.sign * (price - stop) > 0


@both_sides
def test_nothing_trails_before_the_activation_and_all_does_after_it(side: Side) -> None:
    held = guard(only(trailing_base=D("0.02"), stop_loss_pct=D("0.05"), activation_pct=D("0.03")), side)
    moves(held, "0", "0.0299")
    assert stop_price(held) == favour(side, "-0.05")
    assert distance_behind(held) is None
    moves(held, "0.03")
    assert stop_price(held) == favour(side, "0.03") * (1 - side.sign * D("0.02"))


@both_sides
def test_without_trailing_the_initial_stop_stays(side: Side) -> None:
    held = guard(only(stop_loss_pct=D("0.05")), side)
    moves(held, "0.01", "0.3")
    assert stop_price(held) == favour(side, "-0.05")
    assert distance_at(held, 100.0) is None
    assert moves(held, "-0.05") == ["stop_loss"]


@both_sides
def test_without_an_initial_stop_the_first_candidate_is_the_first_stop(side: Side) -> None:
    held = guard(only(trailing_base=D("0.02")), side)
    assert stop_price(held) is None
    at(held, "100")
    assert stop_price(held) == favour(side, "-0.02")


@both_sides
def test_with_adaptive_off_all_factors_are_one(side: Side) -> None:
    held = guard(only(trailing_base=D("0.02"), adaptive=False), side)
    close_bar(held, news_of(Indicators(volatility=3.0, momentum=3.0), held.rules), 100.0, 0.0)
    moves(held, "0.12")
    behind = distance_behind(held)
    assert behind is not None
    assert (behind.volatility, behind.profit, behind.momentum, behind.bounds) == (1, 1, 1, 1)
    assert behind.distance == 0.02


def freqtrades_stops(
    rates: list[Decimal], side: Side, initial: Decimal, distance: Decimal, offset: Decimal | None
) -> list[Decimal]:
    """freqtrade's documented rule, written down anew: ``rate * (1 - |trailing|)``, only ever tighter.

    Long: the stop is the larger of the last and the new one, short: the smaller. With ``offset``
    (``trailing_only_offset_is_reached``) nothing trails while the current profit is below it.
    """
    sign, found = side.sign, []
    stop = 100 * (1 - sign * abs(initial))
    for rate in rates:
        profit = sign * (rate - 100) / 100
        if offset is None or profit >= offset:
            new = rate * (1 - sign * abs(distance))
            stop = max(stop, new) if side is Side.LONG else min(stop, new)
        found.append(stop)
    return found


@both_sides
@pytest.mark.parametrize("offset", [None, "0.01", "0.03"])
@given(paths(), st.sampled_from(["0.004", "0.011", "0.02", "0.04"]))
def test_stops_equal_freqtrades(side: Side, offset: str | None, rates: list[Decimal], distance: str) -> None:
    rules = only(trailing_base=D(distance), stop_loss_pct=D("0.05"), adaptive=False, activation_pct=D(offset or 0))
    held = guard(rules, side)
    expected = freqtrades_stops(rates, side, D("0.05"), D(distance), None if offset is None else D(offset))
    for rate, stop in zip(rates, expected, strict=True):
        at(held, rate)
        assert stop_price(held) == stop


@given(any_settings(), st.sampled_from(Side), paths(), leverages, st.lists(st.floats(0.1, 3), min_size=1, max_size=3))
def test_a_stop_never_loosens_never_crosses_the_price_and_its_distance_is_within_bounds(
    settings: ExitSettings, side: Side, prices: list[Decimal], by: Decimal, volatilities: list[float]
) -> None:
    held = open_guard(rules_of(settings, side), D(100), by)
    least, most = float(settings.trailing_min), float(settings.trailing_max)
    for number, price in enumerate(prices):
        if number % 5 == 4:
            signals = Indicators(volatility=volatilities[number % len(volatilities)], momentum=volatilities[0] - 1.5)
            close_bar(held, news_of(signals, held.rules), as_float(price), number * 60.0)
        before = held.stop
        step(held, as_float(price))
        assert held.stop >= before
        if held.stop > before:
            assert held.stop < as_float(price) * side.sign
        distance = distance_at(held, as_float(price))
        assert distance is None or least <= distance.distance <= most
        assert (distance is None) == (settings.trailing_base is None)


@given(any_settings(), st.sampled_from(Side), paths(least=2), leverages, st.data())
def test_a_restart_changes_nothing(
    settings: ExitSettings, side: Side, prices: list[Decimal], by: Decimal, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(prices) - 1))
    assume(cut < len(prices))
    held = open_guard(rules_of(settings, side), D(100), by, opened=0.0)
    walk(held, *prices[:cut])
    close_bar(held, news_of(Indicators(volatility=2.0, momentum=-2.0), held.rules), as_float(prices[cut - 1]), 60.0)
    again = restored(held.rules, saved(held))
    assert saved(again) == saved(held)
    assert walk(again, *prices[cut:]) == walk(held, *prices[cut:])
    assert saved(again) == saved(held)
