"""The plans of exits that fired: approved by their rule while the engine is armed, else one plan per position waits.

A stronger exit takes the place of a weaker exit that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.engine.publisher import Publisher
from core.exits.rules import Rule
from core.exits.signal import ExitSignal
from core.model import PositionKey
from core.orders.instrument_locks import InstrumentLocks
from core.plans.pending import PendingPlans
from core.plans.plan import EXITS, ApprovedPlan, Plan, by_rule
from core.plans.request import PlanRequest
from core.plans.results import Outcome, PlanReport
from core.portfolio.book import Book
from core.ports import Clock

PAUSE = 30.0  # seconds after a close before an exit may close the position again
AGAIN = 5.0  # seconds after a close that never began, for example because the journal could not be written


class ExitPlans:
    """One engine's exits between their signal and the end of their plan."""

    def __init__(
        self,
        clock: Clock,
        book: Book,
        plans: PendingPlans,
        publisher: Publisher,
        locks: InstrumentLocks,
        *,
        say: Callable[..., None],
    ) -> None:
        self._clock = clock
        self._book = book
        self._plans = plans
        self._publisher = publisher
        self._locks = locks
        self._log = say
        self._waiting: dict[PositionKey, tuple[ExitSignal, str]] = {}  # signal, and id of the plan that waits
        self._told: dict[PositionKey, str] = {}  # exits that could not be planned

    def wait(self, due: ExitSignal) -> None:
        """Let the exit's plan wait for a person, unless an exit that is as strong waits already."""
        waiting = self._waiting.get(due.key)
        if (waiting is not None and due.rank >= waiting[0].rank) or (plan := self._plan(due)) is None:
            return
        self._let_go(due.key)
        self._waiting[due.key] = due, plan.id
        self._publisher.show_plan(plan, "waiting", _request(due), due.text)
        self._say("alarm", due, "waits for a person")

    def approve(self, due: ExitSignal, *, armed: bool) -> ApprovedPlan | None:
        """Approve the exit's plan by its rule. Return None where nothing can be closed, or where the plan waits."""
        if not armed:  # disarmed since the exit fired
            self.wait(due)
            return None
        plan = self._plan(due, brief=True)
        if plan is None:
            return None
        self._say("alarm" if due.exit.rule is Rule.EMERGENCY else "warning", due, "is being closed")
        return by_rule(plan, EXITS, armed=armed, now=self._clock.now())

    def failed(self, due: ExitSignal, error: Exception) -> None:
        """Report an exit of which nothing was sent. After a pause the next price tries again."""
        self._quiet((due.key,), AGAIN)
        self._say("alarm", due, f"could not be closed: {error}")

    def taken(self, plan: Plan) -> None:
        """Drop the waiting exits of positions that a running plan closes."""
        for action in plan.closes:
            self._let_go(action.key)

    def ended(self, report: PlanReport) -> None:
        """Pause exits of the plan's positions: the broker may list a closed position a little longer.

        An exit that was dropped at the open may fire again at once.
        """
        dropped = {r.key for r in report.results if r.kind == "close" and r.outcome == Outcome.SKIPPED.value}
        self._quiet((a.key for a in report.plan.closes if a.key not in dropped), PAUSE)

    def forget(self, gone: Iterable[PositionKey]) -> None:
        """Drop what is kept for positions that are not held any more."""
        for key in gone:
            self._let_go(key)
            self._told.pop(key, None)
            self._locks.quiet(key, 0.0)

    def _plan(self, due: ExitSignal, *, brief: bool = False) -> Plan | None:
        """Return the plan of an exit. Return None, and log the reason once, when nothing can be closed.

        Nobody reads the values in a plan that its rule approves, so that a ``brief`` plan is enough.
        """
        plan = self._plans.prepare(_request(due), brief=brief)
        if not plan.empty:
            self._told.pop(due.key, None)
            return plan
        why = next((a.text for a in plan.actions if a.key == due.key), "the position is not there")
        if self._told.get(due.key) != why:
            self._told[due.key] = why
            self._say("alarm", due, f"cannot be closed: {why}")
        return None

    def _quiet(self, keys: Iterable[PositionKey], seconds: float) -> None:
        for key in keys:
            if self._book.position(key) is not None:
                self._locks.quiet(key, seconds)

    def _let_go(self, key: PositionKey) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._publisher.drop_plan(waiting[1])

    def _say(self, level: str, due: ExitSignal, what: str) -> None:
        self._log(level, f"[EXIT] {due.key.symbol} on {due.key.account} {what}: {due.text}", due.key)


def _request(due: ExitSignal) -> PlanRequest:
    return PlanRequest("exit", keys=(due.key,), text=due.text)
