"""One symbol at one account as the rules see it: who is guarded in it, its bars, its last price. Pure.

Bars outlive a restart, and so what was seen last before it is the price before the first one after it. A bar's news is
applied at the price before it closed; where minutes are missing since then that says nothing of where the market is,
and the price that closed it is taken.
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
from core.model import Bar, InstrumentKey, PositionKey
from core.units import ZERO


class BarChanges(Struct):
    """What is to be written of bars: nothing is left of the ``gone``, and then these; None of dropped minutes."""

    gone: set[InstrumentKey] = field(default_factory=set)
    candles: dict[tuple[InstrumentKey, int], Candle | None] = field(default_factory=dict)


class SymbolState(Struct):
    """``last`` is the last usable price of this life, ``tick`` of its prices."""

    guards: ExitGroup[PositionKey] = field(default_factory=ExitGroup[PositionKey])
    bars: Bars = field(default_factory=Bars)
    last: Decimal | None = None
    tick: Decimal = ZERO

    @property
    def former(self) -> Decimal | None:
        """The last usable price, be it of the life before."""
        latest = self.bars.latest
        return exits.as_decimal(latest.close) if self.last is None and latest is not None else self.last

    def count(self, price: Decimal, at: float) -> bool:
        """A usable price, at seconds since 1970, goes into its bar, and what a bar that it closes says to the guards.

        Whether minutes are missing before it.
        """
        stamp, before = int(at * 1000), self.former
        missing = self.bars.missing(stamp)
        if self.bars.tick(stamp, price) and before is not None:
            seen = exits.as_float(price if missing else before)
            self.guards.close_bar(indicators_of(self.bars.closed()), seen, at)
        self.last = price
        return missing

    def fill(self, bars: Sequence[Bar], minute: int, max_jump: Decimal) -> int | None:
        """A broker's bars of minutes before ``minute`` that are missing here: how many came; None, and nothing is
        taken, where the latest is a jump away from our price: they are of something else."""
        sane = [bar for bar in bars if bar.sane and bar.minute < minute]
        if not sane:
            return 0
        newest = max(sane, key=lambda bar: bar.minute)
        if self.last is not None and jumps(newest.close, self.last, max_jump):
            return None
        return self.bars.fill(sane)
