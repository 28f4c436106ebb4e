"""Complete reads that do not pile up: callers that ask during a read share the next read.

Urgent reads serve callers that act and have their own lane. There an urgent read never waits behind a background read
that a request limit delays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from core.model import Holdings

Read = Callable[[bool], Coroutine[Any, Any, Holdings]]


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
