"""How the price of one symbol goes on: frozen, a seeded random walk, or a replay of a price file."""

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
LONGEST_WALK = 600  # steps that are made up for after a pause
SIGMA = 0.0002  # of a walk's step of one second, as a fraction of the price
SLOWEST_TICK, FASTEST_TICK = 1.0, 0.05


class Feed(Protocol):
    """The prices of one symbol; ``elapsed`` is seconds since the venue was opened and never falls."""

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        """The prices that came since the last call, oldest first."""


class FrozenPrices:
    """Prices that stay."""

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        return ()


class RandomWalk:
    """A random step each second; bid, ask and mark keep their distance from the last price."""

    def __init__(self, random: RandomStreams, tick: Decimal, speed: float) -> None:
        self._random, self._tick, self._sigma = random, tick, SIGMA * sqrt(speed)
        self._steps = 0

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        tops: list[TopOfBook] = []
        self._steps = max(self._steps, int(elapsed) - LONGEST_WALK)
        while self._steps < int(elapsed):
            self._steps += 1
            now = self._step(now)
            tops.append(now)
        return tops

    def _step(self, now: TopOfBook) -> TopOfBook:
        price = _middle(now)
        if price is None:
            return now
        factor = Decimal(f"{exp(self._random.gauss(0.0, self._sigma)):.10f}")
        shift = round_price(price * factor, self._tick, up=factor > 1) - price
        moved = {n: p + shift for n in ("bid", "ask", "last", "mark") if (p := getattr(now, n)) is not None}
        return replace(now, **moved) if all(p > 0 for p in moved.values()) else now


class PriceReplay:
    """A price file walked at ``speed``: a bar takes a minute divided by it. At its end the last price stays."""

    def __init__(self, rows: Sequence[ReplayRow], speed: float) -> None:
        self._tops = list(chain.from_iterable(row.tops() for row in rows))
        self._pace = speed * len(rows[0].prices) / BAR_SECONDS
        self._seen = 0

    def advance(self, elapsed: float, now: TopOfBook) -> Sequence[TopOfBook]:
        # a tick that is due right now must not be missed by a rounding of the clock
        due = min(int(elapsed * self._pace + 1e-6) + 1, len(self._tops))
        fresh, self._seen = self._tops[self._seen : due], max(due, self._seen)
        return [replace(top, bid_size=now.bid_size, ask_size=now.ask_size) for top in fresh]


def tick_seconds(speed: float, *, replayed: bool) -> float:
    """How often the venue looks at its prices: a replay's points are looked at one by one while that is sensible."""
    return min(SLOWEST_TICK, max(FASTEST_TICK, BAR_SECONDS / 4 / speed)) if replayed else SLOWEST_TICK


def _middle(top: TopOfBook) -> Decimal | None:
    if top.last is not None:
        return top.last
    if top.bid is not None and top.ask is not None:
        return (top.bid + top.ask) / 2
    return top.bid or top.ask or top.mark
