"""Tables of factors: the first row that holds, 1 without one, and what the rules make of tables of one's own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from core.config.load import describe, load
from core.errors import ConfigError
from core.exits.factors import table, trail_tables
from core.exits.state import close_bar, distance_behind, news_of, stop_price, target_price
from core.market.indicators import NEUTRAL, Indicators
from core.model import Side
from core.settings import ExitSettings
from tests.core.exit_prices import D, at, both_sides, favour, guard, only, settings

ROWS = ((">2", D("1.5")), (">1", D("1.2")), ("<-1", D("0.8")))


@pytest.mark.parametrize(
    ("value", "factor"),
    [(3.0, 1.5), (2.0, 1.2), (1.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (-1.1, 0.8), (None, 1.0), (float("nan"), 1.0)],
)
def test_the_first_row_that_holds_gives_the_factor_and_the_unknown_gives_none(
    value: float | None, factor: float
) -> None:
    made = table(ROWS)
    assert made.factor(value) == factor
    assert made.factors[made.place(value)] == factor
    assert made.factors[made.place_of(factor)] == factor
    assert made.place_of(9.0) == 0


@both_sides
def test_the_distance_follows_tables_of_ones_own(side: Side) -> None:
    own = only(
        trailing_base=D("0.02"),
        trailing_max=D("0.5"),
        trailing_volatility=((">3", D(4)),),
        trailing_momentum=(("<0", D("0.5")),),
        trailing_profit=((">0.01", D("0.9")),),
    )
    held = guard(own, side)
    close_bar(held, news_of(Indicators(volatility=3.1, momentum=-0.1 * side.sign), held.rules), 100.0, 0.0)
    price = favour(side, "0.02")
    at(held, price)
    behind = distance_behind(held)
    assert behind is not None
    assert (behind.volatility, behind.momentum, behind.profit) == (4.0, 0.5, 0.9)
    assert stop_price(held) == price * (1 - side.sign * D("0.036"))


def test_without_rows_nothing_changes_the_distance_or_the_target() -> None:
    tables = ("trailing_volatility", "trailing_momentum", "trailing_profit", "target_momentum", "target_trend")
    none = dict.fromkeys((*tables, "target_volatility", "target_rsi", "target_profit"), ())
    held = guard(settings(**none))
    loud = Indicators(volatility=9.0, momentum=9.0, adx=99.0, rising=True, rsi=99.0)
    close_bar(held, news_of(loud, held.rules), 104.0, 0.0)
    at(held, "104")
    assert stop_price(held) == D("101.92")
    assert target_price(held) == D(110)


@both_sides
def test_the_target_follows_tables_of_ones_own_within_bounds_of_ones_own(side: Side) -> None:
    own = only(take_profit_pct=D("0.10"), target_rsi=(("<40", D("1.4")),), target_max=D("1.3"), target_age=(D(1), D(1)))
    held = guard(own, side)
    close_bar(held, news_of(Indicators(rsi=39.0 if side.sign > 0 else 61.0), held.rules), 100.0, 0.0)
    assert target_price(held) == favour(side, "0.13")
    calm = only(take_profit_pct=D("0.10"), target_age=(D(2), D("0.5")))
    held = guard(calm, side, opened=0.0)
    close_bar(held, news_of(NEUTRAL, held.rules), 100.0, 3600.0)
    assert target_price(held) == favour(side, "0.075")


def test_from_its_share_of_the_way_on_the_target_never_moves_away() -> None:
    for hold, expected in (("0.5", D(110)), ("0.7", D("111.5"))):
        held = guard(only(take_profit_pct=D("0.10"), target_hold=D(hold), target_profit=()))
        close_bar(held, news_of(Indicators(momentum=3.0), held.rules), 106.0, 0.0)
        assert target_price(held) == expected


def test_a_swing_level_is_kept_at_its_margin() -> None:
    held = guard(only(take_profit_pct=D("0.10"), swing_margin=D("0.01")))
    close_bar(held, news_of(Indicators(resistances=(108.0,)), held.rules), 100.0, 0.0)
    assert target_price(held) == D("106.92")


def test_a_profit_that_would_widen_the_distance_cannot_be_compiled() -> None:
    for rows in (((">0.1", D("0.9")), (">0.05", D("0.8"))), (("<0.1", D("0.9")),), ((">0.1", D(2)),)):
        with pytest.raises(ValueError, match="profit"):
            trail_tables(ExitSettings(trailing_profit=rows))


# --------------------------------------------------------------------------------------------------- in the file


def read(tmp_path: Path, text: str) -> tuple[ExitSettings, dict[str, str]]:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    loaded = load(path, {})
    return loaded.settings.exits, {key: value for key, value, _ in describe(loaded)}


def test_tables_are_read_and_told_as_they_are_written(tmp_path: Path) -> None:
    text = """[exits]
trailing_profit = [[">0.02", "0.9"], ["> 0.10", 0.5]]
target_trend = [["<-0.50", "0.90"]]
target_rsi = []
target_age = [12, "0.5"]
include_fees = true
fee_rate = "0.0005"
"""
    exits, told = read(tmp_path, text)
    assert exits.trailing_profit == ((">0.1", D("0.5")), (">0.02", D("0.9")))
    assert (exits.target_trend, exits.target_rsi) == ((("<-0.5", D("0.90")),), ())
    assert (exits.target_age, exits.fees) == ((D(12), D("0.5")), D("0.001"))
    assert told["exits.trailing_profit"] == '[[">0.1", "0.5"], [">0.02", "0.9"]]'
    assert told["exits.target_age"] == '["12", "0.5"]'
    assert ExitSettings().fees == 0


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('trailing_volatility = ">1.5"', "must be a list"),
        ("trailing_volatility = [1]", "a pair [condition, factor]"),
        ('trailing_volatility = [["1.5", "1.3"]]', "a condition"),
        ('trailing_volatility = [[">=1.5", "1.3"]]', "a condition"),
        ('trailing_volatility = [[">1.5.2", "1.3"]]', "a condition"),
        ('trailing_volatility = [[">99999", "1.3"]]', "a condition"),
        ('trailing_momentum = [[">1", "0"]]', "a factor from 0.1 to 10"),
        ('trailing_momentum = [[">1", "11"]]', "a factor from 0.1 to 10"),
        ("target_rsi = [" + 11 * '[">1", "1"],' + "]", "more than 10 rows"),
        ('trailing_profit = [["<0.1", "0.5"]]', "up to three rows"),
        ("trailing_profit = [" + 4 * '[">0.1", "1"],' + "]", "up to three rows"),
        ('trailing_profit = [[">0.1", "0.9"], [">0.05", "0.8"]]', "must tighten with the profit"),
        ('trailing_profit = [[">0.1", "1.1"]]', "must tighten with the profit"),
        ('target_age = ["0", "0.8"]', "a number of hours above 0"),
        ("target_age = 24", "a pair [hours, factor]"),
        ('target_min = "1.1"', "above 0 and up to 1"),
        ('target_max = "0.9"', "a factor from 1 to 10"),
        ('fee_rate = "1"', "below 1"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_that_names_line_and_key(tmp_path: Path, value: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, f"[exits]\n{value}\n")
    assert f"config.toml:2: exits.{value.partition(' ')[0]}" in str(raised.value)
    assert says in str(raised.value)


def test_the_defaults_in_the_file_are_those_of_the_domain() -> None:
    tables = trail_tables(ExitSettings())
    assert (tables.profits, tables.profit) == ((0.1, 0.05, 0.03), (1.0, 0.85, 0.7, 0.5))
    assert tables.volatility.factors == (1.0, 1.3, 0.7)
    assert tables.momentum.factors == (1.0, 1.2, 0.8)
    assert ExitSettings().fee_rate == Decimal("0.001")
