"""The registry of busy instruments: closes, exits that fired, and protective orders on their way to the venue.

One plan acts on an instrument at a time. Other plans that were interrupted wait behind it; a new plan is refused. While
an order of a plan may still be live, no other action of that plan begins there.

A protective order does not leave while a close of its instrument is approved or in flight. A close that finds a
protective order on its way waits for the venue's answer. The close's first read can then show the order. The sender
of the protective order limits this wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from core.model import InstrumentKey, PositionKey
from core.ports import Clock

TURN_WAIT = 0.5  # seconds between two looks of a plan that waits for its turn


class InstrumentLocks:
    """The locks of one engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._plans: dict[InstrumentKey, list[str]] = {}  # ids; the first plan acts, the others wait for their turn
        self._live: dict[InstrumentKey, str] = {}  # plan whose order may still be live there
        self._firing: set[InstrumentKey] = set()  # an exit fired, and its close has not ended
        self._quiet: dict[PositionKey, float] = {}  # monotonic seconds until which no exit fires
        self._closed: dict[InstrumentKey, float] = {}  # monotonic seconds
        self._apart: Counter[InstrumentKey] = Counter()  # orders of ours that need protective orders out of the way
        self._placing: dict[InstrumentKey, tuple[asyncio.Event, float]] = {}

    def why_not(self, key: PositionKey, plan: str = "") -> str:
        """Return why no action of the plan, and without a plan no exit, may begin on the position; "" when it may."""
        where = key.instrument
        if (other := self._plans.get(where, [plan])[0]) != plan:
            return f"plan {other} is closing it already"
        if plan:
            live = self._live.get(where) == plan
            return "another order on the instrument may still be live; look at the venue" if live else ""
        if where in self._firing:
            return "an exit of it has fired"
        return "its last close ended just now" if self._quiet.get(key, 0.0) > self._clock.monotonic() else ""

    # --------------------------------------------------------------------------------------------------- closes

    def take(self, plan: str, where: InstrumentKey) -> bool:
        """Lock an instrument for a plan. Return False while another plan has the lock."""
        return self._plans.setdefault(where, [plan])[0] == plan

    def line_up(self, plan: str, where: InstrumentKey) -> None:
        """Lock an instrument for a plan, behind the plans that have the lock."""
        plans = self._plans.setdefault(where, [])
        if plan not in plans:
            plans.append(plan)

    async def turn(self, plan: str, where: InstrumentKey, patience: float = inf) -> None:
        """Wait until no other plan has the lock, at most ``patience`` seconds. A plan that lined up has it then."""
        end = self._clock.monotonic() + patience
        while self._plans.get(where, [plan])[0] != plan and self._clock.monotonic() < end:
            await self._clock.sleep(TURN_WAIT)

    def release(self, plan: str, *places: InstrumentKey) -> None:
        """Release the plan's locks on ``places``, or all its locks without ``places``."""
        for where in places or [where for where, plans in self._plans.items() if plan in plans]:
            plans = self._plans.get(where, [])
            if plan not in plans:
                continue
            if plans[0] == plan:
                self._closed[where] = self._clock.monotonic()
            plans.remove(plan)
            if not plans:
                del self._plans[where]

    def may_be_live(self, plan: str, where: InstrumentKey) -> None:
        """Record that an order of the plan may still be live there after its close ended."""
        self._live[where] = plan

    def in_flight(self) -> set[InstrumentKey]:
        """Return the instruments with a close that is approved or in flight."""
        return set(self._plans)

    @property
    def holders(self) -> dict[InstrumentKey, str]:
        """Return the id of the plan that acts on each of these instruments."""
        return {where: plans[0] for where, plans in self._plans.items()}

    async def settled(self, where: InstrumentKey) -> None:
        """Wait until no protective order is on its way there, or until the patience given for that order ends."""
        placing = self._placing.get(where)
        if placing is not None and (left := placing[1] - self._clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await placing[0].wait()
            except TimeoutError:
                return

    # --------------------------------------------------------------------------------------------------- exits

    def fire(self, key: PositionKey) -> None:
        """Let no other exit of the instrument fire until ``fired``."""
        self._firing.add(key.instrument)

    def fired(self, key: PositionKey) -> None:
        """Record the end of an exit."""
        self._firing.discard(key.instrument)

    def quiet(self, key: PositionKey, seconds: float) -> None:
        """Let no exit of the position fire for a while; with 0 seconds, let exits fire again."""
        if seconds > 0:
            self._quiet[key] = self._clock.monotonic() + seconds
        else:
            self._quiet.pop(key, None)

    # --------------------------------------------------------------------------------------- protective orders

    def closing(self, where: InstrumentKey) -> bool:
        """Return True while no protective order may be placed there: a close or a reduction goes first."""
        return where in self._plans or self._apart[where] > 0

    def closed(self, where: InstrumentKey) -> float | None:
        """Return the monotonic seconds at which a close there last ended; None: no close ended there."""
        return self._closed.get(where)

    @contextmanager
    def stops_away(self, where: InstrumentKey) -> Iterator[None]:
        """Let no protective order leave until the block ends. A close may begin there at any time."""
        self._apart[where] += 1
        try:
            yield
        finally:
            self._apart[where] -= 1
            self._closed[where] = self._clock.monotonic()

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
