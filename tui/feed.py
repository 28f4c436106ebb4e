"""The console's ear: reads the link, keeps the replica, and gathers what changed until the next paint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import FlatdeckError
from core.link.messages import Finished, Link, LogRow, PlanReport, Refresh, Rejected, Snapshot, Update
from core.link.replica import Replica
from core.model import PositionKey

LINK_ERRORS = (OSError, EOFError, FlatdeckError)  # how a line to the engine breaks, whatever carries it


@dataclass
class Changes:
    """What must be drawn anew. ``everything`` after a snapshot: nothing that was drawn can be trusted."""

    everything: bool = False
    engine: bool = False  # engine, accounts, owners or plans
    positions: set[PositionKey] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    closings: set[PositionKey] = field(default_factory=set)
    log: list[LogRow] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.everything or self.engine or self.positions or self.closings or self.log)

    def add(self, other: Changes) -> None:
        """Take in later changes."""
        self.everything |= other.everything
        self.engine |= other.engine
        self.positions |= other.positions
        self.owners |= other.owners
        self.closings |= other.closings
        self.log += other.log
        del self.log[: -Replica.LOG_KEPT]

    def note(self, update: Update) -> None:
        """What an applied update touched."""
        rows = update.accounts or update.owners or update.plans or update.gone_plans
        self.engine |= bool(update.engine is not None or rows)
        self.owners |= {o.id for o in update.owners} | {a.owner for a in update.accounts}
        self.positions |= {p.key for p in update.positions} | set(update.gone_positions)
        self.closings |= {c.key for c in update.closings} | set(update.gone_closings)
        self.log += update.log
        del self.log[: -Replica.LOG_KEPT]


class Feed:
    """``run`` reads until the engine is gone; ``take`` hands out what changed since the last time."""

    def __init__(self, link: Link, replica: Replica, finished: Callable[[PlanReport], None]) -> None:
        self.link, self.replica = link, replica
        self.trouble: str | None = None  # why the replica is behind, while the line itself still stands
        self._finished = finished
        self._changes = Changes()

    async def run(self) -> None:
        """Apply messages as they come; a gap asks for a snapshot. Returns when the engine has hung up."""
        async for message in self.link.messages():
            if isinstance(message, Snapshot):
                self.load(message)
            elif isinstance(message, Finished):
                self._finished(message.report)
            elif self.replica.apply(message):
                self._changes.note(message)
            else:
                await self._resync()

    def load(self, snapshot: Snapshot) -> None:
        """Start over from a snapshot; an older one than what is shown is left alone."""
        if snapshot.seq >= self.replica.seq:
            self.replica.load(snapshot)
            self.trouble = None
            self._changes = Changes(everything=True)

    def take(self) -> Changes:
        """What changed since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    async def _resync(self) -> None:
        reply = await self.link.ask(Refresh())
        if isinstance(reply, Snapshot):
            # whatever its number: after a gap the engine's word is the only one there is
            self.replica.seq = -1
            self.load(reply)
        else:
            why = reply.text if isinstance(reply, Rejected) else f"it answered {type(reply).__name__}"
            self.trouble = f"Updates were missed and the engine gave no new snapshot: {why}"
