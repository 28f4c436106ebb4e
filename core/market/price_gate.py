"""Whether a price may be used: fresh, sane, no unconfirmed jump, no share split behind it.

A price that is not usable triggers, moves and resets nothing. One gate stands before each symbol at each account:

    no price, not positive, crossed → BAD       older than ``max_age`` at ``now`` → STALE
    further than ``max_jump`` from the last usable price → HELD, until a later price or the venue's own mark agrees

Two prices agree when they are within ``max_jump`` of each other. Agreement within ``confirm_window`` confirms at once;
one that comes later begins the wait anew, but the third of a kind in a row is believed whatever the clock says, since
on a quiet symbol a real gap must not leave a position without any price. A price near the last usable one ends the
wait.

After a confirmed jump of a share the position is read again before any rule runs (``Rereads``): a split looks like a
crash until its new quantity and entry are seen, and a jump of a split's size waits a while for them. Times are seconds
of the local monotonic clock.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.model import Kind, Position, Quote
from core.settings import ExitSettings
from core.units import ONE

SPLIT = (Kind.EQUITY, Kind.OPTION)  # shares and their options; no others do
BELIEVED_AFTER = 3  # prices in a row that agree with each other, however far apart in time
SPLIT_SLACK = Decimal("0.005")  # of the cost: venues round the entry after a split, and pay fractions out
SMALLEST_SPLIT = Decimal("0.01")  # a stock dividend of 1 % is one as well
LIKE_A_SPLIT = Decimal("0.03")  # by how much the market may have moved beside it
LONGEST_REREAD = 5.0  # seconds in which an unreadable account may hold up its rules


class Verdict(Enum):
    """What became of a price."""

    USABLE = "usable"
    JUMPED = "jumped"  # usable; a jump that was just confirmed
    HELD = "held"
    STALE = "stale"
    BAD = "bad"

    @property
    def usable(self) -> bool:
        return self in (Verdict.USABLE, Verdict.JUMPED)


class Held(Struct, frozen=True):
    """A price that waits to be confirmed, since when, and how many have agreed on it."""

    price: Decimal
    since: float
    times: int = 1


class PriceGate:
    """One symbol's prices at one account."""

    def __init__(self, settings: ExitSettings, *, streaming: bool = True) -> None:
        self._jump, self._window = settings.max_jump, settings.confirm_window
        self.max_age = settings.max_price_age if streaming else settings.max_price_age_polling
        self._price: Decimal | None = None  # the last usable one
        self._at = 0.0
        self._held: Held | None = None

    def take(self, quote: Quote | None, now: float) -> Verdict:
        """Judge a quote that was received by ``now``; None is an update without one."""
        price = None if quote is None or quote.flaw() else quote.reference
        if quote is None or price is None:
            return Verdict.BAD
        late = self._price is not None and quote.received < self._at
        if late or not 0 <= now - quote.received < self.max_age:  # a comparison with NaN is no
            return Verdict.STALE
        if self._price is None or self._near(price, self._price):
            return self._use(price, quote.received, Verdict.USABLE)
        if self._confirmed(price, quote):
            return self._use(price, quote.received, Verdict.JUMPED)
        return Verdict.HELD

    def price(self, now: float) -> Decimal | None:
        """The last usable price while it is fresh."""
        return self._price if self._price is not None and 0 <= now - self._at < self.max_age else None

    def waiting(self, now: float) -> bool:
        """Whether a price is being held, for a person to see."""
        return self._held is not None and now - self._held.since <= self._window

    def split(self, ratio: Decimal) -> None:
        """So many new shares for an old one: the next price is looked for where the old one would be now."""
        self._price = None if self._price is None else self._price / ratio
        self._at, self._held = -math.inf, None

    def _use(self, price: Decimal, at: float, verdict: Verdict) -> Verdict:
        self._price, self._at, self._held = price, at, None
        return verdict

    def _confirmed(self, price: Decimal, quote: Quote) -> bool:
        """A mark that is not the price itself, or an earlier price that was held, says the same."""
        if quote.mark is not None and quote.last is not None and self._near(quote.last, quote.mark):
            return True
        held = self._held
        if held is not None and quote.received <= held.since:
            return False  # the same tick once more is no second one
        if held is None or not self._near(price, held.price):
            self._held = Held(price, quote.received)
            return False
        if quote.received - held.since <= self._window or held.times + 1 >= BELIEVED_AFTER:
            return True
        self._held = Held(price, quote.received, held.times + 1)
        return False

    def _near(self, price: Decimal, other: Decimal) -> bool:
        return abs(price - other) <= self._jump * other


def jumps(price: Decimal, last: Decimal, max_jump: Decimal) -> bool:
    """Whether ``price`` is further from ``last`` than is believed at once."""
    return abs(price - last) > max_jump * last


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
