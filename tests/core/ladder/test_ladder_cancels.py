"""Orders that go before a close, cancels by themselves, and the protective orders that are put back."""

from __future__ import annotations

from msgspec import structs

from core.errors import Refusal
from core.ids import client_order_id
from core.ladder.states import (
    CancelsAsked,
    DoCancel,
    DoRead,
    DoRestore,
    DoSend,
    DoWait,
    Restored,
    SendUnknown,
)
from core.model import Kind, OrderSide, OrderStatus, Side
from tests.support.builders import (
    KEY,
    D,
    cancel_action,
    close_action,
    instrument,
    limits,
    order,
    position,
    read,
    spot,
    stop,
)
from tests.support.climbing import Climb

# ---------------------------------------------------------------------------------------------------------- cancels


def test_an_order_is_gone_when_a_read_no_longer_has_it_whatever_the_cancel_was_answered():
    climb = Climb(close_action(cancels=(stop(),)))
    climb.cancelled(s1="no answer in time")
    climb.see(position())
    climb.expect(DoSend)
    assert "cancel of s1: no answer in time" in climb.ladder.answers[0]


def test_nothing_is_sent_while_an_order_that_is_to_go_is_still_there():
    climb = Climb(close_action(cancels=(stop(),)))
    climb.cancelled(s1="")
    for _ in range(5):
        climb.see(position(), stop())
        climb.expect(DoWait)
        climb.waited()
    climb.see(position())
    climb.expect(DoSend)


def test_a_cancel_is_asked_for_again_after_a_while_and_not_for_ever():
    climb = Climb(close_action(cancels=(stop(),)), bounds=limits(attempts=3))
    asked = 1
    climb.cancelled(s1="")
    while not climb.ladder.ended:
        climb.see(position(), stop())
        if isinstance(climb.do, DoCancel):
            asked += 1
            climb.cancelled(s1="busy")
        elif isinstance(climb.do, DoWait):
            climb.waited()
    assert asked == 3
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "order s1 could not be cancelled"


def test_a_cancel_that_takes_longer_than_the_whole_ladder_ends_it():
    climb = Climb(close_action(cancels=(stop(),)), bounds=limits(total_timeout=3.0))
    climb.cancelled(s1="")
    climb.see(position(), stop(), after=4.0)
    assert climb.end == ("stuck", True)
    assert climb.ladder.error == "order s1 could not be cancelled in time"


def test_a_cancel_alone_ends_when_its_order_is_gone():
    climb = Climb(cancel_action(order("o7")))
    assert climb.expect(DoCancel).orders == (order("o7"),)
    climb.cancelled(o7="")
    climb.see(position(), order("other"))
    assert climb.end == ("cancelled", False)


def test_a_cancel_alone_that_does_not_succeed_is_stuck():
    climb = Climb(cancel_action(order("o7")), bounds=limits(attempts=1))
    climb.cancelled(o7="busy")
    climb.see(position(), order("o7"), after=5.0)
    assert climb.end == ("stuck", True)


# ------------------------------------------------------------------------------------- a protective order of our own


OURS = client_order_id("abcd", "protect", KEY, 0, "protect", 0)


def test_our_own_protective_order_that_came_to_rest_meanwhile_is_taken_along():
    climb = Climb(close_action())
    late = stop("s9", client_id=OURS)
    climb.see(position(), late)
    assert climb.expect(DoCancel).orders == (late,)
    climb.cancelled(s9="")
    climb.see(position(), late)
    climb.expect(DoWait)
    climb.waited()
    climb.see(position())
    climb.expect(DoSend)


def test_it_is_taken_along_beside_those_that_were_to_go():
    climb = Climb(close_action(cancels=(stop("s1"),)))
    climb.cancelled(s1="")
    climb.see(position(), stop("s1"), stop("s9", client_id=OURS))
    assert [o.id for o in climb.expect(DoCancel).orders] == ["s1", "s9"]


def test_it_is_put_back_when_the_close_is_stuck_and_what_it_filled_counts():
    climb = Climb(close_action(cancels=(order("o1"),)), bounds=limits(total_timeout=4.0))
    late = stop("s9", client_id=OURS)
    climb.cancelled(o1="")
    climb.see(position(), order("o1"), late)
    climb.cancelled(s9="", o1="")
    climb.see(position(), order("o1"), after=4.0)
    restore = climb.expect(DoRestore)
    assert restore.orders == (late,)
    assert restore.requests[0].trigger == late.trigger


def test_it_is_taken_along_only_where_it_closes_and_alone():
    for foreign in (stop("s9"), order("o9", client_id=OURS), stop("s9", client_id=OURS, side=OrderSide.BUY)):
        climb = Climb(close_action())
        climb.see(position(), foreign)
        assert climb.end[0] == "changed"
    climb = Climb(close_action())
    climb.see(position(), stop("s9", client_id=OURS), order("o9"))
    assert climb.end[0] == "changed"


# ----------------------------------------------------------------------------------------- protective orders put back


def stuck_with(*gone: str) -> Climb:
    """Two stops and a limit were to be cancelled; those named are gone, and time is up."""
    orders = (stop("s1"), stop("s2"), order("o1"))
    climb = Climb(close_action(cancels=orders), bounds=limits(total_timeout=4.0))
    climb.cancelled(s1="", s2="", o1="")
    climb.see(position(), *(o for o in orders if o.id not in gone), after=4.0)
    return climb


def test_only_stops_that_really_went_are_put_back():
    (again,) = stuck_with("s1", "o1").expect(DoRestore).requests
    assert again.trigger == D(80)
    assert stuck_with("o1").end == ("stuck", True)


def test_each_stop_that_is_put_back_has_an_id_of_its_own_that_counts_as_ours():
    requests = stuck_with("s1", "s2", "o1").expect(DoRestore).requests
    assert len({r.client_id for r in requests}) == 2


def test_after_they_are_back_it_has_ended_and_says_what_could_not_be_put_back():
    climb = stuck_with("s1", "o1")
    climb.tell(Restored(("no answer",)))
    assert climb.end == ("stuck", True)
    assert "a protective order could not be put back: no answer" in str(climb.ladder.error)
    climb = stuck_with("s1", "o1")
    climb.tell(Restored(("",)))
    assert "put back" not in str(climb.ladder.error)


def test_nothing_is_put_back_when_it_closed():
    climb = Climb(close_action(cancels=(stop(),)))
    climb.cancelled(s1="")
    climb.to_send()
    climb.filled("2")
    climb.see(None)
    assert climb.end == ("closed", False)


def test_nothing_is_put_back_while_an_order_of_ours_may_be_live():
    climb = Climb(close_action(cancels=(stop(),)), bounds=limits(request_expiry=None))
    climb.cancelled(s1="")
    climb.to_send()
    climb.tell(SendUnknown("lost"))
    climb.found(None, after=500.0)
    assert climb.end == ("stuck", True)


def test_nothing_is_put_back_on_a_position_that_others_turned_around():
    climb = Climb(close_action(cancels=(stop(),)))
    climb.cancelled(s1="")
    climb.see(position(side=Side.SHORT))
    assert climb.end == ("stuck", True)


def test_a_stop_of_an_account_without_reduce_only_is_put_back_for_what_is_free():
    guard = structs.replace(stop(), reduce_only=False)
    climb = Climb(close_action(cancels=(guard,)))
    climb.cancelled(s1="")
    climb.see(position("2", free="0.5"), instrument=spot(), ended=(guard,))
    while not isinstance(climb.do, DoRestore):
        climb.waited(50.0)
        climb.see(position("2", free="0.5"), instrument=spot())
        if not isinstance(climb.do, DoWait | DoRestore):
            climb.refused(Refusal.HALTED)
    assert climb.expect(DoRestore).requests[0].quantity == D("0.5")


def test_a_stop_that_had_filled_in_part_is_put_back_for_what_it_had_left():
    guard = stop("s1", "2", filled="0.5", status=OrderStatus.OPEN)
    climb = Climb(close_action(cancels=(guard,)))
    climb.cancelled(s1="")
    climb.see(position("2"), ended=(guard,))
    climb.refused(Refusal.HALTED)
    assert climb.expect(DoRestore).requests[0].quantity == D("1.5")


# ------------------------------------------------------------------------------- lists against what is asked directly


def test_a_read_that_left_long_before_the_last_cancel_was_answered_is_read_again():
    early = Climb(close_action(cancels=(stop(),)))
    asked = early.now
    early.now += 1.5
    early.tell(CancelsAsked({"s1": ""}, read(position(), asked=asked)))
    early.expect(DoRead)
    assert not early.requests


def test_an_order_that_the_venue_says_is_live_is_waited_for_although_two_lists_lack_it():
    climb = Climb(close_action(cancels=(stop(),)))
    climb.cancelled(s1="")
    for _ in range(3):
        climb.see(position(), alive=(stop(),), unsure=frozenset({"s1"}))
        climb.expect(DoWait)
        climb.waited()
    climb.see(position(), ended=(stop(status=OrderStatus.CANCELLED),))
    climb.expect(DoSend)


def test_what_an_order_filled_while_it_was_being_cancelled_is_no_longer_expected_though_a_list_still_shows_it():
    resting = order("s1", "2", side=OrderSide.SELL)
    climb = Climb(close_action(cancels=(resting,)), bounds=limits(position_lag=1.0))
    climb.cancelled(s1="")
    climb.see(position("1.1"), order("s1", "2", "0.9", side=OrderSide.SELL))
    climb.waited()
    climb.see(position("2"), ended=(order("s1", "2", "0.9", side=OrderSide.SELL, status=OrderStatus.CANCELLED),))
    climb.expect(DoWait)  # the positions are behind: two would sell what is not there
    climb.waited()
    climb.see(position("1.1"))
    assert climb.request.quantity == D("1.1")


def test_where_an_order_could_open_a_position_one_that_only_two_lists_lack_is_waited_for_as_long_as_they_may_lag():
    open_ended = instrument(kind=Kind.EQUITY, reduce_only=False)
    climb = Climb(close_action(cancels=(stop(),)), bounds=limits(position_lag=5.0))
    climb.cancelled(s1="")
    begun = climb.now
    while not isinstance(climb.do, DoSend):
        climb.see(position(), unsure=frozenset({"s1"}), instrument=open_ended)
        if isinstance(climb.do, DoWait):
            climb.waited()
    assert climb.now - begun > 5.0
