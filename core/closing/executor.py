"""Carry out an approved plan: all instruments of all accounts at once. Then read every account again.

A close counts as done when its ladder ended flat *and* the final reconciliation did not find the position again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from functools import partial

from msgspec import structs

from core.closing import log_text
from core.closing.after_close import RecentOrders
from core.closing.final_read import read_finally, still_there
from core.closing.ladder_runner import AccountTools
from core.closing.leg_order import LegOrder
from core.errors import InvariantBroken, JournalError
from core.journal.journal import Journal
from core.ladder import recovery, step as ladder
from core.ladder.recovery import InterruptedPlan
from core.ladder.results import cancel_results, result, stopped
from core.ladder.states import CloseBroken, Ladder, Limits, Transition
from core.ladder.tiers import schedule
from core.model import Holdings, InstrumentKey
from core.orders.instrument_locks import InstrumentLocks
from core.plans import planner
from core.plans.approver import Approver
from core.plans.plan import Action, ActionKind, ApprovedPlan, Plan
from core.plans.results import (
    Outcome,
    PlanReport,
    ResultRow,
    as_finally_read,
    joined,
    not_done,
    owner_tallies,
    verified_owner,
)
from core.ports import Clock
from core.records import AccountFrozen, ClosingEnded, PlanApproved, PlanEnded, ProfitPending, Record
from core.settings import Settings

DONE = {o.value for o in Outcome if o.settled} - {Outcome.SKIPPED.value}  # a dropped close is worth a warning
Say = Callable[..., None]
Left = tuple[InterruptedPlan, bool]  # and whether the plan is young enough to go on


class PlanExecutor:
    """Carries out plans. ``say(level, text, action)`` writes the log. ``frozen``: account → why we send nothing."""

    def __init__(
        self,
        settings: Settings,
        tools: dict[str, AccountTools],
        journal: Journal,
        clock: Clock,
        locks: InstrumentLocks | None = None,
        *,
        say: Say,
        frozen: dict[str, str],
        wait_for_open: bool,
    ) -> None:
        self._settings = settings
        self._tools = tools
        self._journal = journal
        self._clock = clock
        self._say = say
        self._frozen = frozen
        self._wait_for_open = wait_for_open
        self._locks = locks or InstrumentLocks(clock)
        lag = max((g.broker.capabilities.position_lag for g in tools.values()), default=0.0)
        self._recent_orders = RecentOrders(journal, clock, lag)
        self._hasty: set[str] = set()  # ids of plans whose closes wait for no market to open
        self._unwritten: list[Record] = []  # ends and freezes that still wait for the journal

    def claim(self, plans: Iterable[InterruptedPlan]) -> None:
        """Lock the instruments of plans that resume soon. Plans whose actions had begun get theirs first."""
        wanted = [(recovery.has_begun(a, p), p.approved.plan.id, a.key) for p in plans for a in p.open_actions()]
        for _, plan, key in sorted(wanted, key=lambda w: not w[0]):
            self._locks.line_up(plan, key.instrument)

    async def carry_out(self, approved: ApprovedPlan, *, parks: bool = True) -> PlanReport:
        """Carry out a plan from its start. Raises JournalError when the approval is not durable: nothing was sent.

        Without ``parks`` no close waits for its market to open.
        """
        plan = approved.plan
        if not parks:
            self._hasty.add(plan.id)
        actions = (*plan.closes, *plan.lone_cancels)
        try:
            for action in actions:
                self._locks.take(plan.id, action.key.instrument)
            pending = (ProfitPending(plan.id, a.key) for a in plan.closes)
            await self._recent_orders.read_journal()
            await self._write(PlanApproved(plan, approved.by, approved.approved_at, approved.approver), *pending)
            self._say("info", f"PLAN {plan.id} approved by {approved.by}: {plan.cause}")
            if plan.cause == "cleanup" and not approved.by.startswith("rule:"):
                self._say("info", log_text.triggered(plan, "MANUAL"))
            results = await self._all(approved, actions, None)
        finally:
            self._hasty.discard(plan.id)
            self._locks.release(plan.id)
        rows = await asyncio.gather(*(self._join(plan, a, a.text) for a in plan.joined))
        return await self._finish(approved, [*results, *rows], None)

    async def resume_plan(self, left: InterruptedPlan) -> PlanReport:
        """Resume a plan that a restart found unfinished. Resolve its unknown outcomes first."""
        plan = left.approved.plan
        self.claim((left,))
        try:
            results = await self._interrupted(left)
        finally:
            self._locks.release(plan.id)
        return await self._finish(left.approved, results, left)

    async def _interrupted(self, left: InterruptedPlan) -> list[ResultRow]:
        plan = left.approved.plan
        await self._recent_orders.read_journal()
        fresh = left.age(self._clock.now()) <= self._settings.ladder.resume_within
        what = "is taken up again" if fresh else "is too old to go on with: only its open orders are resolved"
        self._say("warning", f"PLAN {plan.id} was interrupted and {what}")
        results = [e.result for e in left.ended]
        actions = sorted(left.open_actions(), key=lambda a: not recovery.has_begun(a, left))  # begun actions come first
        return results + await self._all(left.approved, actions, (left, fresh))

    async def _all(self, approved: ApprovedPlan, actions: Iterable[Action], left: Left | None) -> list[ResultRow]:
        """Act on all instruments at once. Actions on one instrument take turns, in their order."""
        plan, tasks, actions = approved.plan.id, [], list(actions)
        order = LegOrder(actions, [e.result for e in left[0].ended] if left else [])
        turns: dict[InstrumentKey, list[Action]] = {}
        for action in actions:
            turns.setdefault(action.key.instrument, []).append(action)
        async with asyncio.TaskGroup() as group:
            for where, own in turns.items():
                if self._locks.take(plan, where):
                    work = self._in_turn(approved, where, own, left, order)
                elif left is not None and any(recovery.has_begun(a, left[0]) for a in own):
                    work = self._later(approved, where, own, left, order)
                else:
                    work = self._refuse(approved, own, self._locks.why_not(own[0].key, plan))
                tasks.append(task := group.create_task(work))
                task.add_done_callback(partial(order.end_of, [a.key for a in own]))
        return [row for t in tasks for row in t.result()]

    async def _isolated(self, action: Action, work: Coroutine[object, object, list[ResultRow]]) -> list[ResultRow]:
        """Return the rows of one action, and turn its errors into a row: the other actions go on."""
        try:
            return await work
        except JournalError as error:
            why = f"nothing more was sent: {error}"
        except Exception as error:  # noqa: BLE001 - a fault in one account must not end the closes of another
            why = f"a fault in the program, look at the venue: {error!r}"
        self._say("alarm", f"{action.key.symbol}: {why}", action, lasts=True)
        return [not_done(action, Outcome.STUCK, why)]

    async def _refuse(self, approved: ApprovedPlan, actions: list[Action], why: str) -> list[ResultRow]:
        return [await self._end(approved.plan, a, await self._join(approved.plan, a, why)) for a in actions]

    async def _join(self, plan: Plan, action: Action, why: str) -> ResultRow:
        """Wait for the end of the other plan that acts on the action's instrument. ``why`` names the other plan."""
        await self._locks.turn(plan.id, action.key.instrument, self._settings.ladder.total_timeout)
        return joined(action, why)

    async def _later(
        self, approved: ApprovedPlan, where: InstrumentKey, actions: list[Action], left: Left, order: LegOrder
    ) -> list[ResultRow]:
        """Resolve actions begun before a restart, after another plan's close of the instrument has ended."""
        await self._locks.turn(approved.plan.id, where)
        return await self._in_turn(approved, where, actions, left, order)

    async def _in_turn(
        self, approved: ApprovedPlan, where: InstrumentKey, actions: list[Action], left: Left | None, order: LegOrder
    ) -> list[ResultRow]:
        rows: list[ResultRow] = []
        try:
            await self._locks.settled(where)
            for action in actions:
                rows += await self._isolated(action, self._one(approved, action, left, order))
        finally:
            self._locks.release(approved.plan.id, where)
        return rows

    async def _one(self, approved: ApprovedPlan, action: Action, left: Left | None, order: LegOrder) -> list[ResultRow]:
        plan, account = approved.plan, action.key.account
        if account in self._frozen:
            why = f"{account} is frozen: {self._frozen[account]}"
            row = not_done(action, Outcome.REFUSED, why)
            if left is not None and recovery.has_begun(action, left[0]):
                row = stopped(action, self._first(approved, action, left).ladder, Outcome.REFUSED, why)
            return [await self._end(plan, action, row)]
        if left is not None and not left[1] and not recovery.has_begun(action, left[0]):
            why = "the plan was interrupted too long ago; it is shown again"
            return [await self._end(plan, action, not_done(action, Outcome.CHANGED, why))]
        if (left is None or not recovery.has_begun(action, left[0])) and (why := await order.turn(action)):
            return [await self._end(plan, action, not_done(action, Outcome.REFUSED, why))]
        where = action.key.instrument
        if why := self._locks.why_not(action.key, plan.id):
            return [await self._end(plan, action, not_done(action, Outcome.STUCK, why))]
        if action.kind is ActionKind.CLOSE:
            self._say("info", log_text.begun(action), action)
        try:
            state = await self._tools[account].carry_out(approved, self._first(approved, action, left))
        except InvariantBroken as breach:
            if isinstance(breach, CloseBroken):
                self._note(where, plan.id, breach.ladder)
            await self.freeze(account, str(breach), action)
            return [await self._end(plan, action, _broken(action, breach))]
        self._note(where, plan.id, state)
        if state.freeze:
            await self.freeze(account, state.error or "an order's outcome is not known", action)
        cancels = cancel_results(action, state)
        for row in cancels:
            if row.outcome == Outcome.CANCELLED.value:
                self._say("info", log_text.cancelled(action, row.order_id or ""), action)
        return [await self._end(plan, action, result(action, state)), *cancels]

    def _note(self, where: InstrumentKey, plan: str, ladder: Ladder) -> None:
        """Record the end of a close, and whether an order of it may still be live."""
        self._recent_orders.record_close(where, ladder)
        if ladder.order is not None:
            self._locks.may_be_live(plan, where)

    def _first(self, approved: ApprovedPlan, action: Action, left: Left | None) -> Transition:
        """Return the ladder at its start, or at its interruption."""
        settings, broker = self._settings.ladder, self._tools[action.key.account].broker
        able = broker.capabilities
        limits = Limits(
            attempts=settings.attempts,
            tier_timeout=settings.tier_timeout,
            request_expiry=able.request_expiry,
            position_lag=able.position_lag,
            total_timeout=settings.total_timeout,
            wait_for_open=self._wait_for_open and approved.plan.id not in self._hasty,
            client_id_length=able.client_id_length,
        )
        steps = schedule(action.tiers, settings.attempts, settings.limit_offsets)
        now, epoch, plan = self._clock.monotonic(), self._journal.epoch, approved.plan.id
        if left is None:
            move = ladder.start(action, plan, epoch, steps, limits, now)
        else:
            interrupted, fresh = left
            move = recovery.resume_close(action, interrupted, epoch, steps if fresh else (), limits, now)
        state = structs.replace(move.ladder, by_exit=approved.by_exit)
        return structs.replace(move, ladder=self._recent_orders.add_earlier_orders(action.key.instrument, state))

    async def freeze(self, account: str, why: str, action: Action | None = None) -> None:
        """Freeze the account after a broken invariant: send nothing more for it until a person has checked."""
        self._frozen[account] = why
        self._say("alarm", f"{account} is frozen: {why}", action or account, lasts=True)
        await self._write_sometime(AccountFrozen(account, why), f"{account}: that it is frozen", action or account)

    async def thaw(self, account: str, approver: Approver | None) -> None:
        """Send for the account again, after a person looked at it. Raises JournalError; then it stays frozen."""
        who = approver.text if approver else "a person"
        await self._write(AccountFrozen(account, None, who, approver))
        self._frozen.pop(account, None)
        self._say("warning", f"{account} was thawed by {who}", account)

    async def _end(self, plan: Plan, action: Action, row: ResultRow) -> ResultRow:
        level = "alarm" if row.outcome in ("stuck", "partial") else "info" if row.outcome in DONE else "warning"
        written = False
        try:
            await self._write_sometime(ClosingEnded(plan.id, row), f"{action.key.symbol}: its end", action)
            written = True
        finally:  # log an alarm now: a stopped engine cannot log the alarm later
            for line in log_text.ended(action, row) if written or level == "alarm" else ():
                self._say(level, line, action)
        return row

    async def _write_sometime(self, record: Record, what: str, about: Action | str | None) -> None:
        """Write a record, or keep a failed record. The next write then begins with the kept record."""
        try:
            await self._write(record)
        except JournalError as error:
            self._unwritten.append(record)
            self._say("alarm", f"{what} is not in the journal yet: {error}", about, lasts=True)

    async def _write(self, *records: Record) -> None:
        """Make records durable, after the kept records. Raises JournalError."""
        owed, self._unwritten = self._unwritten, []
        try:
            await self._journal.append(*owed, *records)
        except BaseException:
            self._unwritten = owed + self._unwritten
            raise

    async def _finish(
        self, approved: ApprovedPlan, results: list[ResultRow], left: InterruptedPlan | None
    ) -> PlanReport:
        """Reconcile at the end: read every account again. A position found there overrides an earlier result."""
        plan = approved.plan
        of_owner = {o.id: planner.owner_accounts(self._settings, o.id) for o in plan.owners}
        accounts = [a for own in of_owner.values() for a in own]
        readers = {a: self._tools[a].reader for a in accounts}
        reads = await read_finally(readers, self._clock, results, spared=set(plan.unreadable))
        results = [await self._contradicted(plan, r, reads) for r in results]
        owners = tuple(verified_owner(o, [reads.get(a) for a in own]) for o, own in of_owner.items())
        complete = all(o.complete for o in owners) and plan.complete
        success = complete and all(r.done for r in results)
        final = {o.id: o.final for o in owners if o.read}
        tallies = owner_tallies(plan, results, final)
        await self._write_sometime(PlanEnded(plan.id, success, tallies), f"PLAN {plan.id}: its end", None)
        failed = Counter(r.key.account.partition("/")[0] for r in results if not r.done)
        for line in log_text.summary(tallies, failed=failed):
            self._say("info" if success else "warning", line)
        unlisted = plan.unlisted | {a: h.unlisted for a, h in reads.items() if h is not None and h.unlisted}
        for line in log_text.partial(unlisted):
            self._say("warning", line)
        return PlanReport(plan, tuple(results), owners, (), complete, success, unlisted)

    async def _contradicted(self, plan: Plan, row: ResultRow, reads: dict[str, Holdings | None]) -> ResultRow:
        holdings = reads.get(row.key.account)
        if holdings is None or not still_there([row], row.key.account, holdings):
            return as_finally_read(row, holdings)
        self._say("alarm", f"{row.key.symbol} on {row.key.account} is there again after it was closed", row.key)
        position = holdings.position(row.key)
        row = structs.replace(
            row,
            outcome=Outcome.STUCK.value,
            residual=position.quantity if position else None,
            profit_status=row.profit_status if row.filled > 0 else None,
            profit=row.profit if row.filled > 0 else None,
            error="still there at the final reconciliation",
        )
        await self._write_sometime(ClosingEnded(plan.id, row), f"{row.key.symbol}: that it is there again", None)
        return row


def _broken(action: Action, breach: InvariantBroken) -> ResultRow:
    """Return the row of a close that an invariant stopped. The quantity closed until then counts."""
    if not isinstance(breach, CloseBroken):
        return not_done(action, Outcome.STUCK, str(breach))
    return stopped(action, breach.ladder, Outcome.STUCK, str(breach))
