"""The engine's side of the link: the rows to publish, and a queue of updates for every console."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable

from msgspec import structs

from core.link.messages import (
    AccountRow,
    AlarmRow,
    ClosingRow,
    EngineRow,
    Finished,
    LogRow,
    Message,
    OwnerRow,
    PlanRow,
    Snapshot,
    Update,
)
from core.model import PositionKey
from core.plans.plan import Plan
from core.plans.position_row import PositionRow
from core.plans.request import PlanRequest
from core.ports import Clock

LOG_KEPT = 2_000
BACKLOG = 64  # updates that may wait for a console; beyond that a new snapshot replaces them
REPORTS_KEPT = BACKLOG // 2
ENDED_KEPT = 200  # closings and plans that ended without an alarm


class Publisher:
    """The rows of one engine. ``put_*`` changes rows, ``publish`` sends the changes since the last call."""

    def __init__(
        self, clock: Clock, engine: EngineRow, keep_waiting: Callable[[str, PlanRow | None], None] | None = None
    ) -> None:
        """``keep_waiting`` writes a plan that waits down for other processes, and deletes it with None."""
        self._clock = clock
        self._keep_waiting = keep_waiting or (lambda _plan, _row: None)
        self._seq = 0
        self._engine = engine
        self._accounts: dict[str, AccountRow] = {}
        self._owners: dict[str, OwnerRow] = {}
        self._positions: dict[PositionKey, PositionRow] = {}
        self._closings: dict[PositionKey, ClosingRow] = {}
        self.plans: dict[str, PlanRow] = {}  # that wait, run or are done, by id
        self._log: deque[LogRow] = deque(maxlen=LOG_KEPT)
        self._changed: dict[str, dict[object, object]] = {}
        self._gone: dict[str, set[object]] = {}
        self._consoles: set[asyncio.Queue[Message]] = set()
        self.listeners: list[Callable[[LogRow], None]] = []

    @property
    def engine(self) -> EngineRow:
        return self._engine

    @property
    def watched(self) -> bool:
        """True while a console gets the updates."""
        return bool(self._consoles)

    def put_engine(self, row: EngineRow) -> None:
        if row != self._engine:
            self._engine = row
            self._note("engine", "", row)

    def put_account(self, row: AccountRow) -> None:
        self._put("accounts", self._accounts, row.id, row)

    def show_plan(self, plan: Plan, state: str, request: PlanRequest | None = None, text: str = "") -> None:
        """Show a plan that waits for a person, runs or is done. ``request`` can make the plan again."""
        cancels = sum(len(a.cancels) for a in plan.closes) + len(plan.lone_cancels)
        row = PlanRow(plan.id, plan.cause, state, len(plan.closes), cancels, plan.created_at, request, text)
        before = self.plans.get(plan.id)
        self.put_plan(row)
        if state == "waiting" or (before is not None and before.state == "waiting"):
            self._keep_waiting(row.id, row if state == "waiting" else None)
        done = [p.id for p in self.plans.values() if p.state == "done"]
        for old in done[:-ENDED_KEPT]:
            self._drop("plans", self.plans, old)

    def put_plan(self, row: PlanRow) -> None:
        self._put("plans", self.plans, row.id, row)

    def drop_plan(self, plan: str) -> None:
        """Drop a plan that still waits. A plan that was confirmed meanwhile stays."""
        row = self.plans.get(plan)
        if row is not None and row.state == "waiting":
            self._drop("plans", self.plans, plan)
            self._keep_waiting(plan, None)

    def drop_waiting(self, cause: str) -> None:
        """Drop every waiting plan of this cause, because the plan is out of date."""
        for plan in [p.id for p in self.plans.values() if p.state == "waiting" and p.cause == cause]:
            self.drop_plan(plan)

    def put_closing(self, row: ClosingRow) -> None:
        self._put("closings", self._closings, row.key, row)
        ended = [c.key for c in self._closings.values() if c.outcome and (c.acknowledged or not c.alarm)]
        for key in ended[:-ENDED_KEPT]:
            self._drop("closings", self._closings, key)

    def put_owner(
        self, row: OwnerRow, positions: Iterable[PositionRow], closed: Callable[[PositionKey], bool] = lambda _: True
    ) -> None:
        """Show an owner with all of its positions. Drop every other position of the owner.

        The alarms of a dropped position go, too, where the position counts as ``closed``.
        """
        self._put("owners", self._owners, row.id, row)
        held = {p.key: p for p in positions}
        for key, position in held.items():
            self._put("positions", self._positions, key, position)
        gone = {k for k, p in self._positions.items() if p.owner == row.id and k not in held}
        for key in gone:
            self._drop("positions", self._positions, key)
        if over := {key for key in gone if closed(key)}:
            self._put_alarms(a for a in self._engine.alarms if a.key not in over)
            for key in [k for k, c in self._closings.items() if k in over and c.outcome and c.alarm]:
                self.acknowledge(key)

    def _put_alarms(self, left: Iterable[AlarmRow]) -> None:
        alarms = tuple(left)
        newest = alarms[-1].text if alarms else None
        self.put_engine(structs.replace(self._engine, alarm=newest, alarms=alarms))

    def acknowledge(self, key: PositionKey | None, alarm: str | None = None) -> None:
        """Mark the alarm of one close as seen by a person. Without a key, clear one alarm of the engine, or all."""
        if key is None:
            self._put_alarms(a for a in self._engine.alarms if alarm is not None and a.text != alarm)
        elif (row := self._closings.get(key)) is not None:
            self.put_closing(structs.replace(row, acknowledged=True))

    def put_log(self, row: LogRow) -> None:
        self._log.append(row)
        self._note("log", row.seq, row)
        for listener in self.listeners:
            listener(row)

    def snapshot(self) -> Snapshot:
        """Return all rows, including changes that are not published yet."""
        return Snapshot(
            seq=self._seq,
            taken_at=self._clock.now(),
            engine=self._engine,
            accounts=tuple(self._accounts.values()),
            owners=tuple(self._owners.values()),
            positions=tuple(self._positions.values()),
            closings=tuple(self._closings.values()),
            plans=tuple(self.plans.values()),
            log=tuple(self._log),
        )

    def publish(self) -> None:
        """Send the changed rows, if there are any. A console that is too far behind gets a snapshot."""
        if not self._changed and not self._gone:
            return
        self._seq += 1
        changed, gone = self._changed, self._gone
        self._changed, self._gone = {}, {}
        if not self._consoles:
            return
        update = Update(
            seq=self._seq,
            taken_at=self._clock.now(),
            engine=self._engine if "engine" in changed else None,
            **{n: tuple(changed[n].values()) for n in changed if n != "engine"},  # type: ignore[arg-type]  # rows by kind
            **{f"gone_{n}": tuple(gone[n]) for n in gone},  # type: ignore[arg-type]  # keys by kind
        )
        self.broadcast(update)

    def broadcast(self, message: Message) -> None:
        for queue in self._consoles:
            if queue.qsize() >= BACKLOG and isinstance(message, Update):
                waiting = [queue.get_nowait() for _ in range(queue.qsize())]
                reports = [m for m in waiting if isinstance(m, Finished)]
                queue.put_nowait(self.snapshot())
                for report in reports[-REPORTS_KEPT:]:  # a snapshot contains no reports
                    queue.put_nowait(report)
            else:
                queue.put_nowait(message)

    def finished(self, message: Finished) -> None:
        """Publish the changes that led to a plan's report, then send the report."""
        self.publish()
        self.broadcast(message)

    async def subscribe(self) -> AsyncGenerator[Message, None]:
        """Yield a snapshot, then every later message."""
        queue: asyncio.Queue[Message] = asyncio.Queue()
        self.publish()
        queue.put_nowait(self.snapshot())
        self._consoles.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._consoles.discard(queue)

    def _put(self, kind: str, rows: dict, key: object, row: object) -> None:  # type: ignore[type-arg]  # any kind of row
        if rows.get(key) != row:
            rows[key] = row
            self._note(kind, key, row)

    def _drop(self, kind: str, rows: dict, key: object) -> None:  # type: ignore[type-arg]  # any kind of row
        if rows.pop(key, None) is not None:
            self._gone.setdefault(kind, set()).add(key)
            self._changed.get(kind, {}).pop(key, None)

    def _note(self, kind: str, key: object, row: object) -> None:
        self._changed.setdefault(kind, {})[key] = row
        self._gone.get(kind, set()).discard(key)
