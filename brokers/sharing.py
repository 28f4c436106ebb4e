"""Complete reads that do not pile up: whoever asks while one is under way shares the next.

What somebody who acts waits for has a lane of its own, so that it never waits behind a read that only watches and is
held back by a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from core.model import Holdings

Read = Callable[[bool], Coroutine[Any, Any, Holdings]]


class SharedReads:
    """``read`` makes one complete read; it is told whether it is urgent."""

    def __init__(self, read: Read) -> None:
        self._lanes = {urgent: _Lane(read, urgent) for urgent in (False, True)}

    async def holdings(self, *, urgent: bool) -> Holdings:
        """A read that began after this call. Whoever waits may be cancelled; the read goes on for the others."""
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
    """A failure that nobody waits for any more is not reported as lost."""
    if not task.cancelled():
        task.exception()
