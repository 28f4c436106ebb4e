"""Broker truth against what the journal believes: what is believed, what differs, and what makes it right."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from core.journal.believed import BelievedPosition, BelievedPositions
from core.model import Leg, Order, OrderSide, Position, PositionKey, Side
from core.plans.results import ResultRow
from core.reconciliation import rules as reconcile
from core.reconciliation.rules import Discrepancy, Kind
from core.records import (
    Adopted,
    ClosingEnded,
    Entry,
    EntryApproved,
    EntryEnded,
    Opened,
    PositionClosed,
    Record,
    Scaled,
)
from tests.support.virtual_time import DAWN

D = Decimal
ACCOUNT = "ann/paper"


def now(_: PositionKey) -> str:
    """The fingerprint of the present settings."""
    return "now"


def key(symbol: str = "BTC", leg: Leg = Leg.NET) -> PositionKey:
    return PositionKey(ACCOUNT, symbol, leg)


def held(symbol: str = "BTC", quantity: str = "2", side: Side = Side.LONG, entry: str | None = "90") -> Position:
    return Position(ACCOUNT, symbol, side, D(quantity), D(quantity), None if entry is None else D(entry))


def believed(
    symbol: str = "BTC", quantity: str = "2", side: Side = Side.LONG, entry: str | None = "90"
) -> BelievedPosition:
    return BelievedPosition(key(symbol), side, D(quantity), None if entry is None else D(entry), None, "old")


def compare(ours: Iterable[BelievedPosition], theirs: Iterable[Position]) -> list[Discrepancy]:
    return reconcile.compare({b.key: b for b in ours}, theirs, lambda _: D("0.5"))


def kinds(found: Iterable[Discrepancy]) -> list[tuple[str, str]]:
    return [(d.kind.value, d.key.symbol) for d in found]


# ----------------------------------------------------------------------------------------------------- differing


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([believed()], [held()], []),
        ([believed()], [], ["phantom"]),
        ([], [held()], ["missed"]),
        ([believed(quantity="1")], [held()], ["quantity"]),
        ([believed(side=Side.SHORT)], [held()], ["side"]),
        ([believed(side=Side.SHORT, quantity="1", entry="1")], [held()], ["side"]),
        ([believed(entry="80")], [held()], ["entry"]),
        ([believed(entry="80", quantity="3")], [held()], ["quantity", "entry"]),
        ([believed(entry="89.5")], [held()], []),  # within a tick
        ([believed(entry="89.4")], [held()], ["entry"]),
        ([believed(entry=None)], [held()], []),  # unknown is no difference
        ([believed()], [held(entry=None)], []),
        ([believed(quantity="2.00")], [held(quantity="2")], []),
    ],
)
def test_every_kind_of_difference(ours: list[BelievedPosition], theirs: list[Position], expected: list[str]) -> None:
    assert [d.kind.value for d in compare(ours, theirs)] == expected


def test_the_union_of_both_sides_is_walked() -> None:
    found = compare([believed("A"), believed("B")], [held("B", "3"), held("C")])
    assert kinds(found) == [("phantom", "A"), ("quantity", "B"), ("missed", "C")]


def test_the_legs_of_a_hedged_account_are_compared_by_themselves() -> None:
    long, short = key(leg=Leg.LONG), key(leg=Leg.SHORT)
    ours = {long: structs.replace(believed(), key=long)}
    theirs = [structs.replace(held(side=Side.SHORT), leg=Leg.SHORT)]
    found = reconcile.compare(ours, theirs, lambda _: D(0))
    assert [(d.kind, d.key) for d in found] == [(Kind.PHANTOM, long), (Kind.MISSED, short)]


def test_a_sentence_names_both_sides() -> None:
    (one,) = compare([believed(quantity="1")], [held()])
    assert one.text == "BTC on ann/paper: the broker reports 2, known here as 1"
    (one,) = compare([believed(side=Side.SHORT)], [held()])
    assert one.text == "BTC on ann/paper: the broker reports 2 long, known here as 2 short"
    (one,) = compare([believed()], [])
    assert one.text == "BTC on ann/paper: 2 long is not held at the broker any more"


def test_a_difference_counts_when_two_reads_agree_and_then_as_the_second_says() -> None:
    first = compare([believed(), believed("ETH")], [])
    second = compare([believed(), believed("ETH")], [held(quantity="1"), held("X")])
    assert reconcile.confirmed(first, second) == [d for d in second if d.key.symbol == "ETH"]
    again = compare([believed()], [held(quantity="1")])
    assert reconcile.confirmed(compare([believed()], [held(quantity="5")]), again) == again


# ------------------------------------------------------------------------------------------------------ orders


def order(id_: str, symbol: str, client: str) -> Order:
    return Order(ACCOUNT, symbol, id_, OrderSide.SELL, D(1), client_id=client)


def test_an_order_of_ours_without_a_position_or_without_a_record_is_an_orphan() -> None:
    orders = [
        order("o1", "BTC", "fd1"),
        order("o2", "ETH", "fd2"),
        order("o3", "SOL", "fd3"),
        order("o4", "XRP", "fd4"),
    ]
    found = reconcile.orphans(orders, [held("BTC"), held("ETH")], frozenset({"o2"}), frozenset({"XRP"}))
    assert [(d.order.id if d.order else "", d.alarm) for d in found] == [("o2", True), ("o3", False)]
    assert {d.kind for d in found} == {Kind.ORPHAN_ORDER}


# ---------------------------------------------------------------------------------------------- making it right


def test_broker_truth_wins_with_one_record_per_position() -> None:
    found = compare(
        [believed("A"), believed("B", "3", entry="1"), believed("C", side=Side.SHORT)],
        [held("B"), held("C"), held("D", entry=None)],
    )
    made = reconcile.corrections(found, now)
    assert [type(r).__name__ for r in made] == ["PositionClosed", "Adopted", "Adopted", "Adopted"]
    assert [(r.why, r.settings) for r in made if isinstance(r, Adopted)] == [
        ("quantity", "old"),  # what was accepted stays accepted
        ("side", "now"),
        ("missed", "now"),
    ]


def test_what_the_broker_does_not_know_is_kept_of_the_same_position() -> None:
    found = compare([believed(quantity="1")], [held(entry=None)])
    (made,) = reconcile.corrections(found, now)
    assert isinstance(made, Adopted)
    assert (made.quantity, made.entry) == (D(2), D(90))


def test_an_orphan_order_corrects_nothing() -> None:
    found = reconcile.orphans([order("o1", "BTC", "fd1")], [], frozenset(), frozenset())
    assert reconcile.corrections(found, now) == []


def test_every_kind_is_counted_by_name() -> None:
    counts = reconcile.counts(compare([believed("A"), believed("B")], [held("C")]))
    assert counts == {"phantom": 2, "missed": 1, "quantity": 0, "side": 0, "entry": 0, "orphan_order": 0}


# ------------------------------------------------------------------------------------------------------ beliefs


def told(*records: Record) -> BelievedPositions:
    beliefs = BelievedPositions()
    for seq, record in enumerate(records, 1):
        beliefs.take(Entry(seq, DAWN, record))
    return beliefs


OPENED = Opened("e1", key(), Side.LONG, D(2), D(90), D(1), D(5), D("0.04"), "now")


def closing(outcome: str, filled: str = "0", residual: str | None = "0", kind: str = "close") -> ClosingEnded:
    left = None if residual is None else D(residual)
    return ClosingEnded("p1", ResultRow(key(), kind, outcome, filled=D(filled), residual=left))


@pytest.mark.parametrize(
    ("record", "left"),
    [
        (closing("closed", "2"), None),
        (closing("closed"), None),  # it was gone already
        (closing("closed", "2", None), None),
        (closing("closed_residual", "1.9", "0.1"), "0.1"),
        (closing("partial", "0.5", "1.5"), "1.5"),
        (closing("stuck", "0.5", None), "1.5"),
        (closing("stuck", "2", None), None),
        (closing("stuck", "0", None), "2"),
        (closing("changed", "0", "7"), "2"),  # somebody else's doing: for reconciliation
        (closing("refused", "0", None), "2"),
        (closing("cancelled", "0", None, "cancel_order"), "2"),
        (Scaled("e2", key(), D(3), D(95)), "3"),
        (Scaled("e2", key(), D(0), D(95)), None),
        (PositionClosed(key(), "by hand"), None),
        (Adopted(key(), Side.LONG, D(5), D(80), None, "quantity", "now"), "5"),
    ],
)
def test_what_is_believed_after_each_record(record: Record, left: str | None) -> None:
    known = told(OPENED, record).held.get(key())
    assert (known.quantity if known else None) == (D(left) if left else None)


def test_a_position_keeps_its_own_stop_while_it_stays_the_same() -> None:
    same = Adopted(key(), Side.LONG, D(5), D(80), None, "quantity", "now")
    turned = structs.replace(same, side=Side.SHORT)
    assert told(OPENED, same).held[key()].stop_pct == D("0.04")
    assert told(OPENED, turned).held[key()].stop_pct is None


def test_nothing_is_believed_of_what_was_never_opened_or_adopted() -> None:
    assert told(closing("partial", "1", "1"), Scaled("e", key(), D(1), None)).held == {}


def test_an_entry_is_on_its_way_until_its_end_and_its_signal_is_remembered() -> None:
    entry = EntryApproved("e1", "ann", key(), "open", OrderSide.BUY, D(2), "person", DAWN)
    scaling = structs.replace(entry, plan="e2", what="scale_in", side=OrderSide.SELL)
    beliefs = told(entry, scaling)
    assert set(beliefs.pending) == {"e1", "e2"}
    assert beliefs.signals == {("ann", "BTC", OrderSide.BUY): DAWN}
    beliefs = told(entry, scaling, EntryEnded("e1", key(), "refused"))
    assert set(beliefs.pending) == {"e2"}
    assert beliefs.signals


# --------------------------------------------------------------------------------------------------- properties

QUANTITIES = st.integers(1, 9).map(D)
PLACES = st.dictionaries(
    st.sampled_from("ABCDEFG"),
    st.tuples(st.sampled_from(Side), QUANTITIES, st.one_of(st.none(), QUANTITIES)),
)


def sides(places: dict[str, tuple[Side, Decimal, Decimal | None]], make: Any) -> list[Any]:
    return [make(symbol, side, quantity, entry) for symbol, (side, quantity, entry) in places.items()]


def as_position(symbol: str, side: Side, quantity: Decimal, entry: Decimal | None) -> Position:
    return Position(ACCOUNT, symbol, side, quantity, quantity, entry)


def as_belief(symbol: str, side: Side, quantity: Decimal, entry: Decimal | None) -> BelievedPosition:
    return BelievedPosition(key(symbol), side, quantity, entry, None, "x")


@given(PLACES)
def test_identical_sides_do_not_differ(places: dict[str, tuple[Side, Decimal, Decimal | None]]) -> None:
    assert compare(sides(places, as_belief), sides(places, as_position)) == []


@given(PLACES, PLACES)
def test_each_symbol_of_either_side_alone_is_named(
    ours: dict[str, tuple[Side, Decimal, Decimal | None]], theirs: dict[str, tuple[Side, Decimal, Decimal | None]]
) -> None:
    found = compare(sides(ours, as_belief), sides(theirs, as_position))
    assert {d.key.symbol for d in found if d.kind is Kind.PHANTOM} == set(ours) - set(theirs)
    assert {d.key.symbol for d in found if d.kind is Kind.MISSED} == set(theirs) - set(ours)


@given(PLACES, PLACES)
def test_what_is_written_makes_both_sides_agree(
    ours: dict[str, tuple[Side, Decimal, Decimal | None]], theirs: dict[str, tuple[Side, Decimal, Decimal | None]]
) -> None:
    known, positions = sides(ours, as_belief), sides(theirs, as_position)
    records = [Adopted(b.key, b.side, b.quantity, b.entry, None, "missed", "x") for b in known]
    found = compare(known, positions)
    beliefs = told(*records, *reconcile.corrections(found, now))
    assert reconcile.compare(beliefs.held, positions, lambda _: D("0.5")) == []
