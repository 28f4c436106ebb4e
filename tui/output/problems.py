"""Problems that a status shows: the reasons for which ``status --check`` ends with 1. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from core.journal.data_dir import Holder
from core.link.messages import LIVE_STATES, AccountRow, OwnerRow, Snapshot
from core.model import Side
from core.plans.position_row import PositionRow
from tui.output.waiting import problems_of_plans, waiting
from tui.present.labels import not_listed
from tui.present.numbers import number


def problems(snapshot: Snapshot, elsewhere: Holder | None) -> list[str]:
    """Return one sentence for each reason to look, the most urgent first; an empty list when all is well."""
    busy = {row.key for row in snapshot.closings}
    return [
        *problems_of_plans(waiting(snapshot)),
        *_engine(snapshot, elsewhere),
        *(text for row in snapshot.positions for text in _position(row, acted=row.key in busy)),
        *(
            f"{row.key.symbol} on {row.key.account} is {row.state}: {row.answer or row.reason}"
            for row in snapshot.closings
            if row.outcome is None or (row.alarm and not row.acknowledged)
        ),
        *(text for row in snapshot.accounts for text in _account(row)),
        *(text for row in snapshot.owners for text in _owner(row)),
    ]


def _engine(snapshot: Snapshot, elsewhere: Holder | None) -> Iterator[str]:
    if snapshot.engine.alarm:
        yield snapshot.engine.alarm
    held = len(snapshot.positions)
    if held and not (elsewhere and elsewhere.watches):
        yield f"no engine watches: {held} position{'s are' if held != 1 else ' is'} held and no stop is watched"


def beyond_stop(row: PositionRow) -> bool:
    """Return True when the mark has reached the software stop, which an engine should have acted on."""
    if row.mark is None or row.stop is None:
        return False
    return Side(row.side).sign * (row.mark - row.stop) <= 0


def _position(row: PositionRow, *, acted: bool) -> Iterator[str]:
    """``acted``: a close of the position is known. An exit that waits is told as a plan."""
    where = f"{row.key.symbol} on {row.key.account}"
    if acted or "waiting" in row.flags:
        pass
    elif row.guard is not None and row.guard.due is not None:
        yield f"{where} is due to leave at {number(row.guard.price)} ({row.guard.due}), and no close of it is known"
    elif beyond_stop(row):
        yield f"{where} is at {number(row.mark)}, beyond its stop at {number(row.stop)}"
    if row.mark is None:
        yield f"{where} has no price, so no stop is watched: {row.note}"


def _account(row: AccountRow) -> Iterator[str]:
    if row.state not in LIVE_STATES:
        yield f"{row.id} is {row.state}: {row.error or 'no read yet'}"
    if row.frozen:
        yield f"{row.id} is frozen: {row.frozen}"
    if row.unlisted:
        yield f"{row.id} is PARTIAL: {not_listed(row.unlisted)}"


def _owner(row: OwnerRow) -> Iterator[str]:
    if row.counted > row.cap:
        yield f"{row.id} has {row.counted} positions, {row.counted - row.cap} over the cap of {row.cap}"
