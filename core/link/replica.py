"""A console's copy of the engine's state: a snapshot, and the updates applied to it in sequence. Pure."""

from __future__ import annotations

from datetime import datetime

from core.link.messages import AccountRow, ClosingRow, EngineRow, LogRow, OwnerRow, PlanRow, Snapshot, Update
from core.model import PositionKey
from core.plans.position_row import PositionRow


class Replica:
    """A console's copy of the engine's state.

    ``apply`` returns False if an update is missing. Then the caller asks for a Snapshot and loads the Snapshot.
    """

    LOG_KEPT = 10_000

    def __init__(self) -> None:
        self.seq = -1
        self.taken_at: datetime | None = None
        self.engine = EngineRow()
        self.accounts: dict[str, AccountRow] = {}
        self.owners: dict[str, OwnerRow] = {}
        self.positions: dict[PositionKey, PositionRow] = {}
        self.closings: dict[PositionKey, ClosingRow] = {}
        self.plans: dict[str, PlanRow] = {}
        self.log: list[LogRow] = []

    def load(self, snapshot: Snapshot) -> None:
        """Replace the whole state by a snapshot."""
        self.seq, self.taken_at, self.engine = snapshot.seq, snapshot.taken_at, snapshot.engine
        self.accounts = {a.id: a for a in snapshot.accounts}
        self.owners = {o.id: o for o in snapshot.owners}
        self.positions = {p.key: p for p in snapshot.positions}
        self.closings = {c.key: c for c in snapshot.closings}
        self.plans = {p.id: p for p in snapshot.plans}
        self.log = list(snapshot.log)

    def apply(self, update: Update) -> bool:
        """Apply the next update. Return False, and apply nothing, if an earlier update is missing."""
        if update.seq <= self.seq:
            return True
        if update.seq != self.seq + 1:
            return False
        self.seq, self.taken_at = update.seq, update.taken_at
        self.engine = update.engine or self.engine
        self.accounts.update({a.id: a for a in update.accounts})
        self.owners.update({o.id: o for o in update.owners})
        for position_key in update.gone_positions:
            self.positions.pop(position_key, None)
        self.positions.update({p.key: p for p in update.positions})
        for closing_key in update.gone_closings:
            self.closings.pop(closing_key, None)
        self.closings.update({c.key: c for c in update.closings})
        for plan in update.gone_plans:
            self.plans.pop(plan, None)
        self.plans.update({p.id: p for p in update.plans})
        self.log.extend(update.log)
        del self.log[: -self.LOG_KEPT]
        return True
