"""TA-Lib's indicators of closed bars. The bars come from ticks or from the broker.

Bars are keyed by their minute. A minute without a trade has no bar, and no price is carried forward into that minute.
TA-Lib gets the existing bars in the order of their minutes, as if they were equally spaced. So a gap shifts no bar's
values. ROC(10) spans the last ten *traded* minutes. ATR(14) sees a gap once: as the true range of the bar after the
gap. A late bar goes into its place. A late tick counts for its own minute.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.market.bars import Candle

ATR, ROC, ADX, FAST, SLOW, RSI = 14, 10, 14, 20, 50, 14
MEDIAN = 100
SWING_BARS, SHOULDER = 50, 3

Column = NDArray[np.float64]


def indicators_of(bars: list[Candle]) -> Indicators:
    """Return the indicators of closed bars, which are in order.

    An indicator is None until enough bars exist. Volatility, momentum, ADX and RSI are None while prices are flat.
    """
    if len(bars) <= ROC:
        return NEUTRAL
    import talib  # noqa: PLC0415  (TA-Lib imports pandas where pandas is installed: 0.26 s that few commands need)

    high = np.array([bar.high for bar in bars])
    low = np.array([bar.low for bar in bars])
    close = np.array([bar.close for bar in bars])
    ranges = talib.ATR(high, low, close, timeperiod=ATR) / close
    alive = bool(ranges[-1] > 0)  # False for NaN and for a market without any price change
    fast, slow = _last(talib.EMA(close, timeperiod=FAST)), _last(talib.EMA(close, timeperiod=SLOW))
    return Indicators(
        volatility=_volatility(ranges) if alive else None,
        momentum=_known(talib.ROC(close, timeperiod=ROC)[-1] / 100 / ranges[-1]) if alive else None,
        adx=_last(talib.ADX(high, low, close, timeperiod=ADX)) if alive else None,
        rising=None if fast is None or slow is None or fast == slow else fast > slow,
        rsi=_last(talib.RSI(close, timeperiod=RSI)) if alive else None,
        resistances=_swings(high[-SWING_BARS:]),
        supports=tuple(-level for level in reversed(_swings(-low[-SWING_BARS:]))),
    )


def _volatility(ranges: Column) -> float | None:
    """Return ATR/price divided by the median of its last ``MEDIAN`` values; None with fewer values."""
    recent = ranges[-MEDIAN:]
    if len(recent) < MEDIAN or not np.isfinite(recent).all():
        return None
    median = float(np.median(recent))
    return float(ranges[-1]) / median if median > 0 else None


def _swings(highs: Column) -> tuple[float, ...]:
    """Return every high that has ``SHOULDER`` lower highs on each side. Highs are ascending, without duplicates."""
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


class Indicators(Struct, frozen=True):
    """One symbol's indicators after one closed bar. Prices are in the symbol's own unit."""

    volatility: float | None = None  # ATR(14)/close against its median of 100 bars
    momentum: float | None = None  # ROC(10) in ATRs, positive when the price rises
    adx: float | None = None  # ADX(14), 0 to 100
    rising: bool | None = None  # EMA(20) above EMA(50)
    rsi: float | None = None  # RSI(14), 0 to 100
    resistances: tuple[float, ...] = ()  # ascending
    supports: tuple[float, ...] = ()  # ascending


NEUTRAL = Indicators()
