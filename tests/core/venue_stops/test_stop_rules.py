"""The decision about one resting stop: when one is placed, moved, cancelled or left alone, and where it rests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from core.model import Instrument, Kind, Leg, Order, OrderSide, OrderType, Position, Side
from core.settings import ProtectSettings
from core.venue_stops.rules import (
    NOTHING,
    StopAction,
    StopDecision,
    StopSituation,
    VenueStop,
    barred,
    decide,
    request_for,
    trigger_for,
)
from tests.support.builders import ACCOUNT, SYMBOL, D, instrument, position, spot

ON = ProtectSettings(enabled=True)
NOW = 1000.0


def stop(trigger: str | None = "94", quantity: str = "2", id_: str = "s1", **more: Any) -> Order:
    """One of ours, below a long."""
    given_ = {"side": OrderSide.SELL, "type": OrderType.STOP, "reduce_only": True, **more}
    return Order(ACCOUNT, SYMBOL, id_, quantity=D(quantity), trigger=None if trigger is None else D(trigger), **given_)


def seen(*orders: Order, held: Position | None = None, rules: Instrument | None = None, **more: Any) -> StopSituation:
    """A long of 2 whose stop is at 95, at a price of 100."""
    given_ = {"stop": D(95), "price": D(100), **more}
    return StopSituation(held or position(), rules or instrument(), orders, **given_)


def decided(what: StopSituation, settings: ProtectSettings = ON) -> StopDecision:
    return decide(what, settings, NOW)


def short(*orders: Order, **more: Any) -> StopSituation:
    return seen(*orders, held=position(side=Side.SHORT), **{"stop": D(105), **more})


# --------------------------------------------------------------------------------------------------------- placing


def test_where_none_rests_one_is_placed_behind_the_stop():
    assert decided(seen()) == StopDecision(StopAction.PLACE, "", (), D(2), D("94.0"))
    assert decided(short()) == StopDecision(StopAction.PLACE, "", (), D(2), D("106.1"))


@given(
    st.decimals("0.01", "100000", places=2),
    st.decimals("0.0001", "0.5", places=4),
    st.sampled_from(["0.01", "0.1", "0.25", "5"]),
    st.sampled_from(Side),
)
def test_the_trigger_is_never_nearer_than_asked_and_on_the_tick(at: Decimal, behind: Decimal, tick: str, side: Side):
    trigger = trigger_for(position(side=side), at, behind, D(tick))
    assert side.sign * (at * (1 - side.sign * behind) - trigger) >= 0
    assert trigger % D(tick) == 0
    assert abs(at * (1 - side.sign * behind) - trigger) < D(tick)


def test_the_order_reduces_only_and_says_where():
    held, rules = position(leg=Leg.NET), instrument()
    request = request_for(decided(seen()), held, rules, "fdname")
    assert (request.type, request.side, request.reduce_only) == (OrderType.STOP, OrderSide.SELL, True)
    assert (request.trigger, request.quantity, request.tif.value) == (D("94.0"), D(2), "gtc")
    assert request_for(decided(seen(rules=spot())), held, spot(), "fdname").reduce_only is False


@pytest.mark.parametrize(
    "more",
    [{"closing": True}, {"unknown": True}, {"fresh": False}, {"settled": False}],
)
def test_nothing_is_placed_or_moved_beside_a_close_in_the_dark_or_on_an_old_read(more: dict[str, Any]) -> None:
    assert decided(seen(**more)) == NOTHING
    assert decided(seen(stop("80"), **more)) == NOTHING


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (seen(able=False), "the venue has no resting stops"),
        (seen(rules=instrument(reduce_only=False)), "could open a position"),
        (seen(rules=instrument(reduce_only=False, kind=Kind.FUTURE)), "could open a position"),
        (seen(held=position(side=Side.SHORT), rules=spot(kind=Kind.EQUITY), stop=D(105)), "could open a position"),
        (seen(stop=None), "no stop is known"),
        (seen(price=None), "no usable price"),
        (seen(price=D(94)), "already beyond"),
        (seen(price=D(80)), "already beyond"),
        (short(price=D("106.1")), "already beyond"),
        (seen(rules=instrument(min_quantity=D(3))), "below the venue's minimum quantity"),
        (seen(rules=instrument(min_cost=D(1000))), "below the venue's minimum cost"),
        (seen(rules=spot(), held=position(free="0")), "open orders hold all of it"),
        (seen(rules=spot(min_quantity=D(1)), held=position(free="0.5")), "0.5 are below"),
        (seen(stop=D("0.05")), "at no price"),
    ],
)
def test_why_none_rests_is_told(what: StopSituation, why: str) -> None:
    decision = decided(what)
    assert decision.do is StopAction.NOTHING
    assert why in decision.why


def test_a_minimum_that_reduce_only_orders_are_exempt_from_is_none():
    assert decided(seen(rules=instrument(min_quantity=D(3), minimum_exempt=True))).do is StopAction.PLACE


@pytest.mark.parametrize(
    ("rules", "side", "may"),
    [
        (instrument(), Side.LONG, True),
        (instrument(), Side.SHORT, True),
        (spot(), Side.LONG, True),
        (spot(kind=Kind.EQUITY), Side.LONG, True),
        (spot(kind=Kind.EQUITY), Side.SHORT, False),
        (spot(kind=Kind.OPTION), Side.LONG, False),
        (spot(kind=Kind.PERP), Side.LONG, False),
        (spot(kind=Kind.FUTURE), Side.SHORT, False),
    ],
)
def test_it_rests_only_where_it_can_open_nothing(rules: Instrument, side: Side, may: bool) -> None:
    assert (barred(position(side=side), rules, able=True) == "") is may


# ---------------------------------------------------------------------------------------------------------- moving


@pytest.mark.parametrize(
    ("trigger", "at", "moved", "do"),
    [
        ("94", "95", None, StopAction.NOTHING),
        ("93.5", "95", None, StopAction.REPLACE),  # 94 is 0.53 % better
        ("93.6", "95", None, StopAction.NOTHING),  # 0.43 %
        ("90", "95", NOW - 59, StopAction.NOTHING),
        ("90", "95", NOW - 60, StopAction.REPLACE),
        ("96", "95", None, StopAction.NOTHING),  # never back
        ("94", "80", None, StopAction.NOTHING),
        (None, "95", None, StopAction.NOTHING),  # the venue does not tell its trigger
    ],
)
def test_it_moves_by_enough_not_too_often_and_only_in_favour(
    trigger: str | None, at: str, moved: float | None, do: StopAction
) -> None:
    assert decided(seen(stop(trigger), stop=D(at), moved=moved)).do is do


def test_a_short_moves_down():
    buy = {"side": OrderSide.BUY}
    assert decided(short(stop("110", **buy))).trigger == D("106.1")
    assert decided(short(stop("103", **buy))) == NOTHING


def test_it_is_never_moved_to_the_wrong_side_of_the_price():
    assert decided(seen(stop("90"), stop=D(105))) == NOTHING
    assert decided(seen(stop("90"), price=None)) == NOTHING


@pytest.mark.parametrize("quantity", ["1", "3"])
def test_a_changed_quantity_is_replaced_where_it_was(quantity: str) -> None:
    decision = decided(seen(stop("97", quantity), stop=D(95), moved=NOW - 1))
    assert (decision.do, decision.quantity, decision.trigger) == (StopAction.REPLACE, D(2), D(97))


def test_a_quantity_that_the_venue_cut_is_not_fought_over():
    assert decided(seen(stop(quantity="1"), asked=D(2), moved=NOW - 1)) == NOTHING
    assert decided(seen(stop(quantity="1"), asked=D(2), moved=NOW - 60)).do is StopAction.REPLACE


def test_what_it_holds_itself_counts_as_free():
    whole = position(free="0")
    assert decided(seen(stop(reduce_only=False), held=whole, rules=spot())) == NOTHING
    assert decided(seen(stop(quantity="1", reduce_only=False), held=position(free="0.5"), rules=spot())).quantity == D(
        "1.5"
    )


def test_the_one_that_takes_its_place_is_no_worse():
    assert decided(seen(replaced=D(97))).trigger == D(97)
    assert decided(seen(replaced=D(90))).trigger == D("94.0")


def test_one_that_fires_is_left_alone():
    assert decided(seen(stop("90", filled=D(1)))) == NOTHING


def test_where_it_can_not_be_judged_what_rests_is_left():
    assert decided(seen(stop("90"), stop=None)) == NOTHING
    assert decided(seen(stop("90"), rules=instrument(min_quantity=D(3)))) == NOTHING


# ------------------------------------------------------------------------------------------------------ cancelling


def gone(*orders: Order, **more: Any) -> StopSituation:
    return StopSituation(None, instrument(), orders, **more)


@pytest.mark.parametrize(
    ("what", "settings", "why"),
    [
        (gone(stop()), ON, "its position is gone"),
        (seen(stop()), ProtectSettings(), "[protect] is off"),
        (seen(stop(side=OrderSide.BUY)), ON, "does not reduce"),
        (seen(stop(leg=Leg.SHORT)), ON, "does not reduce"),
        (seen(stop(), rules=instrument(reduce_only=False)), ON, "could open a position"),
    ],
)
def test_one_that_protects_nothing_goes(what: StopSituation, settings: ProtectSettings, why: str) -> None:
    decision = decided(what, settings)
    assert (decision.do, decision.orders) == (StopAction.CANCEL, what.orders)
    assert why in decision.why


def test_of_two_the_better_one_stays():
    near, far = stop("94", id_="a"), stop("90", id_="b")
    assert decided(seen(near, far)).orders == (far,)
    assert decided(seen(far, near)).orders == (far,)
    assert decided(seen(near, stop("90", id_="b", filled=D(1)))).orders == (near,)  # it is closing


def test_without_orders_there_is_nothing_to_cancel():
    assert decided(gone()) == NOTHING
    assert decided(seen(), ProtectSettings()) == NOTHING


@pytest.mark.parametrize("more", [{"closing": True}, {"unknown": True}, {"fresh": False}])
def test_a_cancel_waits_for_a_close_for_an_answer_and_for_a_read(more: dict[str, Any]) -> None:
    assert decided(gone(stop(), **more)) == NOTHING


# ------------------------------------------------------------------------------------------------------- refusals


def test_the_same_order_is_not_sent_for_ever_and_another_one_is():
    post = VenueStop(refusals=5, refused=(D(2), D(100)))
    move = D("0.005")
    assert post.stubborn(StopDecision(StopAction.PLACE, "", (), D(2), D("100.4")), move)
    assert not post.stubborn(StopDecision(StopAction.PLACE, "", (), D(2), D("100.5")), move)
    assert not post.stubborn(StopDecision(StopAction.PLACE, "", (), D(1), D(100)), move)
    assert not VenueStop(refusals=4, refused=(D(2), D(100))).stubborn(
        StopDecision(StopAction.PLACE, "", (), D(2), D(100)), move
    )
    assert not VenueStop(refusals=9).stubborn(StopDecision(StopAction.PLACE, "", (), D(2), D(100)), move)
