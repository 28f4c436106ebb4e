"""Broker truth against what the journal believes is held. Pure.

The journal's belief is folded from its records: positions opened, scaled, adopted, closed. The union of both sides is
walked, so what a broker stops reporting is noticed. Broker truth wins: every discrepancy becomes a record that makes
the belief right again. What differs counts only when a second read, asked later, says the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum

from msgspec import Struct, field, structs

from core.model import Leg, Order, OrderSide, Position, PositionKey, Side
from core.records import (
    Adopted,
    ClosingEnded,
    Entry,
    EntryApproved,
    EntryEnded,
    Opened,
    PositionClosed,
    Scaled,
)
from core.units import ZERO, plain

FOLDED = ("opened", "scaled", "adopted", "position_closed", "closing_ended", "entry_approved", "entry_ended")
GONE = frozenset({"closed", "closed_residual"})


class Belief(Struct, frozen=True):
    """A position as the journal knows it. ``settings`` is the fingerprint it is accepted under, empty for none."""

    key: PositionKey
    side: Side
    quantity: Decimal
    entry: Decimal | None
    leverage: Decimal | None
    settings: str = ""
    stop_pct: Decimal | None = None  # its own, of one that was opened here

    @property
    def position(self) -> Position:
        """As a broker would report it."""
        where = self.key
        given = (where.account, where.symbol, self.side, self.quantity, self.quantity, self.entry, self.leverage)
        return Position(*given, leg=where.leg)


class Beliefs(Struct):
    """What the journal believes: positions by key, entries on their way, and when each signal was last approved."""

    held: dict[PositionKey, Belief] = field(default_factory=dict)
    pending: dict[str, EntryApproved] = field(default_factory=dict)
    signals: dict[tuple[str, str, OrderSide], datetime] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """One more entry of the journal, in order."""
        match entry.record:
            case Opened() as r:
                self.held[r.key] = Belief(r.key, r.side, r.quantity, r.entry, r.leverage, r.settings, r.stop_pct)
            case Adopted() as r:
                known = self.held.get(r.key)
                stop_pct = known.stop_pct if known is not None and known.side is r.side else None
                self.held[r.key] = Belief(r.key, r.side, r.quantity, r.entry, r.leverage, r.settings, stop_pct)
            case Scaled() as r:
                self._resize(r.key, r.quantity, r.entry)
            case PositionClosed() as r:
                self.held.pop(r.key, None)
            case ClosingEnded() as r:
                self._closed(r)
            case EntryApproved() as r:
                self.pending[r.plan] = r
                if r.what == "open":
                    self.signals[r.owner, r.key.symbol, r.side] = r.at
            case EntryEnded() as r:
                self.pending.pop(r.plan, None)
            case _:
                pass

    def _closed(self, record: ClosingEnded) -> None:
        """A close, or a part of one: what it left is what is believed. A cancel changes nothing that is held."""
        row = record.result
        known = self.held.get(row.key)
        if known is None or row.kind != "close":
            return
        if row.outcome in GONE:
            self._resize(row.key, row.residual or ZERO, known.entry)
        elif row.filled > 0:
            left = known.quantity - row.filled if row.residual is None else row.residual
            self._resize(row.key, left, known.entry)

    def _resize(self, key: PositionKey, quantity: Decimal, entry: Decimal | None) -> None:
        known = self.held.get(key)
        if quantity <= 0:
            self.held.pop(key, None)
        elif known is not None:
            self.held[key] = structs.replace(known, quantity=quantity, entry=entry)


class Kind(Enum):
    """What differs."""

    PHANTOM = "phantom"  # ours, not theirs
    MISSED = "missed"  # theirs, not ours
    QUANTITY = "quantity"
    SIDE = "side"
    ENTRY = "entry"
    ORPHAN_ORDER = "orphan_order"  # an order with our mark that nothing of ours accounts for


class Discrepancy(Struct, frozen=True):
    """One difference between ``ours`` and ``theirs``, in one sentence."""

    kind: Kind
    key: PositionKey
    text: str
    ours: Belief | None = None
    theirs: Position | None = None
    order: Order | None = None
    alarm: bool = False  # somebody else may be acting on the account

    @property
    def identity(self) -> tuple[str, PositionKey, str]:
        """What makes it the same one in a second read."""
        return self.kind.value, self.key, self.order.id if self.order else ""


def compare(
    ours: Mapping[PositionKey, Belief], theirs: Iterable[Position], tick: Callable[[PositionKey], Decimal]
) -> list[Discrepancy]:
    """Every difference over the union of both sides, in a stable order. An entry that either side does not know, or
    that is within a tick, is no difference."""
    held = {p.key: p for p in theirs}
    keys = sorted({*ours, *held}, key=lambda k: (k.account, k.symbol, k.leg.value))
    return [d for k in keys for d in _differences(k, ours.get(k), held.get(k), tick)]


def _differences(
    key: PositionKey, ours: Belief | None, theirs: Position | None, tick: Callable[[PositionKey], Decimal]
) -> list[Discrepancy]:
    where = f"{key.symbol} on {key.account}"
    if theirs is None:
        what = f" {plain(ours.quantity)} {ours.side.value}" if ours else ""
        return [Discrepancy(Kind.PHANTOM, key, f"{where}:{what} is not held at the broker any more", ours)]
    told = f"{plain(theirs.quantity)} {theirs.side.value}"
    if ours is None:
        return [Discrepancy(Kind.MISSED, key, f"{where}: {told} is held and was not known here", None, theirs)]
    if ours.side is not theirs.side:
        text = f"{where}: the broker reports {told}, known here as {plain(ours.quantity)} {ours.side.value}"
        return [Discrepancy(Kind.SIDE, key, text, ours, theirs)]
    found = []
    if ours.quantity != theirs.quantity:
        text = f"{where}: the broker reports {plain(theirs.quantity)}, known here as {plain(ours.quantity)}"
        found.append(Discrepancy(Kind.QUANTITY, key, text, ours, theirs))
    known = ours.entry is not None and theirs.entry is not None
    if known and abs(ours.entry - theirs.entry) > tick(key):  # type: ignore[operator]  # both are known
        text = (
            f"{where}: the broker's entry is {plain(theirs.entry or ZERO)}, known here as {plain(ours.entry or ZERO)}"
        )
        found.append(Discrepancy(Kind.ENTRY, key, text, ours, theirs))
    return found


def orphans(
    orders: Iterable[Order], theirs: Iterable[Position], strangers: frozenset[str], busy: frozenset[str]
) -> list[Discrepancy]:
    """Among orders with our mark: those that no record of the journal explains (``strangers``, by client id), and
    those on a symbol in which nothing is held and nothing is under way (``busy``)."""
    held = {p.symbol for p in theirs}
    found = []
    for order in orders:
        key = PositionKey(order.account, order.symbol, order.leg)
        foreign = order.client_id in strangers
        if foreign:
            why = "carries our mark and is not in this journal: another flatdeck may act on the account"
        elif order.symbol not in held | busy:
            why = "is ours and has no position any more"
        else:
            continue
        text = f"{order.symbol} on {order.account}: order {order.id} {why}"
        found.append(Discrepancy(Kind.ORPHAN_ORDER, key, text, order=order, alarm=foreign))
    return found


def confirmed(first: Sequence[Discrepancy], second: Sequence[Discrepancy]) -> list[Discrepancy]:
    """What both reads say, as the second says it."""
    seen = {d.identity for d in first}
    return [d for d in second if d.identity in seen]


def corrections(found: Iterable[Discrepancy], settings: Callable[[PositionKey], str]) -> list[Adopted | PositionClosed]:
    """The records that make the journal believe what the broker reports, one per position.

    ``settings`` gives the fingerprint under which what is new is accepted; what was known keeps its own.
    """
    made: dict[PositionKey, Adopted | PositionClosed] = {}
    for one in found:
        if one.kind is Kind.PHANTOM:
            made[one.key] = PositionClosed(one.key, "not held at the broker any more")
        elif one.theirs is not None and one.key not in made:
            made[one.key] = _taken_over(one.theirs, one.ours, one.kind, settings(one.key))
    return list(made.values())


def _taken_over(theirs: Position, ours: Belief | None, kind: Kind, settings: str) -> Adopted:
    """What the broker says, and what we know beyond it, as long as it is the same position."""
    key, side, quantity, entry = theirs.key, theirs.side, theirs.quantity, theirs.entry
    if ours is not None and ours.side is side:
        entry, settings = ours.entry if entry is None else entry, ours.settings
    return Adopted(key, side, quantity, entry, theirs.leverage, kind.value, settings)


def counts(found: Iterable[Discrepancy]) -> dict[str, int]:
    """How many of each kind, every kind named."""
    tally = Counter(d.kind for d in found)
    return {kind.value: tally[kind] for kind in Kind}


def believed(ours: Mapping[PositionKey, Belief], account: str) -> dict[PositionKey, Belief]:
    """The part of what is believed that is one account's."""
    return {k: b for k, b in ours.items() if k.account == account}


def leg_for(side: Side, held: Iterable[Position]) -> Leg:
    """The leg of a new position: its own in an account that holds legs, else the net one."""
    hedged = any(p.leg is not Leg.NET for p in held)
    return Leg(side.value) if hedged else Leg.NET
