"""Deletes old log lines from the journal, a few at a time, so that no close waits for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from core.errors import JournalError
from core.journal.journal import Journal
from core.ports import Clock

EVERY = 3600.0  # seconds between two rounds
PAUSE = 1.0  # seconds between two transactions of a round
BATCH = 200  # lines of one transaction


async def drop_old_lines(journal: Journal, clock: Clock, keep_days: int, say: Callable[[str, str], None]) -> None:
    """Delete log lines older than ``keep_days``, now and then, until cancelled."""
    while True:
        after: int | None = 0
        try:
            while after is not None:
                after = await journal.drop_lines(clock.now() - timedelta(days=keep_days), after, BATCH)
                await clock.sleep(PAUSE)
        except JournalError as error:
            say("warning", f"old log lines stay in the journal: {error}")
        await clock.sleep(EVERY)
