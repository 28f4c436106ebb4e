"""The engine of one process: takes broker events from one queue, updates the book and calls the services.

Life: ``start``, ``run``, ``stop``. Plans: ``prepare``, ``execute``, ``carry_out``. Events: ``_emit``, ``_consume``.
The pure packages decide what is closed; the engine only connects the parts. Without a journal the engine is dry: it
reads accounts and makes plans, and it has no executor that could send an order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from msgspec import structs

from core.closing.executor import PlanExecutor
from core.closing.ladder_runner import AccountTools, LadderRunner
from core.engine.account_feed import AccountFeed, first_of_all
from core.engine.background import BackgroundTasks
from core.engine.exit_delays import ExitDelays
from core.engine.exit_runner import ExitRunner
from core.engine.exit_service import ExitService
from core.engine.inbox import Inbox
from core.engine.log import LogWriter
from core.engine.loop_monitor import loop_monitor_of
from core.engine.outages import OutageLog
from core.engine.publisher import Publisher
from core.engine.rereads import AccountRereads
from core.engine.retention import drop_old_lines
from core.engine.row_updater import RowUpdater
from core.engine.scheduled_runs import ScheduledRuns
from core.engine.unwatched import Unwatched
from core.engine.waiting_plans import rows_of
from core.engine.watchers import Watchers
from core.entries.service import EntryService
from core.errors import FlatdeckError
from core.events import AccountChanged, BrokerEvent, FillSeen, HoldingsRead, OrderSeen, PositionSeen
from core.ids import Ids, is_ours
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger, minimum_refusals
from core.ladder.recovery import InterruptedPlan, interrupted_plan
from core.link.messages import EngineRow, Finished, LogRow, Snapshot
from core.model import Holdings, Quote
from core.orders.account_reader import AccountReader
from core.orders.instrument_locks import InstrumentLocks
from core.orders.other_writer import find_other_epoch, why_frozen
from core.orders.restrictions import Restrictions
from core.plans import planner
from core.plans.approver import Approver
from core.plans.cleanup import blocked_by
from core.plans.pending import PendingPlans
from core.plans.plan import ApprovedPlan, NotApproved, Plan
from core.plans.planner import Situation
from core.plans.request import PlanRequest
from core.plans.results import PlanReport
from core.portfolio.book import Book
from core.ports import Broker, Clock
from core.reconciliation.service import ReconciliationService
from core.settings import Settings, exits_of


class Engine:
    """One engine. ``mode`` is ``service`` or ``one-shot``; a ``lasting`` engine may wait for a market to open."""

    def __init__(
        self,
        settings: Settings,
        brokers: Sequence[Broker],
        *,
        clock: Clock,
        ids: Ids,
        journal: Journal | None,
        mode: str = "one-shot",
        lasting: bool = False,
        read_only: bool = False,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.read_only = read_only or journal is None
        self.lasting = lasting
        self._journal = journal
        self.ledger = PositionLedger(journal)
        self._brokers = {b.account.id: b for b in brokers}
        self.exits_of = exits_of(settings)
        polled = frozenset(a for a, b in self._brokers.items() if not b.capabilities.streams)
        self.book = Book([b.account for b in brokers], is_ours, self.exits_of, polled)
        armed = settings.automation.exits == "auto" and not (self.read_only and lasting)
        self.publisher = Publisher(
            clock,
            EngineRow(mode=mode, armed=armed, read_only=self.read_only),
            keep_waiting=lambda *plan: None if journal is None or read_only else journal.keep(rows_of(*plan)),
        )
        self.say = LogWriter(self.publisher, journal, clock, settings.engine.log_level).say
        self._tasks = BackgroundTasks(self.say)
        self.spawn = self._tasks.spawn
        self._readers: dict[str, AccountReader] = {}
        self._rereads = AccountRereads(clock, self._readers, spawn=self._tasks.spawn, say=self.say)
        self._delays = ExitDelays(clock)
        self._inbox = Inbox(clock, self._take, self._rereads.request_all, self._delays.note_wait, self._sound, self.say)
        self._emit, self._settled = self._inbox.put, self._inbox.settled
        self._readers.update({a: AccountReader(b, clock, self._emit) for a, b in self._brokers.items()})
        self._feeds = {a: AccountFeed(b, self._readers[a], clock, self._emit) for a, b in self._brokers.items()}
        self._runners: dict[str, LadderRunner] = {}
        self.pending_plans = PendingPlans(settings, self.book, clock, ids, self.situation, read_only=self.read_only)
        self._cleanups, self._outages = 0, OutageLog()
        self.frozen: dict[str, str] = {}
        self.taken_up: list[PlanReport] = []  # of interrupted plans that a one-shot engine ended at its start
        self._locks = InstrumentLocks(clock)
        self._fire = ExitRunner(
            lambda: self.watchers, self._locks, self._delays, self._tasks.spawn, self.carry_out
        ).fire
        self._mount_services(ids, None if self.read_only else journal)
        self._executor = None if journal is None else self._fit_out(journal)

    def _mount_services(self, ids: Ids, acting: Journal | None) -> None:
        """Build the services. ``acting`` is the journal of an engine that may send, else None."""
        self.restrictions = Restrictions(self.clock, acting, self.say)
        known = (self.settings, self.clock, self.book)
        self.exits = self._watchers(acting) if self.lasting else Unwatched(*known[1:], acting, self.exits_of, self.say)
        self.reconciliation = ReconciliationService(
            *known, self._readers, self._journal, self.ledger, closing=self._locks.in_flight, say=self.say
        )
        self.entry_service = EntryService(
            *(*known, self._brokers, self._readers, ids, acting, self.ledger, self._locks, self.restrictions),
            lasting=self.lasting,
            frozen=self.frozen,
            situation=self.situation,
            expect=self.exits.expect,
            view=self.exits.view,
            say=self.say,
        )
        self._rows = RowUpdater(
            *(*known, self.publisher, self.restrictions),
            frozen=self.frozen,
            situation=self.situation,
            closing=self._locks.in_flight,
            view=self.exits.view,
        )

    def _watchers(self, acting: Journal | None) -> Watchers:
        return Watchers(
            *(self.settings, self.clock, self.book, self._brokers, self._readers),
            *(self.pending_plans, self.publisher, acting, self.ledger, self._locks),
            frozen=self.frozen,
            exits_of=self.exits_of,
            reread=self._rereads.request_reads,
            spawn=self._tasks.spawn,
            say=self.say,
        )

    @property
    def watchers(self) -> Watchers:
        """The watchers of a lasting engine. Raises NotApproved in a one-shot engine."""
        if isinstance(self.exits, Watchers):
            return self.exits
        raise NotApproved("one_shot", "a single command watches no prices, so that no exit can fire")

    @property
    def exit_service(self) -> ExitService:
        """The exits of a lasting engine. Raises NotApproved in a one-shot engine."""
        return self.watchers.exits

    def _fit_out(self, journal: Journal) -> PlanExecutor:
        for account, broker in self._brokers.items():
            self._runners[account] = LadderRunner(
                *(broker, self._readers[account], journal, self.clock, self.book, self.restrictions.why_not_placed),
                changed=self._delays.following(self._rows.show_closing),
                emit=self._emit,
                judge=self.exits.judge_again,
            )
        tools = {a: AccountTools(b, self._readers[a], self._runners[a].carry_out) for a, b in self._brokers.items()}
        given = (self.settings, tools, journal, self.clock, self._locks)
        return PlanExecutor(*given, say=self.say, frozen=self.frozen, wait_for_open=self.lasting)

    async def start(self) -> None:
        """Read every account once. An engine that may act then first resumes interrupted plans and entries."""
        self._tasks.spawn(self._inbox.run())
        if self._journal is not None:
            self.frozen.update(await self._journal.frozen())
            await self.restrictions.recall(self._journal)
            self.book.refusals = await minimum_refusals(self._journal)
            await self.exits.recall(self._journal, self.ledger)
        await first_of_all(self._feeds.values())
        await self._settled()
        if self._executor is not None and not self.read_only:
            assert self._journal is not None
            self._executor.claim(left := [interrupted_plan(entries) for entries in await self._journal.open_plans()])
            for plan in left:
                await self._resume_plan(self._executor, plan)
            await self.entry_service.resume_entries()

    async def _resume_plan(self, executor: PlanExecutor, left: InterruptedPlan) -> None:
        """Resume one interrupted plan. A lasting engine does not wait for the plan: a close may be parked for days."""
        self.publisher.show_plan(left.approved.plan, "running")
        work = self._finished(left.approved.plan, executor.resume_plan(left))
        if self.lasting:
            self._tasks.spawn(work)
        else:
            self.taken_up.append(await work)

    async def run(self) -> None:
        """Run feeds, services and schedules until cancelled. Exits and scheduled plans act as configured."""
        for work in (*(f.run() for f in self._feeds.values()), self._rows.run(), self.reconciliation.run()):
            self._tasks.spawn(work)
        given = (self.settings.engine, self._journal, self.clock, self._delays, self.publisher)
        self._tasks.spawn(loop_monitor_of(*given, self.say, self._rereads.request_all).run())
        if self.lasting:
            self._fire(self.exit_service.watch())
            self._tasks.spawn(self.watchers.stops.run())
        if self.lasting and self._journal and not self.read_only and (days := self.settings.engine.keep_days):
            self._tasks.spawn(drop_old_lines(self._journal, self.clock, days, self.say))
        await ScheduledRuns(
            *(self.settings, self.clock, self.publisher),
            judge_legacy=self.reconciliation.judge,
            prepare=self.prepare,
            carry_out=self.carry_out,
            say=self.say,
        ).run()

    async def stop(self) -> None:
        """End every task and close every broker. The next start resolves unanswered orders, which the journal has."""
        await self._tasks.stop()
        await asyncio.gather(*(b.aclose() for b in self._brokers.values()), return_exceptions=True)

    def reached(self) -> int:
        """Return how many accounts could be read."""
        return sum(self.book.readable(a) for a in self._brokers)

    def snapshot(self) -> Snapshot:
        """Publish all rows as of now, then return them. The next update follows this snapshot."""
        self._rows.update_all_rows()
        self.publisher.publish()
        return self.publisher.snapshot()

    async def read_all(self) -> None:
        """Read every account completely. Return when the book has the results."""
        await first_of_all(self._feeds.values())
        await self._settled()

    async def prepare(self, request: PlanRequest) -> Plan:
        """Return a plan for what is held now. Nothing is sent or written. Raises ValueError for a bad request."""
        await self._settled()
        return self.pending_plans.prepare(request)

    async def execute(
        self, plan_id: str, digest: str, approver: Approver | None = None, *, parks: bool = True
    ) -> PlanReport:
        """Approve a prepared plan and carry it out. Raises NotApproved, or JournalError when nothing became durable."""
        return await self.carry_out(self.pending_plans.approve(plan_id, digest, approver), parks=parks)

    async def carry_out(self, approved: ApprovedPlan, *, parks: bool = True) -> PlanReport:
        """Carry out an approved plan, and send the report to every console. Raises NotApproved when read-only."""
        executor, plan = self.executor, approved.plan
        if plan.cause == "cleanup":
            self._cleanups += 1
        if plan.cause != "exit":  # every exit plan waits on its own
            self.publisher.drop_waiting(plan.cause)
        self.exits.taken(plan)
        self.publisher.show_plan(plan, "running")
        return await self._finished(plan, executor.carry_out(approved, parks=parks))

    @property
    def executor(self) -> PlanExecutor:
        """The executor of an engine that may act. Raises NotApproved from a read-only engine."""
        if self._executor is None or self.read_only:
            raise NotApproved("read_only", "this engine is read-only; nothing can be changed from here")
        return self._executor

    async def _finished(self, plan: Plan, work: Coroutine[object, object, PlanReport]) -> PlanReport:
        try:
            report = await work
            self.exits.ended(report)  # skipped on a JournalError: nothing was sent, so no exit is paused
            return await self._report(report)
        finally:
            self.publisher.show_plan(plan, "done")

    def carry_out_later(self, approved: ApprovedPlan) -> None:
        """Carry out an approved plan in the background. An error becomes an alarm."""
        self._tasks.spawn(self._guarded(approved))

    def situation(self) -> Situation:
        """Return what plans and rows depend on besides the book."""
        return Situation(
            now=self.clock.now(),
            monotonic=self.clock.monotonic(),
            tiers=planner.account_tiers(self.settings, self._brokers.values()),
            blocked=blocked_by(self._locks.holders, self.frozen),
            first_run=self._cleanups == 0,
            legacy=self.reconciliation.legacy,
        )

    def on_log(self, listener: Callable[[LogRow], None]) -> None:
        """Call the listener with every log line from now on."""
        self.publisher.listeners.append(listener)

    async def _report(self, report: PlanReport) -> PlanReport:
        """Add the owners' latest rows, send the report to every console and return it. An exit's rows can wait."""
        owners = {o.id for o in report.plan.owners}
        self._rows.outdate(owners)
        if report.plan.cause != "exit":
            await self._settled()
            report = structs.replace(report, positions=tuple(self._rows.update_rows(owners)))
        self.publisher.finished(Finished(report))
        return report

    async def _guarded(self, approved: ApprovedPlan) -> None:
        try:
            await self.carry_out(approved)
        except FlatdeckError as error:
            self.say("alarm", f"PLAN {approved.plan.id} failed: {error}")

    def _sound(self, quote: Quote) -> bool:
        return not self.book.without_stub(quote).flaw()

    def _take(self, event: BrokerEvent) -> None:
        change = self.book.apply(event, self.clock.now())
        self._rows.apply_change(change)
        if change.doubted:
            self._rereads.request_reads(change.doubted)
        self._fire(self.exits.take(event, change))
        match event:
            case HoldingsRead(holdings):
                self._look_for_others(holdings)
            case OrderSeen(about) | FillSeen(about) | PositionSeen(about):
                if (runner := self._runners.get(about.account)) is not None:
                    runner.ring(about.symbol)
            case AccountChanged(account):
                if self.lasting and (line := self._outages.take(event, self.clock.monotonic())):
                    self.say(*line, account)

    def arm(self, on: bool, digest: str | None) -> None:
        """Arm the exits that a person was shown, or disarm. Raises NotApproved."""
        self._fire(self.exit_service.arm(on, digest))

    def _look_for_others(self, holdings: Holdings) -> None:
        """Freeze an account on which another engine acts."""
        account, journal, executor = holdings.account, self._journal, self._executor
        if journal is None or executor is None or account in self.frozen:
            return
        foreign = find_other_epoch(holdings.orders, journal.epoch)
        if foreign is not None:
            self.frozen[account] = why = why_frozen(foreign)
            self._tasks.spawn(executor.freeze(account, why))
