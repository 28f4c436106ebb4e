"""What closed bars say about a symbol, as plain values; :mod:`core.market.indicators` computes them.

Unknown is None: not warmed up, or undefined on flat prices. It never moves a stop or a target.
"""

from __future__ import annotations

from msgspec import Struct


class Signals(Struct, frozen=True):
    """Of one symbol, after one closed bar; prices in the symbol's own unit."""

    volatility: float | None = None  # ATR(14)/close against its median of 100 bars
    momentum: float | None = None  # ROC(10) in ATRs, positive when the price rises
    adx: float | None = None  # ADX(14), 0 to 100
    rising: bool | None = None  # EMA(20) above EMA(50)
    rsi: float | None = None  # RSI(14), 0 to 100
    resistances: tuple[float, ...] = ()  # ascending
    supports: tuple[float, ...] = ()  # ascending


NEUTRAL = Signals()
