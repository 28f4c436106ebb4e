"""Binance USD-M futures on loopback: REST and streams over one truth, and books to begin with."""

from __future__ import annotations

from typing import Any

from brokers.paper.venue import Venue
from tests.venues.ccxt.host import Streamed
from tests.venues.ccxt.usdm_rest import UsdmRest
from tests.venues.ccxt.usdm_streams import UsdmStreams

KEY = "usdm-loopback-key"
SECRET = "canary-of-the-usdm-venue"
LOGIN = {"api_key": KEY, "secret": SECRET}


class Usdm(Streamed):
    def __init__(self, venue: Venue) -> None:
        rest = UsdmRest(venue, KEY, SECRET)
        super().__init__(rest, UsdmStreams(rest))


def perp(symbol: str, **more: Any) -> dict[str, Any]:
    """One perpetual's row of a book."""
    rules = {"step": "0.001", "tick": "0.1", "min_quantity": "0.001", "min_cost": "5", "fee_rate": "0.0005"}
    return {
        "symbol": symbol,
        "kind": "perp",
        "quote": "USDT",
        "reduce_only": True,
        "minimum_exempt": True,
        **rules,
        **more,
    }


BOOK: dict[str, Any] = {
    "instruments": [
        perp("BTC/USDT:USDT"),
        perp("ETH/USDT:USDT", tick="0.01"),
        perp("ALGO/USDT:USDT", step="0.1", tick="0.0001", min_quantity="0.1"),
    ],
    "quotes": {
        "BTC/USDT:USDT": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "ETH/USDT:USDT": {"bid": "2500", "ask": "2500.01", "last": "2500"},
        "ALGO/USDT:USDT": {"bid": "0.2", "ask": "0.2001", "last": "0.2"},
    },
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "0.5", "entry": "40000", "leverage": "5"},
        {"symbol": "ETH/USDT:USDT", "side": "short", "quantity": "3", "entry": "2400", "leverage": "25"},
        {"symbol": "ALGO/USDT:USDT", "side": "long", "quantity": "21267.6", "entry": "0.21", "leverage": "10"},
    ],
    "orders": [
        {
            "id": "h1",
            "symbol": "BTC/USDT:USDT",
            "side": "sell",
            "quantity": "0.1",
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
    ],
}
HEDGED: dict[str, Any] = {
    **BOOK,
    "hedge": True,
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "0.5", "entry": "40000", "leverage": "5"},
        {"symbol": "BTC/USDT:USDT", "side": "short", "quantity": "0.2", "entry": "52000", "leverage": "5"},
        {"symbol": "ETH/USDT:USDT", "side": "short", "quantity": "3", "entry": "2400", "leverage": "25"},
    ],
    "orders": [
        {"id": "h1", "symbol": "BTC/USDT:USDT", "side": "sell", "quantity": "0.1", "price": "60000", "leg": "long"},
        {
            "id": "h2",
            "symbol": "BTC/USDT:USDT",
            "side": "buy",
            "quantity": "0.2",
            "type": "stop",
            "trigger": "60000",
            "leg": "short",
        },
    ],
}
