"""Values, gains and rates: unknown stays unknown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from core.model import Side
from core.valuation import USD_LIKE, move, roi, usd_rate, usd_value
from tests.support.books import D, instrument

prices = st.decimals(D("0.00000001"), D("1000000"), places=8)


@pytest.mark.parametrize(
    ("side", "entry", "mark", "moved"),
    [
        (Side.LONG, "100", "101", "0.01"),
        (Side.LONG, "100", "90", "-0.1"),
        (Side.SHORT, "100", "101", "-0.01"),
        (Side.SHORT, "100", "90", "0.1"),
        (Side.LONG, "100", "100", "0"),
    ],
)
def test_pnl_is_the_move_in_the_position_s_favour(side: Side, entry: str, mark: str, moved: str) -> None:
    assert move(side, D(entry), D(mark)) == D(moved)


@pytest.mark.parametrize("bad", [None, "0", "-1"])
@pytest.mark.parametrize("side", list(Side))
def test_an_entry_or_mark_that_is_unknown_or_not_positive_gives_an_unknown_pnl(side: Side, bad: str | None) -> None:
    price = None if bad is None else D(bad)
    assert move(side, price, D(100)) is None
    assert move(side, D(100), price) is None
    assert roi(side, price, D(100), D(3)) is None
    assert roi(side, D(100), price, D(3)) is None


def test_roi_is_the_move_times_leverage_and_unknown_without_it() -> None:
    assert roi(Side.SHORT, D(100), D(90), D(5)) == D("0.5")
    assert roi(Side.LONG, D(100), D(90), None) is None


@given(prices, prices, st.integers(1, 125))
def test_a_short_loses_what_a_long_gains(entry: Decimal, mark: Decimal, leverage: int) -> None:
    long, short = roi(Side.LONG, entry, mark, D(leverage)), roi(Side.SHORT, entry, mark, D(leverage))
    assert long is not None
    assert short is not None
    assert long == -short


def test_value_is_quantity_times_multiplier_times_price_times_rate() -> None:
    assert usd_value(D("0.5"), instrument(multiplier="100"), D("2"), D("1.1")) == D("110")


def test_a_value_without_a_price_or_a_rate_is_unknown() -> None:
    assert usd_value(D(1), instrument(), None, D(1)) is None
    assert usd_value(D(1), instrument(), D(1), None) is None


@pytest.mark.parametrize("currency", sorted(USD_LIKE))
def test_a_dollar_like_currency_is_a_dollar_whatever_the_broker_says(currency: str) -> None:
    assert usd_rate(currency, {currency: D("0.5")}) == 1


def test_another_currency_has_the_broker_s_rate_or_none() -> None:
    assert usd_rate("EUR", {"EUR": D("1.1")}) == D("1.1")
    assert usd_rate("GBP", {"EUR": D("1.1")}) is None


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "sNaN", "Infinity"])
def test_a_rate_that_is_not_positive_is_unknown_and_makes_nothing_worthless(rate: str) -> None:
    assert usd_rate("EUR", {"EUR": D(rate)}) is None
