"""One position walked through recorded prices by the configured rules, one tick after another. Nothing is ordered.

A record has no venue to ask about a jump, but it holds what came next: a price further than ``max_jump`` from the
last usable one counts when the next price agrees with it, or when there is none; otherwise it is passed over, its roi
unknown. Bars are made of the prices as they come, and close with the first price of a later minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from core.exits.rules import Exit, Rules, rules_of
from core.exits.state import (
    ExitState,
    as_decimal,
    as_float,
    close_bar,
    distance_at,
    news_of,
    open_guard,
    peak_price,
    step,
    stop_price,
    target_price,
)
from core.market.bars import Bars
from core.market.indicators import indicators_of
from core.market.price_file import PriceRow
from core.market.price_gate import jumps
from core.model import Side
from core.settings import ExitSettings
from core.units import ONE, ZERO

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DIGITS = Decimal("1e-12")  # of a ratio that people and documents see


class Tick(Struct, frozen=True):
    """One price, and where the rules stand after it. ``roi`` and ``peak_roi`` are fractions."""

    at: datetime
    price: Decimal
    roi: Decimal | None
    peak_roi: Decimal | None
    stop: Decimal | None
    target: Decimal | None
    distance: Decimal | None
    factors: dict[str, Decimal]
    exit: Exit | None = None


class ReplayedPosition(Struct, frozen=True):
    """What is held."""

    side: Side
    entry: Decimal
    quantity: Decimal
    leverage: Decimal = ONE


def prices_of(rows: Iterable[PriceRow]) -> list[tuple[int, Decimal]]:
    """Every price with its time in ms; the prices of a bar share the bar's."""
    return [(row.at, price) for row in rows for price in row.prices]


def walk(prices: Sequence[tuple[int, Decimal]], settings: ExitSettings, holding: ReplayedPosition) -> list[Tick]:
    """Every tick up to the exit, which the last one names if there is one."""
    rules = rules_of(settings, holding.side)
    guard = open_guard(rules, holding.entry, holding.leverage, opened=prices[0][0] / 1000 if prices else None)
    walker = ReplayWalk(guard, holding)
    ticks: list[Tick] = []
    for place, (at, price) in enumerate(prices):
        following = prices[place + 1][1] if place + 1 < len(prices) else None
        ticks.append(walker.take(at, price, following))
        if ticks[-1].exit is not None:
            break
    return ticks


class ReplayWalk:
    """A guard and the bars that its prices make. A guard that was restored goes on where it was."""

    def __init__(
        self, guard: ExitState, holding: ReplayedPosition, bars: Bars | None = None, last: Decimal | None = None
    ) -> None:
        self.guard = guard
        self.bars = Bars() if bars is None else bars
        self._holding = holding
        self._last = last  # the last usable price

    def take(self, at: int, price: Decimal, following: Decimal | None) -> Tick:
        """The tick at ``at`` (ms); ``following`` is the price after it, None at the end."""
        most = self.guard.rules.settings.max_jump
        jumped = self._last is not None and jumps(price, self._last, most)
        if jumped and following is not None and jumps(following, price, most):
            return self._tick(at, price, None, usable=False)
        missing = self.bars.missing(at)
        if self.bars.tick(at, price) and self._last is not None:
            news = news_of(indicators_of(self.bars.closed()), self.guard.rules)
            close_bar(self.guard, news, as_float(price if missing else self._last), at / 1000)
        self._last = price
        return self._tick(at, price, step(self.guard, as_float(price)), usable=True)

    def _tick(self, at: int, price: Decimal, found: Exit | None, *, usable: bool) -> Tick:
        guard, best = self.guard, peak_price(self.guard)
        distance = distance_at(guard, as_float(price if usable or self._last is None else self._last))
        factors = ("volatility", "profit", "momentum", "bounds")
        return Tick(
            at=EPOCH + timedelta(milliseconds=at),
            price=price,
            roi=_roi(price, self._holding, guard.rules) if usable else None,
            peak_roi=None if best is None else _roi(best, self._holding, guard.rules),
            stop=stop_price(guard),
            target=target_price(guard),
            distance=None if distance is None else as_decimal(distance.distance),
            factors={} if distance is None else {name: as_decimal(getattr(distance, name)) for name in factors},
            exit=found,
        )


def _roi(price: Decimal, holding: ReplayedPosition, rules: Rules) -> Decimal:
    move = holding.side.sign * (price - holding.entry) / holding.entry
    return (holding.leverage * (move - rules.settings.fees)).quantize(DIGITS)


def profit(ticks: Sequence[Tick], holding: ReplayedPosition) -> Decimal:
    """What the position gained by its last price, in the quote currency and before fees; per unit of multiplier."""
    return holding.side.sign * (ticks[-1].price - holding.entry) * holding.quantity if ticks else ZERO
