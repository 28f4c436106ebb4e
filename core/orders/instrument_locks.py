"""Locks on instruments, between approved closes and protective orders on their way to the venue.

A protective order does not leave while a close of its instrument is approved or in flight. A close that finds a
protective order on its way waits for the venue's answer. The close's first read can then show the order. The sender
of the protective order limits this wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from core.model import InstrumentKey
from core.ports import Clock


class InstrumentLocks:
    """The locks of one engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closing: dict[str, set[InstrumentKey]] = {}  # by plan id
        self._closed: dict[InstrumentKey, float] = {}  # monotonic seconds
        self._placing: dict[InstrumentKey, tuple[asyncio.Event, float]] = {}

    # --------------------------------------------------------------------------------------------------- closes

    def coming(self, plan: str, places: Iterable[InstrumentKey]) -> None:
        """Lock the instruments on which an approved plan acts."""
        self._closing.setdefault(plan, set()).update(places)

    def over(self, plan: str, *places: InstrumentKey) -> None:
        """Release the plan's locks on ``places``, or all its locks without ``places``."""
        mine = self._closing.get(plan, set())
        for where in places or tuple(mine):
            mine.discard(where)
            self._closed[where] = self._clock.monotonic()
        if not mine:
            self._closing.pop(plan, None)

    async def settled(self, where: InstrumentKey) -> None:
        """Wait until no protective order is on its way there, or until the patience given for that order ends."""
        placing = self._placing.get(where)
        if placing is not None and (left := placing[1] - self._clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await placing[0].wait()
            except TimeoutError:
                return

    # --------------------------------------------------------------------------------------- protective orders

    def closing(self, where: InstrumentKey) -> bool:
        """Return True while a close there is approved or in flight."""
        return any(where in places for places in self._closing.values())

    def closed(self, where: InstrumentKey) -> float | None:
        """Return the monotonic seconds at which a close there last ended; None: no close ended there."""
        return self._closed.get(where)

    @contextmanager
    def placing(self, where: InstrumentKey, patience: float) -> Iterator[None]:
        """Mark a protective order as on its way. A close waits for the order at most ``patience`` seconds."""
        done = asyncio.Event()
        self._placing[where] = done, self._clock.monotonic() + patience
        try:
            yield
        finally:
            del self._placing[where]
            done.set()
