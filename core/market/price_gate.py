"""The check of each price before its use: sane, no unconfirmed jump, no share split behind the price.

A price that is not usable triggers, moves and resets nothing. Each symbol at each account has one gate. The quote book
judges the age of a usable price later, at each use:

    no price, not positive, crossed → BAD       received before the last usable price → STALE
    further than ``max_jump`` from the last usable price → HELD, until a later price or the venue's own mark agrees

A later price confirms the held price when it lies beyond ``max_jump`` on the same side, however far from the held
price. So the second step of a fall in large steps is usable. A price within the window confirms at once. A later price
starts the wait again. But the third price in a row on one side counts at any time. So a real gap on a quiet symbol
leaves no position without a price. A price near the last usable price ends the wait.

The window is ``confirm_window``. Polled prices may be further apart. So the window lasts at least ``PACES`` times the
interval from the quote before the jump, up to ``max_price_age_polling``. The next polled price is then in time.

After a confirmed jump of a share the position is read again before any rule runs (``Rereads``). A split looks like a
crash until the new quantity and entry are read. A jump of a split's size waits a while for both. A position may show
its split before the price does. Then a price of the old share is HELD: an unchanged price always, any other price near
the old price for ``OLD_PRICES``. Times are seconds of the local monotonic clock.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.market.splits import PriceGap
from core.model import Quote
from core.settings import ExitSettings

BELIEVED_AFTER = 3  # prices in a row on one side, however far apart in time
OLD_PRICES = 60.0  # seconds after a split for which a price near the old share's price is not used
PACES = 1.5  # intervals of a polled source: room for a poll that comes a little later than the poll before


class PriceVerdict(Enum):
    """The gate's verdict on a price."""

    USABLE = "usable"
    JUMPED = "jumped"  # usable: the price just confirmed a jump
    HELD = "held"
    STALE = "stale"
    BAD = "bad"

    @property
    def usable(self) -> bool:
        return self in (PriceVerdict.USABLE, PriceVerdict.JUMPED)


class HeldPrice(Struct, frozen=True):
    """A price that waits for confirmation, the start and length of the wait, and the number of prices on its side."""

    price: Decimal
    since: float
    window: float
    times: int = 1


class PriceGate:
    """One symbol's prices at one account."""

    def __init__(self, settings: ExitSettings) -> None:
        self._jump, self._window = settings.max_jump, settings.confirm_window
        self._longest = max(self._window, settings.max_price_age_polling)
        self._price: Decimal | None = None  # the last usable price
        self._at = 0.0
        self._heard = math.inf  # receipt of the quote before, usable or held; inf before the first quote
        self._gap = PriceGap()
        self._old: Decimal | None = None  # the last price before a split that the price has not shown yet
        self._old_until: float | None = None  # set by the first price after the split
        self._held: HeldPrice | None = None

    def judge_quote(self, quote: Quote | None) -> PriceVerdict:
        """Judge a quote at its receipt. None is an update without a quote: BAD."""
        price = None if quote is None or quote.flaw() else quote.reference
        if quote is None or price is None:
            return PriceVerdict.BAD
        if self._price is not None and not quote.received >= self._at:  # True for NaN: a NaN time counts as stale
            return PriceVerdict.STALE
        interval, self._heard = max(quote.received - self._heard, 0.0), quote.received
        if self._of_old_share(price, quote.received):
            return PriceVerdict.HELD
        if self._price is None or self._near(price, self._price):
            return self._use(price, quote.received, PriceVerdict.USABLE)
        if self._confirmed(price, quote, interval):
            return self._use(price, quote.received, PriceVerdict.JUMPED)
        return PriceVerdict.HELD

    def split(self, ratio: Decimal) -> None:
        """Expect the price after a split of ``ratio`` new shares for an old share, unless the price came first."""
        if self._price is not None and not self._gap.preceded(ratio, self._at):
            self._old, self._old_until = self._price, None
            self._price /= ratio
        self._at, self._held, self._gap = -math.inf, None, PriceGap()

    def _of_old_share(self, price: Decimal, received: float) -> bool:
        """Return True while the price still is the price of the share before its split."""
        if self._old is None or self._price is None:
            return False
        if self._old_until is None:
            self._old_until = received + OLD_PRICES
        near = abs(price - self._old) < abs(price - self._price) and received < self._old_until
        if not near and price != self._old:
            self._old = None
        return self._old is not None

    def _use(self, price: Decimal, at: float, verdict: PriceVerdict) -> PriceVerdict:
        if self._price is not None:
            self._gap = self._gap.after(self._price, price, at)
        self._price, self._at, self._held = price, at, None
        return verdict

    def _confirmed(self, price: Decimal, quote: Quote, interval: float) -> bool:
        """Return True when the venue's mark or an earlier held price agrees with a jump, else hold the price.

        The mark counts only where the quote has a last price: otherwise the price may be the mark itself.
        ``interval`` is the time since the quote before.
        """
        if quote.mark is not None and quote.last is not None and self._near(quote.last, quote.mark):
            return True
        held, times = self._held, 1
        if held is not None and quote.received <= held.since:
            return False  # the same tick again is no second price
        if held is not None and self._same_side(price, held.price):
            times = held.times + 1
            if quote.received - held.since <= held.window or times >= BELIEVED_AFTER:
                return True
        window = max(self._window, min(PACES * interval, self._longest))
        self._held = HeldPrice(price, quote.received, window, times)
        return False

    def _same_side(self, price: Decimal, held: Decimal) -> bool:
        """Return True if both prices lie above, or both below, the last usable price."""
        return self._price is not None and (price > self._price) == (held > self._price)

    def _near(self, price: Decimal, other: Decimal) -> bool:
        return abs(price - other) <= self._jump * other


def jumps(price: Decimal, last: Decimal, max_jump: Decimal) -> bool:
    """Return True when ``price`` differs from ``last`` by more than the fraction ``max_jump``."""
    return abs(price - last) > max_jump * last
