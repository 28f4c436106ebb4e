"""Checks whether a journal can be read and written, without changing anything."""

from __future__ import annotations

import os
import shutil

from core.errors import JournalError
from core.journal import exit_states
from core.journal.data_dir import DataDir
from core.journal.journal import Journal, JournalView
from core.journal.ledger import PositionLedger
from core.journal.sqlite import log_is_lost
from core.ports import Check

LEAST_FREE = 64 * 1024 * 1024  # bytes that must be free on the journal's disk
LOG_LOST = (
    "The journal's write-ahead log is gone: its newest records are lost, perhaps those of a plan that was under way. "
    "Look at every account for orders left open"
)


async def check_journal(directory: DataDir) -> Check:
    """Return what an engine would find at its start: a readable journal, a writable directory, and room on the disk."""
    if not directory.path.exists():
        return Check("journal", ok=True, text="none yet; the first engine or acting command makes it")
    try:
        trouble = await _trouble(directory)
    except (JournalError, OSError) as error:
        return Check("journal", ok=False, text=str(error))
    return Check("journal", ok=not trouble, text=trouble or f"{directory.journal} can be read and written")


async def _trouble(directory: DataDir) -> str:
    """Return why the journal cannot be used, or "". Raises JournalError."""
    if log_is_lost(directory.journal):
        return LOG_LOST
    view = await Journal.open_readonly(directory.journal)
    if (damage := await view.find_damage()) is not None:
        return f"journal {directory.journal} is damaged ({damage}); look at every account for orders left open"
    await _read_as_engine(view)
    closed = [p for p in (directory.path, directory.journal) if p.exists() and not os.access(p, os.W_OK)]
    if closed:
        return f"{closed[0]} cannot be written; make it writable"
    free = shutil.disk_usage(directory.path).free
    if free < LEAST_FREE:
        return f"its disk has only {free // 1024**2} MB left; without room nothing is opened or closed"
    return ""


async def _read_as_engine(view: JournalView) -> None:
    """Read what an engine reads at its start. Raises JournalError."""
    await view.frozen()
    await view.open_plans()
    await PositionLedger(view).read()
    _, wrong = exit_states.guards_of(await view.kept())
    if wrong:
        raise JournalError(f"a stop in the journal cannot be read and would begin anew: {wrong[0]}")
