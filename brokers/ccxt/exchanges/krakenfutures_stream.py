"""Orders and positions of Kraken Futures' stream that ccxt omits or misreads.

ccxt adds up amounts that are already cumulative (``handle_order`` of its ``pro/krakenfutures.py``). From the list of
all positions ccxt reports only those in the list. A position that left the list has been closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from brokers.ccxt import wire
from brokers.ccxt.exchanges.krakenfutures_wire import KRAKEN_FUTURES, orders_from_message
from brokers.ccxt.wire import Row
from core.errors import OutcomeUnknown
from core.events import BrokerEvent, OrderSeen, PositionSeen
from core.model import PositionKey

LATELY = 60_000  # milliseconds before the stream began, which no read is sure to cover


class KrakenFuturesStream:
    """One run of the stream.

    ``symbol`` converts the venue's name of a market to ccxt's, ``held`` has the symbols of the last read, ``began``
    is the start of the stream in milliseconds.
    """

    def __init__(self, account: str, symbol: Callable[[str], str], held: Iterable[str], began: int) -> None:
        self._account = account
        self._symbol = symbol
        self._orders: dict[str, Row] = {}
        self._held = set(held)
        self._since = began - LATELY

    def read_message(self, message: Any) -> list[BrokerEvent]:
        """Return the events of one message. A message that cannot be read gives none."""
        if not isinstance(message, Mapping):
            return []
        if message.get("feed") in ("open_orders", "open_orders_snapshot"):
            return [
                event for row in orders_from_message(message, self._orders) if (event := self._order(row)) is not None
            ]
        return self._gone(message.get("positions")) if message.get("feed") == "open_positions" else []

    def drop_old_fills(self, message: Any) -> Any:
        """Return the message without executions that a read has seen: they would only trigger another read.

        The snapshot alone has the executions between the read and the start of the stream.
        """
        if not isinstance(message, Mapping) or message.get("feed") != "fills_snapshot":
            return message
        rows = message.get("fills")
        listed = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
        return {**message, "fills": [row for row in listed if (wire.number(row.get("time")) or 0) >= self._since]}

    def _order(self, row: Row) -> BrokerEvent | None:
        try:
            return OrderSeen(wire.order(self._account, {**row, "symbol": self._symbol(row["market"])}, KRAKEN_FUTURES))
        except OutcomeUnknown:
            return None

    def _gone(self, positions: object) -> list[BrokerEvent]:
        """Return the positions that left the list. A message without the list says nothing about any position."""
        if not isinstance(positions, list) or any(not isinstance(row, Mapping) for row in positions):
            return []
        held = {self._symbol(wire.text(row, "instrument")) for row in positions if wire.number(row.get("balance")) != 0}
        gone, self._held = self._held - held, held
        return [PositionSeen(PositionKey(self._account, symbol), None) for symbol in sorted(gone)]
