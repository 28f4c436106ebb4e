"""Which prices may be used: age, flaws, jumps and their confirmation, splits."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from core.market.price_gate import PriceGate, PriceVerdict
from core.market.splits import LONGEST_REREAD, Rereads, split_like, split_ratio
from core.model import Kind, Position, Quote, Side
from core.settings import ExitSettings
from tests.core.exit_prices import D

KEY = ("ann/paper", "BTC")
NAN, INF = Decimal("NaN"), Decimal("Infinity")


def quote(price: str | Decimal | None, at: float, **more: Decimal) -> Quote:
    return Quote(*KEY, received=at, last=None if price is None else D(price), **more)


def taken(gate: PriceGate, *told: tuple[str, float]) -> list[str]:
    """Verdicts on prices that are judged the moment they are received."""
    return [gate.judge_quote(quote(price, at)).value for price, at in told]


def test_a_quote_that_was_overtaken_or_has_no_time_is_stale() -> None:
    gate = PriceGate(ExitSettings())
    assert taken(gate, ("100", 10), ("101", 9), ("101", float("nan")), ("101", 10)) == [
        *("usable", "stale", "stale", "usable"),
    ]


BAD = [
    None,
    quote(None, 10),
    quote("0", 10),
    quote("-1", 10),
    quote(NAN, 10),
    quote(INF, 10),
    quote("100", 10, bid=D(101), ask=D(99)),
    quote("100", 10, bid=D(0)),
]


@pytest.mark.parametrize("told", BAD)
def test_a_missing_a_bad_or_a_crossed_price_is_none(told: Quote | None) -> None:
    gate = PriceGate(ExitSettings())
    assert gate.judge_quote(told) is PriceVerdict.BAD


def test_a_jump_is_held_until_a_second_later_tick_confirms_it() -> None:
    gate = PriceGate(ExitSettings())
    assert taken(gate, ("100", 0), ("79.99", 1)) == ["usable", "held"]
    assert taken(gate, ("79.99", 1)) == ["held"]  # the same tick once more
    assert taken(gate, ("79.5", 2)) == ["jumped"]


@pytest.mark.parametrize(
    ("price", "verdict"), [("80", "usable"), ("79.99", "held"), ("120", "usable"), ("120.01", "held")]
)
def test_a_jump_is_more_than_the_greatest_one(price: str, verdict: str) -> None:
    assert taken(PriceGate(ExitSettings()), ("100", 0), (price, 1)) == ["usable", verdict]


def test_a_second_tick_within_the_window_confirms_and_a_spike_is_forgotten() -> None:
    gate = PriceGate(ExitSettings())
    assert taken(gate, ("100", 0), ("70", 1), ("71", 4)) == ["usable", "held", "jumped"]
    gate = PriceGate(ExitSettings())
    assert taken(gate, ("100", 0), ("70", 1), ("100", 2), ("70", 3)) == ["usable", "held", "usable", "held"]
    assert taken(PriceGate(ExitSettings()), ("100", 0), ("70", 1), ("140", 2), ("141", 3)) == [
        *("usable", "held", "held", "jumped"),
    ]


@pytest.mark.parametrize(
    ("told", "verdicts"),
    [
        ([("100", 0), ("78", 1), ("60", 2), ("46", 3)], ["usable", "held", "jumped", "held"]),
        ([("100", 0), ("75", 1), ("1", 2)], ["usable", "held", "jumped"]),
        ([("100", 0), ("130", 1), ("500", 2)], ["usable", "held", "jumped"]),
        ([("100", 0), ("78", 20), ("60", 40), ("46", 60)], ["usable", "held", "held", "jumped"]),  # past the window
        ([("100", 0), ("60", 1), ("150", 2), ("60", 3)], ["usable", "held", "held", "held"]),  # from side to side
    ],
)
def test_the_second_step_of_a_move_in_large_steps_is_usable(told: list[tuple[str, float]], verdicts: list[str]) -> None:
    assert taken(PriceGate(ExitSettings()), *told) == verdicts


@pytest.mark.parametrize("every", [0.3, 2.2, 3.1, 5.0, 12.0])
@pytest.mark.parametrize("told", [("10", "7.5", "5.6"), ("10", "7.5", "7.4"), ("10", "12.1", "15")])
def test_the_next_price_of_a_poll_confirms_however_far_apart_the_polls_are(every: float, told: tuple[str, ...]) -> None:
    times = (0, every, every * 2.2)  # the second poll comes a little later than the first
    assert taken(PriceGate(ExitSettings()), *zip(told, times, strict=True)) == ["usable", "held", "jumped"]


def test_a_price_that_was_held_before_a_split_confirms_nothing_after_it() -> None:
    gate = PriceGate(ExitSettings())
    taken(gate, ("100", 0), ("75", 1))
    gate.split(D(2))
    assert taken(gate, ("37.5", 2), ("36", 3)) == ["held", "jumped"]


def test_after_the_window_the_wait_begins_anew_but_three_in_a_row_are_believed() -> None:
    gate = PriceGate(ExitSettings())
    assert taken(gate, ("100", 0), ("70", 60), ("70", 120), ("70", 180)) == ["usable", "held", "held", "jumped"]
    gate = PriceGate(ExitSettings())
    assert taken(gate, ("100", 0), ("70", 1), ("70", 4.001), ("70", 5)) == ["usable", "held", "held", "jumped"]


def test_the_venues_mark_confirms_at_once() -> None:
    gate = PriceGate(ExitSettings())
    taken(gate, ("100", 0))
    assert gate.judge_quote(quote("70", 1, mark=D(71))) is PriceVerdict.JUMPED


def test_a_spike_of_the_last_price_alone_is_nothing_where_the_mark_stays() -> None:
    gate = PriceGate(ExitSettings())
    taken(gate, ("100", 0))
    assert gate.judge_quote(quote("70", 1, mark=D(100))) is PriceVerdict.USABLE


def test_after_a_split_the_next_price_is_looked_for_where_the_old_one_would_be() -> None:
    gate = PriceGate(ExitSettings())
    taken(gate, ("100", 0))
    gate.split(D(4))
    assert taken(gate, ("99", 1)) == ["held"]
    assert taken(gate, ("25", 2)) == ["usable"]


@given(st.lists(st.tuples(st.sampled_from(range(len(BAD))), st.floats(0, 20)), max_size=20))
def test_no_bad_price_is_usable_or_changes_what_the_next_one_is_judged_by(bad: list[tuple[int, float]]) -> None:
    gate = PriceGate(ExitSettings())
    assert taken(gate, ("100", 0)) == ["usable"]
    for place, now in bad:
        told = BAD[place]
        assert not gate.judge_quote(None if told is None else structs.replace(told, received=now)).usable
    assert taken(gate, ("79", 30), ("100.5", 31)) == ["held", "usable"]


def position(quantity: str, entry: str | None, side: Side = Side.LONG) -> Position:
    return Position("ann/paper", "X", side, D(quantity), D(quantity), None if entry is None else D(entry))


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        (("10", "400"), ("40", "100"), "4"),
        (("40", "100"), ("10", "400"), "0.25"),
        (("10", "100"), ("15", "66.67"), "1.5"),
        (("10", "100"), ("11", "90.91"), "1.1"),
        (("10", "100"), ("20", "100"), None),  # bought more
        (("10", "100"), ("20", "90"), None),  # bought more, lower
        (("10", "100"), ("5", "100"), None),  # sold half
        (("10", "100"), ("10", "100"), None),
        (("10", None), ("40", "100"), None),
        (("10", "100"), ("40", None), None),
        (("10", "100"), ("0", "100"), None),
    ],
)
def test_a_split_changes_quantity_and_entry_by_the_inverse_ratio(
    before: tuple[str, str | None], after: tuple[str, str | None], ratio: str | None
) -> None:
    for shares in (False, True):
        found = split_ratio(position(*before), position(*after), shares=shares)
        assert found == (None if ratio is None else D(ratio))


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        (("10", "100"), ("17", "50"), "2"),  # 20, of which 3 were sold
        (("10", "100"), ("4", "50.01"), "2"),
        (("30", "100"), ("9", "300"), 1 / D(3)),  # one for three, and one of ten was sold
        (("10", "100"), ("14", "66.67"), "1.5"),
        (("10", "100"), ("10", "50"), "2"),  # the list has the new entry before the new quantity
        (("10", "100"), ("25", "50"), None),  # bought at a third: what 2 for 1 makes is less
        (("10", "100"), ("17", "60"), None),  # bought lower
        (("10", "100"), ("9", "101"), None),
    ],
)
def test_shares_that_were_split_and_sold_between_two_reads_are_known_by_their_entry(
    before: tuple[str, str], after: tuple[str, str], ratio: str | D | None
) -> None:
    found = split_ratio(position(*before), position(*after), shares=True)
    assert found == (None if ratio is None else D(ratio))
    assert split_ratio(position(*before), position(*after), shares=False) is None, "a coin's entry is of its last buys"


def test_a_side_that_changed_is_no_split() -> None:
    assert split_ratio(position("10", "400"), position("40", "100", Side.SHORT), shares=True) is None


def test_a_share_that_jumped_is_read_again_before_any_rule_runs() -> None:
    reads = Rereads()
    assert not reads.jumped("btc", Kind.PERP, 10, D("1.7"))
    assert not reads.waits("btc", 10)
    assert reads.jumped("aapl", Kind.EQUITY, 10, D("1.7"))
    assert reads.waits("aapl", 11)
    reads.read("aapl", asked=9, priced=12)
    assert reads.waits("aapl", 12)
    reads.read("aapl", asked=10.5, priced=9)
    assert reads.waits("aapl", 12)
    reads.read("aapl", asked=10.5, priced=11)
    assert not reads.waits("aapl", 12)
    reads.read("unheard", asked=1, priced=1)


def test_a_jump_of_a_splits_size_waits_for_the_position_to_show_it_but_not_for_ever() -> None:
    reads = Rereads()
    assert reads.jumped("aapl", Kind.EQUITY, 10, D(2))
    reads.read("aapl", asked=11, priced=11)
    assert reads.waits("aapl", 11)
    reads.split("aapl", 12)
    reads.read("aapl", asked=13, priced=13)
    assert not reads.waits("aapl", 13)
    assert reads.jumped("aapl", Kind.EQUITY, 20, D(2))
    assert not reads.waits("aapl", 20.1 + LONGEST_REREAD)
    assert reads.jumped("aapl", Kind.EQUITY, 30, D("1.7"))
    reads.read("aapl", asked=31, priced=31)
    assert not reads.waits("aapl", 31)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (("2", "1.95", "0.5", "0.1", "10.2", "1.52", "0.66"), True),
        (("1.3", "1.7", "0.6", "2.5", "1"), False),
    ],
)
def test_a_split_has_a_simple_ratio(ratio: tuple[str, ...], expected: bool) -> None:
    assert {split_like(D(one)) for one in ratio} == {expected}


def test_a_split_that_was_seen_waits_for_a_new_price_and_never_for_ever() -> None:
    reads = Rereads()
    reads.split("aapl", 10)
    assert reads.waits("aapl", 10 + LONGEST_REREAD)
    assert not reads.waits("aapl", 10.1 + LONGEST_REREAD)
    assert not reads.waits("aapl", 10)


def test_the_verdicts_that_let_rules_run() -> None:
    assert {v for v in PriceVerdict if v.usable} == {PriceVerdict.USABLE, PriceVerdict.JUMPED}
