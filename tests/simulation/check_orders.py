"""I8 to I13: what is durable before it leaves, and what may be concluded from an answer that never came."""

from __future__ import annotations

from collections.abc import Iterator

from core.ids import epoch_of, is_ours
from core.records import IntentWritten
from tests.simulation.evidence import DEFINITIVE, NEVER, Breach, Evidence, Send
from tests.simulation.history import Accepted


def intent_before_send(evidence: Evidence) -> Iterator[Breach]:
    """I8: plan and intent are durable, and say what is sent, before anything leaves; a stop that the program places
    by itself has no plan."""
    for send in evidence.sends:
        name, intent = send.request.client_id, send.intent
        if intent is None:
            yield Breach("I8", f"{name} left without a durable intent", send.at)
            continue
        plan = evidence.plans.get(intent.plan)
        if not send.unplanned and (plan is None or plan[0] > send.index):
            yield Breach("I8", f"{name} left before its plan was durable", send.at)
        same = (intent.request.symbol, intent.request.side, intent.request.leg) == (
            send.request.symbol,
            send.request.side,
            send.request.leg,
        )
        if not same or (send.what != "close_position" and intent.request.quantity != send.request.quantity):
            yield Breach("I8", f"{name} is not what its intent says", send.at)


def resolved_before_the_next_tier(evidence: Evidence) -> Iterator[Breach]:
    """I9: every intent has a definitive answer in the journal before the next one of the same close, or of the same
    position's protective stop; one of these that the disk did not take, so that nothing left, needs none."""
    left = {s.request.client_id for s in evidence.sends}
    last: dict[tuple[str, object], str] = {}
    said: dict[str, str] = {}
    records = [(i, a) for i, a in evidence.answers] + [(i, w) for ws in evidence.intents.values() for i, w in ws]
    for index, record in sorted(records, key=lambda r: r[0]):
        if not isinstance(record, IntentWritten):
            said[record.client_id] = record.outcome
            continue
        if record.step < 0:
            continue
        close = (record.plan, record.key)
        before = last.get(close)
        unsent = record.protects and before not in left
        if before is not None and not unsent and said.get(before) not in DEFINITIVE:
            text = f"{record.client_id} follows {before}, of which is known: {said.get(before)}"
            yield Breach("I9", text, evidence.at(index))
        last[close] = record.client_id
        said.pop(record.client_id, None)


def not_found_is_true(evidence: Evidence) -> Iterator[Breach]:
    """I10: "not found" is concluded only of what was never executed, and not before it could not be any more."""
    for index, answer in evidence.answers:
        if answer.outcome != "not_found":
            continue
        sends = [s for s in evidence.sends if s.request.client_id == answer.client_id and s.index < index]
        for send in sends[-1:]:
            expiry = evidence.facts(send.account).expiry
            if send.filled or (send.accepted != NEVER and send.over > index):
                yield Breach("I10", f"{answer.client_id} was executed and journalled as not found", evidence.at(index))
            if expiry is None or evidence.at(index) < send.at + expiry:
                yield Breach("I10", f"{answer.client_id} was given up before its expiry", evidence.at(index))


def not_found_is_asked_twice(evidence: Evidence) -> Iterator[Breach]:
    """I10: "not found" is concluded of two questions that were asked after the request's own expiry."""
    for index, answer in evidence.answers:
        if answer.outcome != "not_found":
            continue
        for send in [s for s in evidence.sends if s.request.client_id == answer.client_id and s.index < index][-1:]:
            since = send.at + (evidence.facts(send.account).expiry or 0.0)
            asked = [
                c
                for i, c in evidence.calls[send.account]
                if send.index < i < index and c.what == "find_order" and c.order_id == answer.client_id
            ]
            if len([c for c in asked if c.at >= since]) < 2:
                yield Breach("I10", f"{answer.client_id} was given up after one late question", evidence.at(index))


def refusals_are_true(evidence: Evidence) -> Iterator[Breach]:
    """I9: what the journal calls refused or unreachable was never executed."""
    for index, answer in evidence.answers:
        if answer.outcome not in ("refused", "unreachable"):
            continue
        sends = [s for s in evidence.sends if s.request.client_id == answer.client_id and s.index < index]
        if any(s.accepted != NEVER for s in sends[-1:]):
            yield Breach(
                "I9", f"{answer.client_id} was executed and journalled as {answer.outcome}", evidence.at(index)
            )


def cancelled_means_gone(evidence: Evidence) -> Iterator[Breach]:
    """I11: nothing is sent for a position before the orders that go with it are truly gone."""
    for send in evidence.sends:
        action = evidence.action(send.intent.plan, send.key) if send.intent and send.closing else None
        for order in action.cancels if action else ():
            if evidence.over.get((send.account, order.id), NEVER) > send.index:
                yield Breach("I11", f"{send.request.client_id} left while {order.id} was open", send.at)


def strangers_freeze(evidence: Evidence) -> Iterator[Breach]:
    """I12, I19: nothing is sent while lists show an order with our prefix that this journal does not know."""
    if not evidence.history.alien:
        return
    for send in evidence.sends:
        lists = evidence.last_lists(send.account, send.index, 2)
        shown = [{o.id for o in listed.orders} & evidence.history.alien for listed in lists]
        if len(shown) == 2 and all(shown):
            yield Breach("I12", f"{send.request.client_id} left although {sorted(shown[0])} was there", send.at)


def every_order_has_a_row(evidence: Evidence) -> Iterator[Breach]:
    """I12: every order at the venue with our prefix is in the journal."""
    for index, event in enumerate(evidence.events):
        if isinstance(event, Accepted) and is_ours(event.order.client_id) and event.n is not None:
            rows = evidence.intents.get(event.order.client_id or "", [])
            if not any(i < index for i, _ in rows):
                yield Breach("I12", f"{event.order.client_id} is at the venue and not in the journal", event.at)


def names_are_used_once(evidence: Evidence) -> Iterator[Breach]:
    """I13: a client order id names one order for ever, whatever a venue allows: the next order has the next name."""
    taken: set[str] = set()
    for send in evidence.sends:
        if send.request.client_id in taken:
            yield Breach("I13", f"{send.request.client_id} was taken before and left again", send.at)
        if send.accepted != NEVER:
            taken.add(send.request.client_id)


def close_call_stands_alone(evidence: Evidence) -> Iterator[Breach]:
    """I13: the venue's own close call is used only when no order of ours is open or unknown on the instrument, but for
    a stop that was put back and the protective stop of the other leg: no market order is ever taken for a stop."""
    for send in evidence.sends:
        if send.what != "close_position":
            continue
        for other in _before(evidence, send):
            stays = (other.intent and other.intent.step < 0) or (other.protects and other.key != send.key)
            if other.settled > send.index and not stays:
                yield Breach("I13", f"close call while {other.request.client_id} was not over", send.at)


def _before(evidence: Evidence, send: Send) -> Iterator[Send]:
    for other in evidence.sends:
        if other.index < send.index and (other.account, other.request.symbol) == (send.account, send.request.symbol):
            yield other


def names_carry_the_epoch(evidence: Evidence) -> Iterator[Breach]:
    """I19: every order carries the epoch of the journal that knows it."""
    epochs = {e.life: e.epoch for e in evidence.events if type(e).__name__ == "Began"}
    for send in evidence.sends:
        if epoch_of(send.request.client_id) != epochs.get(send.life):
            yield Breach("I19", f"{send.request.client_id} is not of epoch {epochs.get(send.life)}", send.at)
