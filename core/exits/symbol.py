"""One symbol at one account for the rules: its guards, its bars, its last price. Pure.

Bars outlive a restart. So after a restart the last bar's close counts as the previous price. A closed bar's update is
applied at the last price before the bar closed. After missing minutes that price is too old to show the market. Then
the update is applied at the price that closed the bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct, field

from core.exits import state as exits
from core.exits.group import ExitGroup
from core.market.bars import Bars, Candle
from core.market.indicators import indicators_of
from core.market.price_gate import jumps
from core.market.splits import SMALLEST_GAP, PriceGap
from core.model import Bar, InstrumentKey, Kind, PositionKey
from core.units import ZERO


class BarChanges(Struct):
    """Changes of bars to write: first delete all bars of ``gone``, then write ``candles``; None: a dropped minute."""

    gone: set[InstrumentKey] = field(default_factory=set)
    candles: dict[tuple[InstrumentKey, int], Candle | None] = field(default_factory=dict)


class SymbolState(Struct):
    """One symbol's guards, bars and prices. ``last``: the last usable price of this run; ``tick``: the price tick.

    ``kind`` and ``venue_id`` are the instrument's. ``gap`` is the latest step of a share's price that may be a
    corporate action.
    """

    guards: ExitGroup[PositionKey] = field(default_factory=ExitGroup[PositionKey])
    bars: Bars = field(default_factory=Bars)
    last: Decimal | None = None
    tick: Decimal = ZERO
    kind: Kind = Kind.SPOT
    venue_id: str = ""
    gap: PriceGap = PriceGap()

    @property
    def former(self) -> Decimal | None:
        """The last usable price, possibly from before the restart; None without a price."""
        latest = self.bars.latest
        return exits.as_decimal(latest.close) if self.last is None and latest is not None else self.last

    def may_be_split(self, price: Decimal, max_jump: Decimal) -> bool:
        """Return True when a price is so far from the price before that a corporate action may be the cause.

        For a share a small step is enough. For anything else only a jump is.
        """
        former = self.former
        return former is not None and jumps(price, former, SMALLEST_GAP if self.kind is Kind.EQUITY else max_jump)

    def count(self, price: Decimal, at: float) -> bool:
        """Add a usable price to its bar. When a bar closes, apply its update to the guards. ``at``: seconds since 1970.

        Return True when whole minutes are missing before the price.
        """
        stamp, before = int(at * 1000), self.former
        missing = self.bars.missing(stamp)
        if self.bars.tick(stamp, price) and before is not None:
            seen = exits.as_float(price if missing else before)
            self.guards.close_bar(indicators_of(self.bars.closed()), seen, at)
        self.last = price
        return missing

    def fill(self, bars: Sequence[Bar], minute: int, max_jump: Decimal) -> int | None:
        """Fill missing minutes with a broker's bars of minutes before ``minute``. Return how many were missing.

        Return None and take nothing when the latest bar is a jump away from our price: the bars do not fit the symbol.
        """
        sane = [bar for bar in bars if bar.sane and bar.minute < minute]
        if not sane:
            return 0
        newest = max(sane, key=lambda bar: bar.minute)
        if self.last is not None and jumps(newest.close, self.last, max_jump):
            return None
        return self.bars.fill(sane)
