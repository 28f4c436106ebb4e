"""Exits in a one-shot engine: its command ends before a price could fire one, so that it only shows the levels.

The levels are those that an engine would watch that starts now: from the kept stops and the prices just read.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from core.events import BrokerEvent
from core.exits.monitor import ExitMonitor
from core.exits.signal import ExitSignal
from core.exits.view import ExitView
from core.journal import exit_states
from core.journal.journal import Journal, JournalView
from core.journal.ledger import PositionLedger
from core.journal.tables import StateRows
from core.ladder.states import Judged
from core.model import PositionKey
from core.plans.plan import Plan
from core.plans.results import PlanReport
from core.portfolio.book import Book, Change
from core.ports import Clock
from core.settings import ExitsOf


class Unwatched:
    """One one-shot engine's exits. ``acting`` is the journal of an engine that may send, else None."""

    def __init__(
        self, clock: Clock, book: Book, acting: Journal | None, exits_of: ExitsOf, say: Callable[..., None]
    ) -> None:
        self._clock = clock
        self._book = book
        self._journal = acting
        self._say = say
        self._monitor = ExitMonitor(exits_of)
        self._stops: dict[PositionKey, Decimal] = {}  # own stops of positions that were opened here
        self._carried: set[str] = set()  # accounts whose positions were followed under their new names

    async def recall(self, view: JournalView, ledger: PositionLedger) -> None:
        """Read the kept stops. Raises JournalError."""
        beliefs = await ledger.read()
        self._stops |= {key: b.stop_pct for key, b in beliefs.held.items() if b.stop_pct is not None}
        kept, wrong = exit_states.guards_of(await view.kept())
        for error in wrong:
            self._say("alarm", f"a stop in the journal cannot be read and begins anew: {error}")
        self._monitor.remember(kept, {})
        self._carried.clear()

    def view(self, key: PositionKey) -> ExitView | None:
        """Return a position's stop and target with the reasons; None when the position is not held."""
        book, instrument = self._book, self._book.instrument(key.account, key.symbol)
        self._follow(key)
        if key.account not in self._carried:
            self._carry_renamed(key.account)
        quote = book.quote(key.account, key.symbol)
        if quote is not None and not quote.flaw() and quote.reference is not None and book.readable(key.account):
            self._monitor.apply_price(key.account, instrument, quote.reference, quote.received, self._clock.now())
        return self._monitor.view(key, instrument.tick)

    def take(self, _event: BrokerEvent, change: Change) -> list[ExitSignal]:
        """Forget the kept stops of positions that are gone: the next position there begins anew."""
        self._forget([key for key in change.positions if self._book.position(key) is None])
        self._carried -= {key.account for key in change.positions}
        return []

    def ended(self, report: PlanReport) -> None:
        """Forget the kept stops of positions that a plan closed, also of those that the book never held."""
        self._forget([r.key for r in report.results if r.kind == "close" and r.outcome == "closed"])

    def taken(self, plan: Plan) -> None:
        """Do nothing: no exit waits here."""

    def expect(self, key: PositionKey, stop_pct: Decimal | None) -> None:
        """Do nothing: the journal has the own stop of a position that is opened."""

    def judge_again(self, _key: PositionKey, _since: float) -> Judged:
        """Drop what an exit rule decided before this command."""
        return Judged(False, "a single command watches no prices; an engine that runs judges the position anew")

    def _follow(self, key: PositionKey) -> None:
        position, instrument = self._book.position(key), self._book.instrument(key.account, key.symbol)
        self._monitor.follow(key, position, instrument, self._stops.get(key), self._clock.monotonic())

    def _carry_renamed(self, account: str) -> None:
        """Follow all positions of the account, then give the kept levels to positions with a new name: once a read."""
        for key in self._book.keys([account]):
            self._follow(key)
        self._monitor.carry_renamed(account, self._clock.monotonic())
        self._carried.add(account)

    def _forget(self, gone: list[PositionKey]) -> None:
        if gone and self._journal is not None:
            self._journal.keep(StateRows(guards=exit_states.states_of(dict.fromkeys(gone))))
