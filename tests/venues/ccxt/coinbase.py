"""Coinbase Advanced on loopback: REST and streams over one truth, and a book to begin with."""

from __future__ import annotations

from typing import Any

from brokers.paper.venue import Venue
from tests.venues.ccxt.coinbase_rest import CoinbaseRest
from tests.venues.ccxt.coinbase_streams import CoinbaseStreams
from tests.venues.ccxt.host import Streamed

KEY = "coinbase-loopback-key"
SECRET = "canary-of-the-coinbase-venue"


class Coinbase(Streamed):
    def __init__(self, venue: Venue) -> None:
        rest = CoinbaseRest(venue, KEY, SECRET)
        super().__init__(rest, CoinbaseStreams(rest))


def spot(symbol: str, **more: Any) -> dict[str, Any]:
    """One spot product's row of a book."""
    rules = {"step": "0.00000001", "tick": "0.01", "min_quantity": "0.00000001", "min_cost": "1"}
    return {"symbol": symbol, "kind": "spot", "quote": symbol.partition("/")[2], **rules, **more}


PERP = {
    "symbol": "BTC/USD:USD",
    "native_symbol": "BIP-20DEC30-CDE",
    "kind": "perp",
    "quote": "USD",
    "step": "1",
    "tick": "5",
    "min_quantity": "1",
    "multiplier": "0.01",
    "reduce_only": True,
}
BOOK: dict[str, Any] = {
    "instruments": [spot("BTC/USD"), spot("ETH/USD", min_quantity="0.0001"), PERP],
    "quotes": {
        "BTC/USD": {"bid": "68900.00", "ask": "68901.00", "last": "68900.50"},
        "ETH/USD": {"bid": "3000", "ask": "3000.01", "last": "3000"},
        "BTC/USD:USD": {"bid": "68925", "ask": "68930", "last": "68930"},
    },
    "positions": [
        {"symbol": "BTC/USD", "side": "long", "quantity": "1.23456789", "entry": "60000"},
        {"symbol": "ETH/USD", "side": "long", "quantity": "2"},
        {"symbol": "BTC/USD:USD", "side": "short", "quantity": "3", "entry": "70000", "leverage": "5"},
    ],
    "orders": [{"id": "h1", "symbol": "BTC/USD", "side": "sell", "quantity": "0.1", "price": "90000"}],
}
