"""Adds up the journal's records to positions and entries under way. Each read asks only for newer records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.journal.believed import FOLDED, BelievedPosition, BelievedPositions
from core.journal.journal import JournalView
from core.journal.query import EntryFilter
from core.model import PositionKey
from core.portfolio.holding import MinimumRefusal
from core.records import Entry, too_small

PAGE = 1000


async def minimum_refusals(journal: JournalView) -> dict[PositionKey, MinimumRefusal]:
    """Return the closes that the venues refused as below their minimums, by position. Raises JournalError."""
    return too_small(e.record for e in await journal.entries(EntryFilter(kinds=("minimum_refused",)), tail=True))


class PositionLedger:
    """One engine's ledger, shared by every service. Without a journal the ledger stays empty."""

    def __init__(self, journal: JournalView | None) -> None:
        self._journal = journal
        self._beliefs = BelievedPositions()
        self._after = 0
        self._turn = asyncio.Lock()

    def read_from(self, journal: JournalView) -> None:
        """Forget the earlier records and read from this journal. Only a read-only engine calls this."""
        self._journal, self._beliefs, self._after = journal, BelievedPositions(), 0

    async def read(self) -> BelievedPositions:
        """Return the ledger up to the journal's last record. Later reads change the returned object.

        Raises JournalError.
        """
        if self._journal is None:
            return self._beliefs
        async with self._turn:
            last = await self._journal.entries(after=self._after, limit=1, tail=True)
            if last:
                end = last[0].seq + 1  # the next read takes records written meanwhile, whatever their kind
                new = [entry for kind in FOLDED for entry in await self._new(self._journal, kind, end)]
                for entry in sorted(new, key=lambda e: e.seq):
                    self._beliefs.take(entry)
                self._after = last[0].seq
        return self._beliefs

    @property
    def held(self) -> dict[PositionKey, BelievedPosition]:
        """The believed positions, as of the last read."""
        return self._beliefs.held

    async def _new(self, journal: JournalView, kind: str, end: int) -> Sequence[Entry]:
        found: list[Entry] = []
        while True:
            after = found[-1].seq if found else self._after
            page = await journal.entries(EntryFilter(kinds=(kind,)), after=after, before=end, limit=PAGE)
            found += page
            if len(page) < PAGE:
                return found
