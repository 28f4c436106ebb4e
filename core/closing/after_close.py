"""What our own orders may still change on an instrument after a close has ended.

A venue's list may lag behind a fill, whoever made it: the close before, or a process before this one. Where nothing at
the venue keeps an order from opening a position, the next close waits until the lists have had their time. An order
of ours that may still be live keeps the other actions of its plan on that instrument from being begun.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec import structs

from core.journal.journal import Journal
from core.ladder.states import Ladder
from core.model import InstrumentKey
from core.ports import Clock
from core.records import IntentAnswered, IntentWritten

ORDERS_KEPT = 100


class RecentOrders:
    """``within`` is the longest that any venue's list may lag, in seconds."""

    def __init__(self, journal: Journal, clock: Clock, within: float) -> None:
        self._journal = journal
        self._clock = clock
        self._within = within
        self._ended: dict[InstrumentKey, float] = {}
        self._live: dict[InstrumentKey, str] = {}
        self._orders: dict[InstrumentKey, tuple[str, ...]] = {}  # of closes that have ended, the latest last
        self._loaded = False

    async def load(self) -> None:
        """What a process before this one did a moment ago. Raises JournalError."""
        if self._loaded:
            return
        now, monotonic = self._clock.now(), self._clock.monotonic()
        for kind in ("intent_written", "intent_answered"):
            for entry in await self._journal.entries(since=now - timedelta(seconds=self._within), kind=kind, tail=True):
                if isinstance(entry.record, IntentWritten | IntentAnswered):
                    self._end(entry.record.key.instrument, monotonic - (now - entry.at).total_seconds())
        self._loaded = True

    def note(self, where: InstrumentKey, plan: str, ladder: Ladder) -> None:
        """A close came to its end."""
        if ladder.sent:
            self._end(where, self._clock.monotonic())
            self._orders[where] = (*self._orders.get(where, ()), *ladder.done)[-ORDERS_KEPT:]
        if ladder.request is not None or ladder.order is not None:
            self._live[where] = plan

    def told(self, where: InstrumentKey, ladder: Ladder) -> Ladder:
        """The next close on the instrument, knowing when an order of ours there last ended, and which were ours."""
        ended = self._ended.get(where) if ladder.ended_at is None else ladder.ended_at
        others = ladder.others | (frozenset(self._orders.get(where, ())) - ladder.sent)
        return structs.replace(ladder, ended_at=ended, others=others)

    def live(self, where: InstrumentKey, plan: str) -> bool:
        """Whether an order that the plan sent there may still be live."""
        return self._live.get(where) == plan

    def _end(self, where: InstrumentKey, at: float) -> None:
        self._ended[where] = max(at, self._ended.get(where, at))
