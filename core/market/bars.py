"""One symbol's minute bars, built from prices and filled from a broker's bars. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from core.model import Bar

MINUTE = 60_000  # milliseconds

KEPT = 300  # bars: a median of 100 ATRs needs 114; after 300 an EMA(50) hardly depends on its first price


class Candle(Struct):
    """One minute's prices so far. ``first`` and ``last`` are the times of open and close, in ms since 1970."""

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
        """Add a usable price of the time ``at`` (ms since 1970). Return True when the price closed a bar."""
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
        """Put a broker's bar (open, high, low, close) into the minute of ``at``, in place of ours.

        Return True when a bar closed.
        """
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
        """Fill missing minutes with the broker's closed bars. Return the number of minutes that were missing.

        The broker's bars also replace our bars next to a gap: our bars there may be incomplete.
        """
        known = {bar.minute: bar for bar in bars}
        missing = {minute for minute in known if minute not in self._bars}
        for minute, bar in sorted(known.items()):
            if missing & {minute - 1, minute, minute + 1}:
                self.put(minute * MINUTE, (bar.open, bar.high, bar.low, bar.close))
        return len(missing)

    def join(self, candle: Candle) -> None:
        """Add a bar from before a restart. Merge the bar with ours where both are of the same minute."""
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
        """The bar of the latest minute; None without bars."""
        return self._bars[self._minutes[-1]] if self._minutes else None

    def changed(self) -> dict[int, Candle | None]:
        """Return the bars that changed since the last call, by minute; None for a dropped bar."""
        minutes, self._changed = self._changed, set()
        return {minute: self._bars.get(minute) for minute in minutes}

    def missing(self, at: int) -> bool:
        """Return True when whole minutes lie between the latest bar and ``at``."""
        return bool(self._minutes) and at // MINUTE - self._minutes[-1] > 1

    def closed(self, at: int | None = None) -> list[Candle]:
        """Return the closed bars in order: all but the latest, or all whose minute is over at ``at``."""
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
