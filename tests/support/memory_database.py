"""The journal's database in memory: synchronous sqlite3, no thread, for loops with virtual time.

A crash is made by no longer running the tasks of the dead and opening ``survivor()``: what was committed is there,
whether or not anybody was told. ``pause`` opens the windows before and after the commit in which one may happen.
"""

from __future__ import annotations

import asyncio
import sqlite3

from core.errors import JournalError
from core.journal.sqlite import Row, Statements, explained, transact


class MemoryDatabase:
    """``failure`` set makes every commit fail with that sentence; ``pause`` is seconds on either side of a commit."""

    name = "in memory"

    def __init__(self, data: sqlite3.Connection | None = None, *, pause: float = 0.0) -> None:
        self.data = data or sqlite3.connect(":memory:", isolation_level=None)
        self.pause = pause
        self.failure: str | None = None
        self.commits = 0
        self.closed = False

    async def commit(self, statements: Statements) -> None:
        await asyncio.sleep(self.pause)
        self._refuse()
        try:
            transact(self.data, statements)
        except sqlite3.Error as error:
            raise explained(error, self.name) from error
        self.commits += 1
        await asyncio.sleep(self.pause)

    async def query(self, sql: str, params: Row = ()) -> list[Row]:
        self._refuse_closed()
        return self.data.execute(sql, params).fetchall()

    async def aclose(self) -> None:
        self.closed = True

    def survivor(self) -> MemoryDatabase:
        """The same data after a crash or a close."""
        self.closed = True
        return MemoryDatabase(self.data, pause=self.pause)

    def _refuse(self) -> None:
        self._refuse_closed()
        if self.failure is not None:
            raise JournalError(self.failure)

    def _refuse_closed(self) -> None:
        if self.closed:
            raise JournalError("the journal in memory is closed")
