"""The journal's database in memory, and what a disk may do: be full, be slow, fail after it wrote, lose its owner.

A commit that nobody was told of may or may not have survived: the moments before and after it are moments in which
the process can be killed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from functools import cache

import msgspec

from core.errors import JournalError
from core.journal.exit_states import guards_of
from core.journal.sqlite import Row, Statements, explained, transact
from core.journal.tables import CREATE, KEEP, SCHEMA
from core.records import Record
from tests.simulation.faults import Fault, Faults
from tests.simulation.history import Durable, Levels
from tests.simulation.life import Life

_DECODER = msgspec.json.Decoder(Record)
_FULL_FOR = 8.0


@cache
def _empty() -> bytes:
    """A journal's tables, made once per process."""
    data = sqlite3.connect(":memory:", isolation_level=None)
    for sql in CREATE:
        data.execute(sql)
    data.executemany("INSERT INTO meta VALUES (?, ?)", [("schema", str(SCHEMA)), ("epoch", "sim0")])
    return data.serialize()


def platter(epoch: str) -> sqlite3.Connection:
    """A new journal's data, which outlives the processes that write it."""
    data = sqlite3.connect(":memory:", isolation_level=None)
    data.deserialize(_empty())
    data.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))
    return data


class Disk:
    """One life's hold on the data. Raises JournalError as the real one does."""

    name = "simulated"

    def __init__(self, data: sqlite3.Connection, life: Life, faults: Faults) -> None:
        self._data = data
        self._life = life
        self._faults = faults
        self._full_until = -1.0

    async def commit(self, statements: Statements) -> None:
        await self._life.sleep(self._faults.between(0.5, 9.0) if self._faults.fires(Fault.SLOW_DISK) else 0)
        self._alive()
        if "INTO journal" in statements[0][0]:
            self._fail(statements)
        self._write(statements)
        await self._life.sleep(0)

    def _fail(self, statements: Statements) -> None:
        """Full for a while, or failing after it wrote."""
        if self._faults.fires(Fault.DISK_FULL):
            self._full_until = self._life.at + self._faults.between(0, _FULL_FOR)
            if self._faults.between(0, 1) < 0.3:
                self._write(statements)
                raise JournalError("disk failed while it wrote")
        if self._life.at < self._full_until and not self._faults.quiet:
            raise JournalError("disk is full")

    async def query(self, sql: str, params: Row = ()) -> list[Row]:
        self._alive()
        return self._data.execute(sql, params).fetchall()

    async def aclose(self) -> None:
        """The data stays."""

    def _write(self, statements: Statements) -> None:
        try:
            transact(self._data, statements)
        except sqlite3.Error as error:
            raise explained(error, self.name) from error
        for sql, rows in statements:
            if sql == KEEP:
                self._levels(body for _, body in sorted(rows))
            if "INTO journal" in sql:
                for row in rows:
                    if row[1] != "log":
                        self._life.truth(Durable(self._life.at, self._life.nth, _DECODER.decode(row[-1])))

    def _levels(self, bodies: Iterable[str]) -> None:
        for kept in guards_of(bodies)[0]:
            saved = kept.saved
            self._life.truth(Levels(self._life.at, self._life.nth, kept.key, kept.side, saved.entry, saved.stop))

    def _alive(self) -> None:
        if self._life.dead:
            raise asyncio.CancelledError
