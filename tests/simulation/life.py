"""One life of the program: a process from its start to its stop or its kill, and the clock that it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from core.ids import Ids
from tests.simulation.dice import Dice
from tests.simulation.history import Event
from tests.simulation.loop import Loop
from tests.simulation.venue import BIRTH


class Life:
    """The clock of a process: its monotonic time begins anywhere. Once dead, nothing it calls reaches anything."""

    def __init__(self, nth: int, loop: Loop, dice: Dice, truth: Callable[[Event], None], numbers: count[int]) -> None:
        self.nth = nth
        self.dead = False
        self.truth = truth
        self.ids = Ids(self, dice)
        self._loop = loop
        self._begun = dice.random() * 1000
        self._numbers = numbers

    @property
    def at(self) -> float:
        """True time, by which the history is written."""
        return self._loop.time()

    def now(self) -> datetime:
        moment = BIRTH + timedelta(seconds=self._loop.time())
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return self._loop.time() + self._begun

    async def sleep(self, seconds: float) -> None:
        if self.dead:
            raise asyncio.CancelledError
        await asyncio.sleep(seconds)

    def later(self, seconds: float, happens: Callable[[], None]) -> None:
        """Something of the world, which goes on when this life ends."""
        self._loop.at(self._loop.time() + seconds, happens)

    def record(self, event: Event) -> None:
        """What this life did or was told; the dead do and hear nothing."""
        if not self.dead:
            self.truth(event)

    def number(self) -> int:
        return next(self._numbers)
