"""Lists that lag: for a while after a fill, the venue shows values from before the fill."""

from __future__ import annotations

from typing import Generic, TypeVar

from brokers.paper.state import Key
from core.model import Order, Position

K = TypeVar("K")
V = TypeVar("V")


class FormerValues(Generic[K, V]):
    """Former values by key, each shown until its time.

    A key may have several former values. The oldest value that has not expired is shown.
    """

    def __init__(self) -> None:
        self._former: dict[K, list[tuple[float, V]]] = {}

    def add(self, key: K, until: float, former: V) -> None:
        self._former.setdefault(key, []).append((until, former))

    def shown(self, now: float) -> dict[K, V]:
        """Return the former values that are shown at ``now``, and drop the expired values."""
        for key in list(self._former):
            kept = [entry for entry in self._former[key] if entry[0] > now]
            if kept:
                self._former[key] = kept
            else:
                del self._former[key]
        return {key: entries[0][1] for key, entries in self._former.items()}


class ListLag:
    """Positions, orders and fills that are reported late. A former position of None: there was no position."""

    def __init__(self) -> None:
        self.positions: FormerValues[Key, Position | None] = FormerValues()
        self.orders: FormerValues[str, Order] = FormerValues()
        self.fills: FormerValues[str, None] = FormerValues()
