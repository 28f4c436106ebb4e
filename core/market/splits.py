"""Splits of shares: the ratio between two reads, and positions that must be read again. Pure."""

from __future__ import annotations

from decimal import Decimal

from core.model import Kind, Position
from core.units import ONE

SPLIT = (Kind.EQUITY, Kind.OPTION)  # shares and their options; no others do

SPLIT_SLACK = Decimal("0.005")  # of the cost: venues round the entry after a split, and pay fractions out

SMALLEST_SPLIT = Decimal("0.01")  # a stock dividend of 1 % is one as well

LIKE_A_SPLIT = Decimal("0.03")  # by how much the market may have moved beside it

LONGEST_REREAD = 5.0  # seconds in which an unreadable account may hold up its rules


def split_ratio(before: Position, after: Position, *, shares: bool) -> Decimal | None:
    """New shares for an old one, when quantity and entry changed by the inverse ratio; None where that is no split.

    A trade changes the cost or leaves the entry alone; only a split changes both and keeps their product. Of ``shares``
    the venue keeps an average entry, which selling leaves alone: one that is a split's part of the one before, beside
    fewer shares than the split makes, is of a split and a sale between the two reads. Buying cannot look like that: for
    an average so low it ends with more of them, whatever it pays.
    """
    if before.side is not after.side or before.entry is None or after.entry is None:
        return None
    if min(before.quantity, after.quantity, before.entry, after.entry) <= 0:
        return None
    ratio = after.quantity / before.quantity
    cost = (after.quantity * after.entry) / (before.quantity * before.entry)
    if abs(cost - ONE) <= SPLIT_SLACK:
        return ratio if abs(ratio - ONE) >= SMALLEST_SPLIT else None
    told = _split_near(before.entry / after.entry, SPLIT_SLACK) if shares else None
    return told if told is not None and ratio < told else None


def _split_near(ratio: Decimal, slack: Decimal) -> Decimal | None:
    """The split that a ratio of prices is within ``slack`` of: 3 for 2, n for 1, or one of them the other way."""
    times = max(ratio, ONE / ratio)
    for n in (Decimal("1.5"), max(times.to_integral_value(), Decimal(2))):
        if abs(times - n) <= slack * n:
            return n if ratio > ONE else ONE / n
    return None


def split_like(ratio: Decimal) -> bool:
    """Whether a price that became so much smaller, or its inverse larger, may be a split: 3 for 2, or n for 1."""
    return _split_near(ratio, LIKE_A_SPLIT) is not None


class Rereads:
    """Which positions' rules wait for a fresh look at position and price. ``K`` is whatever names a position."""

    def __init__(self) -> None:
        self._since: dict[object, float] = {}
        self._patient: set[object] = set()  # a read that does not explain the jump is not enough

    def jumped(self, key: object, kind: Kind, now: float, ratio: Decimal) -> bool:
        """A jump was confirmed; whether its position must be read again first. Only shares and their options split.

        ``ratio`` is the price before over the price now. Where it looks like a split the position has a while to show
        it: a venue's lists may lag behind its prices.
        """
        if kind not in SPLIT:
            return False
        if key not in self._since:
            self._since[key] = now
            if split_like(ratio):
                self._patient.add(key)
        return True

    def split(self, key: object, now: float) -> None:
        """A split was seen in the position: everything that was read before ``now`` is of the old share."""
        self._since[key] = now
        self._patient.discard(key)

    def waits(self, key: object, now: float) -> bool:
        """Whether no rule may run yet; never longer than ``LONGEST_REREAD``, as a real crash looks the same."""
        since = self._since.get(key)
        if since is not None and now - since > LONGEST_REREAD:
            self._end(key)
            return False
        return since is not None

    def read(self, key: object, *, asked: float, priced: float) -> None:
        """The position was read by a request of ``asked``, and its latest price was received at ``priced``."""
        since = self._since.get(key)
        if since is not None and key not in self._patient and asked >= since and priced >= since:
            self._end(key)

    def _end(self, key: object) -> None:
        del self._since[key]
        self._patient.discard(key)
