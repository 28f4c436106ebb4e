"""Opens a journal: reads whose journal it is, and measures the disk."""

from __future__ import annotations

from core.errors import JournalError
from core.journal.sqlite import Database
from core.journal.tables import SCHEMA
from core.ports import Clock
from core.units import iso


async def read_epoch(database: Database) -> str | None:
    """Return the epoch of the database's journal, None for an empty database. Raises JournalError otherwise."""
    tables = {row[0] for row in await database.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if not {"meta", "journal"} <= tables:
        raise JournalError(f"{database.name} is not a journal of flatdeck; move it away and start again")
    meta: dict[str, str] = dict(await database.query("SELECT key, value FROM meta"))
    schema, epoch = meta.get("schema", ""), meta.get("epoch", "")
    if schema.isdigit() and int(schema) > SCHEMA:
        raise JournalError(
            f"journal {database.name} was written by a newer flatdeck (schema {schema}, this one knows {SCHEMA}); "
            "use that one, or set [engine] data_dir to another directory"
        )
    if not schema.isdigit() or not epoch:
        raise JournalError(f"journal {database.name} does not say whose it is; move it away and start again")
    return epoch


async def measure_commits(database: Database, clock: Clock) -> list[float]:
    """Return the seconds of three small durable commits."""
    taken = []
    for _ in range(3):
        begun = clock.monotonic()
        await database.commit([("INSERT OR REPLACE INTO meta VALUES ('opened', ?)", [(iso(clock.now()),)])])
        taken.append(clock.monotonic() - begun)
    return taken
