"""Starts what the configuration schedules: the legacy force-close of new accounts, then cleanups at an interval."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from msgspec import structs

from core.closing.log_text import to_do, triggered
from core.engine.publisher import Publisher
from core.errors import FlatdeckError
from core.plans.plan import ApprovedPlan, Plan, by_rule
from core.plans.request import PlanRequest
from core.ports import Clock
from core.settings import Settings


class ScheduledRuns:
    """One engine's schedule. Mode ``ask`` leaves a plan waiting for a person; mode ``auto`` carries the plan out."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        publisher: Publisher,
        *,
        judge_legacy: Callable[[], Awaitable[bool]],  # whether there are legacy positions to force-close
        prepare: Callable[[PlanRequest], Awaitable[Plan]],
        carry_out: Callable[[ApprovedPlan], Awaitable[object]],
        say: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._publisher = publisher
        self._judge_legacy = judge_legacy
        self._prepare = prepare
        self._carry_out = carry_out
        self._say = say

    async def run(self) -> None:
        """Run until cancelled. Each cycle judges accounts read for the first time.

        A cleanup runs in the first cycle and then every ``interval_cycles``.
        """
        cycle, every = 0, self._settings.cleanup.interval_cycles
        while True:
            await self._legacy()
            if cycle % every == 0:
                await self._cleanup("STARTUP" if cycle == 0 else "PERIODIC")
            cycle += 1
            self._show_next(1 + -cycle % every)
            await self._clock.sleep(self._settings.engine.cycle_seconds)

    def _show_next(self, cycles: int) -> None:
        """Show that the next cleanup comes after so many cycles."""
        at = self._clock.now() + timedelta(seconds=cycles * self._settings.engine.cycle_seconds)
        self._publisher.put_engine(structs.replace(self._publisher.engine, next_cleanup=at))

    async def _legacy(self) -> None:
        """Force-close legacy positions where the settings ask for it."""
        try:
            if await self._judge_legacy():
                plan = await self._prepare(PlanRequest("legacy"))
                self._say("warning", f"LEGACY POSITIONS: {to_do(plan)}")
                await self._decide(plan, "a force-close of legacy", self._settings.automation.legacy)
        except (FlatdeckError, ValueError) as error:
            self._say("alarm", f"legacy positions were not dealt with: {error}")

    async def _cleanup(self, why: str) -> None:
        """Plan one cleanup. An error becomes an alarm and does not end the schedule."""
        try:
            plan = await self._prepare(PlanRequest("cleanup"))
            mode = self._settings.automation.cleanup
            self._say("info", _cleanup_line(plan, why, carried_out=mode == "auto"))
            await self._decide(plan, "a cleanup", mode)
        except (FlatdeckError, ValueError) as error:
            self._say("alarm", f"cleanup failed: {error}")

    async def _decide(self, plan: Plan, what: str, mode: str) -> None:
        """Carry the plan out in mode ``auto``, else show it to a person."""
        self._publisher.drop_waiting(plan.cause)
        if plan.empty:
            return
        if mode == "auto":
            await self._carry_out(by_rule(plan, plan.cause, armed=True, now=self._clock.now()))
        else:
            self._publisher.show_plan(plan, "waiting", PlanRequest(plan.cause))
            self._say("warning", f"{what} waits for a person: {to_do(plan)}")


def _cleanup_line(plan: Plan, why: str, *, carried_out: bool) -> str:
    """Return the log line of a scheduled cleanup. Only a cleanup that is carried out is called triggered."""
    if plan.empty:
        return f"Cleanup ({why}): nothing to close, {plan.totals.skipped} skipped"
    return triggered(plan, why) if carried_out else f"Cleanup prepared (nothing sent): {why}, {to_do(plan)}"
