"""Prices that move: a seeded walk with jumps that stay and spikes that do not, told on the stream and by queries."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tests.simulation.dice import Dice
from tests.simulation.venue import Venue

STEPS = (Decimal("0.99"), Decimal("0.995"), Decimal(1), Decimal(1), Decimal("1.005"), Decimal("1.01"))
JUMPS = (Decimal("0.6"), Decimal("0.75"), Decimal("1.3"), Decimal("1.6"))
SELDOM, LONG = 0.06, 20  # of the steps after which a symbol is not told of, and for how many
LEAST, MOST = Decimal("0.1"), Decimal(5)
STEEP = (Decimal("0.75"), Decimal("1.3"))  # each step of a move is a jump
At = Callable[[float, Callable[[], None]], None]


class Market:
    """One venue's prices, as factors of what they were; ``ends`` says when they stand still, ``moved`` hears of all."""

    def __init__(
        self, venue: Venue, dice: Dice, ends: Callable[[], bool], moved: Callable[[str], None] = lambda _: None
    ) -> None:
        self._venue = venue
        self._dice = dice
        self._ends = ends
        self._moved = moved
        self._jumps = dice.choice((0.0, 0.01, 0.05))
        self._steep = dice.choice((0.0, 0.02, 0.04))
        self._moving: dict[str, tuple[Decimal, int]] = {}  # symbol → factor of the steps of a move, steps to come
        self._spike: dict[str, Decimal] = {}
        self._untold: dict[str, int] = {}  # symbol → steps in which the stream says nothing of it while others go on

    def schedule(self, at: At, now: float, until: float) -> None:
        while (now := now + 0.3 + self._dice.random()) < until:
            at(now, self._tick)

    def _tick(self) -> None:
        if self._ends():
            return
        for symbol in self._venue.rules:
            factor = self._spike.pop(symbol, None) or self._venue.factors.get(symbol, Decimal(1))
            moved = factor * self._dice.choice(STEPS)
            if self._dice.random() < self._jumps:
                if self._dice.random() < 0.5:
                    self._spike[symbol] = factor  # the next price is as before
                moved = factor * self._dice.choice(JUMPS)
            moved = self._stepped(symbol, factor) or moved
            self._venue.factors[symbol] = min(max(moved, LEAST), MOST)
            if not self._kept_back(symbol):
                self._venue.priced(symbol)
            self._moved(symbol)

    def _stepped(self, symbol: str, factor: Decimal) -> Decimal | None:
        """The next price of a move in large steps; None without such a move."""
        by, left = self._moving.pop(symbol, (Decimal(1), 0))
        if not left:
            if self._dice.random() >= self._steep:
                return None
            by, left = self._dice.choice(STEEP), self._dice.choice((3, 5))
        if left > 1:
            self._moving[symbol] = by, left - 1
        self._spike.pop(symbol, None)
        return factor * by

    def _kept_back(self, symbol: str) -> bool:
        """Whether nobody is told this step; once it begins it goes on for longer than a price is good for."""
        left = self._untold.get(symbol, 0) or (LONG if self._dice.random() < SELDOM else 0)
        self._untold[symbol] = max(left - 1, 0)
        return left > 0
