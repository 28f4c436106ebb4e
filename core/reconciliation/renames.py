"""Records the new name of a position, so that the journal believes the position under its new name."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import FlatdeckError
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger
from core.model import Position, PositionKey
from core.reconciliation.rules import adopted
from core.records import PositionClosed


async def record_rename(
    journal: Journal, ledger: PositionLedger, old: PositionKey, position: Position, say: Callable[..., None]
) -> None:
    """Move the journal's belief to the new name, with the settings that it was accepted under."""
    try:
        belief = (await ledger.read()).held.get(old)
        if belief is not None:
            renamed = PositionClosed(old, f"renamed to {position.symbol}")
            await journal.append(renamed, adopted(position, "renamed", belief.settings))
    except FlatdeckError as error:
        say("alarm", f"the new name of {old.symbol} could not be recorded: {error}", old.account)
