"""Unknown outcomes are looked up until they are known; live orders are settled or withdrawn."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.errors import Refusal
from core.ladder.states import Acknowledged, DoAwait, DoRead, DoWithdraw, LookFailed, SendUnknown, Transition
from core.model import OrderStatus, Tier
from core.ports import OrderQuery, OrderRead
from tests.support.builders import (
    D,
    close_action,
    done,
    limits,
    order,
    position,
)
from tests.support.climbing import Climb

# ------------------------------------------------------------------------------------------------- unknown outcomes


def lost(**bounds: object) -> Climb:
    climb = Climb(bounds=limits(**bounds))
    climb.to_send()
    climb.tell(SendUnknown("time-out"))
    return climb


def test_a_lost_order_that_is_found_live_is_settled():
    climb = lost()
    climb.found(order("v1"))
    assert climb.expect(DoAwait).order.id == "v1"
    climb.found(done("v1", "2", "2"))
    climb.see(None)
    assert climb.end == ("closed", False)


def test_a_lost_order_that_is_found_filled_counts_and_is_not_repeated():
    climb = lost()
    climb.found(done("v1", "2", "2"))
    climb.see(None)
    assert climb.end == ("closed", False)
    assert (climb.ladder.fills.quantity, len(climb.requests)) == (D(2), 1)


def test_a_venue_that_does_not_promise_expiry_is_asked_until_the_end_and_never_sent_to_again():
    climb = lost(request_expiry=None)
    for _ in range(59):
        climb.found(None, after=2.0)
        climb.expect(OrderQuery)
    climb.found(None, after=3.0)
    assert climb.end == ("stuck", True)
    assert "nothing more is sent, look at the venue" in str(climb.ladder.error)
    assert climb.requests[0].client_id in str(climb.ladder.error)
    assert len(climb.requests) == 1


@pytest.mark.parametrize("unattributed", [None, "0.5"])
def test_fills_that_nobody_can_attribute_keep_not_found_from_being_believed(unattributed: str | None):
    climb = lost()
    amount = None if unattributed is None else D(unattributed)
    for _ in range(5):
        climb.found(None, after=10.0, unattributed=amount)
        climb.expect(OrderQuery)
    climb.found(None, after=100.0, unattributed=amount)
    assert climb.end == ("stuck", True)


def test_a_found_order_in_a_state_that_nobody_can_read_is_asked_for_again():
    climb = lost()
    strange = order("v1", status=OrderStatus.UNKNOWN)
    for _ in range(3):
        climb.found(strange, after=5.0)
        climb.expect(OrderQuery)
    climb.found(strange, after=200.0)
    assert climb.end == ("stuck", True)


def test_a_look_up_that_can_never_be_answered_ends_it_once_the_order_can_arrive_no_more():
    climb = lost()
    climb.tell(LookFailed("credentials expired", final=True))
    assert not climb.ladder.ended
    climb.tell(LookFailed("credentials expired", final=True), after=4.1)
    assert climb.end == ("stuck", True)
    assert not climb.ladder.freeze


def test_an_unknown_order_that_may_arrive_at_any_time_freezes_its_account():
    climb = lost(request_expiry=None)
    climb.tell(LookFailed("credentials expired", final=True))
    assert climb.end == ("stuck", True)
    assert climb.ladder.freeze


def test_a_look_up_that_fails_until_time_is_up_ends_it():
    climb = lost()
    while not climb.ladder.ended:
        climb.tell(LookFailed("no answer"), after=5.0)
    assert climb.end == ("stuck", True)
    assert climb.now <= 100 + 120 + 5


def test_a_not_found_breaks_no_streak_of_failed_questions_into_a_proof():
    climb = lost()
    climb.found(None, after=4.0)
    climb.tell(LookFailed("no answer"))
    assert climb.ladder.under_way.misses == 1
    climb.found(None, after=1.0)
    climb.expect(DoRead)


@pytest.mark.parametrize("broken", [order(""), order("v1", status=OrderStatus.UNKNOWN)])
def test_an_answer_without_a_readable_order_is_no_answer(broken):
    climb = Climb()
    climb.to_send()
    climb.tell(Acknowledged(broken))
    climb.expect(OrderQuery)


def test_a_venues_own_close_call_is_looked_up_as_nameless():
    climb = Climb(close_action(tiers=(Tier.VENUE_CLOSE,)))
    climb.to_send()
    climb.tell(SendUnknown("time-out"))
    assert climb.expect(OrderQuery).nameless


# ----------------------------------------------------------------------- an order that was refused, and rests after all


def resting_after_all() -> Climb:
    """The venue refused our first order, and its list shows the order."""
    climb = Climb()
    request = climb.to_send()
    climb.refused(Refusal.OTHER)
    climb.see(position("2"), order("v1", client_id=request.client_id))
    return climb


def test_an_order_of_ours_that_rests_after_its_refusal_is_settled():
    climb = resting_after_all()
    assert climb.expect(DoAwait).order.id == "v1"
    climb.found(done("v1", "2", "2"))
    climb.see(None)
    assert climb.end == ("closed", False)
    assert len(climb.requests) == 1


def test_such_an_order_that_a_query_denies_is_asked_for_again_and_withdrawn():
    climb = resting_after_all()
    climb.found(None)
    assert climb.expect(DoAwait).order.id == "v1"
    climb.found(None, after=climb.ladder.limits.tier_timeout)
    assert climb.expect(DoWithdraw).order.id == "v1"


def test_such_an_order_has_the_whole_time_for_its_cancel_whatever_was_withdrawn_before():
    climb = settling()
    climb.found(order("v1"), after=climb.ladder.limits.tier_timeout)
    climb.found(done("v1", "2", "0", status=OrderStatus.CANCELLED))
    climb.see(position("2"), order("v0", client_id=climb.requests[0].client_id), after=100.0)
    assert climb.expect(DoAwait).order.id == "v0"
    climb.found(order("v0"), after=climb.ladder.limits.tier_timeout)
    climb.found(order("v0"), after=1.0)
    assert climb.expect(DoWithdraw).order.id == "v0"


# --------------------------------------------------------------------------------------------- settling, withdrawing


def settling(**more: object) -> Climb:
    climb = Climb(bounds=limits(**more))
    climb.to_send()
    climb.tell(Acknowledged(order("v1")))
    return climb


def test_an_order_that_is_not_done_in_its_tiers_time_is_withdrawn():
    climb = settling(tier_timeout=5.0)
    climb.found(order("v1"), after=4.9)
    climb.expect(DoAwait)
    climb.found(order("v1"), after=0.1)
    climb.expect(DoWithdraw)


def test_the_end_of_the_whole_ladder_withdraws_it_too():
    climb = settling(tier_timeout=50.0, total_timeout=10.0)
    climb.found(order("v1"), after=10.0)
    climb.expect(DoWithdraw)


def test_a_question_about_a_live_order_that_fails_keeps_it_settling_until_its_time_is_up():
    climb = settling()
    climb.tell(LookFailed("no answer"), after=1.0)
    climb.expect(DoAwait)
    climb.tell(LookFailed("no answer"), after=5.0)
    climb.expect(DoWithdraw)


def test_an_order_that_was_taken_and_is_now_denied_is_looked_up():
    climb = settling()
    climb.found(None)
    climb.expect(OrderQuery)
    climb.found(None, after=20.0)
    climb.found(None, after=1.0)
    climb.expect(DoRead)
    climb.see(position())
    assert climb.step.tier is Tier.MARKET_GTC


def test_a_miss_before_the_order_was_found_is_no_half_of_a_proof_that_it_never_was():
    climb = lost()
    climb.found(None, after=10.0)
    climb.found(order("v1", client_id=climb.requests[0].client_id))
    climb.found(None)
    climb.found(None)
    climb.expect(OrderQuery)
    climb.found(None)
    climb.expect(DoRead)


def test_a_question_from_before_the_expiry_that_is_answered_after_it_is_no_proof():
    climb = lost()
    asked, climb.now = climb.now, climb.now + 10.0
    for _ in range(3):
        climb.tell(OrderRead(None, asked))
        climb.expect(OrderQuery)
    assert climb.ladder.under_way.misses == 0


def test_a_withdrawn_order_that_a_query_lacks_has_not_ended():
    climb = settling()
    climb.found(order("v1"), after=climb.ladder.limits.tier_timeout)
    climb.expect(DoWithdraw)
    climb.found(None)
    assert climb.expect(DoWithdraw).order.id == "v1"


def test_a_look_up_knows_our_earlier_orders_of_this_and_of_other_closes():
    climb = Climb()
    climb.take(Transition(structs.replace(climb.ladder, others=frozenset({"w1"})), climb.do))
    climb.to_send()
    climb.filled("0.5")
    climb.see(position("1.5"))
    climb.tell(SendUnknown("time-out"))
    assert climb.expect(OrderQuery).known == {"v1", "w1"}


def test_a_fill_that_races_the_cancel_still_counts():
    climb = settling()
    climb.found(order("v1"), after=5.0)
    climb.found(done("v1", "2", "2"), after=0.1)
    climb.see(None)
    assert climb.end == ("closed", False)
    assert climb.ladder.fills.quantity == D(2)


def test_a_cancel_that_is_never_confirmed_ends_it_because_the_order_may_be_live():
    climb = settling(tier_timeout=5.0, position_lag=1.0)
    climb.found(order("v1"), after=5.0)
    while isinstance(climb.do, DoWithdraw):
        climb.found(order("v1"), after=1.0)
    assert climb.end == ("stuck", True)
    assert "may still be live" in str(climb.ladder.error)
    assert climb.now == 100 + 5 + 10


def test_while_withdrawing_no_credentials_end_it_at_once():
    climb = settling()
    climb.found(order("v1"), after=5.0)
    climb.tell(LookFailed("credentials expired", final=True))
    assert climb.end == ("stuck", True)


def test_a_venue_that_answers_nobody_for_a_minute_does_not_use_up_the_time_to_confirm_a_cancel():
    climb = settling(tier_timeout=5.0, position_lag=1.0)
    climb.found(order("v1"), after=5.0)
    climb.tell(LookFailed("rate limited", retry_after=60.0))
    assert climb.expect(DoWithdraw).seconds == 60.0
    climb.found(order("v1"), after=60.0)
    climb.expect(DoWithdraw)
    climb.found(done("v1", "2", "0", status=OrderStatus.CANCELLED), after=1.0)
    climb.expect(DoRead)


def test_a_black_out_beyond_the_ladders_own_time_is_not_waited_for():
    climb = settling(tier_timeout=5.0, position_lag=1.0, total_timeout=30.0)
    climb.found(order("v1"), after=5.0)
    climb.tell(LookFailed("rate limited", retry_after=60.0), after=11.0)
    assert climb.end == ("stuck", True)


def test_a_look_up_that_is_rate_limited_is_asked_again_when_the_venue_says():
    climb = Climb()
    climb.to_send()
    climb.tell(SendUnknown("no answer in time"))
    climb.tell(LookFailed("rate limited", retry_after=7.0))
    assert climb.expect(OrderQuery).seconds == 7.0
