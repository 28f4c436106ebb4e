"""Asks brokers for missing bars: of a symbol that is new here, and after a gap in its prices.

No other work waits for bars. Each account is asked one question at a time, so that closes need not queue behind many.
The same question is not repeated within ``AGAIN`` seconds.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from core.errors import FlatdeckError, explain
from core.market.bars import KEPT
from core.model import Bar, InstrumentKey
from core.orders.lookup import limited
from core.ports import Clock

AGAIN = 300.0
TRIES = 3
FIRST_WAIT = 5.0

Ask = Callable[[str, str, int], Awaitable[list[Bar]]]


class BarBackfill:
    """One engine's bar requests. ``take`` gets a broker's bars; ``failed`` gets why a broker could not be asked."""

    def __init__(
        self,
        ask: Ask,
        clock: Clock,
        spawn: Callable[[Coroutine[object, object, object]], None],
        take: Callable[[InstrumentKey, list[Bar]], None],
        failed: Callable[[InstrumentKey, str], None],
    ) -> None:
        self._ask, self._clock, self._spawn = ask, clock, spawn
        self._take, self._failed = take, failed
        self._asked: dict[InstrumentKey, float] = {}
        self._under_way: set[InstrumentKey] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def want(self, places: Iterable[InstrumentKey]) -> None:
        """Ask for the bars of these instruments, each as soon as the question may be asked again."""
        for place in sorted(set(places) - self._under_way):
            self._under_way.add(place)
            self._spawn(self._fill(place))

    async def _fill(self, place: InstrumentKey) -> None:
        try:
            due = self._asked.get(place, self._clock.monotonic() - AGAIN) + AGAIN
            await self._clock.sleep(max(due - self._clock.monotonic(), 0.0))
            async with self._turns[place.account]:
                await self._tried(place)
        finally:
            self._under_way.discard(place)

    async def _tried(self, place: InstrumentKey) -> None:
        why = ""
        for attempt in range(TRIES):
            self._asked[place] = self._clock.monotonic()
            try:
                bars = await limited(self._asking(place))
            except (FlatdeckError, TimeoutError) as error:
                why = explain(error)
                if attempt + 1 < TRIES:
                    await self._clock.sleep(FIRST_WAIT * 2**attempt)
            else:
                self._take(place, bars)
                return
        self._failed(place, why)

    async def _asking(self, place: InstrumentKey) -> list[Bar]:
        """Ask the broker. An error before the question is sent is raised in here, too."""
        return await self._ask(*place, KEPT)
