"""The waits of a parked close: for its market to open, then for the exit rules to judge what they decided before.

Both waits stop when the book loses the position. The close then reads the account itself, and so proves it flat.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from core.ladder.states import Judged, Waited
from core.model import PositionKey
from core.portfolio.book import Book
from core.ports import Clock

PARK_STEP = 60.0  # seconds until a venue that does not tell its opening time is asked again
PARK_LOOK, JUDGE_LOOK = 2.0, 0.25  # seconds between two looks at the book

# The exit rules' judgement of a position at a price since a monotonic time; None while there is no such price.
Judge = Callable[[PositionKey, float], Judged | None]


async def wait_for_open(book: Book, clock: Clock, key: PositionKey, until: datetime | None) -> Waited:
    """Wait until the venue's opening time; without an opening time, wait a minute."""
    until = until or clock.now() + timedelta(seconds=PARK_STEP)
    gone = _gone(book, key)
    while not gone() and (left := (until - clock.now()).total_seconds()) > 0:
        await clock.sleep(min(left, PARK_LOOK))
    return Waited()


async def wait_for_judgement(book: Book, clock: Clock, key: PositionKey, since: float, judge: Judge) -> Waited | Judged:
    """Wait until the exit rules have judged the position at a price received after ``since`` (monotonic seconds)."""
    gone = _gone(book, key)
    while not gone():
        if (judged := judge(key, since)) is not None:
            return judged
        await clock.sleep(JUDGE_LOOK)
    return Waited()


def _gone(book: Book, key: PositionKey) -> Callable[[], bool]:
    """Return the question whether the book has lost the position since now."""
    held = book.position(key) is not None
    return lambda: held and book.position(key) is None
