"""The money of a close: every side and kind of contract, and what stays unknown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.model import Side
from core.plans.money import CloseMoney, Valuation, money_of, summed

D = Decimal
LINEAR = Valuation(D(100), D(1), "USDT", D(1))


def close(
    side: Side, entry: str | None, quantity: str, price: str | None, fee: str | None, how: Valuation
) -> CloseMoney:
    bought, paid, cost = optional(entry, price, fee)
    return money_of(side, bought, D(quantity), paid, cost, how)


def optional(*texts: str | None) -> list[Decimal | None]:
    return [None if text is None else D(text) for text in texts]


def amounts(money: CloseMoney) -> tuple[Decimal | None, ...]:
    return money.proceeds, money.realised, money.fee, money.slippage


@pytest.mark.parametrize(
    ("side", "entry", "price", "expected"),
    [
        (Side.LONG, "90", "99", (198, 18, D("0.2"), 2)),  # sold lower than decided: a loss
        (Side.LONG, "90", "101", (202, 22, D("0.2"), -2)),
        (Side.SHORT, "90", "101", (202, -22, D("0.2"), 2)),  # bought back higher than decided: a loss
        (Side.SHORT, "110", "99", (198, 22, D("0.2"), -2)),
    ],
)
def test_a_linear_close_is_valued_on_both_sides(side: Side, entry: str, price: str, expected: tuple[int, ...]) -> None:
    assert amounts(close(side, entry, "2", price, "0.2", LINEAR)) == expected


def test_an_option_counts_with_its_multiplier() -> None:
    option = Valuation(D("1.20"), D(100), "USD", D(1))
    assert amounts(close(Side.SHORT, "2.00", "3", "1.25", None, option)) == (375, 225, None, 15)


@pytest.mark.parametrize(("side", "realised", "slippage"), [(Side.LONG, 250, 20), (Side.SHORT, -250, -20)])
def test_an_inverse_contract_is_worth_dollars_and_earns_in_its_coin(side: Side, realised: int, slippage: int) -> None:
    inverse = Valuation(D(50000), D(100), "1/BTC", D("0.00002"))
    money = close(side, "39200", "10", "49000", "0.6", inverse)
    assert money.currency == "USD"
    assert amounts(money) == (1000, realised, D("0.6"), slippage)
    coins = side.sign * 1000 * (1 / D(39200) - 1 / D(49000))
    assert abs(coins * 49000 - realised) < D("0.0001")


def test_another_currency_becomes_dollars_where_its_rate_is_known() -> None:
    euro = Valuation(D(100), D(1), "EUR", D("1.1"))
    assert amounts(close(Side.LONG, "90", "2", "99", "1", euro)) == (D("217.8"), D("19.8"), D("1.1"), D("2.2"))
    unrated = close(Side.LONG, "90", "2", "99", "1", Valuation(D(100), D(1), "EUR", None))
    assert (unrated.currency, amounts(unrated)) == ("EUR", (198, 18, 1, 2))


@pytest.mark.parametrize(
    ("entry", "price", "fee", "decided", "expected"),
    [
        (None, "99", "1", "100", (198, None, 1, 2)),
        ("90", None, "1", "100", (None, None, 1, None)),
        ("90", "99", None, "100", (198, 18, None, 2)),
        ("90", "99", "1", None, (198, 18, 1, None)),
    ],
)
def test_what_is_unknown_stays_unknown(
    entry: str | None, price: str | None, fee: str | None, decided: str | None, expected: tuple[int | None, ...]
) -> None:
    at = optional(decided)[0]
    assert amounts(close(Side.LONG, entry, "2", price, fee, Valuation(at, D(1), "USD", D(1)))) == expected
    inverse = amounts(close(Side.LONG, entry, "2", price, fee, Valuation(at, D(1), "1/BTC", D(1))))
    assert [amount is None for amount in inverse] == [amount is None for amount in expected]


def test_a_plan_of_an_earlier_flatdeck_tells_no_money() -> None:
    assert money_of(Side.LONG, D(90), D(2), D(99), D(1), None) == CloseMoney("")


def test_a_sum_is_unknown_where_one_amount_is_and_says_what_is_known() -> None:
    closes = [
        CloseMoney("USD", D(1), D(10), D(1), D("0.1"), D(0)),
        CloseMoney("USD", D(1), D(20), None, D("0.2"), D(1)),
        CloseMoney("EUR", D(1), D(5), D(2), None, D(0)),
    ]
    euro, dollar = summed(closes)
    assert (euro.currency, euro.closes, euro.proceeds, euro.fee, euro.unknown) == ("EUR", 1, 5, None, {"fee": 1})
    assert (dollar.closes, dollar.proceeds, dollar.realised, dollar.fee, dollar.slippage) == (2, 30, None, D("0.3"), 1)
    assert (dollar.known["realised"], dollar.unknown) == (1, {"realised": 1})
