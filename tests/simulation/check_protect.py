"""I26: stops of the program's own that rest at the venue: one for a position, none without, and never a looser one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from core.model import PositionKey, Side
from core.records import AccountFrozen
from tests.simulation.check_quantity import DECIDED, RECENT
from tests.simulation.evidence import NEVER, ZERO, Breach, Evidence, Send
from tests.simulation.history import Began, Calm, Durable, Filled, Levels, Said

ROUNDING = Decimal("1e-9")  # levels are kept as exact decimals of binary numbers


def one_stop_rests(evidence: Evidence) -> Iterator[Breach]:
    """I26: a leg never has two live protective stops of the program at the venue.

    The next one leaves only when the one before is truly over: terminal there, or certain never to execute. A lost
    answer or a cancel without one is no excuse, as the program does not know and has to find out first. What may be
    two for a moment is what no program can know: an order of the life before that was still on its way when a venue
    without a promised expiry had been given more than ``LATEST`` seconds; the simulation has none so late.
    """
    earlier: dict[PositionKey, list[Send]] = {}
    for send in evidence.sends:
        if not send.protects:
            continue
        others = earlier.setdefault(send.key, [])
        for other in others:
            if other.settled > send.index:
                text = f"{send.key.symbol}: {send.request.client_id} left while {other.request.client_id} was not over"
                yield Breach("I26", text, send.at)
        others.append(send)


def stops_only_reduce(evidence: Evidence) -> Iterator[Breach]:
    """I26: a protective stop is placed for a position that the last reads showed, on its closing side, no larger than
    it, guarded against opening one; and where it trades it opens none."""
    for send in evidence.sends:
        if not send.unplanned:
            continue
        lists = evidence.last_lists(send.account, send.index, 8)
        lists = [x for nth, x in enumerate(lists) if nth < 2 or x.at > send.at - DECIDED]
        shown = [p for x in lists for p in x.positions if p.key == send.key]
        fits = (p for p in shown if p.side.closing is send.request.side and p.quantity >= send.request.quantity)
        name = f"{send.key.symbol}: {send.request.client_id}"
        if next(fits, None) is None:
            yield Breach("I26", f"{name} protects no position that was shown", send.at)
        guarded = evidence.facts(send.account).guarded[send.request.symbol]
        if not (send.request.reduce_only or guarded):
            yield Breach("I26", f"{name} rests where it could open a position", send.at)
    for event in evidence.events:
        if not isinstance(event, Filled) or event.order is None:
            continue
        fired = evidence.orders.get((event.account, event.order))
        opened = abs(event.after) > abs(event.before) or event.before * event.after < 0
        if opened and fired is not None and fired.protects:
            yield Breach("I26", f"{event.key.symbol}: {event.before} to {event.after} by a stop", event.at)


def stops_go_with_their_position(evidence: Evidence) -> Iterator[Breach]:
    """I26: no protective stop outlives its position by more than it takes to learn of that: none is left at the end
    of the undisturbed service that ends a run, and none when all is over. A frozen account is left as it is."""
    moments = [(i, e.at) for i, e in enumerate(evidence.events) if isinstance(e, Calm)]
    if not moments:
        return
    for index, at in (*moments, (NEVER, evidence.events[-1].at)):
        frozen = _frozen(evidence, index)
        for send in _resting(evidence, index):
            held = evidence.held[send.key].at(index) if send.key in evidence.held else ZERO
            if held * send.request.side.sign >= 0 and send.account not in frozen:
                yield Breach("I26", f"{send.key.symbol}: {send.order} is left with {held} held", at)


def what_is_left_is_protected(evidence: Evidence) -> Iterator[Breach]:
    """I26: whatever a close left, and whatever else is held, has one protective stop at the end of the undisturbed
    service, or the log of that service says why it has none."""
    for index, event in enumerate(evidence.events):
        if not isinstance(event, Calm):
            continue
        frozen, resting = _frozen(evidence, index), {s.key for s in _resting(evidence, index)}
        for key in event.sizes:
            if key in resting or key.account in frozen or _said_why(evidence, index, key):
                continue
            yield Breach("I26", f"{key.symbol} on {key.account} is held, and no stop rests for it", event.at)


def levels_never_loosen(evidence: Evidence) -> Iterator[Breach]:
    """I25: the stop that is kept on the disk never loosens while a position lives, across restarts too.

    A position that was closed or turned may have begun another life, seen a little later than it did; a share split
    gives it another entry and with it other levels.
    """
    last: dict[PositionKey, Levels] = {}
    for index, event in enumerate(evidence.events):
        if not isinstance(event, Levels):
            continue
        before, last[event.key] = last.get(event.key), event
        if before is None or (before.side, before.entry) != (event.side, event.entry) or before.stop is None:
            continue
        loosened = event.stop is None or (before.stop - event.stop) * event.side.sign > ROUNDING * before.stop
        if loosened and not _began_anew(evidence, before, index):
            text = f"{event.key.symbol}: the stop went from {before.stop} back to {event.stop}"
            yield Breach("I25", text, event.at)


def triggers_never_loosen(evidence: Evidence) -> Iterator[Breach]:
    """I26: within one life of the program the protective stop of a position is moved only in its favour."""
    last: dict[tuple[int, PositionKey], Send] = {}
    for send in evidence.sends:
        if not send.unplanned or send.request.trigger is None:
            continue
        before = last.get((send.life, send.key))
        last[send.life, send.key] = send
        if before is None or before.request.trigger is None or before.request.side is not send.request.side:
            continue
        back = (before.request.trigger - send.request.trigger) * -send.request.side.sign
        since = before.at - RECENT - evidence.facts(send.account).lag
        if back > 0 and not evidence.meddled(send.account, send.request.symbol, since, send.at):
            text = f"{send.key.symbol}: moved back from {before.request.trigger} to {send.request.trigger}"
            yield Breach("I26", text, send.at)


def _resting(evidence: Evidence, index: int) -> Iterator[Send]:
    """Protective stops that are live at the venue at an event."""
    return (s for s in evidence.sends if s.protects and s.accepted < index <= s.over)


def _frozen(evidence: Evidence, index: int) -> set[str]:
    events = evidence.events[:index]
    return {e.record.account for e in events if isinstance(e, Durable) and isinstance(e.record, AccountFrozen)}


def _said_why(evidence: Evidence, index: int, key: PositionKey) -> bool:
    begun = max((i for i, e in enumerate(evidence.events[:index]) if isinstance(e, Began)), default=0)
    name = re.compile(rf"\[PROTECT\] ({re.escape(key.symbol)} on {re.escape(key.account)}:|{re.escape(key.account)} )")
    since = evidence.events[begun:index]
    return any(isinstance(e, Said) and e.level != "info" and name.match(e.text) for e in since)


def _began_anew(evidence: Evidence, before: Levels, index: int) -> bool:
    """Whether the position was closed or turned in truth since a little before its level was kept last."""
    timeline = evidence.held.get(before.key)
    if timeline is None:
        return True
    since = before.at - RECENT - evidence.facts(before.key.account).lag
    side = 1 if before.side is Side.LONG else -1
    return any(
        quantity * side <= 0 and since <= evidence.at(place) and place < index
        for place, quantity in zip(timeline.indices, timeline.quantities, strict=True)
    )
