"""I18 to I24: nothing without approval, nothing for ever, nothing on another's account, and an end to everything."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator

from core.model import OrderType, PositionKey, Side
from core.records import AccountFrozen, ClosingEnded, PlanApproved, PlanEnded
from tests.simulation.check_quantity import DECIDED, RECENT
from tests.simulation.evidence import NEVER, Breach, Evidence, Send
from tests.simulation.history import Answered, Called, Durable, Left, Quiet, Reported, Said

SECOND_LOCK = re.compile(r"I\d+: ")  # what core.invariants says: the ladder should never have come so far
OPERATOR_LOOKS = ("put back", "frozen", "another flatdeck", "could not be cancelled")  # alarms that say what is missing
MOST_SENDS = 400  # of one close in one life, unreachable venues included
MOST_CALLS = 150  # of one account in one second
CONTRADICTED = "still there at the final reconciliation"  # written after the end that it corrects
SLACK = 120.0  # seconds beyond the ladder's own limit: final reads, withdrawals, restoring, late calls


def only_what_was_confirmed(evidence: Evidence) -> Iterator[Breach]:
    """I18: nothing is closed that an approved plan did not list, with its side and no more than its size; what the
    program's own protective stops may do is I26's."""
    for send in evidence.sends:
        if send.unplanned:
            continue
        plan = send.intent.plan if send.intent else ""
        action = evidence.action(plan, send.key)
        if action is None:
            yield Breach("I18", f"{send.key.symbol} was not in an approved plan", send.at)
        elif action.side is None or send.request.side is not action.side.closing:
            yield Breach("I18", f"{send.key.symbol}: {send.request.side} was not confirmed", send.at)
        elif send.closing and send.request.quantity > action.quantity:
            text = f"{send.key.symbol}: {send.request.quantity} sent, {action.quantity} confirmed"
            yield Breach("I18", text, send.at)


def growth_is_shown_again(evidence: Evidence) -> Iterator[Breach]:
    """I18: nothing is sent after a list that shows more than was confirmed, or an order that was not shown."""
    ours = {(s.account, s.order) for s in evidence.sends}
    for send in evidence.sends:
        action = evidence.action(send.intent.plan, send.key) if send.intent and send.closing else None
        last = evidence.last_lists(send.account, send.index, 2)
        if action is None or len(last) < 2:
            continue
        if all(p.quantity > action.quantity for x in last for p in x.positions if p.key == send.key) and all(
            any(p.key == send.key for p in x.positions) for x in last
        ):
            yield Breach("I18", f"{send.key.symbol} had grown when {send.request.client_id} left", send.at)
        shown = {o.id for o in action.cancels} | set(action.orders_shown)
        new = [{o.id for o in x.orders if o.symbol == send.key.symbol and o.leg is send.key.leg} - shown for x in last]
        strangers = {o for o in new[0] & new[1] if (send.account, o) not in ours}
        if strangers:
            yield Breach("I18", f"{sorted(strangers)} had appeared when {send.request.client_id} left", send.at)


def cancels_are_listed(evidence: Evidence) -> Iterator[Breach]:
    """I18: only orders of an approved plan are cancelled, and our own."""
    listed = {(o.account, o.id) for _, p in evidence.approved() for a in p.actions for o in a.cancels}
    listed |= {(a.order.account, a.order.id) for _, p in evidence.approved() for a in p.actions if a.order}
    ours = {(s.account, s.order) for s in evidence.sends}
    for account, calls in evidence.calls.items():
        for _, call in calls:
            known = (account, call.order_id)
            if call.what == "cancel" and known not in listed and known not in ours:
                yield Breach("I18", f"{call.order_id} was cancelled and in no plan", call.at)


def not_resumed_too_late(evidence: Evidence) -> Iterator[Breach]:
    """I18: a plan that was approved long ago sends nothing after a restart."""
    within = evidence.history.limits["resume_within"]
    kills = evidence.kills
    for send in evidence.sends:
        plan = evidence.plans.get(send.intent.plan) if send.intent else None
        if plan is None or not any(plan[0] < k < send.index for k in kills) or not send.closing:
            continue
        restarted = evidence.at(max(k for k in kills if k < send.index))
        if restarted > evidence.at(plan[0]) + within and send.intent and send.intent.step >= 0:
            yield Breach("I18", f"{send.request.client_id} left for a plan that was too old", send.at)


def looked_up_after_a_restart(evidence: Evidence) -> Iterator[Breach]:
    """I20: an intent that a kill left unanswered is looked up before anything else is sent on its instrument."""
    said = {(a.client_id, i): a.outcome for i, a in evidence.answers}
    for kill in evidence.kills:
        waiting: dict[tuple[str, str], str] = {}
        for send in evidence.sends:
            if send.index > kill or not send.closing or _ended(evidence, send, kill):
                continue
            where = (send.account, send.request.symbol)
            outcomes = [o for (c, i), o in said.items() if c == send.request.client_id and send.index < i < kill]
            known = outcomes and outcomes[-1] in ("terminal", "refused", "unreachable", "not_found")
            waiting.pop(where, None) if known else waiting.__setitem__(where, send.request.client_id)
        for (account, symbol), name in waiting.items():
            for index, call in evidence.calls.get(account, []):
                if index < kill:
                    continue
                if call.what == "find_order":
                    break
                if call.request is not None and call.request.symbol == symbol:
                    yield Breach("I20", f"{call.request.client_id} left before {name} was looked up", call.at)
                    break


def _ended(evidence: Evidence, send: Send, before: int) -> bool:
    """Whether the close that a send belongs to had its end before an event."""
    plan = send.intent.plan if send.intent else ""
    return any(i < before and e.plan == plan and e.result.key == send.key for i, e in evidence.ends)


def bounded(evidence: Evidence) -> Iterator[Breach]:
    """I22: attempts and the rate of messages have limits, and a venue's Retry-After is honoured."""
    sends = Counter((s.life, s.intent.plan if s.intent else "", s.key) for s in evidence.sends)
    for (_, plan, key), count in sends.items():
        if count > MOST_SENDS:
            yield Breach("I22", f"{count} sends for {key.symbol} of {plan}")
    for account, calls in evidence.calls.items():
        window: deque[float] = deque()
        for _, call in calls:
            window.append(call.at)
            while window[0] < call.at - 1:
                window.popleft()
            if len(window) > MOST_CALLS:
                yield Breach("I22", f"{len(window)} calls to {account} in a second", call.at)
                break
    yield from _retry_after(evidence)


def _retry_after(evidence: Evidence) -> Iterator[Breach]:
    sent = {(s.account, s.n): s for s in evidence.sends}
    until: dict[tuple[int, PositionKey, bool], float] = {}  # a close does not wait for what a protective stop was told
    by_index = {s.index: s for s in evidence.sends}
    for index, event in enumerate(evidence.events):
        send = by_index.get(index)
        if send is not None and send.at < until.get((send.life, send.key, send.protects), 0.0) - 0.001:
            yield Breach("I22", f"{send.request.client_id} left before the venue's Retry-After", send.at)
        if isinstance(event, Answered) and event.retry_after is not None:
            refused = sent.get((event.account, event.n))
            if refused is not None:
                until[refused.life, refused.key, refused.protects] = event.at + event.retry_after


def everything_ends(evidence: Evidence) -> Iterator[Breach]:
    """I23: every approved plan and each of its actions ends exactly once; a bad end raises an alarm."""
    ended = Counter(
        e.record.plan for e in evidence.events if isinstance(e, Durable) and isinstance(e.record, PlanEnded)
    )
    rows = Counter((e.plan, e.result.key, e.result.order_id) for _, e in evidence.ends)
    rows.subtract((e.plan, e.result.key, e.result.order_id) for _, e in evidence.ends if e.result.error == CONTRADICTED)
    alarms = [e for e in evidence.events if isinstance(e, Said) and e.level == "alarm"]
    for index, plan in evidence.approved():
        again = ended[plan.id] > 1 and _disk_failed(alarms)  # a disk that failed while it wrote is written to once more
        if ended[plan.id] != 1 and not again:
            yield Breach("I23", f"plan {plan.id} ended {ended[plan.id]} times", evidence.at(index))
        for action in plan.closes:
            count = rows[plan.id, action.key, None]
            if count != 1 and not _disk_failed(alarms):
                yield Breach("I23", f"{action.key.symbol} of {plan.id} ended {count} times", evidence.at(index))
    for index, end in evidence.ends:
        bad = end.result.outcome in ("stuck", "partial")
        since = evidence.at(evidence.plans[end.plan][0]) if end.plan in evidence.plans else 0.0
        heard = any(a.at >= since and end.result.key.symbol in a.text for a in alarms) or evidence.kills
        if bad and not heard:
            yield Breach("I23", f"{end.result.key.symbol} got stuck without an alarm", evidence.at(index))


def _disk_failed(alarms: list[Said]) -> bool:
    return any("disk" in a.text or "Journal" in a.text for a in alarms)


def ends_in_time(evidence: Evidence) -> Iterator[Breach]:
    """I23: a plan ends within the ladder's limit once nobody kills it, no market is closed and no clock jumps."""
    if evidence.history.stretched:
        return
    if _disk_failed([e for e in evidence.events if isinstance(e, Said) and e.level == "alarm"]):
        return
    limit = evidence.history.limits["total_timeout"] + SLACK
    approved: dict[str, float] = {}
    for event in evidence.events:
        match event:
            case Durable(record=PlanApproved(plan)):
                approved[plan.id] = event.at
            case Durable(record=PlanEnded(plan=name)) if event.at - approved.get(name, event.at) > limit:
                if not evidence.kills:
                    yield Breach("I23", f"plan {name} took {event.at - approved[name]:.0f} s", event.at)
            case _:
                pass


def flat_in_the_end(evidence: Evidence) -> Iterator[Breach]:
    """I23: once nothing goes wrong any more, one plan closes all that can be sold, or its account is frozen."""
    frozen = {
        e.record.account for e in evidence.events if isinstance(e, Durable) and isinstance(e.record, AccountFrozen)
    }
    for event in evidence.events:
        if isinstance(event, Left) and event.quantity and event.sellable and event.key.account not in frozen:
            yield Breach("I23", f"{event.key.symbol}: {event.quantity} left on {event.key.account}", event.at)


def frozen_for_a_reason(evidence: Evidence) -> Iterator[Breach]:
    """I12, I19: an account is frozen when something foreign was there, or an outcome stayed unknown; never else."""
    alien = {
        e.account for e in evidence.events if type(e).__name__ == "Accepted" and e.order.id in evidence.history.alien
    }  # type: ignore[union-attr]
    for event in evidence.events:
        if not isinstance(event, Durable) or not isinstance(event.record, AccountFrozen) or event.record.why is None:
            continue
        account, why = event.record.account, event.record.why
        meddled = any(a == account for a, _ in evidence.foreign)
        if SECOND_LOCK.match(why):
            yield Breach("I12", f"{account} was frozen by the second lock: {why}", event.at)
            continue
        if account not in alien and not meddled and "could not be found out" not in why and "may still be" not in why:
            yield Breach("I12", f"{account} was frozen: {why}", event.at)


def protection_is_put_back(evidence: Evidence) -> Iterator[Breach]:
    """I23: what is left of a position that we took the stops from has them again, or an alarm says why not."""
    for index, end in evidence.ends:
        row = end.result
        action = evidence.action(end.plan, row.key)
        held = evidence.held.get(row.key)
        if (
            action is None
            or held is None
            or row.outcome not in ("stuck", "partial", "refused", "waiting_open", "changed")
        ):
            continue
        asked = {o.id for o in evidence.cancelled.get((end.plan, row.key), ())}
        stops = [o for o in action.cancels if o.type is OrderType.STOP and o.id in asked]
        gone = [o for o in stops if evidence.over.get((o.account, o.id), NEVER) < index]
        back = [
            s for s in evidence.sends if s.intent and s.intent.plan == end.plan and s.key == row.key and not s.closing
        ]
        unsure = any(words in (row.error or "") for words in OPERATOR_LOOKS)
        flipped = action.side is None or (held.at(index) > 0) is not (action.side is Side.LONG)
        meddled = evidence.meddled(row.key.account, row.key.symbol, 0, evidence.at(index))
        if gone and held.at(index) and len(back) < len(gone) and not (unsure or flipped or meddled):
            yield Breach("I23", f"{row.key.symbol} ended {row.outcome} without its stops", evidence.at(index))


def stops_come_back_in_size(evidence: Evidence) -> Iterator[Breach]:
    """I23: a stop that is put back is no larger than the position in a list that was read right before it."""
    for send in evidence.sends:
        if send.intent is None or send.intent.step >= 0 or send.unplanned:
            continue
        lists = evidence.last_lists(send.account, send.index, 8)
        lists = [x for nth, x in enumerate(lists) if nth < 2 or x.at > send.at - DECIDED]
        shown = [p.quantity for x in lists for p in x.positions if p.key == send.key]
        if send.request.quantity > max(shown, default=send.request.quantity):
            text = f"{send.key.symbol}: a stop of {send.request.quantity} was put back, lists showed {shown}"
            yield Breach("I23", text, send.at)


def own_key_own_orders(evidence: Evidence) -> Iterator[Breach]:
    """I24: what is asked of one account's connection is about that account."""
    for event in evidence.events:
        if isinstance(event, Called) and event.request is not None and event.request.account != event.account:
            yield Breach("I24", f"an order of {event.request.account} left through {event.account}", event.at)


def reports_agree(evidence: Evidence) -> Iterator[Breach]:
    """I23: what is reported as a success is one: every row settled, and nothing of it held in truth."""
    quiet = next((e.at for e in evidence.events if isinstance(e, Quiet)), 0.0)
    rows: dict[str, list[ClosingEnded]] = defaultdict(list)
    for _, end in evidence.ends:
        rows[end.plan].append(end)
    for index, event in enumerate(evidence.events):
        if not isinstance(event, Reported) or not event.report.success:
            continue
        for row in event.report.results:
            held = evidence.held.get(row.key)
            since = event.at - RECENT - evidence.facts(row.key.account).lag - 20
            if row.outcome != "closed" or held is None or not held.at(index):
                continue
            if event.at > quiet + 60 or not evidence.meddled(row.key.account, row.key.symbol, since, event.at):
                yield Breach("I23", f"{row.key.symbol} reported closed with {held.at(index)} held", event.at)
