"""The lifecycle of a close as a table: what is legal, what raises, and that no order of events leaves it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from msgspec import structs

from core.errors import InvariantBroken, Refusal, Refused
from core.ladder import step as ladder
from core.ladder.states import (
    Acknowledged,
    CancelsAsked,
    DoCancel,
    DoEnd,
    DoRead,
    DoRestore,
    DoSend,
    DoWait,
    Event,
    Judged,
    Ladder,
    LookFailed,
    NotJournaled,
    Phase,
    PositionRead,
    ReadFailed,
    Restored,
    SendRefused,
    SendUnknown,
    SendUnreachable,
    Transition,
    Waited,
)
from core.ladder.step import LIFECYCLE
from core.model import Order, OrderStatus, Position, Side
from core.ports import OrderRead
from tests.support.builders import D, close_action, done, instrument, order, position, stop
from tests.support.climbing import TRANSITIONS, Climb

EVENTS: dict[type, Event] = {
    CancelsAsked: CancelsAsked({}),
    PositionRead: PositionRead(None, (), instrument(), 0.0, 0.0),
    ReadFailed: ReadFailed("no answer"),
    Waited: Waited(),
    Judged: Judged(True),
    NotJournaled: NotJournaled("disk full"),
    Acknowledged: Acknowledged(order("v1")),
    SendRefused: SendRefused(Refused(Refusal.OTHER, "no")),
    SendUnreachable: SendUnreachable("refused"),
    SendUnknown: SendUnknown("lost"),
    OrderRead: OrderRead(None, 0.0),
    LookFailed: LookFailed("no answer"),
    Restored: Restored(()),
}


def test_every_phase_has_a_row_and_leads_only_to_phases():
    assert set(TRANSITIONS) == set(Phase)
    assert all(followers <= set(Phase) for followers in TRANSITIONS.values())


def test_every_phase_but_the_end_can_be_left_and_the_end_is_final():
    assert all(TRANSITIONS[p] for p in Phase if p is not Phase.ENDED)
    assert not TRANSITIONS[Phase.ENDED]


def test_no_way_leads_to_a_second_order_without_an_answer_to_the_first():
    """Between an order on its way and the next one lies a read, and only an answer leads to a read."""
    assert [p for p in Phase if Phase.SENDING in TRANSITIONS[p]] == [Phase.READING]
    assert Phase.SENDING not in TRANSITIONS[Phase.RESOLVING] | TRANSITIONS[Phase.SETTLING]


def test_every_phase_that_waits_has_a_handler_for_what_it_waits_for():
    assert {phase for phase, _ in LIFECYCLE} == set(Phase) - {Phase.ENDED}
    assert {event for _, event in LIFECYCLE} == set(EVENTS)


@pytest.mark.parametrize(("phase", "kind"), LIFECYCLE)
def test_an_illegal_transition_raises(phase: Phase, kind: type, monkeypatch: pytest.MonkeyPatch):
    """Whatever way a handler makes its state: the table says where its event may lead."""
    state = Ladder("p1", "abcd", close_action(), (), Climb().ladder.limits, 0.0, D(2), phase=phase)
    following = LIFECYCLE[phase, kind][1]
    for other in Phase:
        reached = Transition(structs.replace(state, phase=other), DoWait(0.0))
        monkeypatch.setitem(LIFECYCLE, (phase, kind), (lambda *_, reached=reached: reached, following))
        if other in following:
            assert ladder.step(state, EVENTS[kind], 0.0) is reached
            continue
        with pytest.raises(InvariantBroken, match=f"cannot go from {phase.value} to {other.value}"):
            ladder.step(state, EVENTS[kind], 0.0)


@pytest.mark.parametrize("phase", Phase)
def test_an_event_that_a_phase_does_not_wait_for_raises(phase: Phase):
    state = Ladder("p1", "abcd", close_action(), (), Climb().ladder.limits, 0.0, D(2), phase=phase)
    for kind, event in EVENTS.items():
        if (phase, kind) not in LIFECYCLE:
            with pytest.raises(InvariantBroken, match=f"{kind.__name__} while {phase.value}"):
                ladder.step(state, event, 0.0)


def test_a_close_with_orders_to_cancel_begins_with_the_cancel_and_another_with_a_read():
    assert Climb(close_action(cancels=(stop(),))).expect(DoCancel).orders == (stop(),)
    assert Climb().expect(DoRead) == DoRead(touch=False)


# ------------------------------------------------------------------- any order of events, whatever the venue says

AMOUNTS = st.sampled_from([D(0), D("0.1"), D(1), D(2), D(3)])
REFUSALS = st.sampled_from(list(Refusal))
FINAL = st.booleans()


@st.composite
def positions(draw: Any) -> Position | None:
    quantity = draw(AMOUNTS)
    side = Side.SHORT if draw(st.integers(0, 19)) == 0 else Side.LONG
    return position(str(quantity), side) if quantity else None


@st.composite
def own_orders(draw: Any, climb: Climb) -> Order:
    """Our order in any state; what it filled never exceeds what it asked for and never falls."""
    request, known = climb.ladder.under_way.request, climb.ladder.under_way.seen
    quantity = request.quantity if request else D(2)
    least = known.filled if known else D(0)
    filled = max(min(draw(AMOUNTS), quantity), least)
    status = draw(st.sampled_from(list(OrderStatus)))
    name = known.id if known else f"v{len(climb.requests)}"
    client = request.client_id if request else None
    return done(name, str(quantity), str(filled), status=status, client_id=client)


def anything(draw: Any, climb: Climb) -> Event:
    """Any one event that the phase may be told."""
    kind = draw(st.sampled_from(sorted((e for p, e in LIFECYCLE if p is climb.ladder.phase), key=str)))
    match kind.__name__:
        case "PositionRead":
            shown = draw(st.lists(st.sampled_from([stop(), order("foreign")]), max_size=1))
            return PositionRead(draw(positions()), tuple(shown), instrument(), climb.now, climb.now, D(100))
        case "Acknowledged":
            return Acknowledged(draw(own_orders(climb)))
        case "OrderRead":
            found = draw(st.one_of(st.none(), own_orders(climb)))
            return OrderRead(found, climb.now, draw(st.sampled_from([D(0), None, D(1)])))
        case "SendRefused":
            return SendRefused(Refused(draw(REFUSALS), "no", retry_after=draw(st.sampled_from([None, 1.0]))))
        case "LookFailed":
            return LookFailed("no answer", final=draw(FINAL))
        case "ReadFailed":
            return ReadFailed("no answer", final=draw(FINAL))
        case "Judged":
            return Judged(draw(FINAL), "no rule calls for it any more")
        case "Restored":
            return Restored(("",) * len(climb.expect(DoRestore).requests))
        case _:
            return EVENTS[kind]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_a_venue_says_no_rule_of_quantity_is_broken_and_it_ends_in_time(data: st.DataObject):
    """Answers at random: at every step at most what was confirmed is at stake, and no close goes on for ever."""
    action = close_action(cancels=(stop(),)) if data.draw(st.booleans()) else close_action()
    climb = Climb(action)
    climb.ladder = structs.replace(climb.ladder, by_exit=data.draw(st.booleans()))
    last: Event | None = None
    for _ in range(400):
        if climb.ladder.ended:
            break
        if climb.ladder.phase is Phase.PARKED:
            climb.now += 60
        last = anything(data.draw, climb)
        before = climb.ladder
        climb.now += data.draw(st.sampled_from([0.0, 0.3, 2.0, 6.0]))
        climb.tell(last)
        if isinstance(climb.do, DoSend):
            _sent_rightly(climb, before, last)
        assert climb.ladder.fills.quantity <= action.quantity
    if climb.ladder.ended:
        assert isinstance(climb.do, DoEnd)
        assert climb.ladder.outcome is not None
    else:
        assert isinstance(last, Waited | PositionRead | SendRefused | Judged), (
            "only a market that stays closed may hold it up"
        )


def _sent_rightly(climb: Climb, before: Ladder, last: Event | None) -> None:
    """Every order leaves after a read with nothing live or unknown, sized by that read and by what was confirmed."""
    request, action = climb.request, climb.action
    assert isinstance(last, PositionRead)
    assert last.position is not None
    assert before.phase is Phase.READING
    assert before.order is None
    assert (before.judge_from, before.dropped) == (None, ""), "an exit rule's decision from before the open"
    assert request.side is action.side.closing  # type: ignore[union-attr]
    assert request.reduce_only
    assert Decimal(0) < request.quantity <= last.position.quantity
    assert climb.ladder.fills.quantity + request.quantity <= action.quantity
