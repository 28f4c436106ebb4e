"""Bars from ticks or from the broker, and what TA-Lib says of the closed ones.

Bars are keyed by their minute. A minute without a trade has no bar, and nothing is carried forward into it: TA-Lib gets
the bars that exist, in the order of their minutes, as equally spaced ones. So a gap shifts no bar's values, ROC(10)
spans the last ten *traded* minutes, and ATR(14) sees a gap once, as the true range of the bar after it. A bar that
comes late is put in its place, and a tick that comes late is counted to its own minute.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal
from math import isfinite

import numpy as np
import talib
from msgspec import Struct
from numpy.typing import NDArray

from core.market.signals import NEUTRAL, Signals
from core.model import Bar

MINUTE = 60_000  # milliseconds
KEPT = 300  # bars: a median of 100 ATRs needs 114, and by then an EMA(50) has forgotten how it began
ATR, ROC, ADX, FAST, SLOW, RSI = 14, 10, 14, 20, 50, 14
MEDIAN = 100
SWING_BARS, SHOULDER = 50, 3

Column = NDArray[np.float64]


class Candle(Struct):
    """One minute's prices as they come. ``first`` and ``last``: when open and close were seen, in ms since 1970."""

    minute: int  # minutes since 1970
    open: float
    high: float
    low: float
    close: float
    first: int
    last: int


class Bars:
    """The last ``KEPT`` bars of one symbol. The latest minute's bar is open; it closes when a later minute begins."""

    def __init__(self, former: Iterable[Candle] = ()) -> None:
        self._bars: dict[int, Candle] = {}
        self._minutes: list[int] = []  # ascending
        self._changed: set[int] = set()
        for candle in former:
            self.join(candle)
        self._changed.clear()

    def __len__(self) -> int:
        return len(self._minutes)

    def tick(self, at: int, price: Decimal) -> bool:
        """Count a usable price at ``at`` (ms since 1970); whether a bar closed by it."""
        value, minute = float(price), at // MINUTE
        bar = self._bars.get(minute)
        if bar is None:
            return self._add(Candle(minute, value, value, value, value, at, at))
        self._changed.add(minute)
        bar.high, bar.low = max(bar.high, value), min(bar.low, value)
        if at >= bar.last:
            bar.close, bar.last = value, at
        elif at < bar.first:
            bar.open, bar.first = value, at
        return False

    def put(self, at: int, prices: tuple[Decimal, Decimal, Decimal, Decimal]) -> bool:
        """Take a broker's bar (open, high, low, close) of the minute of ``at``, instead of ours; whether one closed."""
        minute = at // MINUTE
        start = minute * MINUTE
        opened, high, low, close = (float(price) for price in prices)
        bar = Candle(minute, opened, high, low, close, start, start + MINUTE - 1)
        if minute in self._bars:
            self._bars[minute] = bar
            self._changed.add(minute)
            return False
        return self._add(bar)

    def fill(self, bars: Iterable[Bar]) -> int:
        """Take a broker's closed bars of minutes that are missing, and instead of ours those beside them, as we may
        have seen a part of those only; how many were missing."""
        known = {bar.minute: bar for bar in bars}
        missing = {minute for minute in known if minute not in self._bars}
        for minute, bar in sorted(known.items()):
            if missing & {minute - 1, minute, minute + 1}:
                self.put(minute * MINUTE, (bar.open, bar.high, bar.low, bar.close))
        return len(missing)

    def join(self, candle: Candle) -> None:
        """Take what was seen before, in a former life, of the same minute perhaps."""
        bar = self._bars.get(candle.minute)
        if bar is None:
            self._add(candle)
            return
        self._changed.add(candle.minute)
        bar.high, bar.low = max(bar.high, candle.high), min(bar.low, candle.low)
        if candle.first < bar.first:
            bar.open, bar.first = candle.open, candle.first
        if candle.last > bar.last:
            bar.close, bar.last = candle.close, candle.last

    @property
    def latest(self) -> Candle | None:
        """The bar of the latest minute."""
        return self._bars[self._minutes[-1]] if self._minutes else None

    def changed(self) -> dict[int, Candle | None]:
        """The bars that changed since the last call, by minute; None for those that are kept no longer."""
        minutes, self._changed = self._changed, set()
        return {minute: self._bars.get(minute) for minute in minutes}

    def missing(self, at: int) -> bool:
        """Whether whole minutes lie between the latest bar and ``at``."""
        return bool(self._minutes) and at // MINUTE - self._minutes[-1] > 1

    def close_before(self, at: int) -> bool:
        """Whether the latest bar's minute is over at ``at``, though no later price has come."""
        return bool(self._minutes) and self._minutes[-1] < at // MINUTE

    def closed(self, at: int | None = None) -> list[Candle]:
        """The closed bars in order: all but the latest, or all whose minute is over at ``at``."""
        end = len(self._minutes) - 1 if at is None else bisect_left(self._minutes, at // MINUTE)
        return [self._bars[minute] for minute in self._minutes[: max(end, 0)]]

    def _add(self, bar: Candle) -> bool:
        latest = self._minutes[-1] if self._minutes else bar.minute
        if len(self._minutes) >= KEPT + 1 and bar.minute < self._minutes[0]:
            return False
        self._bars[bar.minute] = bar
        self._changed.add(bar.minute)
        insort(self._minutes, bar.minute)
        if len(self._minutes) > KEPT + 1:
            dropped = self._minutes.pop(0)
            del self._bars[dropped]
            self._changed.add(dropped)
        return bar.minute > latest


def signals_of(bars: list[Candle]) -> Signals:
    """What closed bars, in order, say. What is not warmed up is unknown; flat prices say nothing."""
    if len(bars) <= ROC:
        return NEUTRAL
    high = np.array([bar.high for bar in bars])
    low = np.array([bar.low for bar in bars])
    close = np.array([bar.close for bar in bars])
    ranges = talib.ATR(high, low, close, timeperiod=ATR) / close
    alive = bool(ranges[-1] > 0)  # neither NaN nor a market that stood still
    fast, slow = _last(talib.EMA(close, timeperiod=FAST)), _last(talib.EMA(close, timeperiod=SLOW))
    return Signals(
        volatility=_volatility(ranges) if alive else None,
        momentum=_known(talib.ROC(close, timeperiod=ROC)[-1] / 100 / ranges[-1]) if alive else None,
        adx=_last(talib.ADX(high, low, close, timeperiod=ADX)) if alive else None,
        rising=None if fast is None or slow is None or fast == slow else fast > slow,
        rsi=_last(talib.RSI(close, timeperiod=RSI)) if alive else None,
        resistances=_swings(high[-SWING_BARS:]),
        supports=tuple(-level for level in reversed(_swings(-low[-SWING_BARS:]))),
    )


def _volatility(ranges: Column) -> float | None:
    """ATR/price against the median of its last ``MEDIAN`` values; unknown before there are as many."""
    recent = ranges[-MEDIAN:]
    if len(recent) < MEDIAN or not np.isfinite(recent).all():
        return None
    median = float(np.median(recent))
    return float(ranges[-1]) / median if median > 0 else None


def _swings(highs: Column) -> tuple[float, ...]:
    """Every high with ``SHOULDER`` lower ones on each side, ascending and each once."""
    if len(highs) < 2 * SHOULDER + 1:
        return ()
    middle = highs[SHOULDER:-SHOULDER]
    swing = np.ones(len(middle), bool)
    for shift in range(-SHOULDER, SHOULDER + 1):
        if shift:
            swing &= middle > highs[SHOULDER + shift : len(highs) - SHOULDER + shift]
    return tuple(np.unique(middle[swing]).tolist())


def _last(values: Column) -> float | None:
    return _known(values[-1])


def _known(value: float) -> float | None:
    number = float(value)
    return number if isfinite(number) else None
