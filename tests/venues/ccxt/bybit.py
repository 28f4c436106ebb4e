"""Bybit's unified account on loopback: REST and streams over one truth, and books to begin with."""

from __future__ import annotations

from typing import Any

from brokers.paper.venue import Venue
from tests.venues.ccxt.bybit_rest import BybitRest
from tests.venues.ccxt.bybit_streams import BybitStreams
from tests.venues.ccxt.host import Streamed

KEY = "bybit-loopback-key"
SECRET = "canary-of-the-bybit-venue"
LOGIN = {"api_key": KEY, "secret": SECRET}


class Bybit(Streamed):
    def __init__(self, venue: Venue) -> None:
        rest = BybitRest(venue, KEY, SECRET)
        super().__init__(rest, BybitStreams(rest))


def swap(symbol: str, **more: Any) -> dict[str, Any]:
    """One perpetual's row of a book."""
    rules = {"step": "0.001", "tick": "0.1", "min_quantity": "0.001", "min_cost": "5", "fee_rate": "0.00055"}
    quote = symbol.partition(":")[0].partition("/")[2]
    exempt = {"reduce_only": True, "minimum_exempt": True}
    return {"symbol": symbol, "kind": "perp", "quote": quote, **exempt, **rules, **more}


def spot(symbol: str, **more: Any) -> dict[str, Any]:
    rules = {"step": "0.0001", "tick": "0.01", "min_quantity": "0.0001", "min_cost": "5", "fee_rate": "0.001"}
    return {"symbol": symbol, "kind": "spot", "quote": "USDT", **rules, **more}


BOOK: dict[str, Any] = {
    "instruments": [
        swap("BTC/USDT:USDT"),
        swap("ETH/USDC:USDC", step="0.01", min_quantity="0.01", tick="0.01"),
        swap("XRP/USD:XRP", step="1", min_quantity="1", tick="0.0001", quote="1/XRP"),
        swap("SOL/USDT:USDT", step="0.1", min_quantity="0.1", tick="0.01"),
        spot("SOL/USDT"),
        spot("XRP/USDT", step="0.01", tick="0.0001"),
    ],
    "quotes": {
        "BTC/USDT:USDT": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "ETH/USDC:USDC": {"bid": "2500", "ask": "2500.01", "last": "2500"},
        "XRP/USD:XRP": {"bid": "2", "ask": "2.0001", "last": "2"},
        "SOL/USDT:USDT": {"bid": "150", "ask": "150.01", "last": "150"},
        "SOL/USDT": {"bid": "150", "ask": "150.01", "last": "150"},
        "XRP/USDT": {"bid": "2", "ask": "2.0001", "last": "2"},
    },
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "0.5", "entry": "40000", "leverage": "5"},
        {"symbol": "ETH/USDC:USDC", "side": "short", "quantity": "3.05", "entry": "2400", "leverage": "25"},
        {"symbol": "XRP/USD:XRP", "side": "long", "quantity": "700", "entry": "1.8", "leverage": "3"},
        {"symbol": "SOL/USDT", "side": "long", "quantity": "12.5", "entry": "120"},
    ],
    "orders": [
        {
            "id": "h1",
            "symbol": "BTC/USDT:USDT",
            "side": "sell",
            "quantity": "0.2",
            "price": "60000",
            "reduce_only": True,
        },
        {
            "id": "h2",
            "symbol": "BTC/USDT:USDT",
            "side": "sell",
            "quantity": "0.5",
            "type": "stop",
            "trigger": "38000",
            "reduce_only": True,
        },
        {"id": "h3", "symbol": "SOL/USDT", "side": "sell", "quantity": "5", "price": "200"},
        {
            "id": "h4",
            "symbol": "XRP/USD:XRP",
            "side": "sell",
            "quantity": "100",
            "price": "3",
            "reduce_only": True,
        },
        {"id": "h5", "symbol": "SOL/USDT", "side": "sell", "quantity": "2.5", "type": "stop", "trigger": "90"},
    ],
}
HEDGED: dict[str, Any] = {
    **BOOK,
    "hedge": True,
    "instruments": [row for row in BOOK["instruments"] if row["symbol"] != "XRP/USD:XRP"],
    "quotes": {symbol: row for symbol, row in BOOK["quotes"].items() if symbol != "XRP/USD:XRP"},
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "0.5", "entry": "40000", "leverage": "5"},
        {"symbol": "BTC/USDT:USDT", "side": "short", "quantity": "0.125", "entry": "52000", "leverage": "5"},
        {"symbol": "SOL/USDT", "side": "long", "quantity": "12.5", "entry": "120"},
    ],
    "orders": [
        {"id": "h1", "symbol": "BTC/USDT:USDT", "side": "sell", "quantity": "0.2", "price": "60000", "leg": "long"},
    ],
}
