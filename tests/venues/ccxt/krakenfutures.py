"""Kraken Futures on loopback: REST and streams over one truth, and a book to begin with."""

from __future__ import annotations

import base64
from typing import Any

from brokers.paper.venue import Venue
from tests.venues.ccxt.host import Streamed
from tests.venues.ccxt.krakenfutures_rest import KrakenFuturesRest
from tests.venues.ccxt.krakenfutures_streams import KrakenFuturesStreams

KEY = "krakenfutures-loopback-key"
SECRET = base64.b64encode(b"canary of the krakenfutures venue").decode()
LOGIN = {"api_key": KEY, "secret": SECRET}
LINEAR, INVERSE, LOTS = "BTC/USD:USD", "BTC/USD:BTC", "PEPE/USD:USD"
DATED, INVERSE_DATED = "ETH/USD:USD-991231", "ETH/USD:ETH-991231"


class KrakenFutures(Streamed):
    def __init__(self, venue: Venue) -> None:
        rest = KrakenFuturesRest(venue, KEY, SECRET)
        super().__init__(rest, KrakenFuturesStreams(rest))


def contract(symbol: str, **more: Any) -> dict[str, Any]:
    """One contract's row of a book."""
    rules = {"step": "0.0001", "tick": "0.5", "fee_rate": "0.0005"}
    return {"symbol": symbol, "kind": "perp", "quote": "USD", "reduce_only": True, **rules, **more}


BOOK: dict[str, Any] = {
    "instruments": [
        contract(LINEAR),
        contract(INVERSE, step="1"),
        contract(LOTS, step="10", tick="0.000000001"),
        contract(DATED, step="0.001", tick="0.1", kind="future"),
        contract(INVERSE_DATED, step="1", tick="0.1", kind="future"),
    ],
    "quotes": {
        LINEAR: {"bid": "50000", "ask": "50000.5", "last": "50000"},
        INVERSE: {"bid": "50010", "ask": "50010.5", "last": "50010"},
        LOTS: {"bid": "0.00001", "ask": "0.000010001", "last": "0.00001"},
        DATED: {"bid": "2500", "ask": "2500.1", "last": "2500"},
        INVERSE_DATED: {"bid": "2500", "ask": "2500.1", "last": "2500"},
    },
    "positions": [
        {"symbol": LINEAR, "side": "long", "quantity": "0.5", "entry": "40000", "leverage": "5"},
        {"symbol": INVERSE, "side": "short", "quantity": "3000", "entry": "51000", "leverage": "5"},
        {"symbol": LOTS, "side": "long", "quantity": "12345670", "entry": "0.00002"},
        {"symbol": DATED, "side": "long", "quantity": "1.5", "entry": "2400"},
    ],
    "orders": [
        {
            "id": "h1",
            "symbol": LINEAR,
            "side": "sell",
            "quantity": "0.1",
            "price": "60000",
            "reduce_only": True,
        },
        {
            "id": "h2",
            "symbol": LINEAR,
            "side": "sell",
            "quantity": "0.5",
            "type": "stop",
            "trigger": "38000",
            "reduce_only": True,
        },
    ],
}
