"""The parts of the console that must be drawn anew, gathered from the engine's updates. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.link.messages import LogRow, Update
from core.link.replica import Replica
from core.model import PositionKey


@dataclass
class Changes:
    """The parts that must be drawn anew. ``everything`` is set after a snapshot, which replaces all values."""

    everything: bool = False
    engine: bool = False  # engine, accounts, owners or plans
    positions: set[PositionKey] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    closings: set[PositionKey] = field(default_factory=set)
    log: list[LogRow] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.everything or self.engine or self.positions or self.closings or self.log)

    def add(self, other: Changes) -> None:
        """Add later changes."""
        self.everything |= other.everything
        self.engine |= other.engine
        self.positions |= other.positions
        self.owners |= other.owners
        self.closings |= other.closings
        self.log += other.log
        del self.log[: -Replica.LOG_KEPT]

    def add_update(self, update: Update) -> None:
        """Add what an applied update changed."""
        rows = update.accounts or update.owners or update.plans or update.gone_plans
        self.engine |= bool(update.engine is not None or rows)
        self.owners |= {o.id for o in update.owners} | {a.owner for a in update.accounts}
        self.positions |= {p.key for p in update.positions} | set(update.gone_positions)
        self.closings |= {c.key for c in update.closings} | set(update.gone_closings)
        self.log += update.log
        del self.log[: -Replica.LOG_KEPT]
