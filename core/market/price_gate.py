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

from core.model import Quote
from core.settings import ExitSettings

BELIEVED_AFTER = 3  # prices in a row that agree with each other, however far apart in time


class PriceVerdict(Enum):
    """What became of a price."""

    USABLE = "usable"
    JUMPED = "jumped"  # usable; a jump that was just confirmed
    HELD = "held"
    STALE = "stale"
    BAD = "bad"

    @property
    def usable(self) -> bool:
        return self in (PriceVerdict.USABLE, PriceVerdict.JUMPED)


class HeldPrice(Struct, frozen=True):
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
        self._held: HeldPrice | None = None

    def take(self, quote: Quote | None, now: float) -> PriceVerdict:
        """Judge a quote that was received by ``now``; None is an update without one."""
        price = None if quote is None or quote.flaw() else quote.reference
        if quote is None or price is None:
            return PriceVerdict.BAD
        late = self._price is not None and quote.received < self._at
        if late or not 0 <= now - quote.received < self.max_age:  # a comparison with NaN is no
            return PriceVerdict.STALE
        if self._price is None or self._near(price, self._price):
            return self._use(price, quote.received, PriceVerdict.USABLE)
        if self._confirmed(price, quote):
            return self._use(price, quote.received, PriceVerdict.JUMPED)
        return PriceVerdict.HELD

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

    def _use(self, price: Decimal, at: float, verdict: PriceVerdict) -> PriceVerdict:
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
            self._held = HeldPrice(price, quote.received)
            return False
        if quote.received - held.since <= self._window or held.times + 1 >= BELIEVED_AFTER:
            return True
        self._held = HeldPrice(price, quote.received, held.times + 1)
        return False

    def _near(self, price: Decimal, other: Decimal) -> bool:
        return abs(price - other) <= self._jump * other


def jumps(price: Decimal, last: Decimal, max_jump: Decimal) -> bool:
    """Whether ``price`` is further from ``last`` than is believed at once."""
    return abs(price - last) > max_jump * last
