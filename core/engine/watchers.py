"""The part of a lasting engine that watches prices: exits, their plans, and the stops that rest at the venues.

A one-shot engine has none of it: its command ends before a price could fire an exit.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from decimal import Decimal

from core.engine.exit_plans import ExitPlans
from core.engine.exit_service import ExitService
from core.engine.publisher import Publisher
from core.events import BrokerEvent
from core.exits.signal import ExitSignal
from core.exits.view import ExitView
from core.journal.journal import Journal, JournalView
from core.journal.ledger import PositionLedger
from core.ladder.states import Judged
from core.model import PositionKey
from core.orders.account_reader import AccountReader
from core.orders.instrument_locks import InstrumentLocks
from core.plans.pending import PendingPlans
from core.plans.plan import Plan
from core.plans.results import PlanReport
from core.portfolio.book import Book, Change
from core.ports import Broker, Clock
from core.settings import ExitsOf, Settings
from core.venue_stops.service import VenueStopService


class Watchers:
    """One lasting engine's watchers. ``acting`` is the journal of an engine that may send, else None."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        brokers: Mapping[str, Broker],
        readers: Mapping[str, AccountReader],
        pending: PendingPlans,
        publisher: Publisher,
        acting: Journal | None,
        ledger: PositionLedger,
        locks: InstrumentLocks,
        *,
        frozen: Mapping[str, str],
        exits_of: ExitsOf,
        reread: Callable[[Iterable[str]], None],
        spawn: Callable[[Coroutine[object, object, object]], None],
        say: Callable[..., None],
    ) -> None:
        self._book = book
        self.plans = ExitPlans(clock, book, pending, publisher, locks, say=say)
        self.exits = ExitService(
            *(settings, clock, book, publisher, acting),
            exits_of=exits_of,
            closing=locks.in_flight,
            reread=reread,
            spawn=spawn,
            bars=lambda account, *of: brokers[account].bars(*of),
            say=say,
        )
        self.stops = VenueStopService(
            *(settings, clock, book, brokers, readers, acting, ledger, locks),
            frozen=frozen,
            watched=self.exits.view,
            spawn=spawn,
            say=say,
        )

    def take(self, event: BrokerEvent, change: Change) -> list[ExitSignal]:
        """Pass an event that the book has taken to the exits. Return the exits that fire."""
        self.plans.forget(key for key in change.positions if self._book.position(key) is None)
        return self.exits.take(event, change)

    async def recall(self, view: JournalView, ledger: PositionLedger) -> None:
        """Restore the stops from the journal. An engine that acts does so before the first price."""
        await self.exits.recall(view, ledger)

    def view(self, key: PositionKey) -> ExitView | None:
        """Return how a position is watched, and why a protective order is missing or troubled."""
        return self.stops.view(key)

    def taken(self, plan: Plan) -> None:
        """Drop the waiting exits of positions that a running plan closes, and expect its trades."""
        self.plans.taken(plan)
        self.exits.note_closes(plan)

    def ended(self, report: PlanReport) -> None:
        """Pause exits of the positions that a plan closed."""
        self.plans.ended(report)

    def expect(self, key: PositionKey, stop_pct: Decimal | None) -> None:
        """Remember the own stop of a position that is about to be opened."""
        self.exits.expect(key, stop_pct)

    def judge_again(self, key: PositionKey, since: float) -> Judged | None:
        """Judge a close that an exit rule decided before ``since`` (monotonic)."""
        return self.exits.judge_again(key, since)
