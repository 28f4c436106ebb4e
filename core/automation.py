"""Runs that nobody asked for: the cleanup at start and every so many cycles, as the configuration arms it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.errors import FlatdeckError
from core.hub import Hub
from core.link import PlanRequest
from core.plan import ActionKind, ApprovedPlan, Plan, by_rule
from core.ports import Clock
from core.settings import Settings


class Runs(Protocol):
    """What automation needs of the engine."""

    async def prepare(self, request: PlanRequest) -> Plan: ...

    async def carry_out(self, approved: ApprovedPlan) -> object: ...

    @property
    def say(self) -> Callable[[str, str], None]: ...


class Automation:
    """``ask`` leaves a plan waiting for a person; ``auto`` carries it out."""

    def __init__(self, engine: Runs, hub: Hub, settings: Settings, clock: Clock) -> None:
        self._engine = engine
        self._hub = hub
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """For ever: a cleanup at once, then one every ``interval_cycles`` cycles."""
        cycle = 0
        while True:
            if cycle % self._settings.cleanup.interval_cycles == 0:
                await self._cleanup("STARTUP" if cycle == 0 else "PERIODIC")
            await self._clock.sleep(self._settings.engine.cycle_seconds)
            cycle += 1

    async def _cleanup(self, why: str) -> None:
        """One run; what goes wrong is said and does not end the watching."""
        try:
            plan = await self._engine.prepare(PlanRequest("cleanup"))
            self._engine.say("info", f"FORCED CLEANUP TRIGGERED: {why}, {_count(plan)}")
            self._hub.drop_waiting(plan.cause)
            if plan.empty:
                return
            armed = self._settings.automation.cleanup == "auto"
            if armed:
                await self._engine.carry_out(by_rule(plan, "cleanup", armed, self._clock.now()))
            else:
                self._hub.show_plan(plan, "waiting")
                self._engine.say("warning", f"a cleanup waits for a person: {_count(plan)}")
        except (FlatdeckError, ValueError) as error:
            self._engine.say("alarm", f"cleanup failed: {error}")


def _count(plan: Plan) -> str:
    closes = sum(a.kind is ActionKind.CLOSE for a in plan.actions)
    return f"{closes} to close, {plan.totals.orders_to_cancel} orders to cancel, {plan.totals.skipped} skipped"
