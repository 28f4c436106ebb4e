"""Splits of shares: the ratio between two reads, and positions that must be read again. Pure."""

from __future__ import annotations

from decimal import Decimal

from core.model import Kind, Position
from core.units import ONE

SPLIT = (Kind.EQUITY, Kind.OPTION)  # only shares and their options split

SPLIT_SLACK = Decimal("0.005")  # of the cost: venues round the entry after a split and pay out fractional shares

SMALLEST_SPLIT = Decimal("0.01")  # a stock dividend of 1 % is a split as well

LIKE_A_SPLIT = Decimal("0.03")  # fraction by which the market may have moved besides the split

LONGEST_REREAD = 5.0  # seconds for which an unreadable account may hold up its rules


def split_ratio(before: Position, after: Position, *, shares: bool) -> Decimal | None:
    """Return the new shares for an old share where quantity and entry changed by inverse ratios; None without a split.

    A trade changes the cost or keeps the entry. Only a split changes quantity and entry and keeps their product.
    For ``shares`` the venue keeps an average entry, which a sale does not change. So an entry divided by a split's
    ratio, with fewer shares than the split makes, means a split and a sale between the reads. A purchase cannot look
    like that: a purchase that brings the average so low ends with more shares, at any price.
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
    """Return the split within ``slack`` of a ratio of prices: 3 for 2, n for 1, or the inverse of either; else None."""
    times = max(ratio, ONE / ratio)
    for n in (Decimal("1.5"), max(times.to_integral_value(), Decimal(2))):
        if abs(times - n) <= slack * n:
            return n if ratio > ONE else ONE / n
    return None


def split_like(ratio: Decimal) -> bool:
    """Return True when ``ratio``, the old price over the new price, may be a split: 3 for 2, n for 1, or an inverse."""
    return _split_near(ratio, LIKE_A_SPLIT) is not None


class Rereads:
    """The positions whose rules wait for a new read and a new price. A key is any name of a position."""

    def __init__(self) -> None:
        self._since: dict[object, float] = {}
        self._patient: set[object] = set()  # a read does not end these waits: only a split or the time limit does

    def jumped(self, key: object, kind: Kind, now: float, ratio: Decimal) -> bool:
        """Start the wait after a confirmed jump. Return True when the position must be read again first.

        Only shares and their options split, so other kinds return False. ``ratio`` is the old price over the new price.
        Where the ratio looks like a split, a read does not end the wait: a venue's lists may lag behind its prices.
        """
        if kind not in SPLIT:
            return False
        if key not in self._since:
            self._since[key] = now
            if split_like(ratio):
                self._patient.add(key)
        return True

    def split(self, key: object, now: float) -> None:
        """Start the wait after a split of the position: reads and prices from before ``now`` are of the old share."""
        self._since[key] = now
        self._patient.discard(key)

    def waits(self, key: object, now: float) -> bool:
        """Return True while no rule may run. A wait ends after ``LONGEST_REREAD``: a real crash looks like a split."""
        since = self._since.get(key)
        if since is not None and now - since > LONGEST_REREAD:
            self._end(key)
            return False
        return since is not None

    def read(self, key: object, *, asked: float, priced: float) -> None:
        """End the wait when the position was read and priced since the wait began.

        ``asked`` is the time of the read's request, ``priced`` the receipt of the latest price.
        A jump that looks like a split keeps waiting.
        """
        since = self._since.get(key)
        if since is not None and key not in self._patient and asked >= since and priced >= since:
            self._end(key)

    def _end(self, key: object) -> None:
        del self._since[key]
        self._patient.discard(key)
