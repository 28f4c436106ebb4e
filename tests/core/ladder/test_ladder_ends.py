"""Partial fills and splits, limits in time, and every end that a close can have."""

from __future__ import annotations

import pytest

from core.errors import Refusal
from core.ladder.results import result
from core.ladder.states import Acknowledged, DoEnd, DoSend, DoWait, Phase, ReadFailed
from core.model import Side, Tier
from core.plans.results import Outcome
from tests.support.builders import (
    ALL_TIERS,
    D,
    close_action,
    done,
    instrument,
    limits,
    order,
    position,
)
from tests.support.climbing import Climb

# ----------------------------------------------------------------------------------------------- accounting, splits


def test_a_cumulative_fill_is_counted_once_whatever_is_told_again():
    climb = Climb()
    climb.to_send()
    climb.tell(Acknowledged(order("v1")))
    climb.found(order("v1", filled="1"))
    climb.found(done("v1", "2", "1"))
    assert climb.ladder.fills.quantity == D(1)
    climb.see(position("1"), order("v1"))
    climb.expect(DoWait)
    assert climb.ladder.fills.quantity == D(1)


def test_an_order_that_is_found_once_more_is_not_counted_once_more():
    climb = Climb()
    climb.to_send()
    climb.filled("1", "v1")
    climb.see(position("1"))
    climb.refused(Refusal.DUPLICATE)
    climb.found(done("v1", "2", "0.5"))
    assert climb.ladder.fills.quantity == D(1), "what was filled never falls"
    climb.see(position("1"))
    climb.refused(Refusal.DUPLICATE)
    climb.found(done("v1", "2", "1"))
    assert climb.ladder.fills.quantity == D(1)
    climb.see(position("1"))
    assert climb.request.quantity == D(1)


def test_the_average_price_weighs_every_fill_and_is_unknown_once_one_is():
    climb = Climb()
    climb.to_send()
    climb.filled("0.5", "v1", price="90")
    climb.see(position("1.5"))
    climb.filled("1.5", "v2", price="110")
    climb.see(None)
    assert climb.ladder.fills.average_price == D(105)
    climb = Climb()
    climb.to_send()
    climb.filled("2", price=None)
    assert climb.ladder.fills.average_price is None
    assert Climb().ladder.fills.average_price is None


def test_a_close_larger_than_one_market_order_may_be_is_split_on_one_rung():
    venue = instrument(max_market=D("0.8"))
    climb = Climb()
    held = ["2", "1.2", "0.4"]
    for number, left in enumerate(held):
        climb.see(position(left), instrument=venue)
        assert climb.step.tier is Tier.MARKET_IOC
        climb.filled(str(min(D(left), D("0.8"))), f"v{number}")
    climb.see(None)
    assert climb.end == ("closed", False)
    assert [r.quantity for r in climb.requests] == [D("0.8"), D("0.8"), D("0.4")]
    assert len({r.client_id for r in climb.requests}) == 3


# --------------------------------------------------------------------------------------------------- reads and ends


def test_a_read_that_fails_is_tried_again_and_nothing_is_sent_meanwhile():
    climb = Climb()
    climb.tell(ReadFailed("no answer"))
    assert climb.expect(DoWait).seconds == 0.5
    climb.waited()
    climb.see(position())
    climb.expect(DoSend)


def test_an_account_that_stays_unreadable_is_stuck_when_time_is_up():
    climb = Climb()
    climb.tell(ReadFailed("no answer"), after=120.0)
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "position could not be read: no answer"


def test_credentials_that_expired_end_it_at_the_first_read():
    climb = Climb()
    climb.tell(ReadFailed("credentials expired", final=True))
    assert climb.end == ("stuck", True)


def test_what_is_left_when_time_is_up_after_a_partial_fill_is_partial():
    climb = Climb()
    climb.to_send()
    climb.filled("1")
    climb.see(position("1"), after=120.0)
    assert climb.end == ("partial", True)
    assert result(climb.action, climb.ladder).residual == D(1)


def test_the_residual_is_0_when_closed_and_unknown_when_never_read():
    climb = Climb()
    assert result(climb.action, climb.ladder).residual is None
    climb.see(None)
    climb.waited()
    climb.see(None)
    assert result(climb.action, climb.ladder).residual == 0


def test_a_position_that_comes_back_between_two_reads_is_not_flat():
    climb = Climb()
    climb.see(None)
    climb.waited()
    climb.see(position())
    climb.expect(DoSend)
    assert climb.ladder.flat_asked is None


def test_a_position_that_others_reduced_is_closed_at_its_new_size():
    climb = Climb()
    climb.see(position("1.4"))
    climb.filled("1.4")
    climb.see(None)
    assert not climb.ladder.ended  # our fills do not explain all of it, and one list can be cut
    climb.waited()
    climb.see(None)
    assert climb.end == ("closed", False)


def test_a_position_that_others_reduced_to_less_than_a_step_is_a_residual():
    climb = Climb()
    climb.see(position("0.05"))
    assert climb.end == ("closed_residual", False)


def test_a_position_that_was_always_too_small_is_refused():
    climb = Climb(close_action("0.05"))
    climb.see(position("0.05"))
    assert climb.end == ("refused", False)


def test_a_close_without_tiers_says_that_it_was_interrupted_too_long_ago():
    climb = Climb(steps=())
    climb.see(position())
    assert climb.end == ("changed", False)
    assert "interrupted too long ago" in str(climb.ladder.error)


def test_all_answers_are_kept_up_to_a_bound():
    climb = Climb(close_action(tiers=ALL_TIERS), bounds=limits(attempts=30, total_timeout=1e6))
    climb.see(position())
    while isinstance(climb.do, DoSend):
        climb.refused(Refusal.OTHER)
        climb.see(position())
    assert len(climb.ladder.answers) == 40


@pytest.mark.parametrize("outcome", Outcome)
def test_only_what_left_nothing_to_do_counts_as_settled(outcome: Outcome):
    assert outcome.settled == (outcome.value in {"closed", "closed_residual", "cancelled", "skipped"})


def test_an_end_asks_for_nothing_more():
    climb = Climb()
    climb.see(position(side=Side.SHORT))
    assert climb.expect(DoEnd) == DoEnd()
    assert climb.ladder.phase is Phase.ENDED
    assert climb.ladder.step is not None
