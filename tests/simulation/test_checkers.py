"""Each checker reports a planted breach of its invariant, and none reports a close that went well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.model import OrderSide, OrderType
from core.records import AccountFrozen, PlanEnded
from tests.simulation import planted, planted_stops
from tests.simulation.checkers import CHECKERS, judge
from tests.simulation.history import Answered, Began, Called, Filled, Killed, Left, Quiet, Said
from tests.simulation.planted import KEY, ONE, TWO, D, Story, action, closed, order, request, stop
from tests.simulation.planted_exits import (
    approved_and_never_armed,
    beyond_its_stop,
    fired,
    kept,
    left_above_its_stop,
    left_below_its_target,
    left_on_a_bad_price,
    left_on_a_spike,
    left_on_a_stale_price,
    left_while_disarmed,
    level_lost_by_a_restart,
    level_that_loosened,
    quoted,
    two_plans_at_once,
    waiting_beyond_its_stop,
)

Plant = Callable[[], Story]


def sent(asked: Any = None, **more: Any) -> Story:
    """Up to the moment at which the order left."""
    asked = asked or request(**more)
    return Story().begin().intend(asked).send(asked)


def filled(asked: Any = None) -> Story:
    return sent(asked).accept().fill("10", "0").over()


def more_than_confirmed() -> Story:
    return Story().begin(action(quantity=D(6))).intend(request()).send(request()).accept().fill("10", "0").over()


def crossed_zero() -> Story:
    return sent(request(quantity="14")).accept(reduces=False).fill("10", "-4")


def larger_than_read() -> Story:
    return Story().begin(action(quantity=D(20))).intend(request(quantity="20")).send(request(quantity="20"))


def second_order_beside_a_live_one() -> Story:
    return sent(request(quantity="5")).accept().intend(request(TWO, "5"), 1).send(request(TWO, "5"))


def second_order_beside_one_on_its_way() -> Story:
    return sent(request(quantity="5")).intend(request(TWO, "5"), 1).send(request(TWO, "5"))


def no_reduce_only() -> Story:
    return sent(request(reduce_only=False))


def wrong_fill_in_the_journal() -> Story:
    return filled().answer("terminal", order(filled="4"))


def wrong_fill_in_the_result() -> Story:
    return filled().answer("terminal", order(filled="10")).read("0").end(filled="3")


def terminal_twice() -> Story:
    return filled().answer("terminal", order(filled="10")).answer("terminal", order(filled="7"))


def residual_that_sells() -> Story:
    return Story().begin().end("closed_residual", "0").tell(Left, KEY, D(10), True)


def sent_without_intent() -> Story:
    return Story().begin().send(request())


def sent_before_its_intent() -> Story:
    return Story().begin().send(request()).intend(request())


def sent_other_than_intended() -> Story:
    return Story().begin().intend(request(quantity="4")).send(request())


def next_tier_without_an_answer() -> Story:
    return sent(request(quantity="5")).nothing().answer("unknown").intend(request(TWO, "5"), 1)


def refused_and_yet_executed() -> Story:
    return filled().answer("refused")


def not_found_and_yet_executed() -> Story:
    story = sent().accept()
    story.now += 10
    return story.fill("10", "0").answer("not_found")


def not_found_too_soon() -> Story:
    return sent().nothing().answer("not_found")


def sent_while_a_stop_is_open() -> Story:
    return Story().begin(action(cancels=(stop(),))).cancel(stop()).intend(request()).send(request())


def sent_beside_a_stranger() -> Story:
    stranger = order("x1", "fdzzzz" + "a" * 26)
    story = Story(alien={"x1"}).begin().read(orders=(stranger,)).read(orders=(stranger,))
    return story.intend(request()).send(request())


def order_without_a_row() -> Story:
    return Story().begin().send(request()).accept()


def frozen_for_nothing() -> Story:
    return Story().begin().durable(AccountFrozen("u1/a", "a feeling"))


def frozen_by_the_second_lock() -> Story:
    return Story().begin().durable(AccountFrozen("u1/a", "I2: an order does not reduce"))


def close_call_beside_an_order() -> Story:
    return sent(request(quantity="5")).accept().intend(request(TWO), 1).send(request(TWO), "close_position")


def name_used_again() -> Story:
    return filled().answer("terminal", order(filled="10")).read().send(request())


def anothers_order_taken_for_ours() -> Story:
    return sent().nothing().answer("terminal", order("u7", None, "10"))


def closed_and_held() -> Story:
    return Story().begin().read("0").read("0").end("closed", "0")


def closed_on_one_list() -> Story:
    return Story().begin().fill("10", "0", None).read("0").end("closed", "0")


def limit_far_away() -> Story:
    return sent(request(type=OrderType.LIMIT, price=D("80")))


def limit_that_is_no_number() -> Story:
    return sent(request(type=OrderType.LIMIT, price=D("NaN")))


def decided_long_ago() -> Story:
    story = Story().begin().intend(request())
    story.now += 8
    return story.send(request())


def decided_in_another_life() -> Story:
    story = Story().begin()
    story.life = 2
    story.tell(Began, 2, "sim1", one_shot=True)
    return story.intend(request()).send(request())


def not_read_for_minutes() -> Story:
    story = Story(more={"watched": True}).tell(Called, 1, "u1/a", 1, "holdings")
    story.now += 500
    return story.tell(Called, 1, "u1/a", 2, "holdings")


def in_no_plan() -> Story:
    return Story().send(request())


def on_the_other_side() -> Story:
    return sent(request(side=OrderSide.BUY))


def grown() -> Story:
    return Story().begin().read("14").read("14").intend(request()).send(request())


def order_that_appeared() -> Story:
    new = order("n1", None)
    return Story().begin().read(orders=(new,)).read(orders=(new,)).intend(request()).send(request())


def cancelled_unasked() -> Story:
    return Story().begin().tell(Called, 1, "u1/a", 1, "cancel", None, "n1")


def resumed_too_late() -> Story:
    story = Story().begin()
    story.now += 100
    return story.tell(Killed, 1).read().intend(request()).send(request())


def of_another_epoch() -> Story:
    return sent(request("fdzzzz" + "c" * 26))


def forgotten_after_a_kill() -> Story:
    return sent(request(quantity="5")).tell(Killed, 1).intend(request(TWO, "5")).send(request(TWO, "5"))


def storm() -> Story:
    story = Story().begin()
    for n in range(200):
        story.now -= 0.009
        story.tell(Called, 1, "u1/a", n, "holdings")
    return story


def again_and_again() -> Story:
    story = Story().begin()
    for _ in range(450):
        story.intend(request()).send(request()).nothing()
    return story


def before_retry_after() -> Story:
    story = sent().nothing().tell(Answered, "u1/a", 1, "submit", "refused:rate_limited", retry_after=5.0)
    return story.intend(request()).send(request())


def never_ended() -> Story:
    return filled()


def ended_twice() -> Story:
    return closed().end()


def stuck_in_silence() -> Story:
    return Story().begin().end("stuck", "0")


def took_too_long() -> Story:
    story = Story().begin()
    story.now += 1000
    return story.durable(PlanEnded("p1", success=False, final=()))


def left_over() -> Story:
    return closed().tell(Quiet).tell(Left, KEY, D(3), True)


def stops_not_put_back() -> Story:
    story = Story().begin(action(cancels=(stop(),))).cancel(stop()).over("0", "s1", "")
    return story.tell(Said, "alarm", "AAA is stuck", "u1/a").end("stuck", "0", error="every tier was tried")


def through_the_wrong_connection() -> Story:
    return Story().begin().intend(request()).tell(Called, 1, "u2/b", 1, "submit", request())


PLANTED: dict[str, tuple[Plant, ...]] = {
    "I1": (more_than_confirmed,),
    "I2": (crossed_zero,),
    "I3": (larger_than_read,),
    "I4": (second_order_beside_a_live_one, second_order_beside_one_on_its_way, two_plans_at_once),
    "I5": (no_reduce_only,),
    "I6": (wrong_fill_in_the_journal, wrong_fill_in_the_result, terminal_twice),
    "I7": (residual_that_sells,),
    "I8": (sent_without_intent, sent_before_its_intent, sent_other_than_intended),
    "I9": (next_tier_without_an_answer, refused_and_yet_executed),
    "I10": (not_found_and_yet_executed, not_found_too_soon, planted.not_found_after_one_question),
    "I11": (sent_while_a_stop_is_open,),
    "I12": (sent_beside_a_stranger, order_without_a_row, frozen_for_nothing, frozen_by_the_second_lock),
    "I13": (close_call_beside_an_order, name_used_again, anothers_order_taken_for_ours),
    "I14": (closed_and_held, closed_on_one_list),
    "I15": (
        *(limit_far_away, limit_that_is_no_number),
        *(left_on_a_stale_price, left_on_a_bad_price, left_on_a_spike),
    ),
    "I16": (decided_long_ago, decided_in_another_life),
    "I17": (not_read_for_minutes,),
    "I18": (in_no_plan, on_the_other_side, grown, order_that_appeared, cancelled_unasked, resumed_too_late),
    "I19": (of_another_epoch,),
    "I20": (forgotten_after_a_kill,),
    "I22": (storm, again_and_again, before_retry_after),
    "I23": (
        never_ended,
        ended_twice,
        stuck_in_silence,
        took_too_long,
        left_over,
        stops_not_put_back,
        planted.stop_put_back_too_large,
    ),
    "I24": (through_the_wrong_connection,),
    "I25": (
        *(left_above_its_stop, left_below_its_target, left_while_disarmed, approved_and_never_armed),
        *(beyond_its_stop, level_that_loosened, level_lost_by_a_restart),
    ),
    "I26": planted_stops.BREACHES,
    "I27": planted_stops.NOT_COMPARED,
}


@pytest.mark.parametrize(
    ("name", "plant"),
    [(name, plant) for name, plants in PLANTED.items() for plant in plants],
    ids=[f"{name}-{plant.__name__}" for name, plants in PLANTED.items() for plant in plants],
)
def test_a_planted_breach_is_reported(name: str, plant: Plant):
    assert plant().breaches(name)


def test_an_exit_at_its_stop_on_confirmed_prices_breaks_nothing():
    story = fired(quoted("90", quoted("91")), "90", "stop_loss stop 95")
    assert not story.breaches("I15") + story.breaches("I25")


def test_a_stop_that_only_rises_breaks_nothing():
    assert not kept(kept(Story().begin(), "95"), "96").breaches("I25")


def test_an_exit_that_waits_and_a_level_of_another_position_break_nothing():
    assert not waiting_beyond_its_stop().breaches("I25")
    assert not kept(kept(Story().begin(), "95").fill("10", "0", None), "90").breaches("I25")


@pytest.mark.parametrize("plant", planted_stops.AS_THEY_SHOULD_BE)
def test_a_protective_stop_as_it_should_be_breaks_nothing(plant: Plant):
    assert not [b for name in ("I8", "I9", "I18", "I26", "I27") for b in plant().breaches(name)]


def test_a_close_that_went_well_breaks_nothing():
    assert judge(closed().history()) == []


def test_every_invariant_with_a_checker_has_a_planted_breach():
    assert set(PLANTED) == set(CHECKERS)


def test_an_error_that_escaped_is_a_breach():
    assert judge(Story(more={"errors": ["Deadlock"]}).history())[0].name == "error"


def test_a_fill_by_hand_is_nobodys_crossing():
    assert not Story().begin().tell(Filled, "u1/a", None, KEY, D(10), D(-3)).breaches("I2")
    assert ONE != TWO
