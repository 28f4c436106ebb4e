"""Read the link, keep the replica current, and gather the changes until the next paint."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import FlatdeckError
from core.link.messages import Finished, Link, Lost, Refresh, Rejected, Snapshot
from core.link.replica import Replica
from core.plans.results import PlanReport
from tui.present.changes import Changes

LINK_ERRORS = (OSError, EOFError, FlatdeckError)  # errors of a broken link to the engine, over any transport


class Feed:
    """Read the link until the engine is gone, apply each message to the replica, and gather the changes."""

    def __init__(self, link: Link, replica: Replica, finished: Callable[[PlanReport], None]) -> None:
        self.link, self.replica = link, replica
        self.trouble: str | None = None  # why the replica missed updates although the link works
        self.gone: str | None = None  # why no engine is attached
        self._finished = finished
        self._changes = Changes()

    async def read_messages(self) -> None:
        """Apply messages as they arrive; a gap asks for a snapshot. Return when the engine has hung up."""
        async for message in self.link.messages():
            if isinstance(message, Lost):
                self.gone = message.text
                self._changes.engine = True
            elif isinstance(message, Snapshot):
                self._attach()
                self.load_snapshot(message)
            elif isinstance(message, Finished):
                self._finished(message.report)
            elif self.replica.apply(message):
                self._changes.add_update(message)
            else:
                await self._resync()

    def _attach(self) -> None:
        """Begin anew with the next engine, which counts its updates from the start."""
        if self.gone is not None:
            self.gone, self.replica.seq = None, -1

    def load_snapshot(self, snapshot: Snapshot) -> None:
        """Start over from a snapshot; ignore a snapshot that is older than the replica."""
        if snapshot.seq >= self.replica.seq:
            self.replica.load(snapshot)
            self.trouble = None
            self._changes = Changes(everything=True)

    def take_changes(self) -> Changes:
        """Return the changes since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    async def _resync(self) -> None:
        reply = await self.link.ask(Refresh())
        if isinstance(reply, Snapshot):
            # load a snapshot of any number: after a gap the replica has nothing better
            self.replica.seq = -1
            self.load_snapshot(reply)
        else:
            why = reply.text if isinstance(reply, Rejected) else f"it answered {type(reply).__name__}"
            self.trouble = f"Updates were missed and the engine gave no new snapshot: {why}"
