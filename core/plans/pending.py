"""The plans that wait for a decision. They are made from the book, and the newest are kept."""

from __future__ import annotations

from collections.abc import Callable

from core.ids import Ids
from core.plans import planner
from core.plans.approver import Approver
from core.plans.plan import ApprovedPlan, NotApproved, Plan, confirm
from core.plans.planner import Situation
from core.plans.request import PlanRequest
from core.portfolio.book import Book
from core.ports import Clock
from core.settings import Settings

PLANS_KEPT = 512  # several commands and consoles make plans at the same time


class PendingPlans:
    """The newest ``PLANS_KEPT`` plans that wait for a decision.

    ``situation`` is called for each new plan. A read-only engine approves no plan.
    """

    def __init__(
        self,
        settings: Settings,
        book: Book,
        clock: Clock,
        ids: Ids,
        situation: Callable[[], Situation],
        *,
        read_only: bool,
    ) -> None:
        self._settings = settings
        self._book = book
        self._clock = clock
        self._ids = ids
        self._situation = situation
        self._read_only = read_only
        self._plans: dict[str, Plan] = {}

    def prepare(self, request: PlanRequest, *, brief: bool = False) -> Plan:
        """Make a plan for the present holdings. Sends and writes nothing. Raises ValueError for a bad request.

        A ``brief`` plan values only the positions that the request names.
        """
        plan = planner.make(self._ids.plan_id(), request, self._settings, self._book, self._situation(), brief=brief)
        self._plans[plan.id] = plan
        for old in list(self._plans)[:-PLANS_KEPT]:
            del self._plans[old]
        return plan

    def withdraw(self, plan: str) -> None:
        """Forget a plan that is no longer wanted."""
        self._plans.pop(plan, None)

    def approve(self, plan_id: str, digest: str, approver: Approver | None = None) -> ApprovedPlan:
        """Approve a plan that ``approver`` confirmed. A plan can be approved once.

        Raises NotApproved if ``digest`` is not the plan's, or if the plan is too old or unknown. A read-only engine
        always raises NotApproved.
        """
        if self._read_only:
            raise NotApproved("read_only", "this engine is read-only; nothing can be closed or cancelled from here")
        plan = self._plans.get(plan_id)
        if plan is None:
            raise NotApproved("unknown_plan", "that plan is not known any more; make a new one")
        approved = confirm(plan, digest, self._clock.now(), approver)
        del self._plans[plan_id]
        return approved
