"""Compare the positions at the broker with the positions that the journal believes are held. Pure.

The journal's belief is folded from its records: positions opened, scaled, adopted, closed. The comparison covers all
positions of both sides, so it finds a position that a broker stops reporting. The broker is right: every discrepancy
becomes a record that corrects the belief. A difference counts only when a second read, asked later, shows it too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.journal.believed import BelievedPosition
from core.model import Order, Position, PositionKey
from core.records import (
    Adopted,
    PositionClosed,
)
from core.settings import FingerprintOf
from core.units import ZERO, plain


class Kind(Enum):
    """Kind of a difference."""

    PHANTOM = "phantom"  # in the journal, not at the broker
    MISSED = "missed"  # at the broker, not in the journal
    QUANTITY = "quantity"
    SIDE = "side"
    ENTRY = "entry"
    ORPHAN_ORDER = "orphan_order"  # an order with our mark that has no position or no record of ours


class Discrepancy(Struct, frozen=True):
    """One difference between ``ours`` (the journal) and ``theirs`` (the broker). ``text`` is one sentence."""

    kind: Kind
    key: PositionKey
    text: str
    ours: BelievedPosition | None = None
    theirs: Position | None = None
    order: Order | None = None
    alarm: bool = False  # another flatdeck may act on the account

    @property
    def identity(self) -> tuple[str, PositionKey, str]:
        """Return the values by which a second read recognises the same discrepancy."""
        return self.kind.value, self.key, self.order.id if self.order else ""


class Reconciled(Struct, frozen=True):
    """The discrepancies, and the accounts that could not be read, with the reasons."""

    found: tuple[Discrepancy, ...] = ()
    unread: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        return not self.unread


def compare(
    ours: Mapping[PositionKey, BelievedPosition], theirs: Iterable[Position], tick: Callable[[PositionKey], Decimal]
) -> list[Discrepancy]:
    """Return every difference between both sides, in a stable order.

    An entry price that one side does not know is no difference. A deviation of at most a tick is no difference either.
    """
    held = {p.key: p for p in theirs}
    keys = sorted({*ours, *held}, key=lambda k: (k.account, k.symbol, k.leg.value))
    return [d for k in keys for d in _differences(k, ours.get(k), held.get(k), tick)]


def _differences(
    key: PositionKey, ours: BelievedPosition | None, theirs: Position | None, tick: Callable[[PositionKey], Decimal]
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
    orders: Iterable[Order], theirs: Iterable[Position], foreign_ids: frozenset[str], busy: frozenset[str]
) -> list[Discrepancy]:
    """Return the orphans among orders with our mark.

    An orphan is another flatdeck's, or its symbol has no position and no action under way. ``foreign_ids``: ids of
    another flatdeck's orders. ``busy``: symbols with an action under way.
    """
    held = {p.symbol for p in theirs}
    found = []
    for order in orders:
        key = PositionKey(order.account, order.symbol, order.leg)
        foreign = order.id in foreign_ids
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
    """Return the discrepancies of the second read that the first read has too."""
    seen = {d.identity for d in first}
    return [d for d in second if d.identity in seen]


def corrections(found: Iterable[Discrepancy], settings: Callable[[PositionKey], str]) -> list[Adopted | PositionClosed]:
    """The records that make the journal believe what the broker reports, one per position.

    ``settings`` returns the fingerprint for a new position. A known position keeps its own fingerprint.
    """
    made: dict[PositionKey, Adopted | PositionClosed] = {}
    for one in found:
        if one.kind is Kind.PHANTOM:
            made[one.key] = PositionClosed(one.key, "not held at the broker any more")
        elif one.theirs is not None and one.key not in made:
            made[one.key] = _taken_over(one.theirs, one.ours, one.kind, settings(one.key))
    return list(made.values())


def _taken_over(theirs: Position, ours: BelievedPosition | None, kind: Kind, settings: str) -> Adopted:
    """Return the record of the broker's position.

    A position on the same side keeps our settings, and our entry price when the broker tells none.
    """
    key, side, quantity, entry = theirs.key, theirs.side, theirs.quantity, theirs.entry
    if ours is not None and ours.side is side:
        entry, settings = ours.entry if entry is None else entry, ours.settings
    return Adopted(key, side, quantity, entry, theirs.leverage, kind.value, settings)


def counts(found: Iterable[Discrepancy]) -> dict[str, int]:
    """Return the number of discrepancies of every kind, 0 included."""
    tally = Counter(d.kind for d in found)
    return {kind.value: tally[kind] for kind in Kind}


def unknown(
    held: Iterable[Position], known: Mapping[PositionKey, BelievedPosition], mark: FingerprintOf
) -> list[Position]:
    """Return the positions that the journal does not know on this side under the settings of ``mark``."""

    def ours(position: Position) -> bool:
        belief = known.get(position.key)
        return belief is not None and belief.settings == mark(position.key) and belief.side is position.side

    return [p for p in held if not ours(p)]


def adopted(position: Position, why: str, settings: str) -> Adopted:
    """Return the record that adopts a position as the broker reports it."""
    return Adopted(
        key=position.key,
        side=position.side,
        quantity=position.quantity,
        entry=position.entry,
        leverage=position.leverage,
        why=why,
        settings=settings,
    )
