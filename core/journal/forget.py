"""Forgets what a journal knows of accounts that start anew."""

from __future__ import annotations

from collections.abc import Sequence, Set

from core.journal import exit_states
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger
from core.journal.tables import StateRows
from core.model import PositionKey
from core.plans.results import Outcome, ResultRow, not_done
from core.records import ClosingEnded, Entry, PlanApproved, PositionClosed


async def forget_accounts(journal: Journal, accounts: Set[str], why: str) -> None:
    """End these accounts' positions and interrupted closes in the journal, and drop their stops and bars.

    Raises JournalError.
    """
    held = (await PositionLedger(journal).read()).held
    closed = [PositionClosed(key, why) for key in sorted(held) if key.account in accounts]
    ended = [end for entries in await journal.open_plans() for end in _ends(entries, accounts, why)]
    await journal.append(*closed, *ended)
    guards, _ = exit_states.guards_of(await journal.kept())
    gone = [guard.key for guard in guards if guard.key.account in accounts]
    left = {guard.key.instrument for guard in guards} - {key.instrument for key in gone}
    _, bars = exit_states.candles_of(await journal.bars(), left)
    journal.keep(StateRows(guards=exit_states.states_of(dict.fromkeys(gone)), bars=bars))
    await journal.flush()


def _ends(entries: Sequence[Entry], accounts: Set[str], why: str) -> list[ClosingEnded]:
    """Return an end of each action of an open plan that has none: the plan must not go on with new positions."""
    opening = entries[0].record
    assert isinstance(opening, PlanApproved)
    done = {_action_id(e.record.result) for e in entries if isinstance(e.record, ClosingEnded)}
    actions = [a for a in (*opening.plan.closes, *opening.plan.lone_cancels) if a.key.account in accounts]
    rows = [not_done(action, Outcome.SKIPPED, why) for action in actions]
    return [ClosingEnded(opening.plan.id, row) for row in rows if _action_id(row) not in done]


def _action_id(row: ResultRow) -> tuple[PositionKey, str, str | None]:
    return row.key, row.kind, row.order_id
