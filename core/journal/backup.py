"""Copies a journal while an engine writes to it: SQLite's own backup takes the records in the write-ahead log along."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from core.errors import JournalError
from core.journal.sqlite import explained, open_readonly


def back_up(journal: Path, target: Path) -> int:
    """Copy the journal to a new file of mode 0600, and return its number of records. Raises JournalError.

    The copy gets its name only when it is whole and sound.
    """
    if not journal.exists():
        raise JournalError(f"there is no journal {journal} to copy; the first engine or acting command makes it")
    if target.exists():
        raise JournalError(f"{target} is there already; give a file that does not exist")
    part = target.with_name(f"{target.name}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
        with closing(open_readonly(journal)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            damage = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if damage != "ok":
                raise JournalError(f"journal {journal} is damaged ({damage}); the copy was not kept")
            count = int(copy.execute("SELECT count(*) FROM journal").fetchone()[0])
        part.rename(target)
    except sqlite3.Error as error:
        raise explained(error, journal) from error
    except OSError as error:
        raise JournalError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return count
