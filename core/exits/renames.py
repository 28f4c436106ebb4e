"""Positions whose instrument got a new name: the position that vanished, and the position that appeared. Pure.

A new name is no trade. A venue lists the position under the new name, and no longer under the old name. The lists may
show the two changes in any order. The program may have been down meanwhile.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from math import inf

from core.exits.snapshot import ExitSnapshot
from core.model import InstrumentKey, Position, PositionKey

MOMENT = 45.0  # seconds in which the new name may follow the old
OVERLAP = 15.0  # seconds in which both are held: lists must agree twice before a position is gone


class Renames:
    """The positions that lately vanished or appeared. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._gone: dict[PositionKey, tuple[ExitSnapshot, float]] = {}
        self._new: dict[PositionKey, float] = {}  # -inf: held at the start

    def add_vanished(self, snapshot: ExitSnapshot, now: float) -> None:
        """Record a position that is no longer held."""
        self._gone[snapshot.key] = snapshot, now
        self._new.pop(snapshot.key, None)

    def add_appeared(self, key: PositionKey, now: float) -> None:
        """Record a position that has no levels from before."""
        self._new[key] = now

    def find_former(
        self,
        account: str,
        positions: Iterable[tuple[Position, str]],
        kept: Iterable[ExitSnapshot],
        traded: Container[InstrumentKey],
        now: float,
    ) -> list[tuple[ExitSnapshot, Position]]:
        """Return the snapshots of renamed positions, each with the position under its new name.

        ``positions`` are the held positions with the venue's ids. ``kept`` are snapshots from before a restart, of
        positions that are not held. A trade explains a position of the instruments ``traded``, so they have no new
        name. A position held at the start fits only a snapshot from before the start. A snapshot that fits two
        positions is not used, nor the other way round.
        """
        self._gone = {key: gone for key, gone in self._gone.items() if now - gone[1] <= MOMENT}
        self._new = {key: at for key, at in self._new.items() if at == -inf or now - at <= MOMENT}
        former = [*self._gone.values(), *((snapshot, inf) for snapshot in kept)]
        former = [(s, at) for s, at in former if s.key.account == account and s.key.instrument not in traded]
        fresh = [(p, id_) for p, id_ in positions if p.key in self._new and p.key.instrument not in traded]
        pairs = [
            (s, p)
            for s, gone in former
            for p, id_ in fresh
            if _same(s, p, id_) and (gone == inf or gone - self._new[p.key] <= OVERLAP)
        ]
        found = [(s, p) for s, p in pairs if sum(s is other or p is another for other, another in pairs) == 1]
        for snapshot, position in found:
            self._gone.pop(snapshot.key, None)
            del self._new[position.key]
        return found


def _same(former: ExitSnapshot, position: Position, venue_id: str) -> bool:
    """Return True for the same venue id, or for the same quantity and entry. A venue may give a new id, too."""
    if former.key == position.key or (former.side, former.key.leg) != (position.side, position.leg):
        return False
    if former.venue_id and former.venue_id == venue_id:
        return True
    known = former.saved.entry is not None and position.entry is not None
    return known and (former.quantity, former.saved.entry) == (position.quantity, position.entry)
