"""One event stream of a paper account: wakes at each price tick and each event, and applies the stream faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from brokers.paper.venue import Venue
from core.errors import Unreachable
from core.events import BrokerEvent, QuoteSeen
from core.ports import Clock

SHORTEST_SLEEP = 0.001  # seconds; a shorter sleep may not move the clock at all


class Stream:
    """A reader of the venue's events. ``close`` ends the events; ``stop`` ends the ticker and the subscription."""

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self._venue, self._clock = venue, clock
        self._wake = asyncio.Event()
        self._reader = venue.subscribe(self._wake.set)
        self._closed = self._silent = False
        self._ticker = asyncio.get_running_loop().create_task(self._wake_at_ticks())

    async def events(self) -> AsyncGenerator[BrokerEvent, None]:
        """Yield events until ``close``. Raises Unreachable if the stream breaks."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._ticker.done() and not self._ticker.cancelled():
                self._ticker.result()
            if self._closed:
                return
            if self._venue.faults.strikes("stream_drops"):
                raise Unreachable("the stream broke")
            self._silent = self._silent or self._venue.faults.strikes("silent_stream")
            for event in self._batch():
                yield event

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def stop(self) -> None:
        self._ticker.cancel()
        self._venue.matching.event_log.unsubscribe(self._reader)

    async def _wake_at_ticks(self) -> None:
        """Advance the venue at its ticks. After a late tick the next tick comes as late: a slow machine gets fewer."""
        late = SHORTEST_SLEEP
        try:
            while True:
                due = self._clock.monotonic() + max(self._venue.next_tick - self._clock.monotonic(), late)
                await self._clock.sleep(due - self._clock.monotonic())
                late = max(self._clock.monotonic() - due, SHORTEST_SLEEP)
                self._venue.advance()
                self._wake.set()
        finally:
            self._wake.set()

    def _batch(self) -> list[BrokerEvent]:
        """Return the waiting events in the order in which the stream sends them, after its faults."""
        events = list(self._reader)
        self._reader.clear()
        if self._silent:
            return []
        told: list[BrokerEvent] = []
        for event in events:
            twice = not isinstance(event, QuoteSeen) and self._venue.faults.strikes("duplicate_events")
            told.extend([event, event] if twice else [event])
        happened = [event for event in told if not isinstance(event, QuoteSeen)]
        if len(happened) > 1 and self._venue.faults.strikes("reordered_events"):
            told = [event for event in told if isinstance(event, QuoteSeen)] + happened[::-1]
        return told
