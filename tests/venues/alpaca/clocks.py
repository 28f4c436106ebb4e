"""A clock that runs faster than the machine's, so that a venue's ten seconds are a fraction of one."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from core.engine.clock import SystemClock


class FastClock:
    """The Clock port, ``speed`` times as fast from its making on. Venue and program must share one."""

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        self._real = SystemClock()
        self._speed = speed
        self._zero = self._real.monotonic()
        self._start = start or self._real.now()
        self._skipped = 0.0

    def now(self) -> datetime:
        moment = self._start + timedelta(seconds=self.monotonic() - self._zero)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return self._zero + (self._real.monotonic() - self._zero) * self._speed + self._skipped

    def skip(self, seconds: float) -> None:
        """The night passes at once; who sleeps meanwhile sleeps on."""
        self._skipped += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)
