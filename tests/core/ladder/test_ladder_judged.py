"""What an exit rule decided before the open or before a restart is judged again before the next order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from core.errors import Refusal
from core.ladder import recovery
from core.ladder.states import DoJudge, DoPark, DoRead, DoRestore, DoSend, Judged, Phase
from core.ladder.tiers import schedule
from core.model import Side
from core.plans.plan import ApprovedPlan, by_rule, confirm
from core.records import Entry, IntentAnswered, IntentWritten, PlanApproved
from tests.support.builders import close_action, done, limits, plan, position, stop
from tests.support.climbing import OFFSETS, Climb
from tests.support.virtual_time import DAWN

NIGHT = 17 * 3600.0
WHY = "no exit rule calls for it any more at 105"


def parked(*, by_exit: bool = True, side: Side = Side.LONG, **of: Any) -> Climb:
    """A close that the venue refused because its market is closed."""
    climb = Climb(close_action(side=side, **of))
    climb.ladder = structs.replace(climb.ladder, by_exit=by_exit)
    if climb.action.cancels:
        climb.cancelled(**{o.id: "" for o in climb.action.cancels})
    climb.to_send(position(side=side))
    climb.refused(Refusal.MARKET_CLOSED, opens_at=DAWN + timedelta(seconds=NIGHT))
    assert isinstance(climb.do, DoPark)
    return climb


@pytest.mark.parametrize("side", list(Side))
def test_at_the_open_the_rules_are_asked_with_a_price_of_the_session(side: Side) -> None:
    climb = parked(side=side)
    climb.waited(after=NIGHT)
    opened = climb.now
    climb.see(position(side=side))
    assert climb.expect(DoJudge).since == opened
    assert climb.ladder.phase is Phase.PARKED
    climb.tell(Judged(True), after=600.0)
    assert climb.expect(DoRead)
    climb.see(position(side=side))
    assert climb.expect(DoSend)
    assert climb.ladder.deadline == climb.now + 120.0, "the wait for a price costs no time"


def test_a_close_that_no_rule_calls_for_any_more_sends_nothing_and_says_why() -> None:
    climb = parked()
    sent = len(climb.requests)
    climb.waited(after=NIGHT)
    climb.see(position())
    climb.tell(Judged(False, WHY))
    climb.see(position())
    assert climb.end == ("skipped", False)
    assert climb.ladder.error == WHY
    assert len(climb.requests) == sent


def test_a_stop_that_was_cancelled_for_it_is_put_back_when_it_is_dropped() -> None:
    guard = stop()
    climb = parked(cancels=(guard,))
    climb.waited(after=NIGHT)
    climb.see(position())
    climb.tell(Judged(False, WHY))
    climb.see(position())
    assert climb.expect(DoRestore).requests[0].trigger == guard.trigger


def test_what_had_filled_before_the_close_of_the_market_is_told_as_partial() -> None:
    climb = Climb()
    climb.ladder = structs.replace(climb.ladder, by_exit=True)
    climb.to_send()
    climb.filled("0.5")
    climb.see(position("1.5"))
    climb.refused(Refusal.MARKET_CLOSED)
    climb.waited(after=60.0)
    climb.see(position("1.5"))
    climb.tell(Judged(False, WHY))
    climb.see(position("1.5"))
    assert climb.end == ("partial", False)


def test_a_close_that_a_person_confirmed_goes_at_the_open() -> None:
    climb = parked(by_exit=False)
    climb.waited(after=NIGHT)
    climb.see(position())
    assert climb.expect(DoSend)


def test_a_position_that_is_gone_at_the_open_is_flat_after_two_reads_and_nobody_is_asked() -> None:
    climb = parked()
    climb.waited(after=NIGHT)
    climb.see(None)
    climb.waited()
    climb.see(None)
    assert climb.end == ("closed", False)


# ------------------------------------------------------------------------------------------------- after a restart


def resumed(approved: ApprovedPlan, *answers: IntentAnswered, steps: bool = True) -> Climb:
    """A close taken up after a restart; each answer belongs to an intent of its own."""
    action = approved.plan.closes[0]
    tiers = schedule(action.tiers, 3, OFFSETS)
    records: list[Any] = [PlanApproved(approved.plan, approved.by, DAWN)]
    for number, answer in enumerate(answers):
        climb = Climb(action)
        climb.to_send()
        request = structs.replace(climb.request, client_id=answer.client_id)
        step = tiers[number]
        intent = IntentWritten(
            "p1", action.key, answer.client_id, number, step.round, step.tier, request, action.quantity, DAWN
        )
        records += [intent, answer]
    left = recovery.interrupted_plan([Entry(n, DAWN, record) for n, record in enumerate(records)])
    climb = Climb(action)
    climb.take(recovery.resume_close(action, left, "abcd", tiers if steps else (), limits(), climb.now))
    return climb


def by_exits(**of: Any) -> ApprovedPlan:
    return by_rule(plan(close_action(**of)), "exits", armed=True, now=DAWN)


def answered(outcome: str, filled: str | None = None) -> IntentAnswered:
    order = None if filled is None else done("v1", "2", filled)
    return IntentAnswered("p1", close_action().key, f"c-{outcome}-{filled}", outcome, order, "the market is closed")


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ((), True),
        ((answered("refused"),), True),
        ((answered("terminal", "0.5"),), False),
        ((answered("terminal", "0.5"), answered("refused")), True),
    ],
)
def test_a_restart_asks_the_rules_unless_the_close_was_filling(
    answers: tuple[IntentAnswered, ...], asked: bool
) -> None:
    climb = resumed(by_exits(), *answers)
    climb.see(position("1.5" if len(answers) and answers[0].order else "2"))
    assert isinstance(climb.do, DoJudge if asked else DoSend)


def test_a_restart_cancels_nothing_before_the_rules_are_asked() -> None:
    climb = resumed(by_exits(cancels=(stop(),)))
    climb.see(position(), stop())
    assert climb.expect(DoJudge)


def test_a_restart_goes_on_with_what_a_person_confirmed() -> None:
    confirmed = plan(close_action())
    climb = resumed(confirm(confirmed, confirmed.digest, DAWN), answered("refused"))
    climb.see(position())
    assert climb.expect(DoSend)


def test_a_close_that_is_too_old_to_go_on_asks_nobody() -> None:
    climb = resumed(by_exits(), answered("refused"), steps=False)
    climb.see(position())
    assert climb.end == ("changed", False)
