"""OKX on loopback: REST and streams over one truth, and books to begin with."""

from __future__ import annotations

from typing import Any

from brokers.paper.venue import Venue
from tests.venues.ccxt.host import Streamed
from tests.venues.ccxt.okx_rest import OkxRest
from tests.venues.ccxt.okx_streams import OkxStreams

KEY = "okx-loopback-key"
SECRET = "canary-of-the-okx-venue"
PASSPHRASE = "canary-of-the-okx-passphrase"
LOGIN = {"api_key": KEY, "secret": SECRET, "password": PASSPHRASE}


class Okx(Streamed):
    def __init__(self, venue: Venue) -> None:
        rest = OkxRest(venue, KEY, SECRET, PASSPHRASE)
        super().__init__(rest, OkxStreams(rest))


def swap(symbol: str, size: str, **more: Any) -> dict[str, Any]:
    """One perpetual's row of a book; ``size`` is what one contract is of the coin."""
    rules = {"step": "0.01", "tick": "0.1", "min_quantity": "0.01", "fee_rate": "0.0005", "multiplier": size}
    return {"symbol": symbol, "kind": "perp", "quote": "USDT", "reduce_only": True, **rules, **more}


def spot(symbol: str, **more: Any) -> dict[str, Any]:
    rules = {"step": "0.00000001", "tick": "0.1", "min_quantity": "0.00001", "fee_rate": "0.001"}
    return {"symbol": symbol, "kind": "spot", "quote": "USDT", **rules, **more}


BOOK: dict[str, Any] = {
    "instruments": [
        swap("BTC/USDT:USDT", "0.01"),
        swap("ETH/USDT:USDT", "0.1", tick="0.01"),
        spot("BTC/USDT"),
        spot("SOL/USDT", step="0.000001", tick="0.01", min_quantity="0.01"),
    ],
    "quotes": {
        "BTC/USDT:USDT": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "ETH/USDT:USDT": {"bid": "2500", "ask": "2500.01", "last": "2500"},
        "BTC/USDT": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "SOL/USDT": {"bid": "150", "ask": "150.01", "last": "150"},
    },
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "25", "entry": "40000", "leverage": "5"},
        {"symbol": "ETH/USDT:USDT", "side": "short", "quantity": "30.5", "entry": "2400", "leverage": "25"},
        {"symbol": "SOL/USDT", "side": "long", "quantity": "12.5", "entry": "120"},
    ],
    "orders": [
        {
            "id": "h1",
            "symbol": "BTC/USDT:USDT",
            "side": "sell",
            "quantity": "10",
            "price": "60000",
            "reduce_only": True,
        },
        {
            "id": "h2",
            "symbol": "BTC/USDT:USDT",
            "side": "sell",
            "quantity": "25",
            "type": "stop",
            "trigger": "38000",
            "reduce_only": True,
        },
        {"id": "h3", "symbol": "SOL/USDT", "side": "sell", "quantity": "5", "price": "200"},
    ],
}
HEDGED: dict[str, Any] = {
    **BOOK,
    "hedge": True,
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "25", "entry": "40000", "leverage": "5"},
        {"symbol": "BTC/USDT:USDT", "side": "short", "quantity": "7.25", "entry": "52000", "leverage": "5"},
        {"symbol": "SOL/USDT", "side": "long", "quantity": "12.5", "entry": "120"},
    ],
    "orders": [
        {"id": "h1", "symbol": "BTC/USDT:USDT", "side": "sell", "quantity": "10", "price": "60000", "leg": "long"},
    ],
}
