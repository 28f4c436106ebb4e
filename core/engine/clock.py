"""The only module that asks the operating system for time and randomness."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime

from core.ids import Ids

_SLICE = 5.0  # seconds; after a suspend a sleep may end up to this much late


class SystemClock:
    """UTC to the millisecond, and a monotonic clock in seconds that also counts the time of a suspend."""

    def now(self) -> datetime:
        moment = datetime.now(UTC)  # noqa: TID251 - this is the clock
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        if hasattr(time, "CLOCK_BOOTTIME"):  # Linux; elsewhere a suspend goes unnoticed
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()  # noqa: TID251 - this is the clock

    async def sleep(self, seconds: float) -> None:
        """Sleep on :meth:`monotonic`, in slices, because the event loop's own timers stand still in a suspend."""
        until = self.monotonic() + seconds
        await asyncio.sleep(min(seconds, _SLICE))
        while (left := until - self.monotonic()) > 0:  # noqa: ASYNC110 - waiting for time, not for an event
            await asyncio.sleep(min(left, _SLICE))


def system_ids() -> Ids:
    """Ids from the system's clock and randomness."""
    return Ids(SystemClock(), secrets.SystemRandom())
