"""Broker truth against what the journal believes is held. Pure.

The journal's belief is folded from its records: positions opened, scaled, adopted, closed. The union of both sides is
walked, so what a broker stops reporting is noticed. Broker truth wins: every discrepancy becomes a record that makes
the belief right again. What differs counts only when a second read, asked later, says the same.
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
    ours: BelievedPosition | None = None
    theirs: Position | None = None
    order: Order | None = None
    alarm: bool = False  # somebody else may be acting on the account

    @property
    def identity(self) -> tuple[str, PositionKey, str]:
        """What makes it the same one in a second read."""
        return self.kind.value, self.key, self.order.id if self.order else ""


def compare(
    ours: Mapping[PositionKey, BelievedPosition], theirs: Iterable[Position], tick: Callable[[PositionKey], Decimal]
) -> list[Discrepancy]:
    """Every difference over the union of both sides, in a stable order. An entry that either side does not know, or
    that is within a tick, is no difference."""
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


def _taken_over(theirs: Position, ours: BelievedPosition | None, kind: Kind, settings: str) -> Adopted:
    """What the broker says, and what we know beyond it, as long as it is the same position."""
    key, side, quantity, entry = theirs.key, theirs.side, theirs.quantity, theirs.entry
    if ours is not None and ours.side is side:
        entry, settings = ours.entry if entry is None else entry, ours.settings
    return Adopted(key, side, quantity, entry, theirs.leverage, kind.value, settings)


def counts(found: Iterable[Discrepancy]) -> dict[str, int]:
    """How many of each kind, every kind named."""
    tally = Counter(d.kind for d in found)
    return {kind.value: tally[kind] for kind in Kind}


def unknown(
    held: Iterable[Position], known: Mapping[PositionKey, BelievedPosition], mark: FingerprintOf
) -> list[Position]:
    """Those not known as opened or adopted under the settings that ``mark`` names, or known on the other side."""

    def ours(position: Position) -> bool:
        belief = known.get(position.key)
        return belief is not None and belief.settings == mark(position.key) and belief.side is position.side

    return [p for p in held if not ours(p)]


def adopted(position: Position, why: str, settings: str) -> Adopted:
    """What a broker reports, as the record that takes it over."""
    return Adopted(
        key=position.key,
        side=position.side,
        quantity=position.quantity,
        entry=position.entry,
        leverage=position.leverage,
        why=why,
        settings=settings,
    )
