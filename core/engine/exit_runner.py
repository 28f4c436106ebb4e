"""Closes the positions of exits that fired."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable

from core.engine.exit_delays import ExitDelays
from core.engine.watchers import Watchers
from core.errors import FlatdeckError
from core.exits.signal import ExitSignal
from core.orders.instrument_locks import InstrumentLocks
from core.plans.plan import ApprovedPlan


class ExitRunner:
    """One engine's exits between their signal and their plan. ``watchers`` is called only for an exit that fired."""

    def __init__(
        self,
        watchers: Callable[[], Watchers],
        locks: InstrumentLocks,
        delays: ExitDelays,
        spawn: Callable[[Coroutine[object, object, object]], None],
        carry_out: Callable[[ApprovedPlan], Awaitable[object]],
    ) -> None:
        self._watchers = watchers
        self._locks = locks
        self._delays = delays
        self._spawn = spawn
        self._carry_out = carry_out

    def fire(self, signals: Iterable[ExitSignal]) -> None:
        """Close by rule, at once, while armed. Else let a plan wait for a person. A busy position waits for a price."""
        for due in signals:
            if self._locks.why_not(due.key):
                continue
            watchers = self._watchers()
            if watchers.exits.armed:
                self._locks.fire(due.key)
                self._delays.begin_exit(due.key)
                self._spawn(self._exit(watchers, due))
            else:
                watchers.plans.wait(due)

    async def _exit(self, watchers: Watchers, due: ExitSignal) -> None:
        try:
            if (approved := watchers.plans.approve(due, armed=watchers.exits.armed)) is not None:
                await self._carry_out(approved)
        except FlatdeckError as error:
            watchers.plans.failed(due, error)
        finally:
            self._delays.end_exit(due.key)
            self._locks.fired(due.key)
