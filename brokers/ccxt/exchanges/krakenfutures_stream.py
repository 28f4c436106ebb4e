"""What Kraken Futures' stream says of orders and positions that ccxt does not tell, or tells wrong.

ccxt adds up amounts that are cumulative already (``handle_order`` of its ``pro/krakenfutures.py``), and of the list of
all positions it tells those that are in it: one that is not in it any more has been closed.
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

LATELY = 60_000  # milliseconds before the stream began that no read is sure to have seen


class KrakenFuturesStream:
    """One run of the stream, message by message. ``symbol`` makes ccxt's of the venue's name of a market, ``held`` is
    what the last read had, and ``began`` the milliseconds at which the stream did."""

    def __init__(self, account: str, symbol: Callable[[str], str], held: Iterable[str], began: int) -> None:
        self._account = account
        self._symbol = symbol
        self._orders: dict[str, Row] = {}
        self._held = set(held)
        self._since = began - LATELY

    def read_message(self, message: Any) -> list[BrokerEvent]:
        """What this message tells; a hint that cannot be read tells nothing."""
        if not isinstance(message, Mapping):
            return []
        if message.get("feed") in ("open_orders", "open_orders_snapshot"):
            return [
                event for row in orders_from_message(message, self._orders) if (event := self._order(row)) is not None
            ]
        return self._gone(message.get("positions")) if message.get("feed") == "open_positions" else []

    def drop_old_fills(self, message: Any) -> Any:
        """The message without executions that were read before: an old one is no news, and has nothing read again.

        What traded between the read and the stream is told by the snapshot alone.
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
        """A message without the list says nothing about any of them."""
        if not isinstance(positions, list) or any(not isinstance(row, Mapping) for row in positions):
            return []
        held = {self._symbol(wire.text(row, "instrument")) for row in positions if wire.number(row.get("balance")) != 0}
        gone, self._held = self._held - held, held
        return [PositionSeen(PositionKey(self._account, symbol), None) for symbol in sorted(gone)]
