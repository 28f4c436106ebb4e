"""Queue the venue's events for its readers, in order of time.

An event may be due later than its change. The venue flushes after a save, so no reader sees an unsaved change.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

from core.events import BrokerEvent

BACKLOG = 10_000  # most events that wait for one reader; the oldest are dropped first


class EventLog:
    """A queue of events. Each ``flush`` hands the due events to every reader."""

    def __init__(self) -> None:
        self._pending: list[tuple[float, int, BrokerEvent]] = []
        self._order = count()
        self._readers: list[tuple[deque[BrokerEvent], Callable[[], None]]] = []

    @property
    def has_readers(self) -> bool:
        return bool(self._readers)

    def subscribe(self, wake: Callable[[], None]) -> deque[BrokerEvent]:
        """Return a queue that gets all events from now on. The log calls ``wake`` after it added events."""
        reader: deque[BrokerEvent] = deque(maxlen=BACKLOG)
        self._readers.append((reader, wake))
        return reader

    def unsubscribe(self, reader: deque[BrokerEvent]) -> None:
        self._readers = [entry for entry in self._readers if entry[0] is not reader]

    def schedule_event(self, event: BrokerEvent, at: float) -> None:
        """Add an event that readers see at ``at`` (monotonic seconds) or later."""
        if self._readers:
            heapq.heappush(self._pending, (at, next(self._order), event))

    def drop(self) -> None:
        """Discard the events that no reader has seen, because their changes could not be saved."""
        self._pending.clear()

    def flush(self, now: float) -> None:
        """Hand out the events that are due at ``now``."""
        due = []
        while self._pending and self._pending[0][0] <= now:
            due.append(heapq.heappop(self._pending)[2])
        for reader, wake in self._readers if due else ():
            reader.extend(due)
            wake()
