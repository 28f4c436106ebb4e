"""I1 to I7: how much is sent, and that nothing is ever opened or flipped by us."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from core.model import PositionKey
from core.records import IntentAnswered
from tests.simulation.evidence import DEFINITIVE, NEVER, ZERO, Breach, Evidence, Send
from tests.simulation.history import Filled, Foreign, Left

DECIDED = 1.1  # seconds from the read that an order was decided on until it leaves
RECENT = 25.0  # seconds in which what others did may not have been seen: the longest call, and some
HAND = frozenset(
    {
        "limits or ticks changed",
        "by hand while an order is on its way: _limits",
        "market closed",
        "order by hand",
        "order of another flatdeck",
    }
)


def moved_by_hand(evidence: Evidence, send: Send, until: float) -> bool:
    """Whether somebody else may have moved the position since the read that a send was made from."""
    return _moved(
        evidence, send.account, send.request.symbol, send.at - RECENT - evidence.facts(send.account).lag, until
    )


def _moved(evidence: Evidence, account: str, symbol: str, since: float, until: float) -> bool:
    known: list[tuple[int, Foreign]] = evidence.foreign.get((account, symbol), [])
    return any(since <= f.at <= until and f.what not in HAND for _, f in known)


def plan_is_a_limit(evidence: Evidence) -> Iterator[Breach]:
    """I1: fills and what may still fill are never more than what was confirmed."""
    for send in evidence.sends:
        if send.intent is None or not send.closing:
            continue
        action = evidence.action(send.intent.plan, send.key)
        if action is None:
            continue
        same = [s for s in evidence.sends if s.index < send.index and s.intent and s.intent.plan == send.intent.plan]
        others = [s for s in same if s.key == send.key and s.closing]
        out = sum((_worst(s, send.index) for s in others), ZERO)
        if out + send.request.quantity > action.quantity:
            text = f"{send.key.symbol}: {send.request.quantity} sent, {out} out before, {action.quantity} confirmed"
            yield Breach("I1", text, send.at)
        truly = out + send.filled
        grown = send.what == "close_position" and moved_by_hand(evidence, send, send.at + RECENT)
        if truly > action.quantity and not grown:
            yield Breach("I1", f"{send.key.symbol}: {truly} executed, {action.quantity} confirmed", send.at)


def _worst(send: Send, before: int) -> Decimal:
    """What a send executed, or may yet execute as of an event."""
    return send.filled if send.settled < before else max(send.filled, send.request.quantity)


def never_crosses_zero(evidence: Evidence) -> Iterator[Breach]:
    """I2: no order of ours opens, grows or flips a position."""
    for event in evidence.events:
        if not isinstance(event, Filled) or event.order is None:
            continue
        send = evidence.orders.get((event.account, event.order))
        if (
            send is None
            or not send.closing
            or (abs(event.after) <= abs(event.before) and event.before * event.after >= 0)
        ):
            continue
        if send.reduces or not moved_by_hand(evidence, send, event.at):
            yield Breach("I2", f"{event.key.symbol}: {event.before} to {event.after} by {event.order}", event.at)


def sized_by_the_last_read(evidence: Evidence) -> Iterator[Breach]:
    """I3: an order is no larger than the position in a list that was read right before it."""
    for send in evidence.sends:
        if not send.closing:
            continue
        lists = evidence.last_lists(send.account, send.index, 8)
        lists = [x for nth, x in enumerate(lists) if nth < 2 or x.at > send.at - DECIDED]
        shown = [_shown(listed.positions, send) for listed in lists]
        if not shown or send.request.quantity > max(shown):
            yield Breach("I3", f"{send.key.symbol}: {send.request.quantity} sent, lists showed {shown}", send.at)


def _shown(positions: tuple[object, ...], send: Send) -> Decimal:
    for position in positions:
        if position.key == send.key and position.side.closing is send.request.side:  # type: ignore[attr-defined]
            return position.quantity  # type: ignore[attr-defined, no-any-return]
    return ZERO


def one_closing_order(evidence: Evidence) -> Iterator[Breach]:
    """I4, I5, I9, I11: nothing is sent while another closing order of ours may be live or on its way."""
    earlier: dict[tuple[str, str], list[Send]] = {}
    for send in evidence.sends:
        if not send.closing:
            continue
        others = earlier.setdefault((send.account, send.request.symbol), [])
        for other in others:
            if other.settled > send.index:
                text = f"{send.key.symbol}: {send.request.client_id} sent while {other.request.client_id} was not over"
                yield Breach("I4", text, send.at)
        others.append(send)


def one_close_at_a_time(evidence: Evidence) -> Iterator[Breach]:
    """I4: an exit, a cleanup and a person who want one position make one close: while one plan's close of it goes on,
    no other plan sends for it."""
    ends: dict[tuple[str, PositionKey], int] = {}
    for index, end in evidence.ends:
        ends.setdefault((end.plan, end.result.key), index)
    at_work: dict[PositionKey, str] = {}
    for send in evidence.sends:
        if not send.closing or send.intent is None:
            continue
        before = at_work.get(send.key, send.intent.plan)
        if before != send.intent.plan and ends.get((before, send.key), NEVER) > send.index:
            text = f"{send.key.symbol}: {send.request.client_id} of {send.intent.plan} left while {before} closed it"
            yield Breach("I4", text, send.at)
        at_work[send.key] = send.intent.plan


def reduce_only_where_it_exists(evidence: Evidence) -> Iterator[Breach]:
    """I5: the venue's own guard against a flip is used wherever there is one."""
    for send in evidence.sends:
        able = evidence.facts(send.account).reduce_only[send.request.symbol]
        if able and send.closing and send.what != "close_position" and not send.request.reduce_only:
            yield Breach("I5", f"{send.request.client_id} left without reduce-only", send.at)


def fills_count_once(evidence: Evidence) -> Iterator[Breach]:
    """I6: what the journal says that an order filled is what it filled, and so is the result."""
    known: dict[str, tuple[int, str]] = {}
    for index, answer in evidence.answers:
        known[answer.client_id] = index, answer.outcome
        order = answer.order
        if answer.outcome != "terminal" or order is None:
            continue
        truth = evidence.final.get((order.account, order.id))
        if truth is None or truth != order.filled:
            text = f"{order.id} journalled as terminal with {order.filled}, in truth {truth}"
            yield Breach("I6", text, evidence.at(index))
    for index, end in evidence.ends:
        row = end.result
        ours = [s for s in evidence.sends if s.intent and s.intent.plan == end.plan and s.key == row.key and s.closing]
        ours = [s for s in ours if s.index < index]
        truth = sum((s.filled for s in ours), ZERO)
        unsure = [s for s in ours if not _answered(evidence, s, known)]
        if row.kind == "close" and truth != row.filled and not unsure:
            text = f"{row.key.symbol}: reported {row.filled} filled, in truth {truth}"
            yield Breach("I6", text, evidence.at(index))


def _answered(evidence: Evidence, send: Send, known: dict[str, tuple[int, str]]) -> bool:
    """Whether the journal says what became of it: an answer to an earlier try under its name is none to this one."""
    index, outcome = known.get(send.request.client_id, (-1, ""))
    latest = max(i for i, _ in evidence.intents.get(send.request.client_id, [(-1, None)]))
    return outcome in DEFINITIVE and (outcome == "terminal" or index > latest)


def terminal_stays_terminal(evidence: Evidence) -> Iterator[Breach]:
    """I6: an order that the journal calls terminal is never given another fill or state later."""
    first: dict[tuple[str, str], IntentAnswered] = {}
    for index, answer in evidence.answers:
        order = answer.order
        if answer.outcome != "terminal" or order is None:
            continue
        before = first.setdefault((order.account, order.id), answer)
        if before.order is not None and before.order.filled != order.filled:
            yield Breach("I6", f"{order.id} was terminal with {before.order.filled}", evidence.at(index))


def rests_are_dust(evidence: Evidence) -> Iterator[Breach]:
    """I7: quantities are decimals, and what ends as a residual could truly not be sold."""
    for send in evidence.sends:
        if not isinstance(send.request.quantity, Decimal) or send.request.quantity <= 0:
            yield Breach("I7", f"{send.request.client_id} has quantity {send.request.quantity!r}", send.at)
    sellable = {e.key for e in evidence.events if isinstance(e, Left) and e.sellable and e.quantity}
    for index, end in evidence.ends:
        row = end.result
        if row.outcome == "closed_residual" and row.key in sellable:
            since = evidence.at(index) - RECENT - evidence.facts(row.key.account).lag
            if not evidence.meddled(row.key.account, row.key.symbol, since, NEVER_ENDS):
                yield Breach("I7", f"{row.key.symbol}: residual {row.residual} can be sold", evidence.at(index))


NEVER_ENDS = 1e12
