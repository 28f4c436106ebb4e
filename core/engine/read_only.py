"""Loads what a read-only engine needs of the journal: frozen accounts, interrupted closes, believed positions."""

from __future__ import annotations

from pathlib import Path

from core.engine.engine import Engine
from core.engine.waiting_plans import plans_of
from core.errors import JournalError
from core.journal.journal import Journal, JournalView
from core.journal.ledger import minimum_refusals
from core.ladder.recovery import interrupted_plan
from core.link.messages import ClosingRow
from core.plans.plan import ActionKind

NOT_KNOWN = "Until then stops, frozen accounts and interrupted plans are not known"
FRESH = "the next acting command or engine goes on with it"
TOO_OLD = "too old to go on with: the next acting command or engine ends it, and it is shown again"


async def load_read_only(engine: Engine, path: Path, *, watched: bool) -> None:
    """Load the journal. A journal that cannot be read becomes an alarm: looking must work without a journal.

    ``watched``: an engine of another process watches, so that its waiting plans are shown.
    """
    try:
        journal = await Journal.open_readonly(path)
        await _load(engine, journal)
        if watched and not engine.lasting:  # a console that lasts would show them for ever
            await _show_waiting(engine, journal)
    except JournalError as error:
        engine.restrictions.unknown = str(error)
        engine.say("alarm", f"{error}. {NOT_KNOWN}")


async def _load(engine: Engine, journal: JournalView) -> None:
    """Take over the records and show interrupted closes. Only an engine that acts resumes them."""
    engine.frozen.update(await journal.frozen())
    await engine.restrictions.recall(journal)
    engine.ledger.read_from(journal)
    engine.book.refusals = await minimum_refusals(journal)
    await engine.reconciliation.recall(journal)
    await engine.exits.recall(journal, engine.ledger)
    for entries in await journal.open_plans():
        left = interrupted_plan(entries)
        fresh = left.age(engine.clock.now()) <= engine.settings.ladder.resume_within
        for action in left.open_actions():
            if action.kind is ActionKind.CLOSE:
                engine.publisher.put_closing(
                    ClosingRow(
                        key=action.key,
                        plan=left.approved.plan.id,
                        reason=action.reason.value,
                        state="interrupted",
                        next_tier=action.tiers[0].value if action.tiers else None,
                        quantity=action.quantity,
                        answer=FRESH if fresh else TOO_OLD,
                    )
                )


async def _show_waiting(engine: Engine, journal: JournalView) -> None:
    """Show the plans that wait for a person in the engine of another process."""
    rows, wrong = plans_of(await journal.waiting())
    for row in rows:
        engine.publisher.put_plan(row)
    for error in wrong:
        engine.say("alarm", f"a plan that waits for a person cannot be read in the journal: {error}")
