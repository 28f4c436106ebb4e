"""Kraken spot on loopback: REST and streams over one truth, and a book to begin with."""

from __future__ import annotations

import base64
from typing import Any

from brokers.paper.venue import Venue
from tests.venues.ccxt.host import Streamed
from tests.venues.ccxt.kraken_bodies import MARGIN
from tests.venues.ccxt.kraken_rest import KrakenRest
from tests.venues.ccxt.kraken_streams import KrakenStreams

KEY = "kraken-loopback-key"
SECRET = base64.b64encode(b"canary-of-the-kraken-venue").decode()


class Kraken(Streamed):
    def __init__(self, venue: Venue) -> None:
        rest = KrakenRest(venue, KEY, SECRET)
        super().__init__(rest, KrakenStreams(rest))


def spot(symbol: str, **more: Any) -> dict[str, Any]:
    """One instrument's row of a book, with Kraken's minimums."""
    rules = {"step": "0.00000001", "tick": "0.1", "min_quantity": "0.00005", "min_cost": "0.5", "fee_rate": "0.004"}
    return {"symbol": symbol, "kind": "spot", "quote": symbol.partition("/")[2], **rules, **more}


def margin(symbol: str, **more: Any) -> dict[str, Any]:
    """The same market's on margin, whose positions are beside the balance."""
    return {**spot(symbol, **more), "symbol": symbol + MARGIN, "kind": "perp", "reduce_only": True}


BOOK: dict[str, Any] = {
    "instruments": [spot("BTC/USD"), spot("ETH/USD", tick="0.01", min_quantity="0.002")],
    "quotes": {
        "BTC/USD": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "ETH/USD": {"bid": "2500", "ask": "2500.01", "last": "2500"},
    },
    "positions": [
        {"symbol": "BTC/USD", "side": "long", "quantity": "0.5", "entry": "40000"},
        {"symbol": "ETH/USD", "side": "long", "quantity": "2"},
    ],
    "orders": [
        {"id": "h1", "symbol": "BTC/USD", "side": "sell", "quantity": "0.1", "price": "60000"},
        {"id": "h2", "symbol": "BTC/USD", "side": "sell", "quantity": "0.1", "type": "stop", "trigger": "30000"},
    ],
}
