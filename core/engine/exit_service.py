"""Watches every position for exits: feeds every event to the exit monitor and keeps its state durable.

The service returns the exits that fire; the engine plans and runs them. No exit fires before ``watch``, and none at
all in an engine that may not send.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Iterable
from decimal import Decimal

from msgspec import structs

from core.engine.bar_backfill import Ask, BarBackfill
from core.engine.publisher import Publisher
from core.events import AccountChanged, BrokerEvent, FillSeen, HoldingsRead, QuoteSeen
from core.exits.monitor import ExitMonitor
from core.exits.signal import ExitSignal
from core.exits.view import ExitView
from core.journal import exit_states
from core.journal.journal import Journal, JournalView
from core.journal.ledger import PositionLedger
from core.journal.tables import StateRows
from core.ladder.states import Judged
from core.link.messages import DueRow, ExitsDue
from core.model import Bar, InstrumentKey, PositionKey
from core.plans.plan import NotApproved, Plan
from core.portfolio.book import Book, Change
from core.ports import Clock
from core.reconciliation.renames import record_rename
from core.settings import ExitsOf, Settings
from core.units import plain


class ExitService:
    """One engine's exits. Without a journal to write, the service only watches."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        publisher: Publisher,
        journal: Journal | None,
        *,
        exits_of: ExitsOf,
        closing: Callable[[], set[InstrumentKey]],  # instruments with a close in flight
        reread: Callable[[Iterable[str]], None],
        spawn: Callable[[Coroutine[object, object, object]], None],
        bars: Ask,
        say: Callable[..., None],
    ) -> None:
        self._clock = clock
        self._book = book
        self._publisher = publisher
        self._journal = journal
        self._in_flight = closing
        self._reread = reread
        self._spawn = spawn
        self._log = say
        self._backfill = BarBackfill(bars, clock, spawn, self._fill, self._unfilled)
        self._auto = settings.automation.exits == "auto"
        self._monitor = ExitMonitor(exits_of)
        self._stops: dict[PositionKey, Decimal] = {}  # own stops of positions that were opened here
        self._ledger: PositionLedger | None = None
        self._watching = False

    # ------------------------------------------------------------------------------------------------- lifecycle

    async def recall(self, view: JournalView, ledger: PositionLedger) -> None:
        """Restore the guards and the positions' own stops, before the first price. Raises JournalError."""
        self._ledger = ledger
        beliefs = await ledger.read()
        self._stops |= {key: b.stop_pct for key, b in beliefs.held.items() if b.stop_pct is not None}
        kept, wrong = exit_states.guards_of(await view.kept())
        bars, gone = exit_states.candles_of(await view.bars(), {k.key.instrument for k in kept})
        for error in wrong:
            self._log("alarm", f"a stop in the journal cannot be read and begins anew: {error}")
        if self._journal is not None:
            self._journal.keep(StateRows(bars=gone))
        self._monitor.remember(kept, bars)

    def expect(self, key: PositionKey, stop_pct: Decimal | None) -> None:
        """Remember the own stop of a position that is about to be opened."""
        if stop_pct is not None:
            self._stops[key] = stop_pct

    def watch(self) -> list[ExitSignal]:
        """Let exits fire from now on. Return the exits that are already due."""
        self._watching = True
        if self.armed:
            self._log("warning", 'ARMED: [automation] exits is "auto", so that exits close by themselves')
        self._backfill.want(self._monitor.wanting())
        return self._firing(self._fresh())

    # ---------------------------------------------------------------------------------------------------- events

    def take(self, event: BrokerEvent, change: Change) -> list[ExitSignal]:
        """Pass an event that the book has taken to the guards. Return the exits that fire."""
        due: list[ExitSignal] = []
        match event:
            case QuoteSeen(quote):
                if self._book.quote(quote.account, quote.symbol) is quote:
                    due = self._price(quote.account, quote.symbol)
            case AccountChanged(account):
                self._follow(change.positions)
                for symbol in sorted({k.symbol for k in self._monitor.keys(account)}):
                    due += self._price(account, symbol)
            case HoldingsRead(holdings):
                self._monitor.note_read(holdings.account, holdings.asked)
                self._follow(change.positions)
                self._carry_renamed(holdings.account)
            case FillSeen(fill):
                self._monitor.note_trade(InstrumentKey(fill.account, fill.symbol), self._clock.monotonic())
            case _:
                self._follow(change.positions)
        self._keep()
        if self._watching and (wanting := self._monitor.wanting()):
            self._backfill.want(wanting)
        return self._firing(due)

    def _firing(self, found: list[ExitSignal]) -> list[ExitSignal]:
        """Return the exits that fire: none before ``watch``, and none in an engine that may not send."""
        return found if self._watching and self._journal is not None else []

    def _follow(self, keys: Iterable[PositionKey]) -> None:
        now = self._clock.monotonic()
        for key in sorted(keys):
            position = self._book.position(key)
            if position is None:
                self._stops.pop(key, None)
            instrument = self._book.instrument(key.account, key.symbol)
            if self._monitor.follow(key, position, instrument, self._stops.get(key), now):
                self._reread({key.account})

    def _carry_renamed(self, account: str) -> None:
        now = self._clock.monotonic()
        for place in self._in_flight():
            self._monitor.note_trade(place, now)
        for old, new in self._monitor.carry_renamed(account, now):
            self._log("warning", f"[EXIT] {old.symbol} on {account} is called {new.symbol} now, levels kept", account)
            if self._journal and self._ledger and (position := self._book.position(new)):
                self._spawn(record_rename(self._journal, self._ledger, old, position, self._log))

    def _price(self, account: str, symbol: str) -> list[ExitSignal]:
        """Return the exits due at the latest price; none when the rules may not use the price."""
        book, now = self._book, self._clock.monotonic()
        quote = book.usable_quote(account, symbol, now)
        if quote is None or quote.reference is None or not book.readable(account):
            return []
        instrument, at = book.instrument(account, symbol), self._clock.now()
        due = self._monitor.apply_price(account, instrument, quote.reference, quote.received, at)
        if self._monitor.waits_for_read(account, symbol, now):
            self._reread({account})
        return due

    def _keep(self) -> None:
        changed, bars = self._monitor.changed(), self._monitor.bar_changes()
        if self._journal is not None and (changed or bars.gone or bars.candles):
            self._journal.keep(StateRows(guards=exit_states.states_of(changed), bars=exit_states.rows_of(bars)))

    def _fill(self, place: InstrumentKey, bars: list[Bar]) -> None:
        """Take a broker's bars. The next event writes them to the journal."""
        minute = int(self._clock.now().timestamp()) // 60
        if self._monitor.fill_bars(place, bars, minute) is None:
            self._unfilled(place, "the broker's bars are a jump away from its price")

    def _unfilled(self, place: InstrumentKey, why: str) -> None:
        account, symbol = place
        text = f"{symbol} on {account}: no bars to warm up with, its own prices make them: {why}"
        self._log("debug", text, account)

    def view(self, key: PositionKey) -> ExitView | None:
        """Return how a position is watched, in prices of its instrument."""
        return self._monitor.view(key, self._book.instrument(key.account, key.symbol).tick)

    def note_closes(self, plan: Plan) -> None:
        """Record that a running plan trades: a lowered basis of these instruments is no corporate action."""
        for action in plan.closes:
            self._monitor.note_trade(action.key.instrument, self._clock.monotonic())

    def judge_again(self, key: PositionKey, since: float) -> Judged | None:
        """Judge a close that an exit rule decided before ``since`` (monotonic), at the first usable price after it.

        Return None while there is no such price.
        """
        if not self.armed:
            return Judged(False, "exits do not close by themselves any more")
        now = self._clock.monotonic()
        quote = self._book.usable_quote(key.account, key.symbol, now)
        if quote is None or quote.received <= since or not self._book.readable(key.account):
            return None
        if self._monitor.waits_for_read(key.account, key.symbol, now):
            return None
        holds = any(due.key == key for due in self._monitor.due())
        price = "?" if quote.reference is None else plain(quote.reference)
        return Judged(holds, "" if holds else f"no exit rule calls for it any more at {price}, so that it is dropped")

    # ---------------------------------------------------------------------------------------------------- arming

    @property
    def armed(self) -> bool:
        """True when exits close by themselves."""
        return self._publisher.engine.armed

    def preview(self) -> ExitsDue:
        """Return the exits that would fire if the engine were armed now."""
        rows = tuple(DueRow(due.key, due.exit.reason, due.text) for due in self._fresh())
        return ExitsDue(rows, _digest(rows), self._refused())

    def arm(self, on: bool, digest: str | None = None) -> list[ExitSignal]:
        """Arm the exits that a person was shown, or disarm. Return the exits that fire. Raises NotApproved."""
        if not on:
            if self.armed:
                self._arm(False)
                self._log("warning", "DISARMED by a person: exits wait to be confirmed")
            return []
        if refused := self._refused():
            raise NotApproved("not_armed", refused)
        if (digest or _digest(())) != self.preview().digest:
            raise NotApproved("changed", "the exits that would fire changed since they were shown; look again")
        self._arm(True)
        self._log("warning", "ARMED by a person: exits close by themselves")
        return self._firing(self._fresh())

    def _arm(self, on: bool) -> None:
        self._publisher.put_engine(structs.replace(self._publisher.engine, armed=on))

    def _refused(self) -> str:
        if self._journal is None:
            return "this engine is read-only; nothing can be closed from here"
        if not self._auto:
            return 'every exit waits for a person here; set exits = "auto" in [automation] to let them run armed'
        return ""

    def _fresh(self) -> list[ExitSignal]:
        """Return the exits that the latest prices call for, as far as those prices are still usable."""
        book, now = self._book, self._clock.monotonic()

        def fresh(key: PositionKey) -> bool:
            return book.readable(key.account) and book.usable_quote(key.account, key.symbol, now) is not None

        return [due for due in self._monitor.due() if fresh(due.key)]


def _digest(rows: Iterable[DueRow]) -> str:
    lines = (f"{r.key.account}|{r.key.symbol}|{r.key.leg.value}|{r.reason}" for r in rows)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
