"""Records of one close that are written without waiting for them, in their order, and kept when the journal fails.

What the journal could not take stays owed: the next record that must be durable is written behind it, or not at all.
So no intent is durable without the answers to those before it.
"""

from __future__ import annotations

import asyncio

from core.errors import JournalError
from core.journal.journal import Journal
from core.model import PositionKey
from core.records import Record


class WriteBehind:
    """Per position, because closes of different positions owe each other nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._owed: dict[PositionKey, list[Record]] = {}
        self._writes: dict[PositionKey, asyncio.Task[None]] = {}

    def remember(self, key: PositionKey, *records: Record) -> None:
        """Write without waiting: what is not durable yet is looked up again after a restart."""
        if records:
            self._owed.setdefault(key, []).extend(records)
            if key not in self._writes:
                self._writes[key] = asyncio.ensure_future(self._write(key))

    async def write(self, key: PositionKey, record: Record) -> None:
        """Returns when it is durable, and all that was owed before it. Raises JournalError when neither is."""
        await self.written(key)
        owed = self._owed.get(key, [])
        count = len(owed)
        await self._journal.append(*owed, record)
        del owed[:count]

    async def written(self, key: PositionKey) -> None:
        """Until nothing of it is being written."""
        if key in self._writes:
            await self._writes[key]

    async def _write(self, key: PositionKey) -> None:
        owed = self._owed[key]
        try:
            while owed:
                count = len(owed)
                await self._journal.append(*owed)
                del owed[:count]
        except JournalError:
            return  # kept
        finally:
            del self._writes[key]
