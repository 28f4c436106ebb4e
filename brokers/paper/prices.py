"""The price feeds of a symbol: frozen, a seeded random walk, or a replay of a price file."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from math import exp, sqrt
from typing import Protocol

from msgspec.structs import replace

from brokers.paper.price_replay import ReplayRow
from brokers.paper.random_streams import RandomStreams
from brokers.paper.wire import TopOfBook
from core.units import round_price

BAR_SECONDS = 60.0
LONGEST_WALK = 3  # most steps that a walk makes up for after a pause; after a longer pause one long step stands for all
LONGEST_PAUSE = 600  # most seconds that a long step stands for
SIGMA = 0.0002  # standard deviation of a walk's one-second step, as a fraction of the price
SLOWEST_TICK, FASTEST_TICK = 1.0, 0.05


class Feed(Protocol):
    """The prices of one symbol. ``elapsed`` is the seconds since the venue was opened and never falls."""

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        """Return the prices since the last call, the oldest first."""


class FrozenPrices:
    """Prices that never change."""

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        return ()


class RandomWalk:
    """A random step each second. Bid, ask and mark keep their distance from the last price."""

    def __init__(self, random: RandomStreams, tick: Decimal, speed: float) -> None:
        self._random, self._tick, self._sigma = random, tick, SIGMA * sqrt(speed)
        self._steps = 0

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        tops: list[TopOfBook] = []
        while self._steps < int(elapsed):
            behind = int(elapsed) - self._steps
            seconds = behind if behind > LONGEST_WALK else 1
            self._steps += seconds
            now = self._step(now, seconds)
            tops.append(now)
        return tops

    def _step(self, now: TopOfBook, seconds: int) -> TopOfBook:
        """Return the price ``seconds`` later. The variance of a walk grows with its time."""
        price = _middle(now)
        if price is None:
            return now
        sigma = self._sigma * sqrt(min(seconds, LONGEST_PAUSE))
        factor = Decimal(f"{exp(self._random.gauss(0.0, sigma)):.10f}")
        shift = round_price(price * factor, self._tick, up=factor > 1) - price
        moved = {n: p + shift for n in ("bid", "ask", "last", "mark") if (p := getattr(now, n)) is not None}
        return replace(now, **moved) if all(p > 0 for p in moved.values()) else now


class PriceReplay:
    """A price file replayed at ``speed``: a bar takes 60 seconds / ``speed``. After the end the last price stays."""

    def __init__(self, rows: Sequence[ReplayRow], speed: float) -> None:
        self._tops = list(chain.from_iterable(row.tops() for row in rows))
        self._pace = speed * len(rows[0].prices) / BAR_SECONDS
        self._seen = 0

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        # a rounding of the clock must not miss a tick that is due now, so add 1e-6
        due = min(int(elapsed * self._pace + 1e-6) + 1, len(self._tops))
        fresh, self._seen = self._tops[self._seen : due], max(due, self._seen)
        return [replace(top, bid_size=now.bid_size, ask_size=now.ask_size) for top in fresh]


def tick_seconds(speed: float, *, replayed: bool) -> float:
    """Return the seconds between two price ticks of the venue.

    A replay's ticks show every price of a bar separately, unless that takes ticks shorter than FASTEST_TICK.
    """
    return min(SLOWEST_TICK, max(FASTEST_TICK, BAR_SECONDS / 4 / speed)) if replayed else SLOWEST_TICK


def _middle(top: TopOfBook) -> Decimal | None:
    if top.last is not None:
        return top.last
    if top.bid is not None and top.ask is not None:
        return (top.bid + top.ask) / 2
    return top.bid or top.ask or top.mark
