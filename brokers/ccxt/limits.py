"""The order in which requests leave: orders and cancels first, then look-ups for them, then other reads.

ccxt's own throttle is one queue without priorities, in which a close waits behind every poll. Here each call has
ccxt's cost (``calculate_rate_limiter_cost``). A bucket refills at the exchange's rate. Orders and cancels may
overdraw the bucket, because a poll must never keep us from closing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from enum import IntEnum
from typing import Any
from weakref import WeakKeyDictionary

from core.errors import Refusal, Refused
from core.ports import Clock

BURST = 10.0  # seconds of the exchange's rate that may leave at once
OVERDRAFT = 1.0  # part of the burst by which orders and cancels may overdraw
RESERVE = 0.4  # part of the burst that reads leave to look-ups
HEADWAY = 1.0  # seconds after which a request has reached the venue's counter, however long its answer takes
SHORTEST = 1.0  # seconds; the shortest pause that ends at a time of the exchange's clock
MOST_SHUT = 3600.0  # seconds; after a longer ban we ask again at this time


class Priority(IntEnum):
    ACT = 0
    LOOK_UP = 1
    READ = 2


PATIENCE = {Priority.ACT: 8.0, Priority.LOOK_UP: 12.0, Priority.READ: 12.0}  # seconds that a request waits for its turn


class Limiter:
    """A token bucket. ``acquire`` returns when a request may leave; ``pause`` stops all requests for a while."""

    def __init__(self, clock: Clock, *, per_second: float, burst: float = BURST) -> None:
        self._clock = clock
        self.per_second = per_second
        self.capacity = max(per_second * burst, 1.0)
        self._tokens = self.capacity
        self._at = clock.monotonic()
        self._shut = -math.inf
        self._reason = ""
        self._banned = False
        self._count = 0
        self._waiting: list[tuple[int, int, float]] = []  # priority, order of coming, cost

    @property
    def left(self) -> float:
        """Return the cost that may leave now, for display."""
        self._fill()
        return self._tokens

    async def acquire(self, cost: float, priority: Priority) -> None:
        """Wait until a request of this cost may leave.

        Raises Refused with the seconds to wait if that takes too long; nothing was sent.
        """
        self._count += 1
        ticket = (int(priority), self._count, min(max(cost, 0.0), self.capacity))
        self._waiting.append(ticket)
        until = self._clock.monotonic() + PATIENCE[priority]
        try:
            while (left := self._wait(ticket)) > 0:
                if self._clock.monotonic() + left > until:
                    raise self._refusal(left)
                await self._clock.sleep(left)
            self._tokens -= ticket[2]
        finally:
            self._waiting.remove(ticket)

    def _wait(self, ticket: tuple[int, int, float]) -> float:
        """Return the seconds until this ticket may leave, as known now. Tickets before it go first."""
        self._fill()
        shut = self._shut - self._clock.monotonic()
        before = sum(cost for priority, nth, cost in self._waiting if (priority, nth) < ticket[:2])
        lacking = before + ticket[2] - (self._tokens - self._floor(*ticket))
        return max(shut, lacking / self.per_second)

    def _floor(self, priority: int, _nth: int, cost: float) -> float:
        """Return the tokens that must remain after the ticket. A call that costs more than that allows takes all."""
        if priority == Priority.ACT:
            return -self.capacity * OVERDRAFT
        return min(self.capacity * RESERVE, self.capacity - cost) if priority == Priority.READ else 0.0

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self.capacity, self._tokens + (now - self._at) * self.per_second)
        self._at = now

    def _refusal(self, left: float) -> Refused:
        refusal = Refusal.BANNED if self._banned and self._shut > self._clock.monotonic() else Refusal.RATE_LIMITED
        text = f"{self._reason or 'the limit of requests is used up'}; it goes on in {left:.0f} s"
        return Refused(refusal, text, code="429", retry_after=left)

    def pause(self, seconds: float, reason: str, *, banned: bool = False) -> None:
        """Stop all requests, as the venue demands. A shorter pause does not end a longer one."""
        until = self._clock.monotonic() + min(max(seconds, 0.0), MOST_SHUT)
        if until > self._shut:
            self._shut, self._reason, self._banned = until, reason, banned


class NonceQueue:
    """Lets one numbered request leave at a time, orders and cancels first: each request needs a greater number than the
    last.

    A close does not wait for the answers of others: a request that left ``HEADWAY`` ago has arrived.
    """

    def __init__(self) -> None:
        self._under_way = 0
        self._count = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def wait_turn(self, priority: Priority) -> AsyncIterator[None]:
        """Hold the turn while the context is open. Only an order or a look-up passes, after ``HEADWAY``."""
        if self._under_way:
            await self._wait(priority)
        else:
            self._under_way = 1
        try:
            yield
        finally:
            self._end()

    async def _wait(self, priority: Priority) -> None:
        loop = asyncio.get_running_loop()
        self._count += 1
        ticket = (int(priority), self._count, loop.create_future())
        self._waiting.append(ticket)
        ahead = loop.call_later(HEADWAY, self._go, ticket) if priority < Priority.READ else None
        try:
            await ticket[2]
        except asyncio.CancelledError:
            if not ticket[2].cancelled():  # this ticket already had the turn
                self._end()
            raise
        finally:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            if ahead is not None:
                ahead.cancel()

    def _go(self, ticket: tuple[int, int, asyncio.Future[None]]) -> None:
        """Give the turn to a ticket that still waits: several may be given up at the same moment."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        if not ticket[2].done():
            self._under_way += 1
            ticket[2].set_result(None)

    def _end(self) -> None:
        self._under_way -= 1
        while self._waiting and not self._under_way:
            self._go(min(self._waiting, key=lambda ticket: ticket[:2]))


_shared: WeakKeyDictionary[Clock, dict[str, Limiter]] = WeakKeyDictionary()


def shared(clock: Clock, key: str, *, per_second: float, burst: float = BURST) -> Limiter:
    """Return the limiter of ``key``, shared by all accounts: a venue that counts by address counts all of them."""
    limiters = _shared.setdefault(clock, {})
    if key not in limiters:
        limiters[key] = Limiter(clock, per_second=per_second, burst=burst)
    return limiters[key]


def retry_after_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that the exchange asks us to wait; None if it does not tell. ``now`` is by the exchange's
    clock.

    A ``Retry-After`` with a date is ignored. KuCoin tells the milliseconds that remain. Bybit, whose limits are per
    second, tells when the next period begins.
    """
    told = {name.lower(): int(value) for name, value in headers.items() if value.strip().isdigit()}
    if "retry-after" in told:
        return told["retry-after"] + 0.0
    if "gw-ratelimit-reset" in told:
        return told["gw-ratelimit-reset"] / 1000
    until = told.get("x-bapi-limit-reset-timestamp")
    return None if until is None else max(until / 1000 - now.timestamp(), SHORTEST)


def highest_cost(costs: Mapping[str, float], path: str, params: Mapping[str, Any]) -> float | None:
    """Return the highest known cost of a call with these parameters; None if no cost is known."""
    known = [costs[name] for name in (path, *(f"{path} {key}" for key in params)) if name in costs]
    return max(known, default=None)


def cost_of_call(value: Any) -> float:
    """Return a call's cost. 0 is a call that the venue does not count, such as Kraken's orders."""
    return value if isinstance(value, int | float) and value >= 0 else 1.0
