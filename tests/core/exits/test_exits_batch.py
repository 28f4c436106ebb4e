"""Many positions at once: equal to one by one to the last bit, tick by tick, and the bookkeeping of the columns."""

from __future__ import annotations

from decimal import Decimal
from math import isnan
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from core.exits.batch import Columns
from core.exits.group import ExitGroup
from core.exits.rules import rules_of
from core.exits.state import ExitState, as_float, close_bar, news_of, open_guard, step
from core.market.indicators import Indicators
from core.model import Side
from core.settings import ExitSettings
from tests.core.exit_prices import LONG, SHORT, D, any_settings, both_sides, guard, leverages, paths

known = st.one_of(st.none(), st.floats(-4, 4))
signals = st.builds(
    Indicators,
    volatility=st.one_of(st.none(), st.floats(0.1, 3)),
    momentum=known,
    adx=st.one_of(st.none(), st.floats(0, 60)),
    rising=st.one_of(st.none(), st.booleans()),
    rsi=st.one_of(st.none(), st.floats(0, 100)),
    resistances=st.lists(st.floats(50, 150), max_size=4, unique=True).map(lambda v: tuple(sorted(v))),
    supports=st.lists(st.floats(50, 150), max_size=4, unique=True).map(lambda v: tuple(sorted(v))),
)
entries = st.one_of(st.none(), st.integers(9_000, 11_000).map(lambda cents: D(cents) / 100))
positions = st.lists(st.tuples(entries, st.one_of(st.none(), leverages)), min_size=1, max_size=12)


def state(held: ExitState) -> dict[str, Any]:
    """Everything but the rules and what only single guards remember; NaN made equal to itself."""
    values = {name: value for name, value in structs.asdict(held).items() if name not in ("rules", "roof", "place")}
    return {name: "NaN" if isnan(value) else value for name, value in values.items()}


@given(any_settings(), st.sampled_from(Side), positions, paths(), st.lists(signals, max_size=4), st.data())
def test_columns_and_single_guards_agree_to_the_last_bit(
    given_settings: ExitSettings,
    side: Side,
    held: list[tuple[Decimal | None, Decimal | None]],
    prices: list[Decimal],
    bars: list[Indicators],
    data: st.DataObject,
) -> None:
    rules = rules_of(given_settings, side)
    opened = data.draw(st.one_of(st.none(), st.just(1_000_000.0)))
    singles = [open_guard(rules, *position, opened=opened) for position in held]
    columns: Columns[int] = Columns(rules)
    for place, single in enumerate(singles):
        columns.put(place, single)
    for number, price in enumerate(map(as_float, prices)):
        if bars and number % 7 == 3:
            news = news_of(bars[number % len(bars)], rules)
            for single in singles:
                close_bar(single, news, price, 1_000_000.0 + number * 3000)
            columns.close_bar(news, price, 1_000_000.0 + number * 3000)
        found = dict(columns.step(price))
        for place, single in enumerate(singles):
            assert step(single, price) is found.get(place)
            assert state(columns.get(place)) == state(single)


@given(any_settings(), paths(), leverages)
def test_the_quiet_band_never_hides_anything(given_settings: ExitSettings, prices: list[Decimal], by: Decimal) -> None:
    """A guard without its band evaluates every price in full and does the same."""
    for side in Side:
        quick, slow = (open_guard(rules_of(given_settings, side), D(100), by) for _ in range(2))
        for price in map(as_float, prices):
            slow.floor = float("inf")
            assert step(quick, price) is step(slow, price)
            assert (quick.stop, quick.target, quick.peak, quick.behind) == (
                *(slow.stop, slow.target, slow.peak),
                slow.behind,
            )


@given(any_settings(), positions, paths(most=30))
def test_few_and_many_guards_of_a_symbol_agree(
    given_settings: ExitSettings, held: list[tuple[Decimal | None, Decimal | None]], prices: list[Decimal]
) -> None:
    few, many = ExitGroup[tuple[int, str]](1000), ExitGroup[tuple[int, str]](1)
    for guards in (few, many):
        for place, position in enumerate(held):
            for side in Side:
                guards.put((place, side.value), open_guard(rules_of(given_settings, side), *position))
    for price in map(as_float, prices):
        assert dict(few.step(price)) == dict(many.step(price))
        few.close_bar(Indicators(momentum=1.5), price, 0.0)
        many.close_bar(Indicators(momentum=1.5), price, 0.0)
    assert all(state(few.get(key)) == state(many.get(key)) for key in few)


@both_sides
def test_all_of_them_crossing_at_once_all_leave(side: Side) -> None:
    guards = ExitGroup[int]()
    for number in range(200):
        guards.put(number, guard(ExitSettings(), side))
    leaving = guards.step(100 * (1 - 0.2 * side.sign))
    assert len(leaving) == 200
    assert {exit_.reason for _, exit_ in leaving} == {"emergency_stop_excessive_loss"}
    assert set(leaving.who) == set(guards)


def test_some_of_them_leaving_are_named_by_their_keys() -> None:
    columns: Columns[str] = Columns(rules_of(ExitSettings(), LONG))
    for number in range(60):
        columns.put(f"p{number}", guard(ExitSettings(), LONG, str(100 + number)))
    found = columns.step(100.0)
    assert [key for key, _ in found] == [f"p{number}" for number in range(6, 60)]
    assert next(iter(found))[1].reason == "stop_loss"


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_no_price_that_is_none_touches_a_column(price: float) -> None:
    columns: Columns[int] = Columns(rules_of(ExitSettings(), SHORT))
    columns.put(1, guard(ExitSettings(), SHORT))
    before = state(columns.get(1))
    assert not len(columns.step(price))
    columns.close_bar(news_of(Indicators(volatility=2.0), columns.rules), price, 0.0)
    assert state(columns.get(1)) == before


def test_guards_come_and_go_under_their_keys() -> None:
    guards = ExitGroup[int](4)
    for number in range(9):
        guards.put(number, guard(ExitSettings(), LONG, str(100 + number)))
    for number in (0, 8, 3):
        guards.remove(number)
    assert sorted(guards) == [1, 2, 4, 5, 6, 7]
    assert [guards.get(n).entry for n in sorted(guards)] == [101.0, 102.0, 104.0, 105.0, 106.0, 107.0]
    for number in (1, 2, 4, 5, 6):
        guards.remove(number)
    assert len(guards) == 1
    assert 7 in guards
    assert guards.get(7).entry == 107.0
    guards.put(7, guard(ExitSettings(), SHORT))
    assert guards.get(7).rules.side is SHORT
    with pytest.raises(KeyError):
        guards.get(1)
    assert 3 not in guards


def test_a_guard_that_is_put_back_replaces_the_one_before() -> None:
    guards = ExitGroup[int](1)
    guards.put(1, guard(ExitSettings()))
    changed_guard = guards.get(1)
    changed_guard.entry = 90.0
    guards.put(1, changed_guard)
    assert guards.get(1).entry == 90.0
    columns: Columns[int] = Columns(changed_guard.rules)
    columns.put(1, changed_guard)
    assert 1 in columns
    assert len(columns) == 1
