"""The rules 6 to 10 that the ladder holds whatever the venue does, each by the tests that carry its number."""

from __future__ import annotations

import re

import pytest

from core.errors import InvariantBroken, Refusal
from core.ladder.states import Acknowledged, DoEnd, DoRead, DoRestore, DoSend, DoWait
from core.model import OrderType
from core.ports import OrderQuery
from tests.support.builders import D, close_action, done, instrument, limits, order, position, read, stop
from tests.support.climbing import Climb

OURS = re.compile(r"[a-z0-9]{1,32}")


# ---------------------------------------------------------------------------------------------- 6: every wait ends


def test_rule_6_at_its_end_it_is_stuck_with_each_tiers_answer_and_an_alarm():
    climb = Climb()
    climb.see(position())
    while isinstance(climb.do, DoSend):
        climb.refused(Refusal.OTHER)
        climb.see(position())
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "every tier was tried"
    assert [a.partition(":")[0] for a in climb.ladder.answers][:5] == [
        "market_ioc 1",
        "market_gtc 1",
        "venue_close 1",
        "direct_api 1",
        "market_ioc 2",
    ]
    assert len(climb.ladder.answers) == 16


def test_rule_6_the_whole_ladder_has_a_limit():
    climb = Climb(bounds=limits(total_timeout=30.0))
    climb.see(position(), after=30.0)
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "out of time"


def test_rule_6_a_protective_order_that_was_cancelled_is_put_back_when_it_gets_stuck():
    climb = Climb(close_action(cancels=(stop("s1", "2"),)), bounds=limits(total_timeout=10.0))
    climb.cancelled(s1="")
    climb.see(position("1.5"), after=20.0)
    (again,) = climb.expect(DoRestore).requests
    assert (again.type, again.side.value, again.trigger) == (OrderType.STOP, "sell", D(80))
    assert again.quantity == D("1.5"), "it guards what is left, not more"
    assert again.reduce_only
    assert OURS.fullmatch(again.client_id)


# ------------------------------------------------------------------------------- 7: filled and flat are two conditions


def test_rule_7_a_filled_order_is_not_yet_a_flat_position():
    climb = Climb()
    climb.to_send()
    climb.filled("2")
    climb.expect(DoRead)
    climb.see(position("2"))
    climb.expect(DoWait)  # the list lags behind the fill
    climb.waited()
    climb.see(None)
    assert climb.end == ("closed", False)
    assert len(climb.requests) == 1


def test_rule_7_a_list_that_lags_for_longer_than_it_may_is_an_alarm_and_not_a_second_order():
    climb = Climb(bounds=limits(position_lag=1.0))
    climb.to_send()
    climb.filled("2")
    climb.see(position("2"))
    while isinstance(climb.do, DoWait):
        climb.waited()
        climb.see(position("2"))
    assert climb.end == ("changed", True)
    assert len(climb.requests) == 1


def test_rule_7_a_flat_list_that_no_fill_explains_is_believed_at_the_second_read():
    climb = Climb()
    climb.see(None)
    climb.expect(DoWait)
    climb.waited()
    climb.see(None)
    assert climb.end == ("closed", False)
    assert climb.ladder.fills.quantity == 0


def test_rule_7_a_second_read_that_was_asked_before_the_first_was_received_proves_nothing():
    climb = Climb()
    climb.see(None)
    climb.waited()
    climb.tell(read(None, asked=99.0))
    climb.expect(DoWait)


# ------------------------------------------------------------------- 8: already gone: read again; flat is success


@pytest.mark.parametrize("refusal", [Refusal.NO_POSITION, Refusal.REDUCE_ONLY])
def test_rule_8_position_gone_or_reduce_only_rejected_is_read_again_and_flat_is_success(refusal: Refusal):
    climb = Climb()
    climb.to_send()
    climb.refused(refusal)
    climb.expect(DoRead)
    climb.see(None)
    climb.waited()
    climb.see(None)
    assert climb.end == ("closed", False)


@pytest.mark.parametrize("refusal", [Refusal.NO_POSITION, Refusal.REDUCE_ONLY])
def test_rule_8_a_refusal_that_the_read_contradicts_burns_the_rung_only_after_some_tries(refusal: Refusal):
    climb = Climb()
    climb.see(position())
    tiers = []
    while len(tiers) < 6 and isinstance(climb.do, DoSend):
        tiers.append(climb.step.tier.value)
        climb.refused(refusal)
        if isinstance(climb.do, DoWait):
            climb.waited()
        climb.see(position())
    assert tiers == ["market_ioc"] * 4 + ["market_gtc"] * 2


# ------------------------------------------------------------------------------------ 9: a residual below the minimum


@pytest.mark.parametrize(
    ("left", "venue", "words"),
    [
        ("0.05", {}, "below one step"),
        ("0.2", {"min_quantity": D("0.5")}, "minimum quantity"),
        ("0.2", {"min_cost": D(50)}, "minimum cost"),
    ],
)
def test_rule_9_a_residual_below_the_minimum_is_an_end_of_its_own(left: str, venue: dict[str, D], words: str):
    climb = Climb()
    climb.to_send()
    climb.filled("1.8")
    climb.see(position(left), instrument=instrument(**venue))
    assert climb.end == ("closed_residual", False)
    assert words in str(climb.ladder.error)
    assert left in str(climb.ladder.error)


def test_rule_9_where_reduce_only_orders_are_exempt_the_residual_is_sent():
    climb = Climb()
    climb.to_send()
    climb.filled("1.8")
    climb.see(position("0.2"), instrument=instrument(min_quantity=D("0.5"), minimum_exempt=True))
    assert climb.request.quantity == D("0.2")


# ----------------------------------------------------------------------- 10: what was confirmed is what is done


def test_rule_10_a_position_that_grew_is_not_closed_and_shown_again():
    climb = Climb(close_action("2"))
    climb.see(position("2.1"))
    assert climb.end == ("changed", False)
    assert "confirmed were 2" in str(climb.ladder.error)
    assert not climb.requests


def test_rule_10_an_order_that_appeared_stops_the_close():
    climb = Climb(close_action(orders_shown=("o1",)))
    climb.see(position(), order("o1"), order("o2"))
    assert climb.end == ("changed", False)
    assert "order o2 appeared" in str(climb.ladder.error)


def test_rule_10_an_order_that_was_shown_and_is_kept_is_left_alone():
    climb = Climb(close_action(orders_shown=("o1",)))
    climb.see(position(), order("o1"))
    assert climb.request.quantity == D(2)


def test_rule_10_growth_after_our_own_fill_is_not_closed_and_alarms():
    climb = Climb()
    climb.to_send()
    climb.filled("1")
    climb.see(position("2.5"))
    assert climb.end == ("changed", True)


def test_rule_10_more_filled_than_confirmed_is_a_breach():
    climb = Climb(close_action("2"))
    climb.to_send()
    with pytest.raises(InvariantBroken, match="more than what was confirmed"):
        climb.tell(Acknowledged(done("v1", "3", "3")))


def test_rule_4_a_client_id_that_the_venue_has_already_is_looked_up():
    climb = Climb()
    climb.to_send()
    climb.refused(Refusal.DUPLICATE)
    climb.expect(OrderQuery)
    climb.found(done("v1", "2", "2"))
    climb.see(None)
    assert climb.end == ("closed", False)
    climb.expect(DoEnd)
