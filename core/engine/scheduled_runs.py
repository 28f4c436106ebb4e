"""Runs that nobody asked for, as the configuration arms them: legacy at start, then cleanups every so many cycles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.engine.publisher import Publisher
from core.errors import FlatdeckError
from core.plans.plan import ActionKind, ApprovedPlan, Plan, by_rule
from core.plans.request import PlanRequest
from core.ports import Clock
from core.settings import Settings


class Judge(Protocol):
    """Says what the first read of an account found."""

    async def judge(self) -> bool: ...


class Runs(Protocol):
    """What automation needs of the engine."""

    async def prepare(self, request: PlanRequest) -> Plan: ...

    async def carry_out(self, approved: ApprovedPlan) -> object: ...

    @property
    def say(self) -> Callable[[str, str], None]: ...

    @property
    def reconciler(self) -> Judge: ...


class ScheduledRuns:
    """``ask`` leaves a plan waiting for a person; ``auto`` carries it out."""

    def __init__(self, engine: Runs, hub: Publisher, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._hub = hub
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """For ever: legacy of accounts that were not read before, a cleanup at once and every ``interval_cycles``."""
        cycle = 0
        while True:
            await self._legacy()
            if cycle % self._settings.cleanup.interval_cycles == 0:
                await self._cleanup("STARTUP" if cycle == 0 else "PERIODIC")
            await self._clock.sleep(self._settings.engine.cycle_seconds)
            cycle += 1

    async def _legacy(self) -> None:
        """Force-close what was there before, where the settings ask for it; one run, as a cleanup is."""
        try:
            if await self._engine.reconciler.judge():
                plan = await self._engine.prepare(PlanRequest("legacy"))
                self._engine.say("warning", f"LEGACY POSITIONS: {_count(plan)}")
                await self._decide(plan, "a force-close of legacy", self._settings.automation.legacy)
        except (FlatdeckError, ValueError) as error:
            self._engine.say("alarm", f"legacy positions were not dealt with: {error}")

    async def _cleanup(self, why: str) -> None:
        """One run; what goes wrong is said and does not end the watching."""
        try:
            plan = await self._engine.prepare(PlanRequest("cleanup"))
            self._engine.say("info", f"FORCED CLEANUP TRIGGERED: {why}, {_count(plan)}")
            await self._decide(plan, "a cleanup", self._settings.automation.cleanup)
        except (FlatdeckError, ValueError) as error:
            self._engine.say("alarm", f"cleanup failed: {error}")

    async def _decide(self, plan: Plan, what: str, mode: str) -> None:
        """Carry it out where the configuration armed it, else leave it to a person."""
        self._hub.drop_waiting(plan.cause)
        if plan.empty:
            return
        if mode == "auto":
            await self._engine.carry_out(by_rule(plan, plan.cause, armed=True, now=self._clock.now()))
        else:
            self._hub.show_plan(plan, "waiting", PlanRequest(plan.cause))
            self._engine.say("warning", f"{what} waits for a person: {_count(plan)}")


def _count(plan: Plan) -> str:
    closes = sum(a.kind is ActionKind.CLOSE for a in plan.actions)
    return f"{closes} to close, {plan.totals.orders_to_cancel} orders to cancel, {plan.totals.skipped} skipped"
