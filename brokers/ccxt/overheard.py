"""What Kraken Futures' stream says of orders and positions that ccxt does not tell, or tells wrong.

ccxt adds up amounts that are cumulative already (``handle_order`` of its ``pro/krakenfutures.py``), and of the list of
all positions it tells those that are in it: one that is not in it any more has been closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from brokers.ccxt import wire
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_krakenfutures import NAME, streamed
from core.errors import OutcomeUnknown
from core.events import BrokerEvent, OrderSeen, PositionSeen
from core.model import PositionKey


class Overheard:
    """One run of the stream, message by message. ``symbol`` makes ccxt's of the venue's name of a market."""

    def __init__(self, account: str, symbol: Callable[[str], str]) -> None:
        self._account = account
        self._symbol = symbol
        self._orders: dict[str, Row] = {}
        self._held: set[str] = set()

    def events(self, message: Any) -> list[BrokerEvent]:
        """What this message tells; a hint that cannot be read tells nothing."""
        if not isinstance(message, Mapping):
            return []
        if message.get("feed") in ("open_orders", "open_orders_snapshot"):
            return [event for row in streamed(message, self._orders) if (event := self._order(row)) is not None]
        return self._gone(message.get("positions")) if message.get("feed") == "open_positions" else []

    def passed(self, message: Any) -> bool:
        """Whether it tells what was before the stream, which no execution of now may be taken for: reads know it."""
        return isinstance(message, Mapping) and message.get("feed") == "fills_snapshot"

    def _order(self, row: Row) -> BrokerEvent | None:
        try:
            return OrderSeen(wire.order(self._account, {**row, "symbol": self._symbol(row["market"])}, NAME))
        except OutcomeUnknown:
            return None

    def _gone(self, positions: object) -> list[BrokerEvent]:
        """A message without the list says nothing about any of them."""
        if not isinstance(positions, list) or any(not isinstance(row, Mapping) for row in positions):
            return []
        held = {self._symbol(wire.text(row, "instrument")) for row in positions if wire.number(row.get("balance")) != 0}
        gone, self._held = self._held - held, held
        return [PositionSeen(PositionKey(self._account, symbol), None) for symbol in sorted(gone)]
