"""The one queue of all broker events, and its one consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.events import BrokerEvent, QuoteSeen

MOST = 20_000  # events that may wait


class Inbox:
    """One engine's events. ``lost`` is called when an event other than a price was lost or could not be taken."""

    def __init__(
        self, take: Callable[[BrokerEvent], None], *, lost: Callable[[], None], say: Callable[..., None]
    ) -> None:
        self._take = take
        self._lost = lost
        self._say = say
        self._queue: asyncio.Queue[BrokerEvent] = asyncio.Queue(MOST)

    def put(self, event: BrokerEvent) -> None:
        """Queue one event. If the queue is full, drop a quote; for any other event read every account again."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            if not isinstance(event, QuoteSeen):
                self._lost()

    async def run(self) -> None:
        """Take one event after another until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                self._take(event)
            except Exception as error:  # noqa: BLE001 - a bad event must not end the consumer
                self._say("alarm", f"an event could not be taken in, everything is read again: {error!r}")
                self._lost()
            finally:
                self._queue.task_done()

    async def settled(self) -> None:
        """Return when every event queued so far is taken."""
        await self._queue.join()
