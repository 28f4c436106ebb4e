"""Complete reads that callers of one account share, answers kept beside the reads, and parts that a read may lack.

Reads do not pile up: callers that ask during a read share the next read. Urgent reads serve callers that act and have
their own lane. There an urgent read never waits behind a background read that a request limit delays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import Any, Generic, TypeVar

from core.errors import FlatdeckError, Refusal, Refused, explain
from core.model import Holdings
from core.ports import Clock

Read = Callable[[bool], Coroutine[Any, Any, Holdings]]
T = TypeVar("T")
TRIES = 3  # failures in a row of a part, before a read goes on without it
LASTS = 1.0  # seconds that those failures take at least
PATIENCE = 3.0  # seconds that a read then waits for the part


class KeptAnswer(Generic[T]):
    """An answer that is asked for in the background and kept. A slow or failed question delays and fails nothing else.

    ``value`` is the last answer, None before the first. ``flaw`` says why the last question failed, "" after an answer.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]], clock: Clock, *, keep: float, again: float) -> None:
        """``keep`` and ``again`` are the seconds to the next question, after an answer and after a failure."""
        self._ask = ask
        self._clock = clock
        self._keep, self._again = keep, again
        self._next = -inf
        self._asking: asyncio.Task[None] | None = None
        self.value: T | None = None
        self.flaw = ""

    async def get(self, patience: float, *, due: bool = False) -> T | None:
        """Return the last answer. ``due``: the last answer is out of date, so ask at once.

        Wait up to ``patience`` seconds for the first answer and for a due answer, but not after a failure.
        """
        self.refresh(due=due)
        if (due or self.value is None) and not self.flaw and self._asking is not None:
            await asyncio.wait({self._asking}, timeout=patience)
        return self.value

    def refresh(self, *, due: bool = False) -> None:
        """Ask in the background, unless the answer is young enough or a question is under way."""
        if self._asking is not None and not self._asking.done():
            return
        if self._clock.monotonic() >= self._next or (due and not self.flaw):
            self._asking = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        began = self._clock.monotonic()
        try:
            self.value, self.flaw = await self._ask(), ""
            self._next = began + self._keep
        except Exception as error:  # noqa: BLE001 - an adapter's own fault is a failure of this question only
            self.flaw = explain(error)
            self._next = self._clock.monotonic() + self._again

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)


class Tolerated:
    """Parts of a read that may be lacking. One failure fails the read, so that the caller reads again.

    A part that fails ``TRIES`` times in a row is left out of the read until it answers. So is a part that the venue
    refuses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[float, int]] = {}  # by part: the row's first failure and the number of failures

    async def read(self, name: str, part: Awaitable[T], without: T) -> tuple[T, str]:
        """Return the part and "", or ``without`` and why the part is left out. Raises the part's error before that."""
        asked = self._clock.monotonic()
        since, failures = self._failed.get(name, (asked, 0))
        try:
            async with asyncio.timeout(PATIENCE if failures >= TRIES else None):
                found = await part
        except (FlatdeckError, TimeoutError) as error:
            self._failed[name] = since, failures + 1
            if not _refused(error) and (failures + 1 < TRIES or asked - since < LASTS):
                raise
            return without, explain(error)
        self._failed.pop(name, None)
        return found, ""


def _refused(error: Exception) -> bool:
    """Return whether another try cannot help."""
    return isinstance(error, Refused) and error.refusal not in (Refusal.RATE_LIMITED, Refusal.BANNED, Refusal.CLOCK)


class SharedReads:
    """Complete reads that callers share. ``read`` makes a read; its argument says whether the read is urgent."""

    def __init__(self, read: Read) -> None:
        self._lanes = {urgent: _Lane(read, urgent) for urgent in (False, True)}

    async def holdings(self, *, urgent: bool) -> Holdings:
        """Return a read that began after this call. A caller may be cancelled; the read goes on for other callers."""
        return await self._lanes[urgent].next()


class _Lane:
    def __init__(self, read: Read, urgent: bool) -> None:
        self._read = read
        self._urgent = urgent
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[Holdings] | None = None

    async def next(self) -> Holdings:
        if self._next is None:
            self._next = asyncio.create_task(self._in_turn())
            self._next.add_done_callback(_retrieve)
        return await asyncio.shield(self._next)

    async def _in_turn(self) -> Holdings:
        async with self._lock:
            self._next = None
            return await self._read(self._urgent)


def _retrieve(task: asyncio.Task[Holdings]) -> None:
    """Retrieve the task's failure. Otherwise asyncio reports a failure without a waiting caller as lost."""
    if not task.cancelled():
        task.exception()
