"""The rules 1 to 5 that the ladder holds whatever the venue does, each by the tests that carry its number."""

from __future__ import annotations

import re

import pytest

from core.errors import Refusal
from core.ids import epoch_of
from core.ladder.states import (
    Acknowledged,
    DoAwait,
    DoRead,
    DoSend,
    DoWait,
    DoWithdraw,
    LookFailed,
    NotJournaled,
    SendUnknown,
)
from core.ladder.tiers import client_id
from core.model import OrderStatus, Side
from core.ports import OrderQuery
from tests.support.builders import D, close_action, done, instrument, limits, order, position, spot
from tests.support.climbing import Climb

OURS = re.compile(r"[a-z0-9]{1,32}")


# ------------------------------------------------------------------------------------- 1: never two closing orders


def test_rule_1_nothing_is_sent_while_an_order_of_ours_is_live():
    climb = Climb()
    climb.to_send()
    climb.tell(Acknowledged(order("v1", client_id=climb.request.client_id)))
    for _ in range(20):
        climb.found(order("v1"), after=0.2)
        assert not isinstance(climb.do, DoSend)
    assert len(climb.requests) == 1


def test_rule_1_an_order_of_ours_that_a_read_shows_is_settled_and_not_joined_by_another():
    climb = Climb()
    sent = climb.to_send()
    climb.refused(Refusal.NO_POSITION)
    climb.see(position(), order("v9", client_id=sent.client_id))
    assert climb.expect(DoAwait).order.id == "v9"


def test_rule_1_a_list_that_still_shows_our_ended_order_is_waited_for():
    climb = Climb()
    sent = climb.to_send()
    climb.filled("1", "v1")
    climb.see(position("1"), order("v1", client_id=sent.client_id))
    climb.expect(DoWait)
    climb.waited()
    climb.see(position("1"), order("v1", client_id=sent.client_id), after=2.0)
    assert climb.step.tier.value == "market_gtc"


def test_rule_1_a_withdrawn_order_is_followed_only_once_its_end_is_known():
    climb = Climb()
    climb.to_send()
    climb.tell(Acknowledged(order("v1")))
    climb.found(order("v1"), after=5.0)
    assert climb.expect(DoWithdraw).order.id == "v1"
    climb.found(order("v1"), after=0.2)
    climb.expect(DoWithdraw)
    climb.found(done("v1", "2", "0", status=OrderStatus.CANCELLED), after=0.2)
    climb.expect(DoRead)
    climb.see(position())
    assert climb.step.tier.value == "market_gtc"


# -------------------------------------------------------------------------- 2: the broker's size; never open or flip


@pytest.mark.parametrize(("held", "sent"), [("2", "2"), ("1.5", "1.5"), ("1.57", "1.5"), ("0.1", "0.1")])
def test_rule_2_the_size_is_what_the_broker_reports_now_rounded_down(held: str, sent: str):
    climb = Climb()
    climb.see(position(held))
    assert climb.request.quantity == D(sent)


def test_rule_2_reduce_only_wherever_the_venue_has_it():
    with_flag, without = Climb(), Climb()
    with_flag.see(position(), instrument=instrument(reduce_only=True))
    without.see(position(), instrument=spot())
    assert with_flag.request.reduce_only
    assert not without.request.reduce_only


def test_rule_2_without_reduce_only_no_more_than_what_is_free_is_sent():
    climb = Climb(bounds=limits(tier_timeout=1.0))
    climb.see(position("2", free="0.5"), instrument=spot())
    while isinstance(climb.do, DoWait):
        climb.waited()
        climb.see(position("2", free="0.5"), instrument=spot())
    assert climb.request.quantity == D("0.5")


@pytest.mark.parametrize(("side", "closing"), [(Side.LONG, "sell"), (Side.SHORT, "buy")])
def test_rule_2_a_close_is_on_the_closing_side(side: Side, closing: str):
    climb = Climb(close_action(side=side))
    climb.see(position(side=side))
    assert climb.request.side.value == closing


@pytest.mark.parametrize("side", Side)
def test_rule_2_a_flip_seen_from_outside_stops_it_with_an_alarm(side: Side):
    other = Side.SHORT if side is Side.LONG else Side.LONG
    climb = Climb(close_action(side=side))
    climb.see(position(side=other))
    assert climb.end == ("stuck", True)
    assert f"flipped to {other.value}" in str(climb.ladder.error)
    assert not climb.requests


def test_rule_2_a_flip_between_two_tiers_stops_it_too():
    climb = Climb()
    climb.to_send()
    climb.filled("1")
    climb.see(position("1", Side.SHORT))
    assert climb.end == ("stuck", True)
    assert len(climb.requests) == 1


# --------------------------------------------------------------- 3: intent first; ids are a pure function


def test_rule_3_an_intent_that_is_not_durable_sends_nothing_and_ends_it():
    climb = Climb()
    climb.to_send()
    climb.tell(NotJournaled("disk full"))
    assert climb.end == ("stuck", True)
    assert "nothing was sent: disk full" in str(climb.ladder.error)


def test_rule_3_the_client_id_depends_on_plan_position_round_and_tier_and_on_nothing_else():
    first, second = Climb(), Climb(now=5000.0)
    first.see(position("2"))
    second.see(position("1", entry=D(55)))
    assert first.request.client_id == second.request.client_id


def test_rule_3_every_order_of_a_close_has_a_client_id_of_its_own_that_any_venue_takes():
    climb = Climb()
    climb.see(position())
    while isinstance(climb.do, DoSend):
        climb.refused(Refusal.OTHER)
        climb.see(position())
    names = [r.client_id for r in climb.requests]
    assert len(names) == len(set(names)) == 3 * 4 + 1 + 3
    assert all(OURS.fullmatch(name) and name.startswith("fdabcd") for name in names)


@pytest.mark.parametrize(
    "other",
    [
        {"epoch": "zzzz"},
        {"plan": "p2"},
        {"position": position(symbol="ETH")},
        {"position": position(account="bob/x")},
        {"part": 1},
    ],
)
def test_rule_3_another_epoch_plan_position_or_part_has_another_client_id(other: dict[str, object]):
    climb = Climb()
    climb.see(position())
    given = {"epoch": "abcd", "plan": "p1", "position": position(), "step": climb.step, "part": 0}
    assert client_id(**given) == climb.request.client_id  # type: ignore[arg-type]
    assert client_id(**{**given, **other}) != climb.request.client_id  # type: ignore[arg-type]


def test_rule_3_a_venue_that_takes_shorter_ids_gets_the_first_characters_and_they_are_still_ours():
    climb = Climb(bounds=limits(client_id_length=18))
    climb.see(position())
    whole = client_id("abcd", "p1", position(), climb.step, 0)
    assert climb.request.client_id == whole[:18]
    assert epoch_of(climb.request.client_id) == "abcd"


# ------------------------------------------------------------------------------ 4: unknown is looked up, never resent


def test_rule_4_an_unknown_outcome_is_looked_up_and_never_sent_again():
    climb = Climb()
    climb.to_send()
    climb.tell(SendUnknown("time-out"))
    assert climb.expect(OrderQuery).request.client_id == climb.requests[0].client_id
    for _ in range(8):
        climb.found(None, after=0.1)
        climb.expect(OrderQuery)
    assert len(climb.requests) == 1


def test_rule_4_that_asking_failed_says_nothing_about_the_order():
    climb = Climb()
    climb.to_send()
    climb.tell(SendUnknown("time-out"))
    for _ in range(10):
        climb.tell(LookFailed("no answer"), after=5.0)
        climb.expect(OrderQuery)
    assert climb.ladder.under_way.misses == 0


def test_rule_4_only_past_the_requests_own_expiry_and_twice_is_not_found_believed():
    climb = Climb(bounds=limits(request_expiry=2.0, position_lag=1.0))
    climb.to_send()
    climb.tell(SendUnknown("time-out"))
    climb.found(None, after=3.9)  # its expiry, the lists' lag, and the second in which it may have left
    assert climb.ladder.under_way.misses == 0
    climb.found(None, after=0.2)
    assert climb.ladder.under_way.misses == 1
    climb.expect(OrderQuery)
    climb.found(None, after=0.2)
    climb.expect(DoRead)
    assert climb.records[-1].outcome == "not_found"
    climb.see(position())
    assert climb.step.tier.value == "market_gtc"


# ------------------------------------------------------------------------------------------- 5: partial fills go on


def test_rule_5_the_residual_of_a_partial_fill_goes_on_with_the_next_tier():
    climb = Climb()
    climb.to_send()
    climb.filled("0.5")
    climb.see(position("1.5"))
    assert (climb.step.tier.value, climb.request.quantity) == ("market_gtc", D("1.5"))
    climb.filled("1.5", "v2")
    climb.see(None)
    assert climb.end == ("closed", False)
    assert (climb.ladder.fills.quantity, climb.ladder.fills.tier) == (D(2), climb.ladder.steps[1].tier)


def test_what_was_read_before_the_machine_slept_is_read_again_before_anything_is_sent():
    climb = Climb()
    climb.see(position(), received=climb.now - 6.8)
    climb.expect(DoWait)
    climb.waited()
    climb.see(position())
    climb.expect(DoSend)
