"""What the venue tells its listeners: events in order, some of them late, and none before it was saved."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

from core.events import BrokerEvent

BACKLOG = 10_000  # events that wait for one reader; the oldest go first


class EventLog:
    """Events are put while something happens, and seen by the readers at the next ``flush``."""

    def __init__(self) -> None:
        self._pending: list[tuple[float, int, BrokerEvent]] = []
        self._order = count()
        self._readers: list[tuple[deque[BrokerEvent], Callable[[], None]]] = []

    @property
    def has_readers(self) -> bool:
        return bool(self._readers)

    def subscribe(self, wake: Callable[[], None]) -> deque[BrokerEvent]:
        """The events from now on; ``wake`` is called when there are some."""
        reader: deque[BrokerEvent] = deque(maxlen=BACKLOG)
        self._readers.append((reader, wake))
        return reader

    def unsubscribe(self, reader: deque[BrokerEvent]) -> None:
        self._readers = [entry for entry in self._readers if entry[0] is not reader]

    def put(self, event: BrokerEvent, at: float) -> None:
        """An event that is seen at ``at`` or later."""
        if self._readers:
            heapq.heappush(self._pending, (at, next(self._order), event))

    def drop(self) -> None:
        """Forget what was not seen yet: it did not happen."""
        self._pending.clear()

    def flush(self, now: float) -> None:
        """Hand out everything that is due."""
        due = []
        while self._pending and self._pending[0][0] <= now:
            due.append(heapq.heappop(self._pending)[2])
        for reader, wake in self._readers if due else ():
            reader.extend(due)
            wake()
