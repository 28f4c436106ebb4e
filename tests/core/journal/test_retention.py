"""Old log lines leave the journal, a few at a time, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from core.engine.retention import BATCH, EVERY, PAUSE, drop_old_lines
from core.errors import JournalError
from core.ids import Ids
from core.journal.journal import Journal
from core.journal.query import EntryFilter
from core.journal.sqlite import Row, Statements
from core.model import PositionKey
from core.records import AccountFrozen, Logged, ProfitPending, Record
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import VirtualClock, virtual

KEY = PositionKey("u/a", "BTC")
DAY = 86_400.0


class Bits:
    def getrandbits(self, k: int) -> int:
        return 7


class OldClock(VirtualClock):
    """A clock whose wall time can be set back."""

    back = timedelta()

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() - self.back


class Watched(MemoryDatabase):
    """A database that counts the rows of each deletion, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[int] = []
        self.broken = False

    async def commit(self, statements: Statements) -> None:
        for sql, rows in statements:
            if sql.startswith("DELETE FROM journal"):
                if self.broken:
                    raise JournalError("disk full")
                self.deleted.append(len(rows))
        await super().commit(statements)

    async def all(self) -> Sequence[Row]:
        return await self.query("SELECT kind, count(*) FROM journal GROUP BY kind ORDER BY kind")


async def aged(lines: int, *others: Record) -> tuple[Journal, Watched, OldClock]:
    """A journal with so many lines of ten days ago, and other records among them, then as many lines of now."""
    clock, database = OldClock(), Watched()
    clock.back = timedelta(days=10)
    journal = await Journal.over(database, clock, Ids(clock, Bits()))
    await journal.append(*(Logged("info", f"old {n}") for n in range(lines)), *others)
    clock.back = timedelta()
    await journal.append(*(Logged("info", f"new {n}") for n in range(lines)))
    return journal, database, clock


async def kept(journal: Journal) -> list[str]:
    found = await journal.entries(EntryFilter(kinds=("log",)), limit=10_000)
    return [entry.record.text for entry in found if isinstance(entry.record, Logged)]


async def pruned(journal: Journal, clock: OldClock, days: int = 5, seconds: float = EVERY / 2) -> list[str]:
    said: list[str] = []
    task = asyncio.ensure_future(drop_old_lines(journal, clock, days, lambda _, text: said.append(text)))
    await asyncio.sleep(seconds)
    task.cancel()
    return said


@virtual
async def test_old_lines_go_in_small_transactions_and_decisions_stay():
    journal, database, clock = await aged(3 * BATCH, AccountFrozen("u/a", "why"), ProfitPending("p1", KEY))
    await pruned(journal, clock)
    texts = await kept(journal)
    assert [text for text in texts if text.startswith("new")] == [f"new {n}" for n in range(3 * BATCH)]
    assert sum(text.startswith("old") for text in texts) <= 256 + 3 * BATCH // 256
    assert max(database.deleted) <= BATCH
    assert len(database.deleted) > 1
    assert dict(await database.all()).keys() == {"account_frozen", "log", "profit_pending"}
    assert await journal.frozen() == {"u/a": "why"}


@virtual
async def test_a_time_still_begins_at_its_record_after_old_lines_went():
    journal, _, clock = await aged(5 * BATCH)
    since = clock.now() - timedelta(days=1)
    before = [e.seq for e in await journal.entries(EntryFilter(since=since), limit=10_000)]
    await pruned(journal, clock)
    assert [e.seq for e in await journal.entries(EntryFilter(since=since), limit=10_000)] == before
    assert len(before) == 5 * BATCH


@virtual
async def test_lines_that_are_young_enough_stay():
    journal, database, clock = await aged(2 * BATCH)
    await pruned(journal, clock, days=11)
    assert database.deleted == []


@virtual
async def test_a_disk_that_fails_is_said_and_tried_again_later():
    journal, database, clock = await aged(2 * BATCH)
    database.broken = True
    assert await pruned(journal, clock, seconds=PAUSE) == ["old log lines stay in the journal: disk full"]
    database.broken = False
    await pruned(journal, clock)
    assert database.deleted
