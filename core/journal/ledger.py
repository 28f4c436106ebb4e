"""Reads from the journal what is believed to be held and what is on its way, and only what is new since last time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.journal.believed import FOLDED, BelievedPosition, BelievedPositions
from core.journal.journal import JournalView
from core.model import PositionKey
from core.records import Entry

PAGE = 1000


class PositionLedger:
    """Without a journal nothing is believed."""

    def __init__(self, journal: JournalView | None) -> None:
        self._journal = journal
        self._beliefs = BelievedPositions()
        self._after = 0
        self._turn = asyncio.Lock()

    async def read(self) -> BelievedPositions:
        """What the journal says by now. Raises JournalError."""
        if self._journal is None:
            return self._beliefs
        async with self._turn:
            last = await self._journal.entries(after=self._after, limit=1, tail=True)
            if last:
                end = last[0].seq + 1  # what is written meanwhile is for the next time, whatever its kind
                new = [entry for kind in FOLDED for entry in await self._new(self._journal, kind, end)]
                for entry in sorted(new, key=lambda e: e.seq):
                    self._beliefs.take(entry)
                self._after = last[0].seq
        return self._beliefs

    @property
    def held(self) -> dict[PositionKey, BelievedPosition]:
        """The positions, as last read."""
        return self._beliefs.held

    async def _new(self, journal: JournalView, kind: str, end: int) -> Sequence[Entry]:
        found: list[Entry] = []
        while True:
            after = found[-1].seq if found else self._after
            page = await journal.entries(after=after, before=end, kind=kind, limit=PAGE)
            found += page
            if len(page) < PAGE:
                return found
