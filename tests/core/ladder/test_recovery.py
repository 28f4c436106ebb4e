"""A restart takes up what was interrupted: nothing is sent twice or forgotten, what is too old is only resolved."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.errors import Refusal
from core.ladder.recovery import action_id, has_begun, interrupted_plan, resume_close
from core.ladder.states import DoCancel, DoRead, DoRestore, Phase
from core.ladder.tiers import schedule
from core.model import Kind, Leg, Tier
from core.ports import OrderQuery
from core.records import (
    CancelAsked,
    Entry,
    IntentAnswered,
    IntentWritten,
    PlanApproved,
    Record,
)
from tests.support.builders import (
    ALL_TIERS,
    D,
    cancel_action,
    close_action,
    done,
    instrument,
    limits,
    order,
    plan,
    position,
    stop,
)
from tests.support.climbing import OFFSETS, Climb
from tests.support.virtual_time import DAWN

STEPS = schedule(ALL_TIERS, 3, OFFSETS)

# ---------------------------------------------------------------------------------------- folded from the journal


def entries(*records: Record) -> list[Entry]:
    return [Entry(n, DAWN, r) for n, r in enumerate(records, 1)]


def climbed(*events: str) -> tuple[Climb, list[Record]]:
    """A close whose orders were answered so, and what the journal has of it."""
    climb, records = Climb(), list[Record]()
    for number, event in enumerate(events):
        climb.see(position(str(climb.ladder.expected)))
        step, request = climb.step, climb.request
        held = climb.ladder.last_read.position
        assert held is not None
        records.append(
            IntentWritten(
                "p1",
                climb.action.key,
                request.client_id,
                climb.ladder.index,
                step.round,
                step.tier,
                request,
                held.quantity,
                DAWN,
            )
        )
        before = len(climb.records)
        if event != "crash":
            climb.filled(event, f"v{number}")
        records.extend(climb.records[before:])
    return climb, records


def resumed(records: list[Record], *, action=None, steps=STEPS) -> Climb:
    action = action or close_action()
    left = interrupted_plan(entries(PlanApproved(plan(action), "person", DAWN), *records))
    climb = Climb(action)
    climb.requests.clear()
    climb.take(resume_close(action, left, "abcd", steps, limits(), climb.now))
    return climb


def test_a_close_of_which_nothing_was_sent_begins_at_the_beginning():
    climb = resumed([])
    climb.expect(DoRead)
    climb.see(position())
    assert climb.step == STEPS[0]


def test_a_close_that_was_interrupted_while_it_cancelled_asks_for_that_again():
    guard = stop()
    action = close_action(cancels=(guard,))
    climb = resumed([CancelAsked("p1", action.key, guard)], action=action)
    climb.expect(DoCancel)
    climb.cancelled(s1="there is no such order")
    climb.see(position())
    assert climb.step == STEPS[0]
    climb.refused(Refusal.HALTED)
    assert climb.expect(DoRestore).requests[0].trigger == guard.trigger


def test_a_plan_too_old_puts_back_the_stops_that_it_had_cancelled():
    guard = stop()
    action = close_action(cancels=(guard,))
    climb = resumed([CancelAsked("p1", action.key, guard)], action=action, steps=())
    climb.see(position())
    assert climb.expect(DoRestore).requests[0].trigger == guard.trigger
    assert not climb.requests


def test_an_intent_without_an_answer_is_looked_up_before_anything_else():
    before, records = climbed("crash")
    climb = resumed(records)
    assert climb.expect(OrderQuery).request == before.requests[0]
    assert climb.ladder.phase is Phase.RESOLVING
    climb.found(done("v1", "2", "2"))
    climb.see(None)
    assert climb.end == ("closed", False)
    assert not climb.requests


def test_an_order_of_the_plans_other_closes_is_known_and_never_taken_for_the_one_that_is_looked_up():
    _, records = climbed("crash")
    other = structs.replace(close_action().key, leg=Leg.SHORT)
    theirs = IntentAnswered("p1", other, "fdabcdother", "terminal", done("v9", "1", "1"))
    climb = resumed([theirs, *records])
    assert "v9" in climb.expect(OrderQuery).known


def test_an_interrupted_close_goes_on_with_what_was_filled_and_the_next_rung():
    _, records = climbed("0.5", "0.5")
    climb = resumed(records)
    assert (climb.ladder.fills.quantity, climb.ladder.expected, climb.ladder.fills.tier) == (
        D(1),
        D(1),
        Tier.MARKET_GTC,
    )
    climb.see(position("1"))
    assert climb.step == STEPS[2]
    climb.filled("1", "v9", price="110")
    climb.see(None)
    assert climb.end == ("closed", False)
    assert climb.ladder.fills.average_price == D(105)


def test_a_restart_derives_the_same_client_ids():
    before, records = climbed("0.5", "crash")
    after = resumed(records[:2])
    after.see(position("1.5"))
    assert after.requests[0].client_id == before.requests[1].client_id


def test_an_order_that_was_acknowledged_is_looked_up_by_its_id():
    _, records = climbed("crash")
    intent = records[0]
    assert isinstance(intent, IntentWritten)
    said = IntentAnswered("p1", intent.key, intent.client_id, "acknowledged", order("v1"))
    climb = resumed([*records, said])
    assert climb.expect(OrderQuery).order_id == "v1"
    climb.found(order("v1", "2", "1"))
    assert climb.ladder.phase is Phase.SETTLING


@pytest.mark.parametrize(("outcome", "rung"), [("refused", 1), ("not_found", 1), ("unreachable", 0)])
def test_what_provably_did_not_happen_is_not_looked_up(outcome: str, rung: int):
    _, records = climbed("crash")
    intent = records[0]
    assert isinstance(intent, IntentWritten)
    climb = resumed([*records, IntentAnswered("p1", intent.key, intent.client_id, outcome)])
    climb.expect(DoRead)
    climb.see(position())
    assert climb.step == STEPS[rung]
    assert climb.ladder.failed == (outcome != "unreachable")


def test_a_terminal_answer_is_not_undone_by_an_older_word_that_was_written_later():
    _, records = climbed("0.5")
    intent = records[0]
    assert isinstance(intent, IntentWritten)
    late = IntentAnswered("p1", intent.key, intent.client_id, "acknowledged", order("v0"))
    assert resumed([*records, late]).ladder.fills.quantity == D("0.5")


def test_a_stop_that_was_cancelled_before_the_crash_is_put_back_when_it_gets_stuck_after_it():
    guard = stop()
    action = close_action(cancels=(guard,))
    _, records = climbed("0.5")
    climb = resumed([CancelAsked("p1", action.key, guard), *records], action=action)
    climb.see(position("1.5"), after=500.0)
    assert climb.expect(DoRestore).requests[0].quantity == D("1.5")


def test_a_list_may_still_lag_behind_what_was_filled_before_the_crash():
    """Where nothing keeps a late order from opening a position, a restart waits as the ladder itself would."""
    _, records = climbed("0.5")
    climb = resumed(records)
    venue = {"instrument": instrument(kind=Kind.FUTURE, reduce_only=False)}
    climb.see(position("1.5"), **venue)
    assert not climb.requests
    climb.waited()
    climb.see(position("1.5"), after=1.1, **venue)
    assert climb.requests


def test_the_parts_of_a_split_order_go_on_counting():
    before, records = climbed("2")
    climb = resumed(records)
    assert (climb.ladder.index, climb.ladder.part) == (before.ladder.index, before.ladder.part) == (0, 1)
    before, records = climbed("1", "crash")
    assert before.ladder.part == 0
    assert resumed(records).ladder.part == 0


def test_a_restart_names_the_next_part_of_a_split_order_as_nothing_before_it():
    halves = instrument(max_market=D(1))
    before = Climb(close_action("3"))
    records: list[Record] = []
    for left in ("3", "2"):
        before.see(position(left), instrument=halves)
        request, held = before.request, D(left)
        intent = ("p1", before.action.key, request.client_id, 0, 1, before.step.tier, request, held, DAWN)
        records += [IntentWritten(*intent)]
        told = len(before.records)
        before.filled("1", f"v{left}")
        records += before.records[told:]
    last = close_action("3")
    assert resumed(records, action=last).ladder.part == 2
    lesser = structs.replace(records[-1], order=done("v2", "1", "0.5"))
    assert resumed([*records[:-1], lesser], action=last).ladder.part == 0, "the next step begins with its first part"
    climb = resumed(records[:-1], action=last)
    climb.found(done("v2", "1", "1"))
    climb.see(position("1"), instrument=halves)
    before.see(position("1"), instrument=halves)
    assert climb.request.client_id == before.request.client_id
    assert climb.request.client_id not in {r.client_id for r in before.requests[:-1]}


def test_after_a_restart_a_venues_own_close_call_may_still_have_no_name():
    _, records = climbed("0", "0", "crash")
    assert isinstance(records[-1], IntentWritten)
    assert records[-1].tier is Tier.VENUE_CLOSE
    assert resumed(records).expect(OrderQuery).nameless
    _, records = climbed("0", "crash")
    assert not resumed(records).expect(OrderQuery).nameless


def test_an_order_that_left_again_after_it_had_not_left_is_looked_up():
    before, records = climbed("crash")
    intent = records[0]
    assert isinstance(intent, IntentWritten)
    never_left = IntentAnswered("p1", intent.key, intent.client_id, "unreachable")
    climb = resumed([intent, never_left, intent])
    assert climb.expect(OrderQuery).request == before.requests[0]


def test_a_look_up_after_a_restart_knows_what_was_there_and_when_the_order_left():
    _, records = climbed("0.5", "crash")
    climb = resumed(records, action=close_action(orders_shown=("u1",)))
    assert climb.expect(OrderQuery).known == {"u1", "v0"}
    assert climb.ladder.under_way.since == DAWN


def test_without_steps_it_only_finds_out_what_was_under_way():
    _, records = climbed("crash")
    climb = resumed(records, steps=())
    climb.found(done("v1", "2", "0.5"))
    climb.see(position("1.5"))
    assert climb.end == ("changed", False)
    assert "interrupted too long ago" in str(climb.ladder.error)
    assert not climb.requests


def test_a_close_is_begun_once_anything_was_asked_of_the_venue_for_it():
    _, records = climbed("crash")
    opening = PlanApproved(plan(close_action()), "person", DAWN)
    assert not has_begun(close_action(), interrupted_plan(entries(opening)))
    assert has_begun(close_action(), interrupted_plan(entries(opening, records[0])))
    asked = CancelAsked("p1", close_action().key, order("o1"))
    assert has_begun(close_action(), interrupted_plan(entries(opening, asked)))
    assert not has_begun(cancel_action(order("o1")), interrupted_plan(entries(opening, asked)))


def test_actions_that_ended_are_not_left_and_the_age_counts_from_the_approval():
    close, lone = close_action(), cancel_action(order("o7"))
    opening = PlanApproved(plan(close, lone), "person", DAWN)
    left = interrupted_plan(entries(opening))
    assert left.open_actions() == [close, lone]
    assert len({action_id(a) for a in left.open_actions()}) == 2
    assert left.age(DAWN) == 0
    assert left.approved.by == "person"
