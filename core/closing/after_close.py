"""Our recent orders on each instrument, which may still matter after a close has ended.

A venue's list may lag behind a fill of an earlier close or of an earlier process. Where a late order could open a
position, the next close waits until the lists are up to date.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec import structs

from core.journal.journal import Journal
from core.journal.query import EntryFilter
from core.ladder.states import Ladder
from core.model import InstrumentKey
from core.ports import Clock
from core.records import IntentAnswered, IntentWritten

ORDERS_KEPT = 100


class RecentOrders:
    """The recent orders of all accounts. ``within``: the longest lag of any venue's list, in seconds."""

    def __init__(self, journal: Journal, clock: Clock, within: float) -> None:
        self._journal = journal
        self._clock = clock
        self._within = within
        self._ended: dict[InstrumentKey, float] = {}  # monotonic seconds
        self._orders: dict[InstrumentKey, tuple[str, ...]] = {}  # order ids of ended closes, the latest last
        self._loaded = False

    async def read_journal(self) -> None:
        """Read from the journal what an earlier process sent within the lag. Raises JournalError."""
        if self._loaded:
            return
        now, monotonic = self._clock.now(), self._clock.monotonic()
        for kind in ("intent_written", "intent_answered"):
            lately = EntryFilter(since=now - timedelta(seconds=self._within), kinds=(kind,))
            for entry in await self._journal.entries(lately, tail=True):
                if isinstance(entry.record, IntentWritten | IntentAnswered):
                    self._end(entry.record.key.instrument, monotonic - (now - entry.at).total_seconds())
        self._loaded = True

    def record_close(self, where: InstrumentKey, ladder: Ladder) -> None:
        """Record the end of a close."""
        if ladder.sent:
            self._end(where, self._clock.monotonic())
            self._orders[where] = (*self._orders.get(where, ()), *ladder.fills.by_order)[-ORDERS_KEPT:]

    def add_earlier_orders(self, where: InstrumentKey, ladder: Ladder) -> Ladder:
        """Return the next close's ladder with the end time of our last order there and our earlier orders' ids."""
        ended = self._ended.get(where) if ladder.fills.ended_at is None else ladder.fills.ended_at
        others = ladder.others | (frozenset(self._orders.get(where, ())) - ladder.sent)
        return structs.replace(ladder, fills=structs.replace(ladder.fills, ended_at=ended), others=others)

    def _end(self, where: InstrumentKey, at: float) -> None:
        self._ended[where] = max(at, self._ended.get(where, at))
