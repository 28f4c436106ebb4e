"""Alpaca's limit of requests a minute. Closing, cancelling and looking up go before reading.

Alpaca allows 200 requests a minute and account. The headers ``X-RateLimit-*`` say how many requests are left. Reads
slow down after they used their share. So a storm of polls never keeps a close from leaving.
"""

from __future__ import annotations

from collections import deque

from core.errors import Refusal, Refused
from core.ports import Clock

LIMIT = 200
WINDOW = 60.0
RESERVE = 10  # a tenth of the limit is kept for requests that act
READS_FREE = 4  # a fourth of the limit is for reads that leave without delay
PATIENCE = {True: 8.0, False: 12.0}  # seconds that a request waits for its turn, by whether it acts


class Limiter:
    """A limiter of requests. ``enter`` returns when a request may leave; ``learn`` takes the venue's own count."""

    def __init__(self, clock: Clock, limit: int = LIMIT) -> None:
        self._clock = clock
        self.limit = limit
        self._sent: deque[float] = deque()
        self._reads: deque[float] = deque()
        self._shut = 0.0  # monotonic time before which no request leaves
        self._reads_shut = 0.0

    async def enter(self, *, acts: bool) -> None:
        """Wait for a turn. Raises Refused with the seconds to wait when the wait is too long: nothing was sent."""
        until = self._clock.monotonic() + PATIENCE[acts]
        while (left := self._wait(acts)) > 0:
            if self._clock.monotonic() + left > until:
                text = f"Alpaca's limit of {self.limit} requests a minute is used up; it goes on in {left:.0f} s"
                raise Refused(Refusal.RATE_LIMITED, text, code="429", retry_after=left)
            await self._clock.sleep(left)
        now = self._clock.monotonic()
        self._sent.append(now)
        if not acts:
            self._reads.append(now)

    def _wait(self, acts: bool) -> float:
        now = self._clock.monotonic()
        for times in (self._sent, self._reads):
            while times and times[0] <= now - WINDOW:
                times.popleft()
        shut = self._shut if acts else max(self._shut, self._reads_shut)
        room = max(self.limit if acts else self.limit - self.limit // RESERVE, 1)
        full = self._sent[-room] + WINDOW if len(self._sent) >= room else 0.0
        paced = 0.0
        if not acts and len(self._reads) >= max(self.limit // READS_FREE, 1):
            paced = self._reads[-1] + WINDOW * READS_FREE / self.limit / 2
        return max(shut, full, paced) - now

    def learn(self, limit: int | None, remaining: int | None, reset_in: float | None) -> None:
        """Take an answer's limit, its remaining requests and the seconds until the limit is reset."""
        if limit is not None and limit > 0:
            self.limit = limit
        if remaining is None or reset_in is None or remaining > self.limit // RESERVE:
            return
        reset = self._clock.monotonic() + min(max(reset_in, 0.0), WINDOW)
        self._reads_shut = reset
        if remaining <= 0:
            self._shut = reset

    def refused(self, retry_after: float) -> None:
        """Hold back every request for ``retry_after`` seconds, at most a minute: the venue said 429."""
        self._shut = self._clock.monotonic() + min(retry_after, WINDOW)
