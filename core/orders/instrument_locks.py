"""Who acts on an instrument: a close that was approved, or a protective order on its way to the venue.

A protective order does not leave while a close of its instrument is approved or in flight. A close that finds one on
its way waits for the venue's answer, so that its first read can show the order, but no longer than it was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from core.model import InstrumentKey
from core.ports import Clock


class InstrumentLocks:
    """Of one engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closing: dict[str, set[InstrumentKey]] = {}  # by plan
        self._closed: dict[InstrumentKey, float] = {}
        self._placing: dict[InstrumentKey, tuple[asyncio.Event, float]] = {}

    # --------------------------------------------------------------------------------------------------- closes

    def coming(self, plan: str, places: Iterable[InstrumentKey]) -> None:
        """A plan was approved that acts there."""
        self._closing.setdefault(plan, set()).update(places)

    def over(self, plan: str, *places: InstrumentKey) -> None:
        """It is done there; without places, everywhere."""
        mine = self._closing.get(plan, set())
        for where in places or tuple(mine):
            mine.discard(where)
            self._closed[where] = self._clock.monotonic()
        if not mine:
            self._closing.pop(plan, None)

    async def settled(self, where: InstrumentKey) -> None:
        """Until no protective order is on its way there, or for as long as that may hold a close up."""
        placing = self._placing.get(where)
        if placing is not None and (left := placing[1] - self._clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await placing[0].wait()
            except TimeoutError:
                return

    # --------------------------------------------------------------------------------------- protective orders

    def closing(self, where: InstrumentKey) -> bool:
        """Whether a close there is approved or in flight."""
        return any(where in places for places in self._closing.values())

    def closed(self, where: InstrumentKey) -> float | None:
        """When a close there last ended; monotonic."""
        return self._closed.get(where)

    @contextmanager
    def placing(self, where: InstrumentKey, patience: float) -> Iterator[None]:
        """A protective order is about to leave; a close waits for it at most ``patience`` seconds."""
        done = asyncio.Event()
        self._placing[where] = done, self._clock.monotonic() + patience
        try:
            yield
        finally:
            del self._placing[where]
            done.set()
