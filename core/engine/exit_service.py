"""Makes plans of due exits: feeds every event to the exit monitor, keeps its state durable, fires the exits.

An armed engine approves an exit by its rule and carries the exit out at once. Otherwise the exit's plan waits for a
person, one plan per position; a stronger exit replaces a weaker exit. No exit fires before ``watch``, and none at all
in an engine that may not send.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from decimal import Decimal

from msgspec import structs

from core.engine.bar_backfill import Ask, BarBackfill
from core.engine.publisher import Publisher
from core.errors import FlatdeckError
from core.events import AccountChanged, BrokerEvent, FillSeen, HoldingsRead, QuoteSeen
from core.exits.monitor import ExitMonitor
from core.exits.rules import Rule
from core.exits.signal import ExitSignal
from core.exits.view import ExitView
from core.journal import exit_states
from core.journal.journal import Journal, JournalView
from core.journal.ledger import PositionLedger
from core.ladder.states import Judged
from core.link.messages import DueRow, ExitsDue, PlanReport
from core.model import Bar, InstrumentKey, PositionKey
from core.plans.pending import PendingPlans
from core.plans.plan import EXITS, ApprovedPlan, NotApproved, Plan, by_rule
from core.plans.request import PlanRequest
from core.plans.results import Outcome
from core.portfolio.book import Book, Change
from core.ports import Clock
from core.reconciliation.renames import record_rename
from core.settings import ExitsOf, Settings
from core.units import plain

PAUSE = 30.0  # seconds after a close before an exit may close the position again
AGAIN = 5.0  # seconds after a close that never began, for example because the journal could not be written


class ExitService:
    """One engine's exits. Without a journal to write, the service only watches."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        plans: PendingPlans,
        publisher: Publisher,
        journal: Journal | None,
        *,
        lasting: bool,
        exits_of: ExitsOf,
        max_age: Callable[[str, str], float],  # seconds that a price is usable, by account and symbol
        closing: Callable[[], set[InstrumentKey]],  # instruments with a close in flight
        carry_out: Callable[[ApprovedPlan], Awaitable[object]],
        reread: Callable[[Iterable[str]], None],
        spawn: Callable[[Coroutine[object, object, object]], None],
        bars: Ask,
        say: Callable[..., None],
    ) -> None:
        self._clock = clock
        self._book = book
        self._plans = plans
        self._publisher = publisher
        self._journal = journal
        self._max_age = max_age
        self._in_flight = closing
        self._carry_out = carry_out
        self._reread = reread
        self._spawn = spawn
        self._log = say
        self._backfill = BarBackfill(bars, clock, spawn, self._fill, self._unfilled)
        self._lasting = lasting
        self._auto = settings.automation.exits == "auto"
        self._monitor = ExitMonitor(exits_of)
        self._stops: dict[PositionKey, Decimal] = {}  # own stops of positions that were opened here
        self._ledger: PositionLedger | None = None
        self._watching = False
        self._waiting: dict[PositionKey, tuple[ExitSignal, str]] = {}  # signal, and id of the plan that waits
        self._closing: set[PositionKey] = set()
        self._paused: dict[PositionKey, float] = {}
        self._told: dict[PositionKey, str] = {}  # exits that could not be planned
        self._arm(self._auto and not (journal is None and lasting))

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
            self._journal.keep({}, gone)
        self._monitor.remember(kept, bars)

    def expect(self, key: PositionKey, stop_pct: Decimal | None) -> None:
        """Remember the own stop of a position that is about to be opened."""
        if stop_pct is not None:
            self._stops[key] = stop_pct

    def watch(self) -> None:
        """Let exits fire from now on. Exits that are already due fire first."""
        self._watching = True
        if self.armed:
            self._log("warning", 'ARMED: [automation] exits is "auto", so that exits close by themselves')
        self._fire(self._fresh())
        self._backfill.want(self._monitor.wanting())

    # ---------------------------------------------------------------------------------------------------- events

    def take(self, event: BrokerEvent, change: Change) -> None:
        """Pass an event that the book has taken to the guards, and fire the exits that became due."""
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
        self._fire(due)
        if self._watching:
            self._backfill.want(self._monitor.wanting())

    def _follow(self, keys: Iterable[PositionKey]) -> None:
        now = self._clock.monotonic()
        for key in sorted(keys):
            position = self._book.position(key)
            if position is None:
                self._let_go(key)
                for forgotten in (self._paused, self._told, self._stops):
                    forgotten.pop(key, None)
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
        quote = book.usable_quote(account, symbol, now, self._max_age(account, symbol))
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
            self._journal.keep(exit_states.states_of(changed), exit_states.rows_of(bars))

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

    # ---------------------------------------------------------------------------------------------------- firing

    def _fire(self, found: Iterable[ExitSignal]) -> None:
        """Close when armed, else let a plan wait. Skip a position with a close under way; an exit never waits twice."""
        if not self._watching or self._journal is None:
            return
        now = self._clock.monotonic()
        for due in found:
            key, waiting = due.key, self._waiting.get(due.key)
            if key in self._closing or self._paused.get(key, now) > now or key.instrument in self._in_flight():
                continue
            if self.armed:
                self._closing.add(key)
                self._spawn(self._close(due))
            elif waiting is None or due.rank < waiting[0].rank:
                self._wait(due)

    def _plan(self, due: ExitSignal) -> Plan | None:
        """Return the plan of an exit. Return None, and log the reason once, when nothing can be closed."""
        plan = self._plans.prepare(_request(due))
        if not plan.empty:
            self._told.pop(due.key, None)
            return plan
        why = next((a.text for a in plan.actions if a.key == due.key), "the position is not there")
        if self._told.get(due.key) != why:
            self._told[due.key] = why
            self._say("alarm", due, f"cannot be closed: {why}")
        return None

    def _wait(self, due: ExitSignal) -> None:
        plan = self._plan(due)
        if plan is None:
            return
        self._let_go(due.key)
        self._waiting[due.key] = due, plan.id
        self._publisher.show_plan(plan, "waiting", _request(due), due.text)
        self._say("alarm", due, "waits for a person")

    async def _close(self, due: ExitSignal) -> None:
        """Close by rule, at once. An error becomes an alarm; after a pause the next price tries again."""
        try:
            if not self.armed:
                self._wait(due)
            elif (plan := self._plan(due)) is not None:
                level = "alarm" if due.exit.rule is Rule.EMERGENCY else "warning"
                self._say(level, due, "is being closed")
                approved = by_rule(plan, EXITS, armed=self.armed, now=self._clock.now())
                await self._carry_out(approved)
        except FlatdeckError as error:  # nothing was sent
            self._pause((due.key,), AGAIN)
            self._say("alarm", due, f"could not be closed: {error}")
        finally:
            self._closing.discard(due.key)

    def taken(self, plan: Plan) -> None:
        """Drop the waiting exits of positions that a running plan closes."""
        for action in plan.closes:
            self._let_go(action.key)
            self._monitor.note_trade(action.key.instrument, self._clock.monotonic())

    def ended(self, report: PlanReport) -> None:
        """Pause exits of the plan's positions: the broker may list a closed position a little longer.

        An exit that was dropped at the open may fire again at once.
        """
        dropped = {r.key for r in report.results if r.kind == "close" and r.outcome == Outcome.SKIPPED.value}
        self._pause(a.key for a in report.plan.closes if a.key not in dropped)

    def judge_again(self, key: PositionKey, since: float) -> Judged | None:
        """Judge a close that an exit rule decided before ``since`` (monotonic), at the first usable price after it.

        Return None while there is no such price.
        """
        if not self._lasting:
            return Judged(False, "a single command watches no prices; an engine that runs judges the position anew")
        if not self.armed:
            return Judged(False, "exits do not close by themselves any more")
        now, age = self._clock.monotonic(), self._max_age(key.account, key.symbol)
        quote = self._book.usable_quote(key.account, key.symbol, now, age)
        if quote is None or quote.received <= since or not self._book.readable(key.account):
            return None
        if self._monitor.waits_for_read(key.account, key.symbol, now):
            return None
        holds = any(due.key == key for due in self._monitor.due())
        price = "?" if quote.reference is None else plain(quote.reference)
        return Judged(holds, "" if holds else f"no exit rule calls for it any more at {price}, so that it is dropped")

    def _pause(self, keys: Iterable[PositionKey], seconds: float = PAUSE) -> None:
        until = self._clock.monotonic() + seconds
        self._paused.update((key, until) for key in keys if self._book.position(key) is not None)

    def _let_go(self, key: PositionKey) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._publisher.drop_plan(waiting[1])

    def _say(self, level: str, due: ExitSignal, what: str) -> None:
        self._log(level, f"[EXIT] {due.key.symbol} on {due.key.account} {what}: {due.text}", due.key.account)

    # ---------------------------------------------------------------------------------------------------- arming

    @property
    def armed(self) -> bool:
        """True when exits close by themselves."""
        return self._publisher.engine.armed

    def preview(self) -> ExitsDue:
        """Return the exits that would fire if the engine were armed now."""
        rows = tuple(DueRow(due.key, due.exit.reason, due.text) for due in self._fresh())
        return ExitsDue(rows, _digest(rows), self._refused())

    def arm(self, on: bool, digest: str | None = None) -> None:
        """Arm the exits that a person was shown, or disarm. Raises NotApproved."""
        if not on:
            if self.armed:
                self._arm(False)
                self._log("warning", "DISARMED by a person: exits wait to be confirmed")
            return
        if refused := self._refused():
            raise NotApproved("not_armed", refused)
        if (digest or _digest(())) != self.preview().digest:
            raise NotApproved("changed", "the exits that would fire changed since they were shown; look again")
        self._arm(True)
        self._log("warning", "ARMED by a person: exits close by themselves")
        self._fire(self._fresh())

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
            age = self._max_age(key.account, key.symbol)
            return book.readable(key.account) and book.usable_quote(key.account, key.symbol, now, age) is not None

        return [due for due in self._monitor.due() if fresh(due.key)]


def _request(due: ExitSignal) -> PlanRequest:
    return PlanRequest("exit", keys=(due.key,), text=due.text)


def _digest(rows: Iterable[DueRow]) -> str:
    lines = (f"{r.key.account}|{r.key.symbol}|{r.key.leg.value}|{r.reason}" for r in rows)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
