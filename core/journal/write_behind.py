"""Writes records of one close without waiting, in their order, and keeps the records when the journal fails.

Kept records stay owed: the next record that must be durable is written after them, or not at all. So no intent is
durable without the answers to earlier intents.
"""

from __future__ import annotations

import asyncio

from core.errors import JournalError
from core.journal.journal import Journal
from core.model import PositionKey
from core.records import Record


class WriteBehind:
    """One journal's owed records, per position: closes of different positions are independent."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._owed: dict[PositionKey, list[Record]] = {}
        self._writes: dict[PositionKey, asyncio.Task[None]] = {}

    def remember(self, key: PositionKey, *records: Record) -> None:
        """Write records without waiting. After a restart, what was not durable is looked up at the venue."""
        if records:
            self._owed.setdefault(key, []).extend(records)
            if key not in self._writes:
                self._writes[key] = asyncio.ensure_future(self._write(key))

    async def write(self, key: PositionKey, record: Record) -> None:
        """Write a record after all owed records. Returns when all are durable. Raises JournalError when none is."""
        await self.written(key)
        owed = self._owed.get(key, [])
        count = len(owed)
        await self._journal.append(*owed, record)
        del owed[:count]

    async def written(self, key: PositionKey) -> None:
        """Return when no write for the position is running."""
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
            return  # the records stay owed
        finally:
            del self._writes[key]
