"""Each way in which a venue can say no, and what follows from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from core.errors import Refusal
from core.ladder.states import Acknowledged, DoAwait, DoPark, DoRead, DoRestore, DoSend, DoWait, Phase, SendUnreachable
from core.model import OrderStatus, Side, Tier
from core.portfolio.holding import MinimumRefusal, limits_of
from core.ports import OrderQuery
from core.records import MinimumRefused
from tests.support.builders import D, close_action, done, instrument, limits, order, position, spot, stop
from tests.support.climbing import Climb
from tests.support.virtual_time import DAWN


def refused(refusal: Refusal, **more: object) -> Climb:
    """A close whose first order was refused."""
    climb = Climb()
    climb.to_send()
    climb.refused(refusal, **more)
    return climb


def test_every_class_of_refusal_has_a_test_here():
    here = {
        *(REREAD + NEXT_TIER + HOPELESS),
        *(Refusal.RATE_LIMITED, Refusal.MARKET_CLOSED, Refusal.BELOW_MINIMUM, Refusal.DUPLICATE, Refusal.UNSUPPORTED),
        Refusal.BLOCKED,
    }
    assert here == set(Refusal)


REREAD = [Refusal.NO_POSITION, Refusal.REDUCE_ONLY, Refusal.HELD, Refusal.CLOCK]
NEXT_TIER = [Refusal.PRECISION, Refusal.OTHER, Refusal.UNKNOWN_ORDER]
HOPELESS = [Refusal.AUTH, Refusal.BANNED, Refusal.HALTED, Refusal.UNKNOWN_SYMBOL]


@pytest.mark.parametrize("refusal", REREAD)
def test_what_speaks_of_another_state_is_answered_by_looking_again_and_the_same_rung(refusal: Refusal):
    climb = refused(refusal)
    climb.expect(DoRead)
    climb.see(position())
    assert climb.step.tier is Tier.MARKET_IOC
    assert climb.requests[0].client_id == climb.requests[1].client_id


@pytest.mark.parametrize("refusal", REREAD)
def test_looking_again_slows_down_and_is_not_done_for_ever(refusal: Refusal):
    climb, pauses = refused(refusal), []
    while climb.ladder.index == 0:
        if isinstance(climb.do, DoWait):
            pauses.append(climb.do.seconds)
            climb.waited()
        climb.see(position())
        if climb.ladder.index == 0:
            climb.refused(refusal)
    climb.waited()
    climb.see(position())
    assert len(climb.requests) == 4 + 1
    assert pauses == sorted(pauses)
    assert climb.step.tier is Tier.MARKET_GTC


@pytest.mark.parametrize("refusal", NEXT_TIER)
def test_a_plain_no_leads_to_the_next_tier_after_another_read(refusal: Refusal):
    climb = refused(refusal)
    climb.expect(DoRead)
    climb.see(position())
    assert climb.step.tier is Tier.MARKET_GTC
    assert climb.ladder.failed


def test_a_tier_that_the_venue_does_not_take_is_remembered_and_skipped_in_later_rounds():
    climb = refused(Refusal.UNSUPPORTED)
    tiers = []
    climb.see(position())
    while isinstance(climb.do, DoSend):
        tiers.append((climb.step.round, climb.step.tier))
        climb.refused(Refusal.OTHER)
        climb.see(position())
    assert not [t for t in tiers if t[1] is Tier.MARKET_IOC]
    assert (2, Tier.MARKET_GTC) in tiers


@pytest.mark.parametrize("refusal", HOPELESS)
def test_what_no_tier_can_help_alarms_at_once_and_consumes_no_tiers(refusal: Refusal):
    climb = refused(refusal)
    assert climb.end == ("stuck", True)
    assert climb.ladder.index == 0
    assert climb.ladder.error == f"venue says {refusal.value}"


@pytest.mark.parametrize(("told", "waited"), [(7.0, 7.0), (None, 1.0)])
def test_a_rate_limit_is_honoured_and_costs_no_rung(told: float | None, waited: float):
    climb = refused(Refusal.RATE_LIMITED, retry_after=told)
    assert climb.expect(DoWait).seconds == waited
    climb.waited()
    climb.see(position())
    assert climb.step.tier is Tier.MARKET_IOC


def test_a_rate_limit_longer_than_the_ladder_ends_it():
    climb = refused(Refusal.RATE_LIMITED, retry_after=1000.0)
    climb.waited()
    climb.see(position())
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "out of time"


def test_a_closed_market_parks_it_until_the_open_and_burns_neither_attempts_nor_time():
    opens = DAWN + timedelta(hours=6)
    climb = refused(Refusal.MARKET_CLOSED, opens_at=opens)
    assert climb.expect(DoPark).until == opens
    assert climb.ladder.phase is Phase.PARKED
    climb.waited(after=6 * 3600.0)
    climb.see(position())
    assert (climb.step.round, climb.step.tier) == (1, Tier.MARKET_IOC)
    assert climb.ladder.deadline == climb.now + 120.0


def test_a_market_that_does_not_say_when_it_opens_is_asked_again():
    climb = refused(Refusal.MARKET_CLOSED)
    assert climb.expect(DoPark).until is None
    climb.waited(after=60.0)
    climb.see(position())
    assert climb.step.tier is Tier.MARKET_IOC


def test_a_single_command_does_not_wait_for_the_open_and_puts_the_stops_back():
    guard = stop()
    climb = Climb(close_action(cancels=(guard,)), bounds=limits(wait_for_open=False))
    climb.cancelled(s1="")
    climb.to_send()
    climb.refused(Refusal.MARKET_CLOSED, opens_at=DAWN + timedelta(hours=6))
    assert climb.expect(DoRestore).requests[0].trigger == guard.trigger
    assert climb.ladder.opens_at == DAWN + timedelta(hours=6)
    assert climb.ladder.outcome is not None
    assert climb.ladder.outcome.value == "waiting_open"


def test_below_the_minimum_is_refused_when_nothing_was_filled_and_a_residual_when_something_was():
    assert refused(Refusal.BELOW_MINIMUM).end == ("refused", False)
    climb = Climb()
    climb.to_send()
    climb.filled("1")
    climb.see(position("1"))
    climb.refused(Refusal.BELOW_MINIMUM)
    assert climb.end == ("closed_residual", False)


def test_below_the_minimum_is_remembered_with_what_the_venue_judged():
    climb = refused(Refusal.BELOW_MINIMUM)
    record = climb.records[-1]
    assert isinstance(record, MinimumRefused)
    small, held = record.refusal, position()
    assert (record.key, small.quantity, small.text) == (held.key, held.quantity, "venue says below_minimum")
    rules = instrument()
    assert small.holds(held.quantity, small.price, rules)
    assert not small.holds(held.quantity + 1, small.price, rules)
    assert not small.holds(held.quantity, small.price, structs.replace(rules, min_cost=D(7)))


@pytest.mark.parametrize(
    ("before", "now", "holds"),
    [("100", "100", True), ("100", "100.9", True), ("100", "102", False), ("100", "98", False), (None, "100", False)],
)
def test_a_refusal_as_too_small_holds_for_the_same_price(before: str | None, now: str, holds: bool):
    small = MinimumRefusal(D(1), D(before) if before else None, limits_of(instrument()), "too small")
    assert small.holds(D(1), D(now), instrument()) is holds


def test_an_order_in_the_way_is_waited_for_and_then_named_before_the_other_tiers_are_sent():
    climb, waits = refused(Refusal.BLOCKED), 0.0
    while isinstance(climb.do, DoWait):
        waits += climb.do.seconds
        climb.waited()
        climb.see(position())
        climb.refused(Refusal.BLOCKED)
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "venue says blocked"
    assert len(climb.requests) == 4
    assert waits == pytest.approx(climb.ladder.limits.position_lag)


def test_a_duplicate_client_id_means_that_an_earlier_send_arrived_and_is_looked_up():
    climb = refused(Refusal.DUPLICATE)
    climb.expect(OrderQuery)
    assert climb.records[-1].outcome == "unknown"
    climb.found(order("v1"))
    assert climb.expect(DoAwait).order.id == "v1"


# ------------------------------------------------------------------------------------------- tiers and their order


def test_the_raw_endpoint_is_tried_only_after_a_unified_call_failed():
    climb, tiers = Climb(), []
    climb.see(position())
    while isinstance(climb.do, DoSend):
        tiers.append(climb.step.tier)
        climb.filled("0", f"v{len(tiers)}")  # taken, and expired without a fill: nothing failed
        climb.see(position())
    assert Tier.DIRECT_API not in tiers
    assert tiers.count(Tier.MARKET_IOC) == 3


def test_an_order_that_the_venue_took_and_then_rejected_is_a_failure_too():
    climb = Climb()
    climb.to_send()
    climb.tell(Acknowledged(done("v1", "2", "0", status=OrderStatus.REJECTED, text="price band")))
    assert climb.ladder.failed
    assert climb.ladder.answers == ("market_ioc 1: price band",)


def test_fill_or_kill_and_the_limits_come_in_the_last_round_only():
    climb, tiers = Climb(), []
    climb.see(position())
    while isinstance(climb.do, DoSend):
        tiers.append((climb.step.round, climb.step.tier, climb.step.nth))
        climb.refused(Refusal.OTHER)
        climb.see(position())
    last = [(3, Tier.MARKET_FOK, 0), *((3, Tier.LIMIT_AGGRESSIVE, n) for n in range(3))]
    base = [Tier.MARKET_IOC, Tier.MARKET_GTC, Tier.VENUE_CLOSE, Tier.DIRECT_API]
    assert tiers == [(r, t, 0) for r in (1, 2, 3) for t in base] + last


@pytest.mark.parametrize(("side", "prices"), [(Side.LONG, ["99.5", "99", "98"]), (Side.SHORT, ["100.5", "101", "102"])])
def test_the_limits_go_through_the_book_by_their_offsets(side: Side, prices: list[str]):
    climb = Climb(close_action(side=side, tiers=(Tier.LIMIT_AGGRESSIVE,)))
    climb.see(position(side=side))
    while isinstance(climb.do, DoSend):
        climb.refused(Refusal.OTHER)
        climb.see(position(side=side))
    assert [r.price for r in climb.requests] == [D(p) for p in prices]


def test_a_limit_asks_for_a_fresh_touch_and_without_one_it_is_skipped_and_said():
    climb = Climb(close_action(tiers=(Tier.MARKET_FOK, Tier.LIMIT_AGGRESSIVE)))
    climb.to_send()
    climb.refused(Refusal.OTHER)
    assert climb.expect(DoRead).touch
    climb.see(position(), price=None)
    assert climb.end == ("stuck", True)
    assert climb.ladder.answers[-1].endswith("no usable price for a limit")


# ------------------------------------------------------------------------------------------ not sent, not reachable


def test_an_order_that_provably_never_left_is_tried_again_on_the_same_rung_a_little_later():
    climb = Climb()
    climb.to_send()
    climb.tell(SendUnreachable("connection refused"))
    assert climb.expect(DoWait).seconds >= 0.5
    assert climb.records[-1].outcome == "unreachable"
    climb.waited()
    climb.see(position())
    assert climb.requests[0] == climb.requests[1]


def test_a_venue_that_stays_out_of_reach_is_stuck_when_the_time_is_up():
    climb = Climb()
    climb.to_send()
    while not climb.ladder.ended:
        climb.tell(SendUnreachable("connection refused"))
        if isinstance(climb.do, DoWait):
            climb.waited()
            climb.see(position())
    assert climb.end == ("stuck", True)
    assert len(climb.requests) > 20
    assert climb.ladder.index == 0
    assert "connection refused" in " ".join(climb.ladder.answers)


def test_a_venue_that_is_out_of_reach_when_the_time_is_up_is_named():
    climb = Climb()
    climb.to_send()
    climb.tell(SendUnreachable("connection refused"), after=120.0)
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "venue not reachable: connection refused"


# ------------------------------------------------------------------------------------------------- held quantities


def test_a_quantity_that_is_held_is_waited_for_and_closed_once_it_is_free():
    climb = Climb()
    climb.see(position("2", free="0"), instrument=spot())
    climb.expect(DoWait)
    climb.waited()
    climb.see(position("2", free="2"), instrument=spot())
    assert climb.request.quantity == position("2").quantity


def test_a_quantity_that_stays_held_ends_it_without_a_blind_smaller_retry():
    climb = Climb()
    climb.see(position("2", free="0"), instrument=spot())
    while isinstance(climb.do, DoWait):
        climb.waited()
        climb.see(position("2", free="0"), instrument=spot())
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "all of it is held by orders at the venue"
    assert not climb.requests


def test_an_instrument_that_is_not_tradable_is_refused_with_an_alarm():
    climb = Climb()
    climb.see(position(), instrument=instrument(tradable=False))
    assert climb.end == ("refused", True)


def test_where_only_one_tier_is_left_to_try_a_refusal_is_not_repeated_at_once():
    climb, pauses = Climb(close_action(tiers=(Tier.VENUE_CLOSE,))), []
    climb.to_send()
    climb.refused(Refusal.OTHER)
    while isinstance(climb.do, DoWait):
        pauses.append(climb.do.seconds)
        climb.waited()
        climb.see(position())
        climb.refused(Refusal.OTHER)
    climb.see(position())
    assert climb.end == ("stuck", True)
    assert len(climb.requests) == climb.ladder.limits.attempts
    assert sum(pauses) == pytest.approx(climb.ladder.limits.position_lag * 2 / 3)
