"""Dust, unsellable rests and the ranking for the cap, as a person would check them by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.model import Leg
from core.plans.cleanup import judge, unsellable
from core.plans.plan import Reason
from core.portfolio.holding import Holding
from tests.support.books import COINBASE, KRAKEN, NOW, D, holding, instrument


def reasons(*holdings: Holding, dust: str = "1.00", cap: int = 8) -> dict[str, Reason | None]:
    return {v.holding.position.symbol: v.why for v in judge(holdings, D(dust), cap)}


def ranking(*holdings: Holding) -> list[str]:
    """Symbols from rank 1 on."""
    ranked = sorted((v for v in judge(holdings, D(0), 0) if v.rank), key=lambda v: v.rank or 0)
    assert [v.rank for v in ranked] == list(range(1, len(holdings) + 1))
    return [v.holding.position.symbol for v in ranked]


@pytest.mark.parametrize(
    ("value", "dust", "is_dust"),
    [
        ("0.99", "1.00", True),
        ("0.999999999", "1.00", True),
        ("1.00", "1.00", False),
        ("1.000000001", "1.00", False),
        ("1.99", "2.00", True),
        ("0", "1.00", True),
        ("0", "0", False),
    ],
)
def test_dust_is_strictly_below_the_threshold(value: str, dust: str, *, is_dust: bool) -> None:
    assert reasons(holding(value=value, price="1"), dust=dust) == {"BTC-USD": Reason.DUST if is_dust else None}


def test_dust_says_its_value_and_the_threshold() -> None:
    texts = [v.text for v in judge([holding(value="0.43"), holding("B", value="0.9999999")], D("1.00"), 8)]
    assert texts == ["Dust position ($0.43 < $1.00)", "Dust position ($0.99 < $1.00)"]


def test_dust_does_not_count_against_the_cap() -> None:
    small = [holding(f"S{n}", "0.5") for n in range(5)]
    assert set(reasons(*small, holding("A", "10"), holding("B", "20"), cap=2).values()) == {Reason.DUST, None}


@pytest.mark.parametrize(
    ("quantity", "price", "rules", "reason"),
    [
        ("1", "1", {"tradable": False}, "not tradable at the venue"),
        ("0.4", "1", {"step": "1"}, "0.4 is below one step of 1"),
        ("0.4", "1", {"step": "0.1", "min_quantity": "0.5"}, "0.4 is below the venue's minimum of 0.5"),
        ("0.59", "1", {"step": "0.5", "min_quantity": "0.55"}, "0.59 is below the venue's minimum of 0.55"),
        ("4", "1", {"min_cost": "5"}, "4.00 USD is below the venue's minimum cost of 5"),
        ("4", "0.1", {"min_cost": "5", "multiplier": "10"}, "4.00 USD is below the venue's minimum cost of 5"),
        ("4", None, {"min_cost": "5"}, None),
        ("5", "1", {"min_cost": "5"}, None),
        ("0.5", "1", {"step": "0.1", "min_quantity": "0.5"}, None),
        ("0.4", "1", {"step": "0.1", "min_quantity": "0.5", "reduce_only": True, "minimum_exempt": True}, None),
        ("4", "1", {"min_cost": "5", "reduce_only": True, "minimum_exempt": True}, None),
        (
            "0.4",
            "1",
            {"step": "0.1", "min_quantity": "0.5", "reduce_only": True},
            "0.4 is below the venue's minimum of 0.5",
        ),
        (
            "0.4",
            "1",
            {"step": "0.1", "min_quantity": "0.5", "minimum_exempt": True},
            "0.4 is below the venue's minimum of 0.5",
        ),
        ("0.4", "1", {"step": "1", "reduce_only": True, "minimum_exempt": True}, "0.4 is below one step of 1"),
        (
            "0.4",
            "1",
            {"step": "1", "way_out": "convert small balances"},
            "0.4 is below one step of 1; way out: convert small balances",
        ),
        ("1", "1", {"tradable": False, "way_out": "ask support"}, "not tradable at the venue; way out: ask support"),
    ],
)
def test_a_position_is_unsellable_for_a_reason(
    quantity: str, price: str | None, rules: dict[str, object], reason: str | None
) -> None:
    held = holding(value=price, quantity=quantity, price=price, rules=instrument(**rules))
    assert unsellable(held) == reason


def test_unsellable_comes_before_dust_and_before_the_cap() -> None:
    rest = holding("REST", "0.5", rules=instrument("REST", tradable=False))
    halted = holding("HALT", "5000", rules=instrument("HALT", tradable=False))
    found = reasons(rest, halted, holding("A", "10"), cap=1)
    assert found == {"REST": Reason.UNSELLABLE, "HALT": Reason.UNSELLABLE, "A": None}
    assert reasons(holding("WHO", None, rules=instrument("WHO", tradable=False))) == {"WHO": Reason.UNSELLABLE}


def test_an_unsellable_position_has_no_rank() -> None:
    verdicts = judge([holding(rules=instrument(tradable=False))], D(1), 0)
    assert [(v.rank, v.text) for v in verdicts] == [(None, "not tradable at the venue")]


def test_rank_1_is_the_largest() -> None:
    assert ranking(holding("MID", "5"), holding("BIG", "9"), holding("LOW", "2")) == ["BIG", "MID", "LOW"]


def test_of_equal_values_the_worse_pnl_goes_first() -> None:
    held = (holding("GAIN", pnl="0.1"), holding("LOSS", pnl="-0.1"), holding("EVEN", pnl="0"))
    assert ranking(*held) == ["GAIN", "EVEN", "LOSS"]


def test_an_unknown_pnl_sorts_last_so_it_goes_last() -> None:
    assert ranking(holding("GAIN", pnl="9"), holding("WHO", pnl=None), holding("LOSS", pnl="-9"))[0] == "WHO"


def test_of_equal_pnl_the_oldest_goes_first_and_an_unknown_age_last() -> None:
    held = (
        holding("NEW", opened_at=NOW),
        holding("WHO", opened_at=None),
        holding("OLD", opened_at=NOW - timedelta(days=9)),
    )
    assert ranking(*held) == ["WHO", "NEW", "OLD"]


def test_value_outweighs_pnl_and_pnl_outweighs_age() -> None:
    old, new = NOW - timedelta(days=9), NOW
    held = (
        holding("SMALL", "5", pnl="0.5", opened_at=new),
        holding("LOSER", "6", pnl="-0.5", opened_at=new),
        holding("WINNER", "6", pnl="0.5", opened_at=old),
    )
    assert ranking(*held) == ["WINNER", "LOSER", "SMALL"]


def test_equals_are_told_apart_by_account_then_symbol_then_leg() -> None:
    held = [
        holding("A", account=KRAKEN),
        holding("B", account=COINBASE),
        holding("A", account=COINBASE, leg=Leg.LONG),
        holding("A", account=COINBASE, leg=Leg.SHORT),
    ]
    ranked = judge(held, D(0), 0)
    assert [(v.holding.key.account, v.holding.key.symbol, v.holding.key.leg) for v in ranked] == [
        (KRAKEN, "A", Leg.NET),
        (COINBASE, "B", Leg.NET),
        (COINBASE, "A", Leg.SHORT),
        (COINBASE, "A", Leg.LONG),
    ]


def test_what_ranks_below_the_cap_goes_with_the_count_and_the_cap_in_its_text() -> None:
    verdicts = judge([holding(f"S{n}", str(n)) for n in range(1, 10)], D("0.5"), 8)
    going = [v for v in verdicts if v.why is Reason.CAP_EXCEEDED]
    assert [(v.holding.position.symbol, v.rank, v.text) for v in going] == [("S1", 9, "Position cap exceeded (9/8)")]
    assert all(v.text == "" for v in verdicts if v.why is None)


def test_exactly_the_cap_is_not_too_many() -> None:
    assert set(reasons(*[holding(f"S{n}", "5") for n in range(8)]).values()) == {None}


def test_an_unknown_value_is_neither_dust_nor_ranked_but_counted() -> None:
    verdicts = judge([holding("WHO", None), holding("A", "5"), holding("B", "6")], D(1), 1)
    unknown = next(v for v in verdicts if v.holding.position.symbol == "WHO")
    assert (unknown.why, unknown.rank, unknown.text) == (Reason.NO_PRICE, None, "Value unknown: no price")
    assert [v.text for v in verdicts if v.why is Reason.CAP_EXCEEDED] == ["Position cap exceeded (3/1)"]


def test_an_unknown_value_pushes_nothing_out_that_may_be_among_the_largest() -> None:
    found = reasons(holding("WHO", None), *[holding(f"S{n}", "5") for n in range(8)])
    assert Reason.CAP_EXCEEDED not in found.values()


def test_a_cap_of_zero_closes_everything_that_can_be_valued() -> None:
    found = reasons(holding("A", "5"), holding("WHO", None), cap=0)
    assert found == {"A": Reason.CAP_EXCEEDED, "WHO": Reason.NO_PRICE}
