"""Keep an account's state across restarts, in one SQLite file per account and book.

The first save creates the file. Reading changes nothing on disk. A file without a write-ahead log is opened as
immutable. A file with a log is read through a copy, because its writer was killed or still runs.
Each save is one transaction.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import msgspec
from msgspec import Struct

from brokers.paper.state import State, VenueOrder
from brokers.paper.wire import Book
from core.errors import ConfigError, Refusal, Refused
from core.model import Fill, Position
from core.settings import AccountSettings

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fills (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, body BLOB NOT NULL);
"""
SUFFIXES = ("", "-wal", "-shm", "-journal")
BUSY_SECONDS = 2.0
READS = 20  # tries to read a file that does not change meanwhile


class Stored(Struct, frozen=True):
    """The content of a store file. ``fingerprint`` identifies the book that the account started from."""

    positions: list[Position]
    tickets: list[VenueOrder]
    fills: list[Fill]
    last_order: int
    last_trade: int
    revision: int
    fingerprint: str


def store_path(data_dir: Path, settings: AccountSettings) -> Path:
    """Return an account's file: ``paper/<owner>-<name>-<8 hex digits hashed from the book's path>.sqlite``."""
    book = str(settings.options.get("book") or "")
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{settings.owner}-{settings.name}")
    return data_dir / "paper" / f"{name}-{blake2b(book.encode(), digest_size=4).hexdigest()}.sqlite"


class Store:
    """One account's store file. ``_revision`` is the number of transactions that this process knows."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._fingerprint = fingerprint
        self._revision = 0
        self._connection: sqlite3.Connection | None = None

    def load(self) -> Stored | None:
        """Return the saved state, or None if nothing was saved. Raises ConfigError if the file cannot be read."""
        self.close()
        if not self.path.exists():
            return None
        try:
            stored = self._read_unchanged()
        except (sqlite3.Error, OSError, msgspec.MsgspecError, KeyError) as error:
            text = (
                f"The paper account's state {self.path} cannot be read ({error}); move it away to start from the book."
            )
            raise ConfigError(text) from error
        self._revision = stored.revision if stored else 0
        return stored

    def _read_unchanged(self) -> Stored | None:
        """Read the file, or copies of file and log. Read again while a writer changes or deletes them meanwhile."""
        for _ in range(READS):
            before = self._versions()
            try:
                if "-wal" not in before:
                    stored = _read(f"file:{quote(str(self.path))}?mode=ro&immutable=1")
                else:
                    with TemporaryDirectory() as copies:
                        for suffix in before:
                            shutil.copyfile(f"{self.path}{suffix}", Path(copies) / f"copy{suffix}")
                        stored = _read(f"file:{quote(copies)}/copy")
            except (FileNotFoundError, sqlite3.Error):
                if self._versions() == before:
                    raise
                continue
            if self._versions() == before:
                return stored
        raise OSError("another process writes it all the time")

    def _versions(self) -> dict[str, tuple[int, int, int]]:
        """Return inode, size and time of change of the file and of its log, as far as they exist."""
        found = {}
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                status = os.stat(f"{self.path}{suffix}")
                found[suffix] = status.st_ino, status.st_size, status.st_mtime_ns
        return found

    def save(self, state: State) -> None:
        """Write the changes as one transaction.

        Raises Refused and writes nothing if the file cannot be written or another process has written it.
        """
        try:
            connection = self._connection or self._open(state)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                known = connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
                if known is not None and int(known[0]) != self._revision:
                    raise Refused(Refusal.OTHER, "another process has traded on this paper account; read it again")
                _write(connection, state)
                _put_meta(connection, self._fingerprint, self._revision + 1, state)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise Refused(Refusal.OTHER, f"the paper venue cannot save to {self.path}: {error}") from error
        except Refused:
            self.close()
            raise
        self._revision += 1
        state.saved()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self, state: State) -> sqlite3.Connection:
        """Open the file for writing. A new file takes the whole state."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        if connection.execute("SELECT 1 FROM meta").fetchone() is None:
            state.all_changed()
        return connection


def reset(data_dir: Path, settings: AccountSettings) -> None:
    """Delete an account's file, so that the account starts from its book again."""
    path = store_path(data_dir, settings)
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def restore(book: Book, stored: Stored) -> State:
    """Return the saved state. The book's positions and orders are ignored; only ``hedge`` comes from the book."""
    state = State(Book(hedge=book.hedge))
    state.positions = {(p.symbol, p.leg): p for p in stored.positions}
    for ticket in stored.tickets:
        state.record_order(ticket)
    state.fills = {f.trade_id: f for f in stored.fills}
    state.last_order, state.last_trade = stored.last_order, stored.last_trade
    state.saved()
    return state


def _read(uri: str) -> Stored | None:
    """Return the content of a file, or None if its writer was killed before the first transaction."""
    connection = sqlite3.connect(uri, uri=True)
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall()) if tables else {}
        if not meta:
            return None
        return Stored(
            positions=[msgspec.json.decode(b, type=Position) for (b,) in _bodies(connection, "positions", "key")],
            tickets=[msgspec.json.decode(b, type=VenueOrder) for (b,) in _bodies(connection, "orders", "number")],
            fills=[msgspec.json.decode(b, type=Fill) for (b,) in _bodies(connection, "fills", "number")],
            last_order=int(meta["last_order"]),
            last_trade=int(meta["last_trade"]),
            revision=int(meta["revision"]),
            fingerprint=meta["fingerprint"],
        )
    finally:
        connection.close()


def _bodies(connection: sqlite3.Connection, table: str, order: str) -> Iterable[tuple[bytes]]:
    return connection.execute(f"SELECT body FROM {table} ORDER BY {order}")  # noqa: S608  # both names are literals of this module


def _write(connection: sqlite3.Connection, state: State) -> None:
    encode = msgspec.json.encode
    for key in sorted(state.dirty_positions, key=str):
        name = f"{key[0]}|{key[1].value}"
        held = state.positions.get(key)
        if held is None:
            connection.execute("DELETE FROM positions WHERE key = ?", (name,))
        else:
            connection.execute("REPLACE INTO positions VALUES (?, ?)", (name, encode(held)))
    for order_id in state.dirty_orders:
        connection.execute(
            "INSERT INTO orders (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (order_id, encode(state.tickets[order_id])),
        )
    for trade_id in state.dirty_fills:
        connection.execute("INSERT INTO fills (id, body) VALUES (?, ?)", (trade_id, encode(state.fills[trade_id])))


def _put_meta(connection: sqlite3.Connection, fingerprint: str, revision: int, state: State) -> None:
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('fingerprint', ?)", (fingerprint,))
    numbers = {"last_order": state.last_order, "last_trade": state.last_trade, "revision": revision}
    connection.executemany("REPLACE INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in numbers.items()])
