"""Two positions in one market, one on cross and one on isolated margin (OKX). Different orders close them.

The position that was alone at first keeps the market's symbol. The other gets ``BTC/USDT:USDT:isolated`` (or
``:cross``) while either exists: a symbol that changed hands would revive a closed position. If both exist at the
start, neither gets the market's symbol: an earlier run may have meant either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

from brokers.ccxt import wire
from brokers.ccxt.wire import Row
from core.model import Leg, Position, PositionKey


class MarginModes:
    """The margin modes of one account's positions."""

    def __init__(self) -> None:
        self._first: dict[PositionKey, str] = {}  # the margin mode of the position with the market's symbol, if any

    def update(self, listed: Sequence[tuple[Position, str]], before: Mapping[tuple[str, Leg], str]) -> None:
        """Update from a complete list of positions with their margin modes.

        ``before``: the modes of the previous list.
        """
        times = Counter(position.key for position, _ in listed)
        self._first = {key: mode for key, mode in self._first.items() if key in times}
        for key in [key for key, n in times.items() if n > 1 and key not in self._first]:
            self._first[key] = before.get((key.symbol, key.leg), "")

    def symbol_of(self, key: PositionKey, mode: str) -> str:
        """Return the symbol of the position with this margin mode."""
        first = self._first.get(key, mode)
        return key.symbol if not mode or mode == first else f"{key.symbol}:{mode}"


def margin_quantity(row: Row, market: Row) -> Decimal | None:
    """Return the quantity of a spot margin position in the base coin; None if the row does not tell.

    OKX's ``pos`` is in ``posCcy``: the quote coin for a short position. The debt ``liab`` is in ``liabCcy``.
    """
    info, base = wire.inner(row, "info"), wire.text(market, "base")
    pos, entry, debt = wire.number(info.get("pos")), wire.positive(info.get("avgPx")), wire.number(info.get("liab"))
    if wire.text(info, "posCcy") in ("", base):
        return abs(pos) if pos is not None else None
    if debt and wire.text(info, "liabCcy") == base:
        return abs(debt)
    return (abs(pos) / entry).quantize(_SMALLEST) if pos is not None and entry is not None else None


_SMALLEST = Decimal("0.00000001")


def margin_mode(row: Row) -> str:
    """Return the margin mode of a position, an order or an execution; "" where the row does not tell it."""
    info = wire.inner(row, "info")
    return wire.text(row, "marginMode") or wire.text(info, "tdMode") or wire.text(info, "mgnMode")
