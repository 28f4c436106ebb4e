"""Real prices: every file of the market data, both sides, three leverages in turn; the restart in mid-day."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from core.exits.replay import ReplayedPosition, Tick, prices_of, walk
from core.market.price_file import read_prices
from core.model import Side
from core.settings import ExitSettings
from tests.core.exit_prices import D, both_sides, settings
from tests.core.exits.test_replay import resumed

MARKET = Path(__file__).parents[3].parent / "shared" / "data" / "market"
FILES = sorted(MARKET.rglob("*.csv"))
LEVERAGES = ("1", "5", "25")  # taken in turn: each side meets each of them on some file
LEAST, MOST = ExitSettings().trailing_min, ExitSettings().trailing_max

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.skipif(not FILES, reason="no market data beside the project: real prices were NOT replayed"),
]


def told(path: Path) -> list[tuple[int, Decimal]]:
    return prices_of(read_prices(path.read_text(encoding="utf-8").splitlines(), path.name))


def holds(ticks: list[Tick], side: Side) -> None:
    """Whatever the prices: a stop only tightens, stands on its side, and its distance is within bounds."""
    for before, now in pairwise(ticks):
        assert before.stop is not None
        assert now.stop is not None
        assert now.distance is not None
        assert side.sign * (now.stop - before.stop) >= 0
        if now.stop != before.stop:
            assert side.sign * (now.price - now.stop) > 0
        assert LEAST <= now.distance <= MOST
        assert now.peak_roi is not None
        assert before.peak_roi is not None
        assert now.peak_roi >= before.peak_roi


@both_sides
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_real_prices_are_walked_to_their_end_position_after_position(path: Path, side: Side) -> None:
    prices, start, exits = told(path), 0, 0
    leverage = LEVERAGES[(FILES.index(path) + (side is Side.SHORT)) % len(LEVERAGES)]
    while start < len(prices):
        holding = ReplayedPosition(side, prices[start][1], D(1), D(leverage))
        ticks = walk(prices[start:], ExitSettings(), holding)
        holds(ticks, side)
        start += len(ticks)
        exits += ticks[-1].exit is not None
    assert exits or start == len(prices)


@pytest.mark.parametrize("path", FILES[:3], ids=lambda path: path.stem)
def test_a_restart_in_the_middle_of_a_day_leaves_at_the_same_tick(path: Path) -> None:
    prices = told(path)[:2000]
    entry = prices[0][1]
    given = settings(smart_profit=(), trailing_base=D("0.03"))
    for side in Side:
        holding = ReplayedPosition(side, entry, D(1), D(2))
        whole = walk(prices, given, holding)
        for part in (3, 2):
            assert resumed(prices, given, holding, max(len(whole) // part, 1)) == whole
