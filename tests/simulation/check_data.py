"""I14 to I17: what is believed of lists, prices and streams."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import prod

from core.model import PositionKey
from core.records import IntentAnswered
from tests.simulation.check_quantity import RECENT, moved_by_hand
from tests.simulation.evidence import ZERO, Breach, Evidence, Send
from tests.simulation.history import Began, Called, Durable, Listed, Quoted

CONCESSION = Decimal("0.0215")  # the furthest offset and half the spread
MOST_SPREAD = Decimal("0.1")  # of the middle of bid and ask
STALE = 3.0  # seconds between a read and the order that was decided on it
SILENT = 130.0  # seconds without a read in which a watched account's stream may have been silent


def closed_is_flat(evidence: Evidence) -> Iterator[Breach]:
    """I14: what is called closed is flat in truth."""
    for index, end in evidence.ends:
        row = end.result
        if row.outcome != "closed":
            continue
        held = evidence.held.get(row.key)
        quantity = held.at(index) if held else Decimal(0)
        since = evidence.at(index) - RECENT - evidence.facts(row.key.account).lag
        if quantity and not evidence.meddled(row.key.account, row.key.symbol, since, evidence.at(index)):
            yield Breach("I14", f"{row.key.symbol} called closed with {quantity} held", evidence.at(index))


def flat_is_seen_twice(evidence: Evidence) -> Iterator[Breach]:
    """I14: what our own fills do not explain is called closed only after two lists, one asked after the other came."""
    for index, end in evidence.ends:
        row = end.result
        action = evidence.action(end.plan, row.key)
        if row.outcome != "closed" or action is None or row.filled >= action.quantity:
            continue
        lists = [(i, e) for i, e in _lists_before(evidence, row.key.account, index)]
        without = [e for _, e in lists if all(p.key != row.key for p in e.positions)]
        shares = row.filled > 0 and _others_share(evidence, row.key, index)
        if not (_two_agree(without) or (shares and without)):
            yield Breach("I14", f"{row.key.symbol} called closed without two lists that agree", evidence.at(index))


def _lists_before(evidence: Evidence, account: str, index: int) -> list[tuple[int, Listed]]:
    indices, lists = evidence.lists.get(account, ([], []))
    return [(i, e) for i, e in zip(indices, lists, strict=True) if i < index]


def _others_share(evidence: Evidence, key: PositionKey, index: int) -> bool:
    """Whether somebody else took a part, so that our fills explain the rest that was read."""
    held = evidence.held.get(key)
    return held is not None and held.at(index) == 0


def _two_agree(lists: list[Listed]) -> bool:
    return len(lists) >= 2 and lists[-1].at > lists[0].at


def prices_are_sane(evidence: Evidence) -> Iterator[Breach]:
    """I15, I22: a limit is finite, positive and concedes no more than the furthest offset from the venue's price."""
    prices = evidence.history.prices
    for send in evidence.sends:
        price = send.request.price
        if price is None:
            continue
        true = prices.get((send.account, send.request.symbol))
        off = not price.is_finite() or price <= 0
        if not off and true is not None:
            known = evidence.foreign.get((send.account, send.request.symbol), ())
            ratios = [f.ratio for i, f in known if i < send.index and f.ratio is not None]
            true /= prod(ratios)
            off = abs(price / true - 1) > CONCESSION and not moved_by_hand(evidence, send, send.at)
        if off and not _near_a_quote(evidence, send):
            yield Breach("I15", f"{send.request.client_id} has limit {price}, the venue's price is {true}", send.at)


def _near_a_quote(evidence: Evidence, send: Send) -> bool:
    """Whether the program was told such a price where prices move; the worse one of the book counts.

    A bid and an ask far apart are no market, and tell nothing.
    """
    return any(
        abs((send.request.price or ZERO) / side - 1) <= CONCESSION
        for e in evidence.events[: send.index]
        if isinstance(e, Quoted) and (e.account, e.symbol) == (send.account, send.request.symbol)
        for side in (e.bid, e.ask)
        if side.is_finite() and side > 0 and not far_apart(e)
    )


def far_apart(quoted: Quoted) -> bool:
    bid, ask = quoted.bid, quoted.ask
    return not (bid.is_finite() and ask.is_finite()) or 2 * (ask - bid) > MOST_SPREAD * (ask + bid)


def decisions_are_fresh(evidence: Evidence) -> Iterator[Breach]:
    """I16: an order leaves soon after the read that it was decided on, in the same life; else it is read again."""
    for send in evidence.sends:
        if not send.closing:
            continue
        last = evidence.last_lists(send.account, send.index, 1)
        begun = [e.at for e in evidence.events[: send.index] if isinstance(e, Began)][-1:]
        if not last or send.at - last[0].at > STALE or (begun and last[0].at < begun[0]):
            seen = f"{send.at - last[0].at:.1f} s after" if last else "without"
            yield Breach("I16", f"{send.request.client_id} left {seen} a read", send.at)


def silence_is_noticed(evidence: Evidence) -> Iterator[Breach]:
    """I17: an account that is being watched is read again and again, whatever its stream does."""
    for account, calls in evidence.calls.items():
        if not evidence.history.watched:
            return
        last: Called | None = None
        for _, call in calls:
            if call.what != "holdings" or call.life != 1:
                continue
            if last is not None and call.at - last.at > SILENT:
                yield Breach("I17", f"{account} was not read for {call.at - last.at:.0f} s", call.at)
            last = call


def answers_are_of_our_orders(evidence: Evidence) -> Iterator[Breach]:
    """I13: an order is taken for ours only when it is: found by name, or the one that the close call made."""
    for index, event in enumerate(evidence.events):
        record = event.record if isinstance(event, Durable) else None
        if not isinstance(record, IntentAnswered) or record.outcome != "terminal" or record.order is None:
            continue
        send = evidence.orders.get((record.order.account, record.order.id))
        if send is None or send.request.client_id != record.client_id:
            whose = send.request.client_id if send else "somebody else"
            yield Breach("I13", f"{record.order.id} of {whose} taken for {record.client_id}", evidence.at(index))
