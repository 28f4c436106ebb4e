"""The journal: records of decisions, requests and answers. Records are appended and never changed.

``append`` returns when its records are durable. Callers that wait during one transaction share the next transaction,
so that fifty intents cost about as much as one. Log lines are written along, and no caller waits for them. After an
error every waiter gets the error, and nothing may be sent. ``error`` holds the text until a transaction succeeds.
"""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import chain, count, groupby
from operator import itemgetter
from pathlib import Path

from core.errors import JournalError
from core.ids import Ids
from core.journal.opening import measure_commits, read_epoch
from core.journal.query import AFTER_UNTIL, COLUMNS, EVERYTHING, PREFIX_END, EntryFilter
from core.journal.sqlite import AioDatabase, Database, ReadonlyDatabase, Row
from core.journal.tables import (
    BARS,
    BEFORE_SINCE,
    CLEAR_WAITING,
    CREATE,
    DROP_LINE,
    FOUND_BY,
    GUARDS,
    INSERT,
    OLD_LINES,
    OPEN_PLANS,
    READ,
    SCHEMA,
    WAITING,
    StateRows,
    entry_of,
    row_of,
)
from core.ports import Clock
from core.records import AccountFrozen, Entry, IntentWritten, Logged, Record
from core.units import iso

NOTES_KEPT = 10_000  # log lines that may wait to be written
NOTE_DELAY = 0.25  # seconds that a log line waits for an append to share its transaction
BAR_DELAY = 1.0  # the same in seconds for bars, which change at every price
COMMITS_KEPT = 32  # commits whose time is known

_Numbered = tuple[int, Row]  # number: rows of one batch are written in the order of the calls


class JournalView:
    """The reading side of a journal. Every method may raise JournalError."""

    def __init__(self, database: Database, epoch: str) -> None:
        """Use :meth:`Journal.open`, :meth:`Journal.open_readonly` or, on another database, :meth:`Journal.over`."""
        self.epoch = epoch  # four characters in every client order id of this journal; "" when there is none
        self._database = database

    async def aclose(self) -> None:
        """Close the database."""
        await self._database.aclose()

    async def entries(
        self,
        where: EntryFilter = EVERYTHING,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = 1000,
        tail: bool = False,
    ) -> list[Entry]:
        """Return the first ``limit`` entries with ``after < seq < before``; with ``tail`` the last. Oldest first."""
        if where.since is not None:
            found = await self._query(BEFORE_SINCE, iso(where.since))
            after = max(after, found[0][0] if found else 0)
        if where.until is not None:
            found = await self._query(AFTER_UNTIL, iso(where.until))
            before = min((row[0] for row in (*found, (before,)) if row[0] is not None), default=None)
        sql, params = where.select(after, before, limit, tail=tail)
        rows = await self._query(sql, *params)
        return self._entries(reversed(rows) if tail else rows)

    async def names(self, column: str, prefix: str = "", limit: int = 10_000) -> list[str]:
        """Return the values of an indexed column (account, symbol, plan) that begin with ``prefix``, each once."""
        sql = f"SELECT DISTINCT {column} FROM journal WHERE {column} >= ? AND {column} < ? ORDER BY 1 LIMIT ?"  # noqa: S608
        return [row[0] for row in await self._query(sql, prefix, prefix + PREFIX_END, limit)]

    async def open_plans(self) -> list[list[Entry]]:
        """Return the approved plans without an end, oldest first: each plan's entries and its orders' fills."""
        rows = await self._query(OPEN_PLANS)
        return [self._entries(row[1:] for row in group) for _, group in groupby(rows, key=itemgetter(0))]

    async def of_plan(self, plan: str) -> list[Entry]:
        """Return all entries of one plan or entry, oldest first, without its orders' fills."""
        sql = f"SELECT {COLUMNS} FROM journal WHERE plan = ? ORDER BY seq"  # noqa: S608
        return self._entries(await self._query(sql, plan))

    async def frozen(self) -> dict[str, str]:
        """Return the frozen accounts, with the reasons."""
        records = await self.last_of_accounts("account_frozen")
        return {r.account: r.why for r in records if isinstance(r, AccountFrozen) and r.why is not None}

    async def find_damage(self) -> str | None:
        """Return SQLite's first complaint about the file, or None."""
        found = await self._query("PRAGMA quick_check(1)")
        return None if not found or found[0][0] == "ok" else str(found[0][0])

    async def last_of_accounts(self, kind: str) -> list[Record]:
        """Return each account's last record of this kind."""
        sql = "SELECT max(seq), at, body FROM journal WHERE kind = ? GROUP BY account ORDER BY account"
        return [entry.record for entry in self._entries(await self._query(sql, kind))]

    async def knows(self, client_id: str) -> bool:
        """Return whether an intent was written for this client order id."""
        sql = "SELECT 1 FROM journal WHERE client = ? AND kind = 'intent_written' LIMIT 1"
        return bool(await self._query(sql, client_id))

    async def find_intent(self, client_id: str) -> IntentWritten | None:
        """Return the latest intent of this client order id; None when no intent was written."""
        sql = f"SELECT {COLUMNS} FROM journal WHERE client = ? AND kind = 'intent_written' ORDER BY seq DESC LIMIT 1"  # noqa: S608
        records = [entry.record for entry in self._entries(await self._query(sql, client_id))]
        return next((r for r in records if isinstance(r, IntentWritten)), None)

    async def kept(self) -> list[str]:
        """Return one text per kept guard. An older flatdeck's journal has none."""
        if not await self._query("SELECT 1 FROM sqlite_master WHERE name = 'guards'"):
            return []
        return [row[0] for row in await self._query("SELECT body FROM guards ORDER BY name")]

    async def waiting(self) -> list[str]:
        """Return one text per plan that waits for a person in the engine that wrote last."""
        if not await self._query("SELECT 1 FROM sqlite_master WHERE name = 'waiting'"):
            return []
        return [row[0] for row in await self._query("SELECT body FROM waiting ORDER BY name")]

    async def bars(self) -> list[Row]:
        """Return name, minute and body of every kept bar, oldest first. An older flatdeck's journal has none."""
        if not await self._query("SELECT 1 FROM sqlite_master WHERE name = 'bars'"):
            return []
        return await self._query(READ)

    async def _query(self, sql: str, *params: object) -> list[Row]:
        return await self._database.query(sql, params)

    def _entries(self, rows: Iterable[Row]) -> list[Entry]:
        return [entry_of(row, self._database.name) for row in rows]


class Journal(JournalView):
    """One engine's journal: reading, and the only code that writes."""

    def __init__(self, database: Database, clock: Clock, epoch: str) -> None:
        super().__init__(database, epoch)
        self._commits: deque[float] = deque(maxlen=COMMITS_KEPT)  # seconds of the latest durable commits
        self.error: str | None = None  # why the last transaction failed; None after a success
        self.dropped = 0  # log lines that were lost because too many waited
        self._clock = clock
        self._waiting: list[tuple[list[_Numbered], asyncio.Future[None]]] = []
        self._notes: deque[_Numbered] = deque()
        self._kept = StateRows()  # rows without history that wait to be written
        self._numbers = count(1)
        self._unsaid = 0  # dropped lines that no log line has reported yet
        self._writer: asyncio.Task[None] | None = None
        self._due = False  # something waits that no transaction has taken yet
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: Path, clock: Clock, ids: Ids) -> Journal:
        """Open the journal in this file. Create a missing file."""
        return await cls.over(await AioDatabase.open(path), clock, ids)

    @staticmethod
    async def open_readonly(path: Path) -> JournalView:
        """Return a view that writes nothing and sees later records. A missing file gives an empty view."""
        database = ReadonlyDatabase(path)
        return JournalView(database, await read_epoch(database) or "")

    @classmethod
    async def over(cls, database: Database, clock: Clock, ids: Ids) -> Journal:
        """Open the journal in this database. The journal closes the database."""
        try:
            epoch = await read_epoch(database)
            if epoch is None:
                epoch = ids.epoch()
                await database.commit(
                    [
                        *((sql, [()]) for sql in CREATE),
                        ("INSERT INTO meta VALUES (?, ?)", [("schema", str(SCHEMA)), ("epoch", epoch)]),
                    ]
                )
            await database.commit([(sql, [()]) for sql in (GUARDS, BARS, WAITING, CLEAR_WAITING, *FOUND_BY)])
            journal = cls(database, clock, epoch)
            journal._commits.extend(await measure_commits(database, clock))
        except BaseException:
            await database.aclose()
            raise
        return journal

    @property
    def commit_latency(self) -> float:
        """Seconds of a durable commit: the median of the latest commits."""
        return statistics.median(self._commits)

    # ------------------------------------------------------------------------------------------------- writing

    async def append(self, *records: Record) -> None:
        """Write the records next to each other. Durable on return; a cancelled call wrote all of them or none."""
        now = iso(self._clock.now())
        await self._put([(next(self._numbers), row_of(record, now)) for record in records])

    def note(self, line: Logged) -> None:
        """Write a log line soon. Never waits, never raises. If too many lines wait, the oldest lines are lost."""
        if self._closed:
            self._lost(1)
            return
        self._notes.append((next(self._numbers), row_of(line, iso(self._clock.now()))))
        self._bound_notes()
        self._wake_within(NOTE_DELAY)

    def keep(self, rows: StateRows) -> None:
        """Replace these rows as soon as the writer is free. Never waits.

        Bars alone wait ``BAR_DELAY`` for another write to share its transaction."""
        self._kept.add(rows)
        if self._closed or not rows.statements():
            return
        if rows.urgent:
            self._wake()
        else:
            self._wake_within(BAR_DELAY)

    async def drop_lines(self, before: datetime, after: int, most: int) -> int | None:
        """Delete up to ``most`` log lines that are older than ``before``, beyond entry ``after``, in one transaction.

        Return the last deleted entry, None when no line was left. Raises JournalError.
        """
        end = await self._query(BEFORE_SINCE, iso(before))
        rows = await self._query(OLD_LINES, after, end[0][0] if end else 0, most)
        if not rows or self._closed:
            return None
        await self._database.commit([(DROP_LINE, rows)])
        return int(rows[-1][0])

    async def flush(self) -> None:
        """Return when everything handed in so far is durable."""
        await self._put([])

    async def aclose(self) -> None:
        """Write everything that waits, then close. Unwritable rows are lost, and ``error`` says why."""
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(JournalError):
                await self._queued([])
        finally:
            await self._database.aclose()

    async def _put(self, rows: list[_Numbered]) -> None:
        if self._closed:
            raise JournalError(f"journal {self._database.name} is closed")
        await self._queued(rows)

    def _queued(self, rows: list[_Numbered]) -> asyncio.Future[None]:
        """Hand rows to the writer, a task of its own: cancelling a caller does not stop the writer."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        self._wake()
        return done

    def _wake_within(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None and self._timer.when() > loop.time() + seconds:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = True
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write(), name="journal")

    async def _write(self) -> None:
        """Run transactions until nothing waits. Each transaction takes everything that waits at its start."""
        while self._due:
            self._due = False
            waiting, self._waiting = self._waiting, []
            notes, self._notes = self._notes, deque()
            kept, self._kept = self._kept, StateRows()
            told = self._unsaid
            try:
                await self._commit(chain(notes, *(rows for rows, _ in waiting)), kept, told)
            except BaseException as error:
                self._kept = kept.add(self._kept)
                self._failed(error, notes, [done for _, done in waiting])
                if not isinstance(error, JournalError):
                    raise
            else:
                self._unsaid -= told
                for _, done in waiting:
                    if not done.done():
                        done.set_result(None)

    async def _commit(self, numbered: Iterable[_Numbered], kept: StateRows, dropped: int) -> None:
        rows = [row for _, row in sorted(numbered, key=itemgetter(0))]
        if dropped:
            text = f"{dropped} older lines of the log were dropped: the journal could not take them fast enough"
            rows.insert(0, row_of(Logged("warning", text), iso(self._clock.now())))
        statements: list[tuple[str, list[Row]]] = [(INSERT, rows)] if rows else []
        statements += kept.statements()
        if statements:
            begun = self._clock.monotonic()
            await self._database.commit(statements)
            self._commits.append(self._clock.monotonic() - begun)
            self.error = None

    def _failed(self, error: BaseException, notes: deque[_Numbered], waiters: list[asyncio.Future[None]]) -> None:
        text = str(error) if isinstance(error, JournalError) else f"writing the journal ended with {error!r}"
        self.error = text
        notes.extend(self._notes)
        self._notes = notes
        self._bound_notes()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(JournalError(text))

    def _bound_notes(self) -> None:
        while len(self._notes) > NOTES_KEPT:
            self._notes.popleft()
            self._lost(1)

    def _lost(self, lines: int) -> None:
        self.dropped += lines
        self._unsaid += lines
