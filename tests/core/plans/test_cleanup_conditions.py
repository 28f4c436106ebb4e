"""The ``cancel_if`` grammar, and when open orders are cancelled."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.plans.cancel_policy import CancelIf, Condition, OrderPolicy, parse_cancel_if
from tests.support.books import D

VALUE, RANK = "usd_value", "rank"


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("usd_value<1.0", [Condition(VALUE, "<", D("1.0"))]),
        ("usd_value<=1", [Condition(VALUE, "<=", D(1))]),
        ("usd_value>.5", [Condition(VALUE, ">", D("0.5"))]),
        ("usd_value>=5.", [Condition(VALUE, ">=", D(5))]),
        ("rank>max_positions", [Condition(RANK, ">", None)]),
        ("rank>=max_positions", [Condition(RANK, ">=", None)]),
        ("rank<max_positions", [Condition(RANK, "<", None)]),
        ("rank<=max_positions", [Condition(RANK, "<=", None)]),
        (
            "usd_value<1.0,rank>max_positions",
            [Condition(VALUE, "<", D("1.0")), Condition(RANK, ">", None)],
        ),
        (
            "  usd_value < 1.0 ,\trank > max_positions  ",
            [Condition(VALUE, "<", D("1.0")), Condition(RANK, ">", None)],
        ),
    ],
)
def test_conditions_are_read(text: str, conditions: list[Condition]) -> None:
    assert parse_cancel_if(text) == CancelIf(tuple(conditions))


@pytest.mark.parametrize(
    ("text", "offending"),
    [
        ("", ""),
        ("   ", ""),
        ("foo<1", "foo<1"),
        ("usd_value<1,foo<1", "foo<1"),
        ("usd_value<1,", ""),
        (",usd_value<1", ""),
        ("usd_value<1,,rank>max_positions", ""),
        ("usd_value<abc", "usd_value<abc"),
        ("usd_value<", "usd_value<"),
        ("usd_value", "usd_value"),
        ("usd_value<-1", "usd_value<-1"),
        ("usd_value<+1", "usd_value<+1"),
        ("usd_value<1e3", "usd_value<1e3"),
        ("usd_value<$1", "usd_value<$1"),
        ("usd_value<NaN", "usd_value<NaN"),
        ("usd_value<.", "usd_value<."),
        ("usd_value<1_000", "usd_value<1_000"),
        ("usd_value<\u0661", "usd_value<\u0661"),
        ("usd_value<1 2", "usd_value<1 2"),
        ("usd_value<1;rank>max_positions", "usd_value<1;rank>max_positions"),
        ("usd_value=1", "usd_value=1"),
        ("usd_value==1", "usd_value==1"),
        ("usd_value=<1", "usd_value=<1"),
        ("usd_value<<1", "usd_value<<1"),
        ("usd_value< =1", "usd_value< =1"),
        ("usd_value<max_positions", "usd_value<max_positions"),
        ("rank>5", "rank>5"),
        ("rank>8.0", "rank>8.0"),
        ("rank>max", "rank>max"),
        ("USD_VALUE<1", "USD_VALUE<1"),
        ("1<usd_value", "1<usd_value"),
        ("not usd_value<1", "not usd_value<1"),
        ("usd_value<1 rank>max_positions", "usd_value<1 rank>max_positions"),
    ],
)
def test_anything_else_is_refused_with_the_offending_part_quoted(text: str, offending: str) -> None:
    with pytest.raises(ValueError, match="is not a condition; write usd_value<NUMBER or rank>max_positions") as caught:
        parse_cancel_if(text)
    assert str(caught.value).startswith(f'"{offending}" ')


FRAGMENTS = st.lists(
    st.sampled_from(
        ["usd_value", "rank", "max_positions", "<", "<=", ">", ">=", "=", "1", "1.0", ".", "-", ",", " ", "x"]
    ),
    max_size=10,
).map("".join)


@given(st.one_of(st.text(max_size=30), FRAGMENTS))
def test_any_text_either_parses_or_is_refused_with_a_part_of_it_quoted(text: str) -> None:
    parts = [p.strip() for p in text.split(",")]
    parsed, refusal = None, ""
    try:
        parsed = parse_cancel_if(text)
    except ValueError as error:
        refusal = str(error)
    if parsed is None:
        assert any(refusal.startswith(f'"{p}" is not a condition') for p in parts)
    else:
        assert len(parsed.conditions) == len(parts)


NUMBERS = st.decimals(0, D("100000"), places=4)
CONDITIONS = st.one_of(
    st.builds("usd_value{}{}".format, st.sampled_from(["<", "<=", ">", ">="]), NUMBERS),
    st.builds("rank{}max_positions".format, st.sampled_from(["<", "<=", ">", ">="])),
)


@given(st.lists(CONDITIONS, min_size=1, max_size=4))
def test_every_list_of_conditions_parses_and_holds_when_any_one_of_them_does(texts: list[str]) -> None:
    whole = parse_cancel_if(",".join(texts))
    singles = [parse_cancel_if(t) for t in texts]
    for value, rank in ((D("0.5"), 9), (D(100000), 1), (D(50), None), (None, 8), (None, None)):
        assert whole.holds(value, rank, 8) is any(s.holds(value, rank, 8) for s in singles)


@pytest.mark.parametrize(
    ("text", "value", "rank", "holds"),
    [
        ("usd_value<1", "0.99", 9, True),
        ("usd_value<1", "1", 9, False),
        ("usd_value<=1", "1", 9, True),
        ("usd_value>1", "1", 9, False),
        ("usd_value>1", "1.01", 9, True),
        ("usd_value>=1", "1", 9, True),
        ("rank>max_positions", "5", 9, True),
        ("rank>max_positions", "5", 8, False),
        ("rank>=max_positions", "5", 8, True),
        ("rank<max_positions", "5", 7, True),
        ("rank<max_positions", "5", 8, False),
        ("rank<=max_positions", "5", 8, True),
        ("usd_value<1,rank>max_positions", "5", 9, True),
        ("usd_value<1,rank>max_positions", "0.5", 1, True),
        ("usd_value<1,rank>max_positions", "5", 1, False),
    ],
)
def test_a_condition_compares_the_value_or_the_rank(text: str, value: str, rank: int, *, holds: bool) -> None:
    assert parse_cancel_if(text).holds(D(value), rank, 8) is holds


@pytest.mark.parametrize("compare", ["<", "<=", ">", ">="])
def test_a_condition_on_an_unknown_value_or_rank_does_not_hold(compare: str) -> None:
    both = parse_cancel_if(f"usd_value{compare}1,rank{compare}max_positions")
    assert not both.holds(None, None, 8)


def test_dust_has_no_rank_so_a_condition_on_the_rank_alone_leaves_its_orders() -> None:
    policy = OrderPolicy("matching", parse_cancel_if("rank>max_positions"))
    assert not policy.cancels(D("0.5"), None, 8)
    assert policy.cancels(D(5), 9, 8)


@pytest.mark.parametrize(
    ("mode", "first_run", "cancels"),
    [
        ("never", True, False),
        ("never", False, False),
        ("startup", True, True),
        ("startup", False, False),
        ("always", True, True),
        ("always", False, True),
        ("matching", True, False),
    ],
)
def test_a_mode_decides_for_every_position_alike(mode: str, *, first_run: bool, cancels: bool) -> None:
    assert OrderPolicy(mode, None, first_run).cancels(D(5), 9, 8) is cancels
