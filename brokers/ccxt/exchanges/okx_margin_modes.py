"""Two positions in one market, one on cross and one on isolated margin (OKX), which are closed by different orders.

The one that was seen alone keeps the market's symbol, and the other is ``BTC/USDT:USDT:isolated``, or ``:cross``, while
either is there: a symbol that went over to the other would make a position out of one that is closed. Where both are
there from the beginning neither has it: what a former life meant by it is not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from brokers.ccxt import wire
from brokers.ccxt.wire import Row
from core.model import Leg, Position, PositionKey


class MarginModes:
    """What is known of one account's."""

    def __init__(self) -> None:
        self._first: dict[PositionKey, str] = {}  # the margin mode of what has the market's symbol, if any

    def update(self, listed: Sequence[tuple[Position, str]], before: Mapping[tuple[str, Leg], str]) -> None:
        """From a complete list of positions with their margin modes. ``before``: the modes in the list before it."""
        times = Counter(position.key for position, _ in listed)
        self._first = {key: mode for key, mode in self._first.items() if key in times}
        for key in [key for key, n in times.items() if n > 1 and key not in self._first]:
            self._first[key] = before.get((key.symbol, key.leg), "")

    def symbol_of(self, key: PositionKey, mode: str) -> str:
        """That of what is on such margin in a market."""
        first = self._first.get(key, mode)
        return key.symbol if not mode or mode == first else f"{key.symbol}:{mode}"


def margin_mode(row: Row) -> str:
    """Of a position, an order or an execution; empty where it is not told."""
    info = wire.inner(row, "info")
    return wire.text(row, "marginMode") or wire.text(info, "tdMode") or wire.text(info, "mgnMode")
