"""The interface of a database that keeps whole transactions, and its implementation: SQLite in a file.

aiosqlite writes with a write-ahead log and ``synchronous=FULL``, so that a commit that returned survives a power loss.
A transaction is one call on aiosqlite's thread: a cancelled caller cannot leave a transaction half done.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol, cast

import aiosqlite

from core.errors import JournalError

Row = tuple[Any, ...]
Statements = Sequence[tuple[str, Sequence[Row]]]


class Database(Protocol):
    """Transactions and queries. Both raise JournalError: one sentence with the way out."""

    @property
    def name(self) -> str:
        """The name in messages: the path of the file."""

    async def commit(self, statements: Statements) -> None:
        """Execute each statement once per row of parameters. Returns when all is durable, raises when none is."""

    async def query(self, sql: str, params: Row = ()) -> list[Row]:
        """Return all rows of a SELECT."""

    async def aclose(self) -> None:
        """Close the database. A second call does nothing."""


def transact(connection: sqlite3.Connection, statements: Statements) -> None:
    """Run one whole transaction on a connection in autocommit mode. Raises sqlite3.Error with nothing kept.

    After a failed sync and a power loss, a transaction that was reported as failed may still be there, whole.
    """
    if connection.in_transaction:  # an earlier rollback failed, too
        connection.rollback()
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, rows in statements:
            if len(rows) == 1:
                connection.execute(sql, rows[0])
            else:
                connection.executemany(sql, rows)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite itself rolls back on a full disk and like errors
            connection.rollback()
        raise


def log_is_lost(path: Path) -> bool:
    """Return whether a database that nobody closed has no write-ahead log any more: its newest records are gone."""
    log = path.with_name(f"{path.name}-wal")
    return _marker(path).exists() and not (log.exists() and log.stat().st_size)


def _marker(path: Path) -> Path:
    """Return the file that says: the database is open, and its log has records. A clean close deletes the file."""
    return path.with_name(f"{path.name}-open")


class _Connection(aiosqlite.Connection):
    """aiosqlite's connection with more methods. As in aiosqlite, each method runs a function on the thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda: sqlite3.connect(path, isolation_level=None), iter_chunk_size=1000)
        self._thread.daemon = True  # a process that ends without closing must not wait for it

    def __del__(self) -> None:
        """Do nothing: the process is ending. aiosqlite's own method would call a loop that may be gone."""

    async def transact(self, statements: Statements) -> None:
        await self._execute(transact, self._conn, statements)  # type: ignore[no-untyped-call]

    async def fetch(self, sql: str, params: Row) -> list[Row]:
        def rows() -> list[Row]:
            return self._conn.execute(sql, params).fetchall()

        return cast("list[Row]", await self._execute(rows))  # type: ignore[no-untyped-call]

    async def setting(self, name: str, value: str) -> object:
        """Set a PRAGMA. Return the value that SQLite reads back."""
        await self.fetch(f"PRAGMA {name}={value}", ())
        return (await self.fetch(f"PRAGMA {name}", ()))[0][0]


class AioDatabase:
    """SQLite in a file of mode 0600, held open for writing by one connection."""

    def __init__(self, path: Path, connection: _Connection) -> None:
        self._path = path
        self._connection = connection
        self._closed = False
        self._marked = False

    @classmethod
    async def open(cls, path: Path) -> AioDatabase:
        """Open or create the file. Raises JournalError when the disk cannot write durably."""
        _private(path)
        connection = _Connection(path)
        try:
            await connection
            journal_mode = await connection.setting("journal_mode", "WAL")
            synchronous = await connection.setting("synchronous", "FULL")
            if (journal_mode, synchronous) != ("wal", 2):
                raise JournalError(
                    f"journal {path} cannot be written durably there (journal_mode={journal_mode}, "
                    f"synchronous={synchronous}); set [engine] data_dir to a local disk"
                )
        except sqlite3.Error as error:
            await connection.close()
            raise explained(error, path) from error
        except BaseException:
            await connection.close()
            raise
        return cls(path, connection)

    @property
    def name(self) -> str:
        return str(self._path)

    async def commit(self, statements: Statements) -> None:
        self._refuse_closed()
        try:
            await self._connection.transact(statements)
        except sqlite3.Error as error:
            raise explained(error, self._path) from error
        if not self._marked:
            self._marked = True
            with suppress(OSError):
                _marker(self._path).touch(mode=0o600)

    async def query(self, sql: str, params: Row = ()) -> list[Row]:
        self._refuse_closed()
        try:
            return await self._connection.fetch(sql, params)
        except sqlite3.Error as error:
            raise explained(error, self._path) from error

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(sqlite3.Error, OSError):  # every reported commit is durable already
                await self._connection.close()
                _marker(self._path).unlink(missing_ok=True)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise JournalError(f"journal {self._path} is closed")


class ReadonlyDatabase:
    """The journal's file for commands that must not change it. The file may be missing, or an engine may write to it.

    Every query opens the file anew: a query sees the newest records and keeps nothing open. A query blocks the event
    loop while it runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return str(self._path)

    async def commit(self, statements: Statements) -> None:
        raise JournalError(f"journal {self._path} is open for reading only")

    async def query(self, sql: str, params: Row = ()) -> list[Row]:
        try:
            if not self._path.exists():
                return []
            with closing(open_readonly(self._path)) as connection:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                    return []  # a file just created, or created on a full disk
                return connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise explained(error, self._path) from error
        except OSError as error:
            raise JournalError(f"journal {self._path} cannot be read: {error.strerror}") from error

    async def aclose(self) -> None:
        """Do nothing: no connection stays open."""


def open_readonly(path: Path) -> sqlite3.Connection:
    """Open without creating another file: SQLite would create a shared memory file for a write-ahead log."""
    wal, shm = (path.with_name(path.name + end).exists() for end in ("-wal", "-shm"))
    # Without a log the file has all data. A log without shared memory means that no engine has the file open;
    # without locks SQLite keeps the log's index in this process.
    options = "mode=ro" if wal and shm else "mode=ro&vfs=unix-none" if wal else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, isolation_level=None)
    if wal and not shm:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    return connection


def _private(path: Path) -> None:
    """Create the file, or take an existing file, and make it readable by its owner only. SQLite keeps the mode."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(file, 0o600)
        finally:
            os.close(file)
    except OSError as error:
        raise JournalError(
            f"journal {path} cannot be opened for writing: {error.strerror}; "
            "make it a writable file of your own, or set [engine] data_dir to another directory"
        ) from error


def explained(error: sqlite3.Error, path: Path | str) -> JournalError:
    """Return SQLite's error as one sentence with the way out."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the other bits are detail
    match code:
        case sqlite3.SQLITE_FULL:
            text = "cannot be written because the disk is full; free some space there"
        case sqlite3.SQLITE_IOERR:
            text = f"cannot be read or written ({error}); check that its disk is healthy and has space left"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            text = f"cannot be written ({error}); make the file and its directory writable"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            text = (
                f"is damaged ({error}); look at every account for orders left open, "
                "then move the file and its -wal and -shm away and start again"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            text = "is held by another program; close that, only flatdeck may write to it"
        case _:
            text = f"cannot be used: {error}"
    return JournalError(f"journal {path} {text}")
