"""Forgets what a journal knows of accounts that start anew."""

from __future__ import annotations

from collections.abc import Set

from core.journal import exit_states
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger
from core.journal.tables import StateRows
from core.records import PositionClosed


async def forget_accounts(journal: Journal, accounts: Set[str], why: str) -> None:
    """End the positions of these accounts in the journal, and drop their stops and bars. Raises JournalError."""
    held = (await PositionLedger(journal).read()).held
    await journal.append(*(PositionClosed(key, why) for key in sorted(held) if key.account in accounts))
    guards, _ = exit_states.guards_of(await journal.kept())
    gone = [guard.key for guard in guards if guard.key.account in accounts]
    left = {guard.key.instrument for guard in guards} - {key.instrument for key in gone}
    _, bars = exit_states.candles_of(await journal.bars(), left)
    journal.keep(StateRows(guards=exit_states.states_of(dict.fromkeys(gone)), bars=bars))
    await journal.flush()
