"""The replay of one position over recorded prices by the configured rules, tick after tick. The replay orders nothing.

A jump is judged as it is live. A price further than ``max_jump`` from the last usable price is held, and its roi is
unknown. The next price confirms the jump when it is as far away on the same side. The rows of a file are far apart, so
no window of time applies. A jump on the last row stays held. Bars are made of the usable prices, and close with the
first price of a later minute.
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
DIGITS = Decimal("1e-12")  # precision of a ratio that people and documents see


class Tick(Struct, frozen=True):
    """One price, and the state of the rules after the price. ``roi`` and ``peak_roi`` are fractions."""

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
    """The position that is replayed."""

    side: Side
    entry: Decimal
    quantity: Decimal
    leverage: Decimal = ONE


def prices_of(rows: Iterable[PriceRow]) -> list[tuple[int, Decimal]]:
    """Return every price with its time in ms. All prices of a bar have the bar's time."""
    return [(row.at, price) for row in rows for price in row.prices]


def walk(prices: Sequence[tuple[int, Decimal]], settings: ExitSettings, holding: ReplayedPosition) -> list[Tick]:
    """Return every tick up to the exit. The last tick names the exit if the rules called for an exit."""
    rules = rules_of(settings, holding.side)
    guard = open_guard(rules, holding.entry, holding.leverage, opened=prices[0][0] / 1000 if prices else None)
    walker = ReplayWalk(guard, holding)
    ticks: list[Tick] = []
    for at, price in prices:
        ticks.append(walker.take(at, price))
        if ticks[-1].exit is not None:
            break
    return ticks


class ReplayWalk:
    """A guard and the bars of its prices. ``bars`` and ``last`` continue the walk of a restored guard."""

    def __init__(
        self, guard: ExitState, holding: ReplayedPosition, bars: Bars | None = None, last: Decimal | None = None
    ) -> None:
        self.guard = guard
        self.bars = Bars() if bars is None else bars
        self._holding = holding
        self._last = last  # the last usable price
        self._held: Decimal | None = None  # a jump that waits for the next price

    def take(self, at: int, price: Decimal) -> Tick:
        """Return the tick at ``at`` (ms). A jump is held until the next price lies as far away on the same side."""
        if self._jumped(price):
            self._held = price
            return self._tick(at, price, None, usable=False)
        self._held = None
        missing = self.bars.missing(at)
        if self.bars.tick(at, price) and self._last is not None:
            news = news_of(indicators_of(self.bars.closed()), self.guard.rules)
            close_bar(self.guard, news, as_float(price if missing else self._last), at / 1000)
        self._last = price
        return self._tick(at, price, step(self.guard, as_float(price)), usable=True)

    def _jumped(self, price: Decimal) -> bool:
        """Return True if the price is a jump that no price before it confirms."""
        last, held = self._last, self._held
        if last is None or not jumps(price, last, self.guard.rules.settings.max_jump):
            return False
        return held is None or (price > last) != (held > last)

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
    """Return the position's gain at the last tick, in the quote currency before fees, for a multiplier of 1."""
    return holding.side.sign * (ticks[-1].price - holding.entry) * holding.quantity if ticks else ZERO
