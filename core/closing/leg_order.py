"""Keeps the covering legs of one plan behind the shorts that they cover, while the plan is carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from core.model import PositionKey
from core.plans.plan import Action, ActionKind
from core.plans.results import Outcome, ResultRow

CLOSED = frozenset({Outcome.CLOSED.value, Outcome.CLOSED_RESIDUAL.value})


class LegOrder:
    """The order of one plan's closes. ``ended`` has the results from before a restart."""

    def __init__(self, actions: Iterable[Action], ended: Iterable[ResultRow]) -> None:
        loop = asyncio.get_running_loop()
        self._closed: dict[PositionKey, asyncio.Future[bool]] = {}
        for row in ended:
            self._closed[row.key] = loop.create_future()
            self.end([row.key], [row])
        for action in actions:
            if action.kind is ActionKind.CLOSE:
                self._closed[action.key] = loop.create_future()

    async def turn(self, action: Action) -> str:
        """Return when the shorts before this close have ended: why the close must not go, or "" when it may go."""
        for key in action.after:
            closed = self._closed.get(key)
            if closed is None or not await asyncio.shield(closed):
                return f"the short {key.symbol}, which this covers, is not closed; this does not go alone"
        return ""

    def end_of(self, keys: Iterable[PositionKey], task: asyncio.Task[list[ResultRow]]) -> None:
        """Let the covering legs go on: the task of these closes has ended."""
        self.end(keys, [] if task.cancelled() or task.exception() else task.result())

    def end(self, keys: Iterable[PositionKey], rows: Sequence[ResultRow]) -> None:
        """Let the covering legs go on: these closes have ended with these results."""
        for key in keys:
            closed = self._closed.get(key)
            if closed is not None and not closed.done():
                closed.set_result(any(r.key == key and r.order_id is None and r.outcome in CLOSED for r in rows))
