"""What the exit rules cost: one position at a time, many of one symbol, all crossing at once; memory per position.

    python -m benchmarks exits

Two kinds of prices. *Quiet*: a walk in steps of two hundredths of a percent, as ticks are. *Restless*: every price a
new peak, so that every stop ratchets. The peers get the restless ones too: a bot's loop over Decimals with the same
rules for stop, target and peak, and, where it is installed, freqtrade's ``should_exit`` on a ``LocalTrade`` with its
trailing stop. Rounds are interleaved, process time is what counts, and the median round.
"""

from __future__ import annotations

import statistics
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from random import Random  # noqa: TID251  (a seeded path)
from time import process_time
from typing import Any

from msgspec import structs

from core.exits.batch import Columns
from core.exits.rules import rules_of
from core.exits.state import ExitState, open_guard, step
from core.model import Side
from core.settings import ExitSettings

SIZES = (100, 1_000, 10_000, 100_000)
ROUNDS = 7
EVALUATIONS = 100_000  # of a round
CRASH_ROUNDS = 15
PEER_POSITIONS = 100
D = Decimal
TRAILING = structs.replace(ExitSettings(), smart_profit=(), drawdown=(), take_profit_pct=D("0.9"), adaptive=False)

Work = Callable[[list[float]], int]  # how many evaluations these prices took
Maker = Callable[[], Work]  # with fresh positions


def quiet(number: int) -> list[float]:
    dice, price, found = Random(1), 100.0, []
    for _ in range(number):
        price *= 1 + dice.gauss(0, 0.0002)
        found.append(round(price, 2))
    return found


def restless(number: int) -> list[float]:
    """Up by a thousandth of a percent at every price."""
    return [round(100 * 1.00001**place, 6) for place in range(number)]


def guards(number: int, settings: ExitSettings = ExitSettings()) -> list[ExitState]:  # noqa: B008  (frozen)
    dice = Random(2)
    rules = rules_of(settings, Side.LONG)
    entries = [D(dice.randint(9_950, 10_050)) / 100 for _ in range(number)]
    return [open_guard(rules, entry, D(1)) for entry in entries]


def one_by_one(number: int, settings: ExitSettings) -> Work:
    held = guards(number, settings)

    def work(prices: list[float]) -> int:
        for price in prices:
            for guard in held:
                step(guard, price)
        return len(held) * len(prices)

    return work


def as_columns(number: int, settings: ExitSettings) -> Work:
    held = guards(number, settings)
    columns: Columns[int] = Columns(held[0].rules)
    for place, guard in enumerate(held):
        columns.put(place, guard)

    def work(prices: list[float]) -> int:
        for price in prices:
            columns.step(price)
        return len(held) * len(prices)

    return work


class DecimalPosition:
    """What a plain bot keeps of a position."""

    def __init__(self, entry: Decimal, leverage: Decimal) -> None:
        self.entry, self.leverage, self.peak = entry, leverage, entry
        self.stop, self.target = entry * D("0.95"), entry * D("1.9")

    def reason(self, price: Decimal) -> str | None:
        move = (price - self.entry) / self.entry
        roi = move * self.leverage
        self.peak = max(self.peak, price)
        candidate = price * (1 - D("0.02"))
        self.stop = max(self.stop, candidate)
        for level in (D("-0.40"), D("-0.25"), D("-0.15")):
            if roi <= level:
                return "emergency"
        if price <= self.stop:
            return "stop"
        return "target" if price >= self.target else None


def decimal_loop(number: int) -> Work:
    held = [DecimalPosition(D(guard.entry), D(guard.leverage)) for guard in guards(number)]

    def work(prices: list[float]) -> int:
        for number_ in prices:
            price = D(str(number_))
            for position in held:
                position.reason(price)
        return len(held) * len(prices)

    return work


def freqtrade_trades(number: int) -> tuple[Any, list[Any]]:
    """A strategy with a trailing stop of 2 %, and trades with the entries of ``guards``."""
    from freqtrade.persistence.trade_model import LocalTrade  # noqa: PLC0415  (where it is installed)
    from freqtrade.strategy import IStrategy  # noqa: PLC0415

    class Trailing(IStrategy):  # type: ignore[misc]
        use_exit_signal = False
        timeframe, stoploss, trailing_stop, minimal_roi = "1m", -0.02, True, {0: 10}

        def populate_indicators(self, dataframe: Any, metadata: Any) -> Any:
            return dataframe

        populate_entry_trend = populate_exit_trend = populate_indicators

    now = datetime(2026, 1, 1, tzinfo=UTC)
    strategy = Trailing({"runmode": "dry_run", "candle_type_def": "spot"})
    held = [
        LocalTrade(
            pair="BTC/USDT",
            open_rate=guard.entry,
            amount=1.0,
            stake_amount=guard.entry,
            fee_open=0.0,
            fee_close=0.0,
            exchange="x",
            open_date=now,
            leverage=1.0,
            is_short=False,
            price_precision=8,
            precision_mode=2,
            precision_mode_price=2,
        )
        for guard in guards(number)
    ]
    return strategy, held


def freqtrade_loop(number: int) -> Work:
    strategy, held = freqtrade_trades(number)
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def work(prices: list[float]) -> int:
        for price in prices:
            for trade in held:
                strategy.should_exit(trade, price, now, enter=False, exit_=False)
        return len(held) * len(prices)

    return work


def nanoseconds(works: dict[str, tuple[Maker, list[float]]]) -> dict[str, float]:
    """Median ns per evaluation of each, in interleaved rounds."""
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, (maker, prices) in works.items():
            work = maker()
            begun = process_time()
            done = work(prices)
            seen[name].append((process_time() - begun) / done * 1e9)
    return {name: statistics.median(times) for name, times in seen.items()}


def difference_from_freqtrade(number: int) -> float:
    """The largest distance between a stop of ours and freqtrade's over the same prices, as a fraction of the price."""
    strategy, trades = freqtrade_trades(number)
    held = guards(number, structs.replace(TRAILING, stop_loss_pct=D("0.02")))
    now, worst = datetime(2026, 1, 1, tzinfo=UTC), 0.0
    for price in quiet(200):
        for guard, trade in zip(held, trades, strict=True):
            step(guard, price)
            strategy.should_exit(trade, price, now, enter=False, exit_=False)
            worst = max(worst, abs(guard.stop - trade.stop_loss) / price)
    return worst


def crash(number: int) -> tuple[float, float]:
    """ms from a price to the list of exits when all leave at once; median and worst of fresh columns."""
    times = []
    for _ in range(CRASH_ROUNDS):
        columns: Columns[int] = Columns(rules_of(ExitSettings(), Side.LONG))
        for place, guard in enumerate(guards(number)):
            columns.put(place, guard)
        columns.step(100.0)
        begun = process_time()
        assert len(columns.step(80.0)) == number
        times.append((process_time() - begun) * 1e3)
    return statistics.median(times), max(times)


def bytes_per_position(number: int = 10_000) -> float:
    """What a guard and its own numbers hold, after prices have made each number its own."""
    rules = rules_of(ExitSettings(), Side.LONG)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    held = [open_guard(rules, D(9_850 + place % 150) / 100, D(2), opened=1e9 + place) for place in range(number)]
    listed = 8 * number
    for price in (100.01, 100.03, 100.02):
        for guard in held:
            step(guard, price)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return (grown - listed) / number


def run() -> dict[str, float]:
    """Figures by name; ratios are of one run."""
    figures: dict[str, float] = {}
    works: dict[str, tuple[Maker, list[float]]] = {}
    for size in SIZES:
        number = max(EVALUATIONS // size, 3)
        works[f"one by one, {size:,} positions, quiet"] = partial(one_by_one, size, ExitSettings()), quiet(number)
        works[f"columns, {size:,} positions, quiet"] = partial(as_columns, size, ExitSettings()), quiet(max(number, 20))
        works[f"columns, {size:,} positions, restless"] = partial(as_columns, size, TRAILING), restless(max(number, 20))
    peers = PEER_POSITIONS
    works["one by one, restless"] = partial(one_by_one, peers, TRAILING), restless(1000)
    works["a loop over Decimals"] = partial(decimal_loop, peers), restless(200)
    if find_spec("freqtrade") is not None:
        works["freqtrade should_exit"] = partial(freqtrade_loop, peers), restless(20)
        works["freqtrade should_exit, quiet"] = partial(freqtrade_loop, peers), quiet(20)
    times = nanoseconds(works)
    for name, time in times.items():
        figures[f"{name}, ns per position"] = time
    single, many = times["one by one, restless"], times["columns, 1,000 positions, restless"]
    for peer in ("a loop over Decimals", "freqtrade should_exit"):
        if peer in times:
            figures[f"{peer} / one by one"] = times[peer] / single
            figures[f"{peer} / columns of 1,000"] = times[peer] / many
    if "freqtrade should_exit" in times:
        still = times["freqtrade should_exit, quiet"]
        figures["freqtrade / one by one, quiet"] = still / times["one by one, 100 positions, quiet"]
        figures["freqtrade / columns of 1,000, quiet"] = still / times["columns, 1,000 positions, quiet"]
        figures["largest difference of a stop from freqtrade's, of the price"] = difference_from_freqtrade(peers)
    figures["exits per second, one by one, restless"] = 1e9 / single
    figures["exits per second, columns of 10,000, restless"] = 1e9 / times["columns, 10,000 positions, restless"]
    figures["all of 10,000 cross, ms"], figures["all of 10,000 cross, worst, ms"] = crash(10_000)
    figures["bytes of rule state per position"] = bytes_per_position()
    return figures
