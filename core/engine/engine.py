"""The shell: one queue with one consumer, book → rows → consoles, plans made, confirmed and handed to the executor.

Nothing here decides what is to be closed; that is in the pure modules. With no journal the engine is dry: it reads and
makes plans, and has nothing with which it could send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from msgspec import structs

from core.closing.executor import PlanExecutor
from core.closing.ladder_runner import AccountTools, LadderRunner
from core.engine.account_feed import AccountFeed, first_of_all
from core.engine.exit_service import ExitService, Hands
from core.engine.log import LogWriter
from core.engine.loop_monitor import pulse_of
from core.engine.outages import OutageLog
from core.engine.publisher import Publisher
from core.engine.scheduled_runs import ScheduledRuns
from core.entries.service import EntryService
from core.errors import FlatdeckError
from core.events import AccountChanged, BrokerEvent, FillSeen, HoldingsRead, OrderSeen, PositionSeen, QuoteSeen
from core.ids import Ids, is_ours
from core.journal.journal import Journal
from core.ladder.invariants import another_writer
from core.ladder.recovery import InterruptedPlan, interrupted
from core.ladder.states import Transition
from core.link import rows
from core.link.messages import EngineRow, Finished, LogRow, PlanReport, PositionRow, Snapshot
from core.model import Holdings, InstrumentKey
from core.orders.account_reader import AccountReader
from core.orders.instrument_locks import InstrumentLocks
from core.plans import planner
from core.plans.cleanup import blocked_by
from core.plans.pending import PendingPlans
from core.plans.plan import ApprovedPlan, NotApproved, Plan
from core.plans.planner import Situation
from core.plans.request import PlanRequest
from core.portfolio.book import Book
from core.ports import Broker, Clock
from core.reconciliation.service import ReconciliationService
from core.settings import Settings, exits_of, max_age_of
from core.venue_stops.service import Eyes, VenueStopService

PUBLISH_EVERY = 0.25
REVIEW_EVERY = 1.0  # rows are made again so that ages and staleness show
DOUBT_WAIT = 0.5
INBOX = 20_000


class Engine:
    """One process's engine. ``mode`` is ``service`` when it is a process of its own, else ``one-shot``.

    A ``lasting`` one goes on until it is stopped, so a close may wait in it for a market to open.
    """

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
        self._lasting = lasting
        self._journal = journal
        self._brokers = {b.account.id: b for b in brokers}
        self.exits_of = exits_of(settings)
        self._max_age = max_age_of(self.exits_of, lambda a: self._brokers[a].capabilities.streams)
        self.book = Book([b.account for b in brokers], is_ours, self.exits_of)
        self.hub = Publisher(clock, EngineRow(mode=mode, read_only=self.read_only))
        self._inbox: asyncio.Queue[BrokerEvent] = asyncio.Queue(INBOX)
        self._readers = {a: AccountReader(b, clock, self._emit) for a, b in self._brokers.items()}
        self._watchers = {a: AccountFeed(b, self._readers[a], clock, self._emit) for a, b in self._brokers.items()}
        self._closers: dict[str, LadderRunner] = {}
        self.desk = PendingPlans(settings, self.book, clock, ids, self.situation, read_only=self.read_only)
        self._tasks: set[asyncio.Task[object]] = set()
        self._dirty: set[str] = set()
        self._doubted: set[str] = set()
        self._cleanups = 0
        self._outages = OutageLog()
        self.frozen: dict[str, str] = {}
        self.say = LogWriter(self.hub, journal, clock, settings.engine.log_level).say
        self._claims = InstrumentLocks(clock)
        self._executor = None if journal is None else self._fit_out(journal)
        hands = Hands(self._max_age, self._busy, self._doubt, self._spawn, lambda a, *of: self._brokers[a].bars(*of))
        self.sentry = ExitService(self, journal, hands, lasting=lasting)
        self.reconciler = ReconciliationService(self, self._readers, journal)
        self.opener = EntryService(self, self._brokers, self._readers, ids, journal, self._claims)
        eyes = Eyes(self.sentry.view, self._max_age, self._spawn)
        self.protector = VenueStopService(self, self._brokers, self._readers, journal, self._claims, eyes)

    def _fit_out(self, journal: Journal) -> PlanExecutor:
        for account, broker in self._brokers.items():
            args = (broker, self._readers[account], journal, self.clock, self.book)
            self._closers[account] = LadderRunner(*args, changed=self._moved, emit=self._emit, max_age=self._max_age)
        gear = {a: AccountTools(b, self._readers[a], self._closers[a].carry_out) for a, b in self._brokers.items()}
        given = (self.settings, gear, journal, self.clock, self._claims)
        return PlanExecutor(*given, say=self.say, frozen=self.frozen, wait_for_open=self._lasting)

    def _busy(self) -> set[InstrumentKey]:
        """Account and symbol of every close in flight."""
        return self._executor.in_flight() if self._executor else set()

    async def start(self) -> None:
        """Read every account once; then, where it may act, take up what was interrupted before anything else."""
        self._spawn(self._consume())
        if self._journal is not None:
            self.frozen.update(await self._journal.frozen())
            await self.sentry.recall(self._journal, self.opener.drafts.ledger)
        await first_of_all(self._watchers.values())
        await self._settled()
        if self._executor is not None and not self.read_only:
            assert self._journal is not None
            self._executor.claim(left := [interrupted(entries) for entries in await self._journal.open_plans()])
            for plan in left:
                await self._take_up(self._executor, plan)
            await self.opener.take_up()

    async def _take_up(self, executor: PlanExecutor, left: InterruptedPlan) -> None:
        """Go on with an interrupted plan; a service does not wait for it, because a close may be parked for days."""
        self.hub.show_plan(left.approved.plan, "running")
        work = self._finished(left.approved.plan, executor.take_up(left))
        if self._lasting:
            self._spawn(work)
        else:
            await work

    async def run(self) -> None:
        """Watch live, and do by itself what the configuration armed, until cancelled."""
        for watcher in self._watchers.values():
            self._spawn(watcher.run())
        self._spawn(self._publish())
        self._spawn(self.reconciler.run())
        self.sentry.watch()
        self._spawn(pulse_of(self.settings.engine, self._journal, self.clock, self.say, self._doubt_all).run())
        if self._lasting:
            self._spawn(self.protector.run())
        await ScheduledRuns(
            self.settings,
            self.clock,
            self.hub,
            judge_legacy=self.reconciler.judge,
            prepare=self.prepare,
            carry_out=self.carry_out,
            say=self.say,
        ).run()

    async def stop(self) -> None:
        """End every task and hang up. An order whose answer is under way is in the journal and resolved next time."""
        while left := [task for task in self._tasks if not task.done()]:
            for task in left:
                task.cancel()  # again, if need be: a TaskGroup that fails at that moment forgets that it was cancelled
            await asyncio.wait(left, timeout=1.0)
        await asyncio.gather(*(b.aclose() for b in self._brokers.values()), return_exceptions=True)

    def reached(self) -> int:
        """How many accounts could be read."""
        return sum(self.book.readable(a) for a in self._brokers)

    def snapshot(self) -> Snapshot:
        """Everything as of now, published first, so that the next update follows it."""
        self._review({o.id for o in self.settings.owners})
        self.hub.publish()
        return self.hub.snapshot()

    async def read_all(self) -> None:
        """A complete read of every account, waited for."""
        await first_of_all(self._watchers.values())
        await self._settled()

    async def prepare(self, request: PlanRequest) -> Plan:
        """A plan for what is held now. Nothing is sent and nothing is written. Raises ValueError for a bad request."""
        await self._settled()
        return self.desk.prepare(request)

    async def execute(self, plan_id: str, digest: str) -> PlanReport:
        """Confirm and carry out. Raises NotApproved, and JournalError when nothing could be made durable."""
        return await self.carry_out(self.desk.approve(plan_id, digest))

    async def carry_out(self, approved: ApprovedPlan) -> PlanReport:
        """Carry out what was approved, and tell every console the report."""
        if self._executor is None:
            raise NotApproved("read_only", "this engine is read-only; nothing can be closed or cancelled from here")
        plan = approved.plan
        if plan.cause == "cleanup":
            self._cleanups += 1
        if plan.cause != "exit":  # of these each waits by itself
            self.hub.drop_waiting(plan.cause)
        self.sentry.taken(plan)
        self.hub.show_plan(plan, "running")
        return await self._finished(plan, self._executor.carry_out(approved))

    async def _finished(self, plan: Plan, work: Coroutine[object, object, PlanReport]) -> PlanReport:
        try:
            report = await work
            self.sentry.ended(plan)  # one that could not be written down sent nothing and keeps no exit back
            return await self._report(report)
        finally:
            self.hub.show_plan(plan, "done")

    def carry_out_later(self, approved: ApprovedPlan) -> None:
        """The same in the background; whatever goes wrong becomes an alarm."""
        self._spawn(self._guarded(approved))

    def situation(self) -> Situation:
        """What plans and rows depend on besides the book."""
        return Situation(
            now=self.clock.now(),
            monotonic=self.clock.monotonic(),
            max_age=self._max_age,
            tiers=planner.account_tiers(self.settings, self._brokers.values()),
            blocked=blocked_by(self._busy(), self.frozen),
            first_run=self._cleanups == 0,
            legacy=self.reconciler.legacy,
        )

    def on_log(self, listener: Callable[[LogRow], None]) -> None:
        """Be told every line from now on."""
        self.hub.listeners.append(listener)

    async def _report(self, report: PlanReport) -> PlanReport:
        """What the brokers said, as rows, for whoever asked and for every console."""
        await self._settled()
        owners = {o.id for o in report.plan.owners}
        report = structs.replace(report, positions=tuple(self._review(owners)))
        self.hub.finished(Finished(report))
        return report

    async def _guarded(self, approved: ApprovedPlan) -> None:
        try:
            await self.carry_out(approved)
        except FlatdeckError as error:
            self.say("alarm", f"PLAN {approved.plan.id} failed: {error}")

    def _emit(self, event: BrokerEvent) -> None:
        """One more event for the queue. When it is full, a price is dropped and anything else makes us read again."""
        try:
            self._inbox.put_nowait(event)
        except asyncio.QueueFull:
            if not isinstance(event, QuoteSeen):
                self._doubt_all()

    async def _consume(self) -> None:
        while True:
            event = await self._inbox.get()
            try:
                self._take(event)
            except Exception as error:  # noqa: BLE001 - one event that cannot be taken in never ends the taking
                self.say("alarm", f"an event could not be taken in, everything is read again: {error!r}")
                self._doubt_all()
            finally:
                self._inbox.task_done()

    def _take(self, event: BrokerEvent) -> None:
        change = self.book.apply(event, self.clock.now())
        accounts = change.accounts | {k.account for k in change.positions}
        self._dirty.update(self.book.accounts[a].account.owner for a in accounts)
        for account in change.accounts:
            self.hub.put_account(rows.account_row(self.book.accounts[account], self.frozen.get(account)))
        self._doubt(change.doubted)
        self.sentry.take(event, change)
        match event:
            case HoldingsRead(holdings):
                self._look_for_others(holdings)
            case OrderSeen(about) | FillSeen(about) | PositionSeen(about):
                self._ring(about.account, about.symbol)
            case AccountChanged(account):
                if self._lasting and (line := self._outages.take(event, self.clock.monotonic())):
                    self.say(*line, account)

    def _look_for_others(self, holdings: Holdings) -> None:
        """Two that act on one account: it is frozen for us."""
        account, journal, executor = holdings.account, self._journal, self._executor
        if journal is None or executor is None or account in self.frozen:
            return
        why = another_writer(holdings, journal.epoch)
        if why:
            self.frozen[account] = why
            self._spawn(executor.freeze(account, why))

    def _ring(self, account: str, symbol: str) -> None:
        closer = self._closers.get(account)
        if closer is not None:
            closer.ring(symbol)

    def _doubt_all(self) -> None:
        self._doubt(set(self._brokers))

    def _doubt(self, accounts: set[str]) -> None:
        """What is known of them may be wrong: read them again, each once."""
        for account in sorted(accounts - self._doubted):
            self._doubted.add(account)
            self._spawn(self._read_doubted(account))

    async def _read_doubted(self, account: str) -> None:
        """A list got shorter without a reason: a second read decides."""
        await self.clock.sleep(DOUBT_WAIT)
        self._doubted.discard(account)
        try:
            await self._readers[account].read(urgent=False)
        except FlatdeckError as error:
            self.say("warning", f"{account} could not be read again: {error}", account)

    async def _settled(self) -> None:
        """Until everything that came in so far is in the book."""
        await self._inbox.join()

    def _moved(self, move: Transition) -> None:
        self.hub.put_closing(rows.closing_row(move, self.clock.now()))
        self._dirty.add(move.ladder.action.owner)

    async def _publish(self) -> None:
        last_review = self.clock.monotonic()
        while True:
            await self.clock.sleep(PUBLISH_EVERY)
            if self.clock.monotonic() - last_review >= REVIEW_EVERY:
                last_review = self.clock.monotonic()
                self._dirty.update(o.id for o in self.settings.owners)
            self._review(self._dirty)
            self._dirty = set()
            self.hub.publish()

    def _review(self, owners: set[str]) -> list[PositionRow]:
        """Make the rows of those owners anew."""
        situation, made = self.situation(), list[PositionRow]()
        busy = self._busy()
        for owner in (o.id for o in self.settings.owners if o.id in owners):
            accounts = planner.owner_accounts(self.settings, owner)
            closing = {k for k in self.book.keys(accounts) if k.instrument in busy}
            row, positions = rows.owner_rows(owner, self.settings, self.book, situation, closing, self.protector.view)
            self.hub.put_owner(row, positions)
            made.extend(positions)
        for account in self.book.accounts.values():
            self.hub.put_account(rows.account_row(account, self.frozen.get(account.account.id)))
        return made

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[object]) -> None:
        """A task that ended by itself with an error is never silent."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.say("alarm", f"a part of the engine failed: {task.exception()!r}")
