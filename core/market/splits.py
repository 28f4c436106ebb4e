"""Corporate actions on shares: their ratio between two reads, their price gap, and positions to read again. Pure.

A split and a stock dividend change quantity and entry by inverse ratios. A spin-off lowers the entry alone. None of
them is a gain or a loss, but the price moves by the same ratio, before or after the position shows it.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf

from msgspec import Struct

from core.model import Kind, Position
from core.units import ONE

SPLIT = (Kind.EQUITY, Kind.OPTION)  # only shares and their options split

SPLIT_SLACK = Decimal("0.005")  # of the cost: venues round the entry after a split and pay out fractional shares

SMALLEST_SPLIT = Decimal("0.01")  # a stock dividend of 1 % is a split as well

LIKE_A_SPLIT = Decimal("0.03")  # fraction by which the market may have moved besides the split

SMALLEST_GAP = Decimal("0.0075")  # of the price: what a stock dividend of 1 % may leave of its gap

SMALL = (ONE + SMALLEST_GAP, Decimal("1.275"))  # every ratio of prices between these may be a corporate action

SHOWS_WITHIN = 12 * 3600.0  # seconds between a position's change and its price gap: a night

LONGEST_REREAD = 5.0  # seconds for which an unreadable account may hold up its rules

SMALL_REREAD = 3.0  # seconds, after a small step: most small steps are the market's


def split_ratio(before: Position, after: Position, *, shares: bool) -> Decimal | None:
    """Return the new shares for an old share where quantity and entry changed by inverse ratios; None without a split.

    A trade changes the cost or keeps the entry. Only a split changes quantity and entry and keeps their product.
    For ``shares`` the venue keeps an average entry, which a sale does not change. So an entry divided by a split's
    ratio means a split, and with fewer shares than the split makes a sale as well. A purchase cannot look like that:
    a purchase that brings the average so low ends with more shares, at any price.
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


def basis_ratio(before: Position, after: Position) -> Decimal | None:
    """Return the old entry over the new entry of a share where no purchase can explain the change; else None.

    A purchase leaves more shares than the old cost buys at the new average. A sale keeps the average. So the venue
    changed the entry: a spin-off, a split with a fraction paid out, or bookkeeping. Only the price can tell which.
    """
    if before.side is not after.side or before.entry is None or after.entry is None:
        return None
    if min(before.quantity, after.quantity, before.entry, after.entry) <= 0:
        return None
    ratio = before.entry / after.entry
    most = max(before.quantity, before.quantity * ratio * (ONE + SPLIT_SLACK))
    return ratio if abs(ratio - ONE) >= SMALLEST_SPLIT and after.quantity <= most else None


class PriceGap(Struct, frozen=True):
    """The latest step between two prices that may be a corporate action: the old price over the new, and the time."""

    ratio: Decimal = ONE
    at: float = -inf  # monotonic seconds of the new price

    def after(self, last: Decimal, price: Decimal, at: float) -> PriceGap:
        """Return the latest gap after a step from ``last`` to ``price``."""
        return PriceGap(last / price, at) if abs(price - last) >= SMALLEST_GAP * last else self

    def explains(self, ratio: Decimal) -> bool:
        """Return True when the step is that of a corporate action of ``ratio``, with some move of the market."""
        return abs(self.ratio - ratio) < abs(ratio - ONE) / 2

    def preceded(self, ratio: Decimal, now: float) -> bool:
        """Return True when the price made the step before the position showed it. The match must be closer."""
        return abs(self.ratio - ratio) < abs(ratio - ONE) / 4 and now - self.at <= SHOWS_WITHIN


def _split_near(ratio: Decimal, slack: Decimal) -> Decimal | None:
    """Return the split nearest to a ratio of prices; None if no split is within ``slack``.

    A split is 3 for 2, n for 1, or the inverse of either.
    """
    times = max(ratio, ONE / ratio)
    for n in (Decimal("1.5"), max(times.to_integral_value(), Decimal(2))):
        if abs(times - n) <= slack * n:
            return n if ratio > ONE else ONE / n
    return None


def split_like(ratio: Decimal) -> bool:
    """Return True when ``ratio``, the old price over the new price, may be a corporate action.

    The ratio may be 3 for 2, n for 1, or the inverse of either, or a small ratio of ``SMALL``. No corporate action
    raises the price a little.
    """
    return SMALL[0] <= ratio <= SMALL[1] or _split_near(ratio, LIKE_A_SPLIT) is not None


class Reread(Struct, frozen=True):
    """One position's wait: its start, the old price over the new price, and what ends it."""

    since: float
    ratio: Decimal = ONE
    patient: bool = False  # a read does not end the wait: only a split or the time limit does
    extended: bool = False

    @property
    def longest(self) -> float:
        """The time limit in seconds."""
        return SMALL_REREAD if SMALL[0] <= self.ratio <= SMALL[1] else LONGEST_REREAD


class Rereads:
    """The positions whose rules wait for a new read and a new price. A key is any name of a position."""

    def __init__(self) -> None:
        self._waits: dict[object, Reread] = {}

    def jumped(self, key: object, kind: Kind, now: float, ratio: Decimal) -> bool:
        """Start the wait after a step of the price. Return True when the position must be read again first.

        Only shares and their options split, so other kinds return False. ``ratio`` is the old price over the new price.
        Where the ratio looks like a split, a read does not end the wait: a venue's lists may lag behind its prices.
        A jump from the price that began the wait begins the wait again, once.
        """
        if kind not in SPLIT:
            return False
        wait = self._waits.get(key)
        if wait is None:
            self._waits[key] = Reread(now, ratio, split_like(ratio))
        elif not wait.extended and max(step := ratio / wait.ratio, ONE / step) > SMALL[1]:
            self._waits[key] = Reread(now, ratio, split_like(step), extended=True)
        return True

    def split(self, key: object, now: float) -> None:
        """Start the wait after a split of the position: reads and prices from before ``now`` are of the old share."""
        self._waits[key] = Reread(now)

    def waits(self, key: object, now: float) -> bool:
        """Return True while no rule may run. Each wait has a time limit: a real crash looks like a split."""
        wait = self._waits.get(key)
        if wait is not None and now - wait.since > wait.longest:
            del self._waits[key]
            return False
        return wait is not None

    def read(self, key: object, *, asked: float, priced: float) -> None:
        """End the wait when the position was read and priced since the wait began.

        ``asked`` is the time of the read's request, ``priced`` the receipt of the latest price.
        A jump that looks like a split keeps waiting.
        """
        wait = self._waits.get(key)
        if wait is not None and not wait.patient and asked >= wait.since and priced >= wait.since:
            del self._waits[key]
